"""A thin link before a store, for the tests: a connection breaks once in 4 MiB, and only the client's clock is slow.

The relay is that of scripts/soak. Nothing waits for its rate: what it hands on moves the clock that the client reads.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, Iterator

from kit import StillTime

from cdn_sigv4 import Credentials, Retry, S3Client
from cdn_sigv4.exchange import DEFAULT_RETRY
from harness.soak_link import Link, Windows

if TYPE_CHECKING:
    from harness.values import Server

MIB = 1 << 20
WINDOW = 4 * MIB  # bytes of one way in which one connection breaks
MEGABIT = 1e6 / 8  # bytes a second
TEN_GIGABIT = 1e10 / 8
BUDGET = DEFAULT_RETRY.budget


class LinkTime(StillTime):
    """A clock moved by the client's waits, and by what a link of `rate` bytes a second has handed on meanwhile."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self._rate = rate
        self._lock = threading.Lock()

    def sleep(self, seconds: float) -> None:
        with self._lock:
            super().sleep(seconds)

    def passed(self, way: str, amount: int) -> None:
        """Let the time go by that the link takes for so many bytes."""
        with self._lock:
            self.now += amount / self._rate


class Thin:
    """A client behind such a link, `time` its clock, `events` what it was told."""

    def __init__(self, link: Link, time: LinkTime, client: S3Client, events: list[Any]) -> None:
        self.link, self.time, self.client, self.events = link, time, client, events

    @property
    def kinds(self) -> set[str]:
        return {event.kind for event in self.events}


@contextlib.contextmanager
def thin_link(
    server: Server, credentials: Credentials, way: str, *, seed: int, fate: str, rate: float, is_shared: bool
) -> Iterator[Thin]:
    """A client of default settings, behind a link which breaks by `fate` ("cut" or "reset") in `way`.

    `is_shared`: it makes several connections at once. The budget of seconds is longer then: while one waits for the
    server, whose milliseconds are real, the others' bytes let minutes of this clock go by.
    """
    time = LinkTime(rate)
    events: list[Any] = []
    port = int(server.endpoint.rpartition(":")[2])
    with Link(port, Windows(seed, WINDOW, way, (fate,)), pace=time.passed, is_thin=True) as link:
        retry = Retry(budget=BUDGET * (30 if is_shared and rate == MEGABIT else 1))
        with S3Client(link.endpoint, credentials, region=server.region, retry=retry, on_event=events.append) as client:
            client._exchange.monotonic, client._exchange.sleep = time.monotonic, time.sleep
            yield Thin(link, time, client, events)
