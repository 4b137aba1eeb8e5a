"""Where the benchmark's files lie, and what is in them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Iterator, NamedTuple

MEMORY = Path("/dev/shm")  # noqa: S108 - only where it lies is taken from it; the folder in it is a fresh one
MOUNTS = Path("/proc/mounts")
MEMINFO = Path("/proc/meminfo")
BLOCK = 1 << 20  # bytes
FILES = 4  # big files that may lie in a folder at once, and some room


class Source(NamedTuple):
    """A file to upload, or what an object consists of."""

    path: Path
    size: int
    digest: str


@contextlib.contextmanager
def folder(size: int, *, in_memory: bool) -> Iterator[Path]:
    """A folder for files of so many bytes, removed at the end: in memory if asked and there is room, else on the disk.

    In memory the rates are those of the clients and the server, not the disk's.
    """
    where = MEMORY if in_memory and has_room(FILES * size) else None
    with tempfile.TemporaryDirectory(prefix="cdn-sigv4-bench-", dir=where) as name:
        yield Path(name)


def has_room(size: int) -> bool:
    """Whether so many bytes find room in memory: its file system may be promised more than there is."""
    return MEMORY.is_dir() and min(shutil.disk_usage(MEMORY).free, available()) > size


def available() -> int:
    """Bytes of memory that nobody needs, as Linux says; elsewhere, 0."""
    try:
        lines = MEMINFO.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), 0)


def new_source(path: Path, size: int) -> Source:
    """A file of random bytes: a part of them in another place would be another content."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for start in range(0, size, BLOCK):
            block = os.urandom(min(BLOCK, size - start))
            digest.update(block)
            file.write(block)
    return Source(path, size, digest.hexdigest())


def digest_of(path: Path) -> str:
    """The SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while True:
            block = file.read(BLOCK)
            if not block:
                return digest.hexdigest()
            digest.update(block)


def place(path: Path) -> str:
    """A path and the kind of its file system, as "/dev/shm/x (tmpfs)"."""
    try:
        mounts = [line.split()[1:3] for line in MOUNTS.read_text(encoding="utf-8").splitlines()]
    except OSError:
        return f"{path} (file system unknown)"
    resolved = path.resolve()
    above = [(where, kind) for where, kind in mounts if Path(where) == resolved or Path(where) in resolved.parents]
    # Of two that are mounted on one place the later one is seen.
    kind = max(enumerate(above), key=lambda each: (len(each[1][0]), each[0]))[1][1] if above else "unknown"
    return f"{path} ({kind})"
