"""The replay structure without the service: durable episodes, tables, samplers, limiters and annotations.

Shard ── Log ── segments on disk (the truth)          everything else is rebuilt from them
  ├── Table: items, sampler, limiter                  one per named table
  └── Annotations: generations beside the data        one current generation
"""
