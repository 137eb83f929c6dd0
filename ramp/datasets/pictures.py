"""Camera frames as mp4 and PNG: the only place that knows PyAV.

A frame is uint8 [height, width, 3], RGB. Videos are H.264 with a key frame every second frame, as LeRobot's own are, so
that any row is found fast.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import PictureType

from ramp.errors import Invalid

CODEC = "libx264"
QUALITY = {"crf": "18", "g": "2", "bf": "0"}  # crf 18: hard to tell from the original; bf 0: time runs straight


def pixel_format(height: int, width: int) -> str:
    """4:2:0 halves the colours' resolution, which needs even sides."""
    return "yuv444p" if height % 2 or width % 2 else "yuv420p"


class VideoWriter:
    """One mp4 that grows frame by frame; frame k is shown at k / fps seconds."""

    def __init__(self, path: Path, fps: float, height: int, width: int) -> None:
        self.path, self.frames = path, 0
        rate = Fraction(fps).limit_denominator(1001)
        self._container = av.open(str(path), "w")
        self._stream = self._container.add_stream(CODEC, rate=rate, options=QUALITY)
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = pixel_format(height, width)
        self._time_base = 1 / rate

    def add(self, frame: np.ndarray, *, first: bool) -> None:
        """`first`: of an episode, which begins with a key frame."""
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        picture.pts, picture.time_base = self.frames, self._time_base
        picture.pict_type = PictureType.I if first else PictureType.NONE
        self._container.mux(self._stream.encode(picture))
        self.frames += 1

    def close(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()


def read_video(path: Path, begin_s: float, fps: float, rows: np.ndarray) -> np.ndarray:
    """uint8 [len(rows), height, width, 3]: the frames shown at begin_s + row / fps; `rows` ascending, at least one.

    Raises Invalid where the file cannot be decoded or ends too early.
    """
    found: list[np.ndarray] = []
    try:
        for row, frame in _frames(path, begin_s, fps, int(rows[0])):
            if row == rows[len(found)]:
                found.append(frame.to_ndarray(format="rgb24"))
                if len(found) == len(rows):
                    return np.stack(found)
    except (av.FFmpegError, IndexError, ValueError, OverflowError) as error:
        raise Invalid(path.name, str(error)[:160], f"{path} cannot be decoded; download it again") from error
    missing = f"no frame at {begin_s + rows[len(found)] / fps:.3f} s"
    raise Invalid(path.name, missing, f"{path} is shorter than its episodes, or has another fps; download it again")


def _frames(path: Path, begin_s: float, fps: float, first: int) -> Iterator[tuple[int, av.VideoFrame]]:
    """(row, frame) from the key frame before row `first` on."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        container.seek(int((begin_s + first / fps) / stream.time_base), stream=stream)
        for frame in container.decode(stream):
            if frame.time is not None:
                yield round((frame.time - begin_s) * fps), frame


def to_png(frame: np.ndarray) -> bytes:
    """Lossless."""
    height, width, _ = frame.shape
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "rgb24"
    encoder.time_base = Fraction(1, 1)
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
    return b"".join(bytes(packet) for packet in [*encoder.encode(picture), *encoder.encode(None)])


SIGNATURES = {b"\x89PNG": "png", b"\xff\xd8\xff": "mjpeg"}


def from_picture(data: bytes, place: str) -> np.ndarray:
    """The frame in a PNG or JPEG. Raises Invalid, which names `place`."""
    codec = next((name for begin, name in SIGNATURES.items() if data.startswith(begin)), None)
    if codec is None:
        raise Invalid(place, repr(data[:8]), "only PNG and JPEG pictures can be read")
    try:
        decoder = av.CodecContext.create(codec, "r")
        frames = [*decoder.decode(av.Packet(data)), *decoder.decode(None)]
        return frames[0].to_ndarray(format="rgb24")
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise Invalid(place, str(error)[:160], "the picture is damaged; download the file again") from error
