"""How much memory the transfer of a big file takes, over what the client has at rest.

Each transfer has a new process, because what Python and malloc have taken once they do not give back. It is looked at
from this one, so that looking takes nothing of its memory and does not wait for its interpreter.

What counts is RssAnon and RssShmem: pages of the process's own. Pages of a mapped file (RssFile) are the page cache's,
which takes them back when it wants. These are sampled each millisecond, and a peak may fall between two samples; the
kernel's own high-water mark (VmHWM, set back before) misses none, but counts all pages. So what that has over the
highest sample of all pages was missed, and is added as if it were the process's own: the sum is an upper bound.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Dict, Iterator

from . import bench_peers
from .bench_files import Source, digest_of
from .bench_jobs import OURS, Figures, Job, Kind, must_be
from .bench_peers import Client
from .bench_store import Judge, Store

EXTRA = "MiB extra"
OPERATIONS = {
    Kind("peak-put-memory", "extra memory of the largest, up from memory", EXTRA, more_is_better=False): "put_memory",
    Kind("peak-put-file", "extra memory of the largest, up from a file", EXTRA, more_is_better=False): "put_file",
    Kind("peak-get-file", "extra memory of the largest, down to a file", EXTRA, more_is_better=False): "get_file",
}
KINDS = tuple(OPERATIONS)
OBJECT = "bench/peak"
RESET_PEAK = b"5"  # man 5 proc, /proc/pid/clear_refs
Pages = Dict[str, int]  # KiB by their names in /proc/pid/status


def is_possible() -> bool:
    """Whether this system says what it takes: Linux alone does."""
    return (
        "RssAnon" in pages_of(Path("/proc/self/status").read_bytes()) if Path("/proc/self/status").exists() else False
    )


class Weigher:
    """Moves one file with new clients, and watches them."""

    def __init__(self, source: Source, folder: Path, home: Path, store: Store, judge: Judge) -> None:
        self._source, self._folder, self._home = source, folder, home
        self._store, self._judge = store, judge

    def jobs(self, wanted: set[str]) -> list[Job]:
        """Those that are wanted, for each client."""
        if any(OPERATIONS[kind] == "get_file" for kind in KINDS if kind.name in wanted):
            with self._client(OURS) as client:
                client.do("put_file", key=OBJECT, path=str(self._source.path))
        return [
            Job(kind, peer, lambda peer=peer, kind=kind: self._weighed(peer, OPERATIONS[kind]))  # type: ignore[misc]
            for kind in KINDS
            if kind.name in wanted
            for peer in bench_peers.installed()
        ]

    @contextlib.contextmanager
    def _client(self, peer: str) -> Iterator[Client]:
        with bench_peers.client(peer, self._store, self._home) as client:
            yield client

    def _weighed(self, peer: str, operation: str) -> Figures:
        target, is_get = self._folder / "target", operation == "get_file"
        key = OBJECT if is_get else "bench/peak-up"
        order = {"key": key}
        if operation != "put_memory":
            order["path"] = str(target if is_get else self._source.path)
        with self._client(peer) as client:
            if operation == "put_memory":
                client.do("load", path=str(self._source.path))
            with watched(client.pid) as watch:
                told = client.do(operation, meanwhile=watch.look, **order)
                figures = watch.figures()
        if is_get:
            found = digest_of(target)
            target.unlink()
        else:
            found = self._judge.digest(key)
            self._judge.delete(key)
        must_be(found == self._source.digest, "the copy is not the file")
        return {**figures, "MB/s": self._source.size / told["seconds"] / 1e6}


@contextlib.contextmanager
def watched(pid: int) -> Iterator[Watch]:
    """A watch on a process that is at rest now."""
    status = os.open(f"/proc/{pid}/status", os.O_RDONLY)
    try:
        yield Watch(pid, status)
    finally:
        os.close(status)


class Watch:
    """What a process takes, from the moment this is made."""

    def __init__(self, pid: int, status: int) -> None:
        self._status = status
        try:
            Path(f"/proc/{pid}/clear_refs").write_bytes(RESET_PEAK)
            self._has_mark = True
        except OSError:  # a kernel without it, or a container that forbids it
            self._has_mark = False
        self._rest = self._now()
        self._own = own(self._rest)
        self._all = self._rest["VmRSS"]
        self._samples = 0

    def look(self) -> None:
        """Take a sample."""
        now = self._now()
        self._samples += 1
        self._own = max(self._own, own(now))
        self._all = max(self._all, now["VmRSS"])

    def figures(self) -> Figures:
        """The peaks over the rest, in MiB, as the module says."""
        self.look()
        mark = self._now()["VmHWM"] if self._has_mark else self._all
        sampled = self._own - own(self._rest)
        missed = max(0, mark - self._all)
        return {
            EXTRA: (sampled + missed) / 1024,
            "MiB sampled": sampled / 1024,
            "MiB missed": missed / 1024,
            "MiB all pages": (mark - self._rest["VmRSS"]) / 1024,
            "MiB at rest": self._rest["VmRSS"] / 1024,
            "samples": self._samples,
        }

    def _now(self) -> Pages:
        return pages_of(os.pread(self._status, 1 << 14, 0))


def pages_of(status: bytes) -> Pages:
    """The sizes in /proc/pid/status."""
    lines = [line.split() for line in status.decode("ascii", "replace").splitlines()]
    return {words[0].rstrip(":"): int(words[1]) for words in lines if words[2:] == ["kB"]}


def own(pages: Pages) -> int:
    """Those that are the process's own."""
    return pages["RssAnon"] + pages["RssShmem"]
