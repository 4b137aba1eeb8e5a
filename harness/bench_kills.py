"""How many bytes it takes to move a big file when the process that does it is killed again and again.

The process kills itself with SIGKILL when its progress has passed a point; the points are drawn at random. It is run
again each time, until it ends. Between it and the server is a relay (bench_relay.py), which counts.
"""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import bench_peers
from .bench_files import Source, digest_of
from .bench_jobs import OURS, Figures, Job, Kind, must_be
from .bench_peers import Told
from .bench_relay import Relay
from .bench_store import Judge, Store

KILLS = 10
SEED = 1
WIRE = "MiB over the wire"
GET = Kind("kill-get", f"1 GiB down, killed {KILLS} times", WIRE, more_is_better=False)
PUT = Kind("kill-put", f"1 GiB up, killed {KILLS} times", WIRE, more_is_better=False)
KINDS = (GET, PUT)
ALLOWED = "MiB allowed"
OWN = "MiB in that run by its own count"
LOST_DOWN = (1 << 30) // 10  # bytes that ten killed downloads may cost: a tenth of 1 GiB, whatever the size
WORKERS = 2  # parts in flight of a killed upload
HEADERS = 1 << 20  # bytes for all that is not the file's, in all runs together


class Killer:
    """Moves one file, in processes that are killed."""

    def __init__(self, source: Source, folder: Path, home: Path, store: Store, judge: Judge) -> None:
        self._source, self._folder, self._home = source, folder, home
        self._store, self._judge = store, judge
        self._random = random.Random(SEED)  # noqa: S311 - no secret
        # At least eight parts: with fewer there would be nothing to go on with.
        self._part_size = min(16 << 20, source.size // 8)

    def jobs(self, wanted: set[str]) -> list[Job]:
        """Those that are wanted. None of the other clients goes on where it was killed."""
        functions = {GET: self._get, PUT: self._put}
        return [Job(kind, OURS, function) for kind, function in functions.items() if kind.name in wanted]

    def _get(self) -> Figures:
        source, folder, key = self._source, self._folder / "down", "bench/killed"
        folder.mkdir()
        target = folder / "target"
        with bench_peers.client(OURS, self._store, self._home) as client:
            client.do("put_file", key=key, path=str(source.path))
        with Relay(self._store.port) as relay:
            last, wire = self._runs(relay, "down", "get_killed", key=key, path=str(target))
        must_be(digest_of(target) == source.digest, "the file is not the object")
        must_be(last["verified"] == "crc32", f"verified is {last['verified']!r}, not 'crc32'")
        left = sorted(path.name for path in folder.iterdir() if path != target)
        must_be(not left, f"left beside the target: {left}")
        target.unlink()
        self._judge.delete(key)
        return figures(wire, last, source.size + LOST_DOWN)

    def _put(self) -> Figures:
        source, folder, key = self._source, self._folder / "state", "bench/killed-up"
        folder.mkdir()
        order: dict[str, Any] = {"part_size": self._part_size, "max_workers": WORKERS, "folder": str(folder)}
        with Relay(self._store.port) as relay:
            last, wire = self._runs(relay, "up", "put_killed", key=key, path=str(source.path), **order)
        must_be(self._judge.digest(key) == source.digest, "the object is not the file")
        must_be(self._judge.unfinished(key) == 0, "an upload in parts was left unfinished")
        left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        must_be(not left, f"left in the state's folder: {left}")
        self._judge.delete(key)
        in_flight = KILLS * WORKERS * self._part_size
        return figures(wire, last, source.size + in_flight + HEADERS)

    def _runs(self, relay: Relay, way: str, operation: str, **order: Any) -> tuple[Told, list[int]]:
        """What the last run said, the one that is not killed; and the relay's count behind each run."""
        points: list[int | None] = [*sorted(self._random.randrange(1, self._source.size) for _ in range(KILLS)), None]
        store = replace(self._store, endpoint=relay.endpoint)
        told, wire = {}, []
        for number, point in enumerate(points):
            with bench_peers.client(OURS, store, self._home) as client:
                told = client.do(operation, point=point, **order)
                if point is not None:
                    must_be("killed_at" in told, f"run {number + 1} ended, and was to be killed behind {point:,} bytes")
                    client.wait()
            relay.settle()
            wire.append(getattr(relay, way))
        return told, wire


def figures(wire: list[int], last: Told, allowed: int) -> Figures:
    """What it took by the relay's count; the client's own count is there of the run alone that could still tell it."""
    counted = {WIRE: wire[-1], ALLOWED: allowed, "MiB in the last run": wire[-1] - wire[-2], OWN: last["moved"]}
    return {**{unit: count / (1 << 20) for unit, count in counted.items()}, "kills": KILLS}
