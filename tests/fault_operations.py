"""The operations of one request that the faults meet: what the store holds, what a client does, and if it is right.

What a client ends with is told in values that can be sent from process to process, so that other clients are judged
by the same words: a digest for an object's bytes, size and entity tag for a description, lines for a list.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
from pathlib import Path
from typing import Any, Callable, NamedTuple

from fault_bytes import crc32
from fault_row import BIG, EMPTY, LARGE, SMALL
from kit import BUCKET
from memorystore import Stored
from misbehaviour import ELSEWHERE, OBJECT, HealthyStore, Kept

from cdn_sigv4 import S3Client

UPLOADS = ("put", "create", "part", "last", "complete", "new", "stream", "abort", "parts")
DOWNLOADS = ("download", "range", "bare", "front")
OLD = b"the old file"
DECOY = b"not what was asked for"


def content(size: int, name: str = "object") -> bytes:
    """Bytes that look random, the same each time."""
    return hashlib.shake_128(name.encode("ascii")).digest(size)


def digest(data: bytes) -> str:
    """What stands for an object's bytes; that of bytes which are as they should be is known."""
    return DIGESTS[len(data)] if data == CONTENTS.get(len(data)) else hexadecimal(data)


def hexadecimal(data: bytes) -> str:
    return f"{len(data)} bytes, {hashlib.sha256(data).hexdigest()}"


CONTENTS = {size: content(size) for size in (EMPTY, SMALL, LARGE, BIG)}
DIGESTS = {size: hexadecimal(made) for size, made in CONTENTS.items()}
PAGE = 100  # keys: long ones, so that a page is read in several blocks
KEYS = {EMPTY: [], SMALL: ["a", "b c+d%41", "ü/&<>"], BIG: [f"{number:0900}" for number in range(PAGE + 10)]}


@functools.lru_cache(maxsize=None)
def stored(size: int) -> Kept:
    """The object in the store, with its checksum beside it, as an upload of this package's leaves it."""
    made = CONTENTS[size]
    return Kept(made, {"x-amz-checksum-crc32": crc32(made)}, dt.datetime.now(dt.timezone.utc))


class Scene(NamedTuple):
    """Where one case takes place: the store, the object's size, and a folder with a file to be replaced."""

    store: HealthyStore
    size: int
    folder: Path

    @property
    def content(self) -> bytes:
        """The object's bytes as they are, or are to be, stored."""
        return CONTENTS[self.size]

    @property
    def file(self) -> Path:
        """The target of a download."""
        return self.folder / "file"

    @property
    def source(self) -> Path:
        """The file to be uploaded."""
        return self.folder / "source"

    def stored(self) -> bytes | None:
        """The object's bytes in the store, None without one."""
        found = self.store.objects.get((BUCKET, OBJECT.encode("ascii")))
        return None if found is None else found.body

    def prepare(self, operation: str) -> None:
        """Lay ready what the operation needs, and the traps: an old file, and an object where redirects lead."""
        self.file.write_bytes(OLD)
        self.store.put(ELSEWHERE, OBJECT, DECOY)
        if operation == "list":
            self.store.keys_per_page = PAGE
            for key in KEYS[self.size]:
                self.store.put(BUCKET, key, key.encode("utf-8"))
        elif operation == "parts":
            self.source.write_bytes(self.content)
        elif operation not in UPLOADS:
            self.store.objects[BUCKET, OBJECT.encode("ascii")] = stored(self.size)

        if operation == "bare":
            kept = Stored(self.content, {}, dt.datetime.now(dt.timezone.utc), '"5-5"')
            self.store.objects[BUCKET, OBJECT.encode("ascii")] = kept

    def right(self, operation: str) -> Any:
        """What the operation must end with, by what the store now holds."""
        if operation == "list":
            objects = [(key, stored) for (bucket, key), stored in self.store.objects.items() if bucket == BUCKET]
            return [[key.decode("utf-8"), len(stored.body), stored.etag] for key, stored in sorted(objects)]
        if operation in UPLOADS:
            return digest(self.content)
        held = self.store.objects.get((BUCKET, OBJECT.encode("ascii")))
        if operation == "delete" or held is None:
            return None
        return [len(held.body), held.etag] if operation == "head" else digest(held.body)

    def ended(self, operation: str, told: Any) -> Any:
        """What the operation has ended with: what it told, or what it has left in the store or the folder."""
        if operation in (*UPLOADS, "delete"):
            held = self.stored()
            return None if held is None else digest(held)
        if operation == "head":  # a description may be silent, but not wrong
            return [value if said is None else said for said, value in zip(told, self.right("head"))]
        return digest(self.file.read_bytes()) if operation in DOWNLOADS else told


def put(client: S3Client, scene: Scene) -> None:
    client.put_object(BUCKET, OBJECT, scene.content, part_size=BIG)  # in one request, whatever its size


def get(client: S3Client, scene: Scene) -> str:
    with client.get_object(BUCKET, OBJECT) as reader:
        return digest(reader.read())


def download(client: S3Client, scene: Scene) -> None:
    client.download_file(BUCKET, OBJECT, scene.file, durable=False)


def head(client: S3Client, scene: Scene) -> list[Any]:
    info = client.head_object(BUCKET, OBJECT)
    return [info.size, info.etag]


def listed(client: S3Client, scene: Scene) -> list[Any]:
    return [[entry.key, entry.size, entry.etag] for entry in client.list_objects(BUCKET)]


def delete(client: S3Client, scene: Scene) -> None:
    client.delete_object(BUCKET, OBJECT)


CALLS: dict[str, Callable[[S3Client, Scene], Any]] = {
    "put": put, "get": get, "download": download, "head": head, "list": listed, "delete": delete
}  # fmt: skip
