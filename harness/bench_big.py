"""How fast big files go: up from memory, up from a file, down to a file, in several sizes.

A download is compared by its CRC32 afterwards, as somebody would do it by hand around a client that does not verify;
its rate with the time for that is noted beside the one without. This package has verified by then.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Callable, Protocol

from .bench_files import Source, digest_of
from .bench_jobs import OURS, Figures, Job, Kind, must_be
from .bench_peers import Client, Told

CPU = "CPU s"
RATE = "MB/s"  # of 1,000,000 bytes
CHECKED = "MB/s verified"  # with the CRC32 of the file made afterwards, but for this package
OBJECT = "bench/object"  # the one that all download
MIB = 1 << 20
SIZES = (MIB, 64 * MIB, 256 * MIB, 1024 * MIB)
LARGEST_ROUNDS = 3  # of the last of them
OPERATIONS = {"put-memory": "up from memory", "put-file": "up from a file", "get-file": "down to a file"}
ON = {"": "", "free-": ", nearly free server"}


def label(size: int) -> str:
    """A size in a job's name, as 64m or 1g."""
    return f"{size // MIB}m" if size < 1024 * MIB else f"{size // (1024 * MIB)}g"


def kinds(size: int, server: str = "") -> list[Kind]:
    """What is done with a size, on MinIO ("") or the nearly free server ("free-")."""
    text = label(size).replace("m", " MiB").replace("g", " GiB")
    return [
        Kind(f"{server}{name}-{label(size)}", f"{text} {how}{ON[server]}", RATE) for name, how in OPERATIONS.items()
    ]


class Witness(Protocol):
    """Who knows what came to the server."""

    def mark(self) -> None:
        """Look from now on."""

    def arrived(self, key: str, source: Source) -> None:
        """Raise WrongError where what came is not the file, and make room."""


class Mover:
    """Moves one file to and fro with each client, and compares outside of the time that is taken.

    One measurement moves `together` bytes at least, in one transfer or several.
    """

    def __init__(self, source: Source, folder: Path, witness: Witness, together: int, server: str = "") -> None:
        self._source, self._folder, self._witness, self._server = source, folder, witness, server
        self._times = max(1, together // source.size)
        self._serial = 0

    def jobs(self, clients: dict[str, Client], wanted: set[str]) -> list[Job]:
        """Those jobs that are wanted, each for each client."""
        functions = (self._put_memory, self._put_file, self._get_file)
        return [
            Job(kind, peer, partial(self._repeated, function, peer, client))
            for kind, function in zip(kinds(self._source.size, self._server), functions)
            if kind.name in wanted
            for peer, client in clients.items()
        ]

    def _repeated(self, function: Callable[[str, Client], Told], peer: str, client: Client) -> Figures:
        told = [function(peer, client) for _ in range(self._times)]
        total = self._times * self._source.size / 1e6
        figures = {RATE: total / sum(each["seconds"] for each in told), CPU: sum(each["cpu"] for each in told)}
        if "checked" in told[0]:
            figures[CHECKED] = total / sum(each["checked"] for each in told)
        return figures

    def _put_memory(self, _peer: str, client: Client) -> Told:
        key = self._new_key()
        client.do("load", path=str(self._source.path))
        try:
            return self._stored(key, lambda: client.do("put_memory", key=key))
        finally:
            client.do("unload")

    def _put_file(self, _peer: str, client: Client) -> Told:
        key = self._new_key()
        return self._stored(key, lambda: client.do("put_file", key=key, path=str(self._source.path)))

    def _stored(self, key: str, put: Callable[[], Told]) -> Told:
        self._witness.mark()
        told = put()
        self._witness.arrived(key, self._source)
        return told

    def _get_file(self, peer: str, client: Client) -> Told:
        target = self._folder / "target"
        try:
            told = client.do("get_file", key=OBJECT, path=str(target))
            by_hand = client.do("check", path=str(target))
            must_be(digest_of(target) == self._source.digest, "the file is not the object")
        finally:
            target.unlink() if target.exists() else None
        if peer == OURS:
            must_be(told["verified"] == "crc32", f"verified is {told.get('verified')!r}, not 'crc32'")
            return {**told, "checked": told["seconds"]}
        return {**told, "checked": told["seconds"] + by_hand["seconds"]}

    def _new_key(self) -> str:
        # No upload replaces an object: that would have the server do more.
        self._serial += 1
        return f"bench/up-{self._serial}"
