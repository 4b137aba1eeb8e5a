"""Where a check of `scripts/stores` works, and what it demands there: see stores_checks.py."""

from __future__ import annotations

import contextlib
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterator

from cdn_sigv4 import CDNError, Credentials, S3Client


class Wrong(Exception):
    """The store (or this package) did something else than S3 promises."""


@dataclass(frozen=True)
class Place:
    """Where a check works. `client` makes one with other settings; it is closed at the end by who made this."""

    bucket: str
    prefix: str  # of all keys: no other check has it
    folder: Path  # empty
    client: Callable[..., S3Client]
    credentials: Credentials

    def key(self, name: str = "object") -> str:
        """A key that belongs to this check."""
        return f"{self.prefix}{name}"

    def bytes(self, size: int) -> bytes:
        """The same bytes for the same place and size, as good as random."""
        return random.Random(f"{self.prefix} {size}").getrandbits(8 * size or 1).to_bytes(size or 1, "big")[:size]  # noqa: S311

    def file(self, size: int) -> Path:
        """A file of so many bytes."""
        path = self.folder / f"file {size}"
        path.write_bytes(self.bytes(size))
        return path


def must(held: bool, claim: str) -> None:
    """Raise `Wrong` at what does not hold."""
    if not held:
        raise Wrong(claim)


@contextlib.contextmanager
def refused(kind: type[CDNError] | tuple[type[CDNError], ...], claim: str, *statuses: int) -> Iterator[None]:
    """Demand that what is inside ends with that error."""
    try:
        yield
    except CDNError as error:
        if not isinstance(error, kind) or (statuses and error.status not in statuses):
            raise
    else:
        raise Wrong(claim)


def content(client: S3Client, place: Place, key: str, **options: Any) -> bytes:
    """An object's bytes."""
    with client.get_object(place.bucket, key, **options) as body:
        return body.read()


def there_and_back(client: S3Client, place: Place, size: int = 1000, **options: Any) -> str:
    """Upload a file, download it, compare; by what the two were verified."""
    path, copy = place.file(size), place.folder / "copy"
    up = client.upload_file(place.bucket, place.key(), path, **options)
    down = client.download_file(place.bucket, place.key(), copy)
    must(copy.read_bytes() == path.read_bytes(), "the file that came back is another one")
    must(down.bytes_moved == size, f"{down.bytes_moved} bytes moved for {size}")
    return f"verified: up by {up.verified}, down by {down.verified}"
