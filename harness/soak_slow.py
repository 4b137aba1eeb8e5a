"""One file up and down a link that is slow in earnest, and breaks once in 4 MiB: how long it takes, and what for."""

from __future__ import annotations

import collections
import random
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

from cdn_sigv4 import CDNError, S3Client

from .soak_link import DOWN, UP, Link, Throttle, Windows
from .soak_store import Store

MIB = 1 << 20
WINDOW = 4 * MIB  # bytes of one way in which one connection breaks
PART = 5 * MIB  # bytes of a part of such an upload
HEADS = 64 * 1024  # bytes of requests and answers beside the object's
TWICE = 0.05  # the share of a download that may come twice
KEY = "models/slow"
SPARE = 60.0  # seconds beyond what the link takes


@dataclass
class Way:
    """What one direction came to."""

    name: str
    size: int
    seconds: float = 0.0
    passed: int = 0  # bytes that the link handed on
    broken: dict[str, int] = field(default_factory=dict)
    events: collections.Counter[str] = field(default_factory=collections.Counter)

    def __str__(self) -> str:
        events = ", ".join(f"{kind} {count}" for kind, count in sorted(self.events.items())) or "none"
        broken = ", ".join(f"{kind} {count}" for kind, count in self.broken.items() if count) or "none"
        twice = self.passed - self.size
        return (
            f"{self.name}: {self.size / MIB:g} MiB in {self.seconds:.1f} s, "
            f"link {_megabits(self.passed, self.seconds)}, object {_megabits(self.size, self.seconds)}; "
            f"twice (and heads) {twice:,} bytes ({twice / self.size:.3f}); broken: {broken}; attempts: {events}"
        )


def _megabits(count: int, seconds: float) -> str:
    return f"{8e-6 * count / seconds:.2f} Mbit/s"


class Slow:
    """One object of so many megabytes, at so many Mbit/s each way. `wrong`: what did not hold."""

    def __init__(self, store: Store, seed: int, rate: float, size: int, say: Callable[[str], None]) -> None:
        self.wrong: list[str] = []
        self._store, self._seed, self._rate, self._size, self._say = store, seed, rate, size, say

    def run(self) -> None:
        """Up, and down again; each has as long as its bound allows, and a minute."""
        content = random.Random(self._seed).getrandbits(8 * self._size).to_bytes(self._size, "little")  # noqa: S311
        with tempfile.TemporaryDirectory(prefix="cdn-sigv4-soak-") as folder:
            source, target = Path(folder) / "source", Path(folder) / "target"
            source.write_bytes(content)
            bucket = self._store.bucket
            up = self._timed(UP, lambda client: client.upload_file(bucket, KEY, source))
            if up is None:
                return
            self._must(up.passed <= self._most(up), f"up: more than a part ({PART:,} bytes) for each break came twice")
            down = self._timed(DOWN, lambda client: client.download_file(bucket, KEY, target))
            if down is None:
                return
            self._must(target.read_bytes() == content, "down: the file is not what was uploaded")
            most = self._size * (1 + TWICE) + HEADS
            self._must(down.passed <= most, f"down: more than {TWICE:.0%} came twice")

    def _most(self, up: Way) -> int:
        return self._size + HEADS + PART * sum(up.broken.values())

    def _timed(self, name: str, transfer: Callable[[S3Client], object]) -> Way | None:
        """The transfer in one direction; None where it did not end well."""
        way = Way(name, self._size)
        throttle = Throttle(self._rate * 1e6 / 8)
        with Link(self._store.port, Windows(self._seed, WINDOW, name), pace=throttle, is_thin=True) as link:
            limit = SPARE + 4 * self._size * 8 / (self._rate * 1e6)
            watch = threading.Timer(limit, link.stop)  # a client that finds nobody gives up
            watch.start()
            start = time.monotonic()
            try:
                with S3Client(
                    link.endpoint,
                    self._store.credentials,
                    region=self._store.region,
                    on_event=lambda event: way.events.update([event.kind]),
                ) as client:
                    transfer(client)
            except (CDNError, OSError) as error:
                self.wrong.append(f"{name}: after {time.monotonic() - start:.0f} s {type(error).__name__}: {error}")
                return None
            finally:
                watch.cancel()
                way.seconds = time.monotonic() - start
                way.passed, way.broken = link.passed[name], dict(link.broken)
                self._say(str(way))
        return way

    def _must(self, held: bool, claim: str) -> None:
        if not held:
            self.wrong.append(claim)
