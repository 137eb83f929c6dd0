"""All backups of one part of a run: a shard, or everything else.

    <url>/shard-0/objects/9f/9f86d081...     a file's content, by its SHA-256; backups share it
    <url>/shard-0/backups/00000007.json      a backup: written last, so that what it names is there

A part has one writer at a time, who holds a lock beside the data (`copying.alone`): they are on one disk.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from pathlib import Path

from ramp.errors import Corrupt, NotFound
from services.backup.bucket import Bucket, chunks_of, digest_of
from services.backup.manifest import Kept, Manifest, decode

logger = logging.getLogger(__name__)

RUN = "run"
_BACKUP = re.compile(r".*/backups/(\d{8})\.json")


class Part:
    """Example: Part(Bucket("file:///backups/arms"), "shard-0").manifests()"""

    def __init__(self, bucket: Bucket, name: str) -> None:
        self.bucket, self.name = bucket, name

    def manifests(self) -> list[Manifest]:
        """Oldest first. One that cannot be read is told of and left out. Raises Unavailable."""
        found = []
        for name in sorted(filter(_BACKUP.fullmatch, self.bucket.sizes(f"{self.name}/backups"))):
            try:
                found.append(decode(b"".join(self.bucket.read(name)), f"{self.bucket.url}, {name}"))
            except Corrupt as error:
                logger.error("%s; that backup is passed over", error)
        return found

    def newest(self, before: float = float("inf")) -> Manifest:
        """Of those that hold a moment not after `before` (seconds since 1970). Raises NotFound."""
        found = [each for each in self.manifests() if each.taken_at <= before]
        if not found:
            raise NotFound(
                f"{self.bucket.url} has no such backup of {self.name}; `ramp backup --list` says which it has"
            )
        return found[-1]

    def objects(self) -> dict[str, int]:
        """Bytes of every content that lies there, by its SHA-256."""
        found = self.bucket.sizes(f"{self.name}/objects")
        return {name.rpartition("/")[2]: size for name, size in found.items()}

    def store(self, file: Kept, source: Path) -> None:
        """Copy a file's content, and read it back. Raises Corrupt where either is not what was asked for."""
        name = self._object(file.sha256)
        self.bucket.write(name, chunks_of(source))
        if self.bucket.digest(name) != file.sha256:
            self.bucket.drop([name])
            raise Corrupt(f"{source} and its copy in {self.bucket.url} differ; the backup is not finished")

    def holds(self, file: Kept) -> bool:
        """Whether its content lies there, all of it read and compared."""
        try:
            return self.bucket.digest(self._object(file.sha256)) == file.sha256
        except NotFound:
            return False

    def content(self, file: Kept) -> Iterable[bytes]:
        """Raises NotFound."""
        return self.bucket.read(self._object(file.sha256))

    def finish(self, manifest: Manifest) -> None:
        """From here on the backup is one. Raises Corrupt where the manifest cannot be read back."""
        name, content = f"{self.name}/backups/{manifest.number:08d}.json", manifest.encode()
        self.bucket.write(name, [content])
        if self.bucket.digest(name) != digest_of([content]):
            raise Corrupt(f"{self.bucket.url}, {name} is not what was written")

    def next_number(self) -> int:
        """Above that of every backup, readable or not."""
        found = map(_BACKUP.fullmatch, self.bucket.sizes(f"{self.name}/backups"))
        return max((int(each[1]) for each in found if each), default=0) + 1

    def prune(self, keep: int) -> int:
        """Forget all but the last `keep` backups, then what none of them names; how many were forgotten."""
        known = self.manifests()
        gone, left = known[:-keep], known[-keep:]
        self.bucket.drop(f"{self.name}/backups/{each.number:08d}.json" for each in gone)
        named = {file.sha256 for each in left for file in each.files}
        self.bucket.drop(self._object(each) for each in self.objects() if each not in named)
        return len(gone)

    def _object(self, sha256: str) -> str:
        return f"{self.name}/objects/{sha256[:2]}/{sha256}"


def parts(bucket: Bucket) -> list[Part]:
    """Those that have a backup in the bucket. Raises Unavailable."""
    found = [Part(bucket, name) for name in bucket.folders()]
    return [part for part in found if part.next_number() > 1]
