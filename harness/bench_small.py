"""How many small requests a second: 1 KiB up, down into memory, and down to a file, by one thread and by eight.

A file is saved where it costs nothing (tmpfs), and on the real disk, there also so that it survives a power cut: this
package by its `durable=True`, the others with fsync of the file and of its folder by hand, since none of them does it.
Each measurement lasts for a while; how many requests that were, and the processor's time for each, is what is noted.
"""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from typing import Callable, Mapping, NamedTuple, Protocol

from .bench_child_small import SMALL, payload
from .bench_jobs import BOTO3, Figures, Job, Kind, must_be
from .bench_peers import Client, Told

RATE, CPU = "per second", "CPU us"  # each request's
BOTO3_ALONE = "boto3 put_object"  # beside its upload_fileobj, which is what it recommends


class Row(NamedTuple):
    """One kind: what each thread does (a method of the clients' class), how many threads, and where files lie."""

    kind: Kind
    what: str
    threads: int
    on_disk: bool = False


ROWS = tuple(
    Row(Kind(f"{name}{suffix}", f"{text}, {how}", RATE), what, threads, on_disk)
    for name, text, what, on_disk in (
        ("put-1k", "1 KiB up", "put_small", False),
        ("get-1k", "1 KiB into memory", "get_small", False),
        ("get-1k-tmpfs", "1 KiB to a file on tmpfs", "save_small", False),
        ("get-1k-disk", "1 KiB to a file on disk", "save_small", True),
        ("get-1k-durable", "1 KiB to a file on disk, durable", "keep_small", True),
    )
    for threads, suffix, how in ((1, "", "one thread"), (8, "-8", "eight threads"))
)
FREE_ROWS = (
    Row(Kind("free-get-1k", "1 KiB into memory, nearly free server", CPU, False), "get_small", 1),
    Row(Kind("free-put-1k", "1 KiB up, nearly free server", CPU, False), "put_small", 1),
    Row(Kind("free-get-1k-tmpfs", "1 KiB to a file, nearly free server", CPU, False), "save_small", 1),
)
KINDS = tuple(row.kind for row in ROWS)
FREE_KINDS = tuple(row.kind for row in FREE_ROWS)


class Witness(Protocol):
    """Who knows what came to the server."""

    def mark(self) -> None:
        """Look from now on."""

    def arrived_small(self, prefix: str, expected: Mapping[str, bytes]) -> None:
        """Raise WrongError where not exactly these came, and make room."""


class Hurry:
    """Has each client make small requests for a while, and compares afterwards.

    `besides`: the figures of the server's that one measurement adds, for so many requests.
    """

    def __init__(
        self,
        folders: Mapping[bool, Path],
        witness: Witness,
        seconds: float,
        besides: Callable[[int], Figures] = lambda _count: {},
    ) -> None:
        self._folders, self._witness, self._seconds, self._besides = folders, witness, seconds, besides
        self._serial = 0

    def jobs(self, rows: tuple[Row, ...], clients: Mapping[str, Client], wanted: set[str]) -> list[Job]:
        """Those that are wanted, for each client, and for boto3's two ways to store an object."""
        found = []
        for row in rows:
            if row.kind.name not in wanted:
                continue
            for peer, client in clients.items():
                found.append(Job(row.kind, peer, functools.partial(self._measured, row, row.what, client)))
            if row.what == "put_small" and BOTO3 in clients:
                alone = functools.partial(self._measured, row, "put_small_alone", clients[BOTO3])
                found.append(Job(row.kind, BOTO3_ALONE, alone))
        return found

    def _measured(self, row: Row, what: str, client: Client) -> Figures:
        self._serial += 1
        self._witness.mark()
        if what.startswith("put"):
            told = self._stored(row, what, client)
        elif what == "get_small":
            told = self._done(row, what, client, "")
        else:
            told = self._saved(row, what, client)
        return per_request(told)

    def _done(self, row: Row, what: str, client: Client, at: str) -> Told:
        told = client.do("small", what=what, seconds=self._seconds, threads=row.threads, at=at)
        return {**told, "besides": self._besides(sum(told["counts"]))}

    def _stored(self, row: Row, what: str, client: Client) -> Told:
        prefix = f"bench/small-{self._serial}/"
        told = self._done(row, what, client, prefix)
        expected = {
            f"{prefix}{thread}-{number}": payload(number)
            for thread, count in enumerate(told["counts"])
            for number in range(count)
        }
        self._witness.arrived_small(prefix, expected)
        return told

    def _saved(self, row: Row, what: str, client: Client) -> Told:
        folder = self._folders[row.on_disk] / f"small-{self._serial}"
        folder.mkdir()
        try:
            told = self._done(row, what, client, f"{folder}/")
            found = [path.read_bytes() == SMALL for path in folder.iterdir()]
        finally:
            shutil.rmtree(folder)
        must_be(all(found), "a file is not the object")
        must_be(len(found) == sum(told["counts"]), f"{len(found)} files of {sum(told['counts'])} downloads")
        return told


def per_request(told: Told) -> Figures:
    """The rate, and what one request costs, in microseconds of the processor's time."""
    count = sum(told["counts"])
    must_be(count > 0, "no request ended")
    return {RATE: count / told["seconds"], CPU: told["cpu"] / count * 1e6, **told.get("besides", {})}
