"""One episode as a Rerun recording: what the cameras saw, what the robot did, what the world model thought of it.

Everything lies on two timelines: `step`, and `seconds` since the episode began.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import rerun as rr
import rerun.blueprint as rrb

from ramp.replay.labels import Labels
from ramp.types import Episode, Source

PLOTS = ("value", "indicator", "intervention", "action", "proprio", "reward")


def write(episode: Episode, labels: Labels | None, path: Path) -> None:
    """The whole file or none. Raises OSError."""
    partial = path.with_name(f".{path.name}.partial")
    recording = rr.RecordingStream("ramp", recording_id=episode.header.episode_id)
    partial.touch()  # Rerun itself raises no OSError
    try:
        recording.save(partial, default_blueprint=_layout(episode, labels))
        _log_header(recording, episode)
        _log_steps(recording, episode)
        _log_frames(recording, episode)
        if labels is not None:
            _log_labels(recording, episode, labels)
        recording.disconnect()
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def open_viewer(path: Path) -> None:
    """Start Rerun's viewer on a recording; it goes on when this process ends."""
    subprocess.Popen([sys.executable, "-m", "rerun", str(path)], start_new_session=True)


def _times(episode: Episode, rows: np.ndarray) -> list[rr.TimeColumn]:
    steps = episode.steps
    return [rr.TimeColumn("step", sequence=steps.step[rows]), rr.TimeColumn("seconds", duration=steps.timestamp[rows])]


def _log_header(recording: rr.RecordingStream, episode: Episode) -> None:
    header = episode.header
    lines = [
        f"# {header.instruction}",
        f"{header.task}, seed {header.seed}, robot {header.robot}: **{episode.outcome}**",
    ]
    lines.append(f"{len(episode.steps)} of at most {header.max_steps} steps")
    recording.log("episode", rr.TextDocument("\n\n".join(lines), media_type="text/markdown"), static=True)


def _log_steps(recording: rr.RecordingStream, episode: Episode) -> None:
    steps = episode.steps
    times = _times(episode, np.arange(len(steps)))
    intervention = (steps.source == Source.HUMAN).astype(np.float64)
    numbers = {"proprio": steps.proprio, "action": steps.action, "reward": steps.reward, "intervention": intervention}
    numbers["policy_version"] = steps.policy_version
    for name, values in numbers.items():
        recording.send_columns(name, times, rr.Scalars.columns(scalars=np.asarray(values, np.float64)))
    sources = [Source(each).name.lower() for each in steps.source.tolist()]
    recording.send_columns("source", times, rr.TextLog.columns(text=sources))


def _log_frames(recording: rr.RecordingStream, episode: Episode) -> None:
    times = _times(episode, episode.steps.frame_row)
    for camera, frames in episode.steps.images.items():
        height, width = frames.shape[1:3]
        form = rr.components.ImageFormat(width=width, height=height, color_model="RGB", channel_datatype="U8")
        count = len(frames)
        columns = rr.Image.columns(buffer=frames.reshape(count, -1), format=[form] * count)
        recording.send_columns(f"camera/{camera}", times, columns)


def _log_labels(recording: rr.RecordingStream, episode: Episode, labels: Labels) -> None:
    times = _times(episode, episode.steps.frame_row)
    named = {"value/value": labels.value, "value/advantage": labels.advantage, "indicator": labels.indicator}
    for name, values in named.items():
        recording.send_columns(name, times, rr.Scalars.columns(scalars=np.asarray(values, np.float64)))


def _layout(episode: Episode, labels: Labels | None) -> rrb.Blueprint:
    """Cameras and what the episode is on the left, curves on the right."""
    seen = [rrb.Spatial2DView(origin=f"camera/{camera}", name=camera) for camera in sorted(episode.steps.images)]
    plots = [name for name in PLOTS if labels is not None or name not in ("value", "indicator")]
    curves = [rrb.TimeSeriesView(origin=name, name=name) for name in plots]
    about = rrb.Horizontal(rrb.TextDocumentView(origin="episode"), rrb.TextLogView(origin="source", name="source"))
    return rrb.Blueprint(rrb.Horizontal(rrb.Vertical(*seen, about), rrb.Vertical(*curves)))
