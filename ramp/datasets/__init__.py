"""LeRobot datasets: folders of parquet and mp4 that other tools for robot learning read and write.

    Exporter ── data/*.parquet, videos/*/*.mp4, meta/      export: episodes of a shard become a v3.0 folder
      └── Sidecars: what LeRobot has no column for, beside the data under meta/
    Dataset ── index (v2.1 or v3.0), rows, pictures        a folder becomes episodes again, its own or a stranger's

A row is a step. The format is described in docs/datasets.md.
"""
