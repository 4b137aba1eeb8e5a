"""What `scripts/stores` tries of large files: in parts, over several connections, stopped and gone on with.

See stores_checks.py. Rules: https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html.
"""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Iterator

from cdn_sigv4 import PreconditionFailed, S3Client, filling

from .stores_place import Place, Wrong, content, must, refused, there_and_back

MIB = 1 << 20
PART = 5 * MIB


def in_parts(client: S3Client, place: Place) -> str:
    """A file in three parts, up and down."""
    return there_and_back(client, place, 12 * MIB, part_size=PART)


def in_parts_sha256(_: S3Client, place: Place) -> str:
    """The same, with SHA-256."""
    return there_and_back(place.client(checksum="sha256"), place, 12 * MIB, part_size=PART)


def in_parts_unsized(client: S3Client, place: Place) -> str:
    """An iterable in parts, whose length nobody knows before."""
    sent = place.bytes(12 * MIB)
    client.put_object(place.bucket, place.key(), (sent[at : at + MIB] for at in range(0, len(sent), MIB)))
    must(content(client, place, place.key()) == sent, "other bytes came back")
    return ""


def in_parts_if_absent(client: S3Client, place: Place) -> str:
    """The condition is asked at the end of an upload in parts."""
    client.put_object(place.bucket, place.key(), b"1")
    with refused(PreconditionFailed, 'if_none_match="*" was ignored: the object was overwritten'):
        client.put_object(place.bucket, place.key(), place.bytes(6 * MIB), if_none_match="*")
    must(content(client, place, place.key()) == b"1", "the object was overwritten")
    return ""


class Stop(Exception):
    """Ends a transfer in its middle."""


def stop_at(least: int) -> Callable[[int, int | None], None]:
    """A `progress` which ends the transfer as soon as so many bytes are done."""

    def progress(done: int, _: int | None) -> None:
        if done >= least:
            raise Stop

    return progress


def overwritten(client: S3Client, place: Place) -> str:
    """An object in parts takes the place of a small one, with all that described that; and the other way round."""
    for size in (1000, 12 * MIB, 1000):
        there_and_back(client, place, size)
    return ""


def upload_resumed(client: S3Client, place: Place) -> str:
    """An upload that was stopped goes on."""
    path = place.file(12 * MIB)
    options: dict[str, Any] = {"part_size": PART, "max_workers": 1, "resume": True, "state_dir": place.folder}
    with contextlib.suppress(Stop):
        client.upload_file(place.bucket, place.key(), path, progress=stop_at(11 * MIB), **options)
        raise Wrong("it was not stopped")
    again = client.upload_file(place.bucket, place.key(), path, **options)
    must(content(client, place, place.key()) == path.read_bytes(), "other bytes came back")
    must(again.bytes_moved < 12 * MIB, "all was sent again")
    return f"{again.bytes_moved // MIB} of 12 MiB sent again"


def parallel(client: S3Client, place: Place) -> str:
    """A large file over four connections."""
    path, copy = place.file(32 * MIB), place.folder / "copy"
    client.upload_file(place.bucket, place.key(), path)
    with at_once():
        result = client.download_file(place.bucket, place.key(), copy, part_size=PART)
    must(copy.read_bytes() == path.read_bytes(), "the file that came back is another one")
    return f"verified by {result.verified}"


def download_resumed(client: S3Client, place: Place) -> str:
    """A download over four connections that was stopped goes on."""
    path, copy = place.file(32 * MIB), place.folder / "copy"
    client.upload_file(place.bucket, place.key(), path)
    with contextlib.suppress(Stop), at_once():
        client.download_file(place.bucket, place.key(), copy, part_size=PART, progress=stop_at(16 * MIB))
        raise Wrong("it was not stopped")
    with at_once():
        again = client.download_file(place.bucket, place.key(), copy, part_size=PART)
    must(copy.read_bytes() == path.read_bytes(), "the file that came back is another one")
    must(again.bytes_moved < 32 * MIB, "all was fetched again")
    return f"{again.bytes_moved // MIB} of 32 MiB fetched again, verified by {again.verified}"


@contextlib.contextmanager
def at_once() -> Iterator[None]:
    """Let further connections join at once: a store on this machine would be done before they did."""
    before = filling.HELP_AFTER, filling._FAST  # noqa: SLF001
    filling.HELP_AFTER, filling._FAST = 0.0, float("inf")  # noqa: SLF001
    try:
        yield
    finally:
        filling.HELP_AFTER, filling._FAST = before  # noqa: SLF001


def if_changed(client: S3Client, place: Place) -> str:
    """What is here already is not fetched: of one request, and of three parts."""
    moved = []
    for size in (1000, 12 * MIB):
        key, path = place.key(str(size)), place.file(size)
        client.upload_file(place.bucket, key, path, part_size=PART)
        result = client.download_file(place.bucket, key, path, if_changed=True)
        must(path.read_bytes() == place.bytes(size), "the file is another one now")
        moved.append("one" if result.bytes_moved else f"none ({result.verified})")
    return f"fetched again: small file {moved[0]}, in parts {moved[1]}"


CHECKS: dict[str, Callable[[S3Client, Place], str]] = {
    "12 MiB in parts": in_parts,
    "parts, sha256": in_parts_sha256,
    "parts of an iterable": in_parts_unsized,
    "parts, if_none_match='*'": in_parts_if_absent,
    "small, in parts, small": overwritten,
    "upload stopped, goes on": upload_resumed,
    "32 MiB over 4 connections": parallel,
    "download stopped, goes on": download_resumed,
    "if_changed": if_changed,
}
