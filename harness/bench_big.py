"""How fast big files go: up from memory, up from a file, down to a file."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

from .bench_files import Source, digest_of
from .bench_jobs import OURS, Figures, Job, WrongError
from .bench_peers import Client, Told
from .bench_store import Judge

PUT_MEMORY, PUT_FILE, GET_FILE = "put-memory", "put-file", "get-file"
NAMES = (PUT_MEMORY, PUT_FILE, GET_FILE)
RATE = "MB/s"  # of 1,000,000 bytes
OBJECT = "bench/object"  # the one that all download


class Mover:
    """Moves one file to and fro with each client, and compares outside of the time that is taken."""

    def __init__(self, source: Source, folder: Path, judge: Judge) -> None:
        self._source, self._folder, self._judge = source, folder, judge
        self._serial = 0

    def jobs(self, clients: dict[str, Client], wanted: set[str]) -> list[Job]:
        """Those jobs that are wanted, each for each client; the clients are made ready for them."""
        if PUT_MEMORY in wanted:
            for each in clients.values():
                each.do("load", path=str(self._source.path))
        if GET_FILE in wanted:
            # By this package, so that the object has a checksum of the whole; it is the same one for all.
            clients[OURS].do("put_file", key=OBJECT, path=str(self._source.path))
        functions = {PUT_MEMORY: self._put_memory, PUT_FILE: self._put_file, GET_FILE: self._get_file}
        return [
            Job(name, peer, bound(function, peer, client))
            for name, function in functions.items()
            if name in wanted
            for peer, client in clients.items()
        ]

    def _put_memory(self, _peer: str, client: Client) -> Figures:
        key = self._new_key()
        return self._stored(key, client.do("put_memory", key=key))

    def _put_file(self, _peer: str, client: Client) -> Figures:
        key = self._new_key()
        return self._stored(key, client.do("put_file", key=key, path=str(self._source.path)))

    def _get_file(self, peer: str, client: Client) -> Figures:
        target = self._folder / "target"
        try:
            told = client.do("get_file", key=OBJECT, path=str(target))
            must_be(digest_of(target) == self._source.digest, "the file is not the object")
        finally:
            target.unlink() if target.exists() else None
        must_be(peer != OURS or told["verified"] == "crc32", f"verified is {told.get('verified')!r}, not 'crc32'")
        return self._figures(told)

    def _stored(self, key: str, told: Told) -> Figures:
        must_be(self._judge.digest(key) == self._source.digest, "the object is not the file")
        self._judge.delete(key)
        return self._figures(told)

    def _figures(self, told: Told) -> Figures:
        return {RATE: self._source.size / told["seconds"] / 1e6, "CPU s": told["cpu"]}

    def _new_key(self) -> str:
        # No upload replaces an object: that would have the server do more.
        self._serial += 1
        return f"bench/up-{self._serial}"


def bound(function: Callable[[str, Client], Figures], peer: str, client: Client) -> Callable[[], Figures]:
    """The function with its peer."""
    return lambda: function(peer, client)


def must_be(held: bool, claim: str) -> None:
    """Raise the claim where it does not hold."""
    if not held:
        raise WrongError(claim)
