"""Run by an interpreter that has LeRobot's own library: loads a folder with it and writes what it saw as .npz.

    .tools/lerobot/bin/python tests/unit/datasets/lerobot_reader.py FOLDER OUT.npz

Where torchvision is not installed, or does not fit to torch, the two things that the library takes from it are put in
its place: a reader of videos over PyAV, and pictures as tensors.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator

import numpy as np
import torch


def replace_torchvision() -> None:
    import av

    class VideoReader:
        def __init__(self, path: str, stream: str) -> None:
            self.container = av.open(path)
            self._stream = self.container.streams.video[0]

        def seek(self, seconds: float, keyframes_only: bool) -> VideoReader:
            self.container.seek(int(seconds / self._stream.time_base), stream=self._stream)
            return self

        def __iter__(self) -> Iterator[dict[str, object]]:
            for frame in self.container.decode(self._stream):
                pixels = torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)
                yield {"pts": float(frame.pts * frame.time_base), "data": pixels}

    class ToTensor:
        def __call__(self, picture: object) -> torch.Tensor:
            return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255

    top = types.ModuleType("torchvision")
    top.io, top.transforms = types.ModuleType("torchvision.io"), types.ModuleType("torchvision.transforms")
    top.set_video_backend = lambda name: None
    top.io.VideoReader, top.transforms.ToTensor = VideoReader, ToTensor
    sys.modules |= {"torchvision": top, "torchvision.io": top.io, "torchvision.transforms": top.transforms}


def main(folder: str, out: str) -> None:
    try:
        import torchvision.io  # noqa: F401
    except (ImportError, RuntimeError):
        import datasets  # noqa: F401  # looks for torchvision as well, and does without

        replace_torchvision()
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    dataset = LeRobotDataset("local/made", root=folder, video_backend="pyav")
    items = [dataset[row] for row in range(len(dataset))]
    cameras = dataset.meta.camera_keys
    found = {
        "state": np.stack([item["observation.state"].numpy().reshape(-1) for item in items]),
        "action": np.stack([item["action"].numpy().reshape(-1) for item in items]),
        "episode": np.array([int(item["episode_index"]) for item in items]),
        "done": np.array([bool(item["next.done"]) for item in items]),
        "success": np.array([bool(item["next.success"]) for item in items]),
        "task": np.array([item["task"] for item in items]),
        "q99": dataset.meta.stats["action"]["q99"],
        "fps": np.array(dataset.fps),
        "from": np.array([dataset.meta.episodes[row]["dataset_from_index"] for row in range(dataset.num_episodes)]),
    }
    found |= {key: np.stack([item[key].numpy() for item in items]) for key in cameras}
    np.savez(out, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
