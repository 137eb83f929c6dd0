"""Camera frames as JPEG and PNG and back: the only place that knows Pillow.

A *cell* is what a frame is while it travels and rests: the bytes of a picture, or of raw pixels.

    producers     encode_steps: pixels -> cells, as the schema's encodings say
    readers       decode_steps of a whole episode, decode_batch of sampled items: cells -> pixels
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from ramp.data.picture_header import read_header
from ramp.errors import Corrupt, Invalid
from ramp.types import Batch, Encoding, StepBatch, StepSchema

QUALITY = 90  # of a JPEG where nobody says another, 1 to 100
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
FORMATS = {Encoding.JPEG: "JPEG", Encoding.PNG: "PNG"}
TOGETHER = 16  # frames that one task decodes

Spread = Callable[[Callable[[range], None], Iterable[range]], Iterator[None]]
"""`map`, or that of an executor: Pillow lets other threads run while it decodes."""


# ------------------------------------------------------------------------------------------------ frames


def encode(frame: np.ndarray, encoding: Encoding, quality: int = QUALITY) -> bytes:
    """A cell of uint8 [height, width, channels]; `quality` is a JPEG's, and a PNG loses nothing.

    Raises Invalid for a JPEG of other than one or three channels: depth would be lost.
    """
    if encoding is Encoding.JPEG and frame.shape[2] not in (1, 3):
        raise Invalid("encoding", f"jpeg of {frame.shape[2]} channels", "use png or raw: a JPEG has no place for depth")
    if encoding is Encoding.RAW:
        return frame.tobytes()
    picture = Image.fromarray(frame[..., 0] if frame.shape[2] == 1 else frame)
    sink = io.BytesIO()
    options: dict[str, Any] = {"quality": quality} if encoding is Encoding.JPEG else {"compress_level": 1}
    picture.save(sink, FORMATS[encoding], **options)
    return sink.getvalue()


def decode(cell: bytes, shape: tuple[int, int, int]) -> np.ndarray:
    """uint8 `shape` of a JPEG or PNG. Raises ValueError, which says what is wrong with it."""
    header = read_header(cell)
    if header.shape != shape:
        raise ValueError(f"a picture of {header.shape}, not {shape}")
    try:
        with Image.open(io.BytesIO(cell), formats=[FORMATS[header.encoding]]) as picture:
            if (*picture.size[::-1], picture.mode) != (*shape[:2], MODES[shape[2]]):
                raise ValueError(f"pixels of {picture.size} {picture.mode}, not what its header says")
            return np.asarray(picture).reshape(shape)
    except Exception as error:  # whatever a decoder makes of a stranger's bytes
        raise ValueError(f"a {header.encoding} that cannot be decoded: {str(error)[:120]}") from error


# ------------------------------------------------------------------------------------------------- steps


def encode_steps(steps: StepBatch, schema: StepSchema, quality: int = QUALITY) -> StepBatch:
    """The same steps as they travel: frames of cameras that `schema` encodes become cells, unless they are already.

    A robot whose camera gives JPEGs puts them in `images` itself, as an object array of bytes. Raises Invalid.
    """
    found = {name: _cells(steps.images[name], encoding, quality) for name, encoding in schema.encodings.items()}
    return replace(steps, images={**steps.images, **found})


def _cells(frames: np.ndarray, encoding: Encoding, quality: int) -> np.ndarray:
    if frames.dtype == object:
        return frames
    cells = np.empty(len(frames), object)
    cells[:] = [encode(frame, encoding, quality) for frame in frames]
    return cells


def decode_steps(steps: StepBatch, schema: StepSchema, episode_id: str, spread: Spread = map) -> StepBatch:
    """The same steps with pixels. Raises Corrupt, with episode, step and camera."""
    seen = steps.step[steps.frame_row].tolist()

    def found(camera: str, shape: tuple[int, int, int]) -> np.ndarray:
        return _pixels(steps.images[camera], shape, spread, lambda n: f"episode {episode_id}, step {seen[n]}, {camera}")

    return replace(steps, images={camera: found(camera, shape) for camera, shape in schema.cameras.items()})


# --------------------------------------------------------------------------------------------- batches


def decode_batch(batch: Batch, spread: Spread = map) -> Batch:
    """The same items with pixels; pixels stay as they are. Raises Corrupt, with episode, step and camera.

    The size of a camera's frames is that of its first one, since replay has compared all of them with one schema.
    """
    return replace(
        batch,
        images={camera: _sampled(batch, camera, cells, spread) for camera, cells in batch.images.items()},
        future_images={camera: _sampled(batch, camera, cells, spread) for camera, cells in batch.future_images.items()},
    )


def _sampled(batch: Batch, camera: str, cells: np.ndarray, spread: Spread) -> np.ndarray:
    """Of [B] or [B, K] cells."""
    if cells.dtype != object:
        return cells
    each = max(1, cells[:1].size)  # cells of an item

    def where(n: int) -> str:
        ahead = f" (frame ahead {n % each + 1})" if cells.ndim > 1 else ""
        return f"episode {batch.episode_id[n // each]}, step {batch.step[n // each]}{ahead}, {camera}"

    return _pixels(cells, _first_shape(batch.images[camera], lambda: where(0)), spread, where)


def _first_shape(cells: np.ndarray, where: Callable[[], str]) -> tuple[int, int, int]:
    try:
        return read_header(bytes(cells[0])).shape
    except ValueError as error:
        raise Corrupt(f"{where()}: {error}") from error


def _pixels(cells: np.ndarray, shape: tuple[int, int, int], spread: Spread, where: Callable[[int], str]) -> np.ndarray:
    """uint8 [*cells.shape, *shape]; `where` says of the n-th cell whose it is, where it cannot be decoded."""
    if cells.dtype != object:
        return cells
    flat, pixels = cells.reshape(-1), np.empty((cells.size, *shape), np.uint8)

    def fill(part: range) -> None:
        for n in part:
            try:
                pixels[n] = decode(bytes(flat[n]), shape)
            except ValueError as error:
                raise Corrupt(f"{where(n)}: {error}") from error

    for _ in spread(fill, (range(len(flat))[n : n + TOGETHER] for n in range(0, len(flat), TOGETHER))):
        """Each raises what its task raised."""
    return pixels.reshape(*cells.shape, *shape)
