"""Where backups lie: a folder or a bucket, named by a URL as fsspec has them (file, s3, gs, memory ...)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem

from ramp.errors import Invalid, NotFound, Unavailable
from ramp.replay import durable

CHUNK = 4 * 2**20  # bytes read at once


class Bucket:
    """Names with content below one URL.

    Example: Bucket("s3://robots/arms").write("shard-0/objects/9f/9f86...", [b"..."])
    """

    def __init__(self, url: str) -> None:
        """Raises Invalid for a URL that nothing here speaks to."""
        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            remedy = f"write file:///path, s3://bucket/path or gs://bucket/path ({error}); s3 needs `pip install s3fs`"
            raise Invalid("url", url, f"{remedy}, gs `pip install gcsfs`") from error
        self._local = isinstance(self._files, LocalFileSystem)
        self.url = url

    def folders(self) -> list[str]:
        """Names of one part that hold others, ascending. Raises Unavailable."""
        with self._reached():
            self._files.invalidate_cache()
            if not self._files.exists(self._root):
                return []
            found = self._files.ls(self._root, detail=True)
        return sorted(each["name"].rstrip("/").rpartition("/")[2] for each in found if each["type"] == "directory")

    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes of everything below a folder, by its name in the bucket. Raises Unavailable."""
        with self._reached():
            self._files.invalidate_cache()
            found = self._files.find(self._path(folder), detail=True)
        start = len(self._path(folder)) - len(folder)
        return {path[start:]: int(each["size"]) for path, each in found.items() if not path.endswith(".part")}

    def write(self, name: str, chunks: Iterable[bytes]) -> None:
        """Whole and durable when it returns; on a disk others see all of it or nothing. Raises Unavailable."""
        path = self._path(name)
        with self._reached():
            if not self._local:
                with self._files.open(path, "wb") as file:
                    file.writelines(chunks)
                return
            durable.make_directory(Path(path).parent)
            with self._files.open(f"{path}.part", "wb") as file:
                file.writelines(chunks)
                file.flush()
                os.fsync(file.fileno())
            os.replace(f"{path}.part", path)
            durable.sync(Path(path).parent)

    def read(self, name: str) -> Iterator[bytes]:
        """Its content in chunks. Raises NotFound, Unavailable."""
        with self._reached(), self._files.open(self._path(name), "rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk

    def digest(self, name: str) -> str:
        """SHA-256 of what lies there now. Raises NotFound, Unavailable."""
        return digest_of(self.read(name))

    def drop(self, names: Iterable[str]) -> None:
        """Raises Unavailable; some may be gone by then."""
        with self._reached():
            for name in names:
                self._files.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise NotFound(f"{self.url}: {error}") from error
        except OSError as error:
            raise Unavailable(f"{self.url} cannot be used: {error}") from error


def digest_of(chunks: Iterable[bytes]) -> str:
    """SHA-256, hexadecimal."""
    found = hashlib.sha256()
    for chunk in chunks:
        found.update(chunk)
    return found.hexdigest()


def chunks_of(path: Path) -> Iterator[bytes]:
    """A file's content. Raises OSError."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
