"""A link between the client and the store that counts the bytes, and breaks: cut, reset or stalled behind given ones.

A TCP relay on 127.0.0.1. Behind which byte it breaks, and how, is for its `Faults` to say; what that means for the
request that it meets is left to chance, as on a real link. What it carries it may carry slowly, and little at a time.
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time
from types import TracebackType
from typing import Callable

UP, DOWN = "up", "down"  # the ways: requests and answers
BLOCK = 64 * 1024  # bytes
SECONDS = 30.0  # no wait of the relay's is longer
RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no seconds: the end is an RST
FATES = ("cut", "reset", "stall")
# A thin link holds little: blocks and buffers, in bytes, and an Ethernet's segment in place of loopback's 64 KiB, by
# which the client's own kernel would measure out megabytes of buffer.
THIN_BLOCK, THIN_BUFFER, THIN_SEGMENT = 16 * 1024, 32 * 1024, 1448


class Faults:
    """When a connection breaks: never, here. Called under the link's lock."""

    def opened(self, number: int) -> None:
        """Say that there is a connection of this number."""

    def take(self, number: int, way: str, wanted: int) -> tuple[int, str | None]:
        """How many of the `wanted` bytes may go on, and what befalls the connection behind them; None: nothing."""
        del number, way
        return wanted, None


class Chance(Faults):
    """Each connection is given its end when it is opened, in bytes of answers: after `mean` of them, on average."""

    def __init__(self, seed: int, mean: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - no secret
        self._mean = mean
        self._left: dict[int, int] = {}
        self._fates: dict[int, str] = {}

    def opened(self, number: int) -> None:
        """Draw its end."""
        self._left[number] = int(self._random.expovariate(1 / self._mean)) + 1
        self._fates[number] = self._random.choice(FATES)

    def take(self, number: int, way: str, wanted: int) -> tuple[int, str | None]:
        """Up to its end, in answers."""
        left = self._left[number]
        if way == UP or wanted < left:
            self._left[number] -= wanted if way == DOWN else 0
            return wanted, None
        del self._left[number]
        return left, self._fates.pop(number)


class Windows(Faults):
    """Once in every `window` bytes of one way, of all connections together, that breaks which carries the drawn byte.

    `fates`: of what one is drawn each time. They may not stall requests: who gives up would not be seen.
    """

    def __init__(self, seed: int, window: int, way: str, fates: tuple[str, ...] = ("cut", "reset")) -> None:
        self._random = random.Random(seed)  # noqa: S311 - no secret
        self._window, self._way, self._fates = window, way, fates
        self._passed = self._begun = 0  # bytes; where the window begins
        self._draw()

    def _draw(self) -> None:
        self._last = self._begun + 1 + self._random.randrange(self._window)

    def take(self, number: int, way: str, wanted: int) -> tuple[int, str | None]:
        """Up to the byte drawn."""
        del number
        left = self._last - self._passed
        taken = wanted if way != self._way else min(wanted, left)
        self._passed += taken if way == self._way else 0
        if way != self._way or wanted < left:
            return taken, None
        self._begun += self._window
        self._draw()
        return taken, self._random.choice(self._fates)


class Throttle:
    """The pace of a link that carries `rate` bytes a second in each way: called before they go, it waits."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._lock = threading.Lock()
        self._free = {UP: 0.0, DOWN: 0.0}  # when what went before is through

    def __call__(self, way: str, amount: int) -> None:
        """Wait until so many bytes would be through."""
        with self._lock:
            now = time.monotonic()
            self._free[way] = through = max(now, self._free[way]) + amount / self._rate
        time.sleep(through - now)


class Link:
    """The relay to 127.0.0.1:`port`, a context manager.

    `faults`: when it breaks. `pace`: called with the way and a number of bytes before these go on. `is_thin`: little is
    under way at a time, so that what a break destroys is little too. `up` and `down` count the bytes of requests and
    answers that were handed on, `broken` the connections that were ended, by kind.
    """

    def __init__(
        self,
        port: int,
        faults: Faults | None = None,
        *,
        pace: Callable[[str, int], None] | None = None,
        is_thin: bool = False,
    ) -> None:
        self.passed = {UP: 0, DOWN: 0}
        self.broken = dict.fromkeys(FATES, 0)
        self.lock = threading.Lock()
        self.faults = faults or Faults()
        self.pace = pace
        self.block = THIN_BLOCK if is_thin else BLOCK
        self._upstream, self._is_thin = port, is_thin
        self._open: dict[int, _Pair] = {}
        self._threads: list[threading.Thread] = []
        self._listener = socket.socket()
        self._narrow(self._listener)  # now: a window is agreed upon when a connection is opened
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(128)

    @property
    def endpoint(self) -> str:
        """The URL by which a client takes this link."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def up(self) -> int:
        """Bytes of requests that were handed on."""
        return self.passed[UP]

    @property
    def down(self) -> int:
        """Bytes of answers that were handed on."""
        return self.passed[DOWN]

    def __enter__(self) -> Link:  # noqa: PYI034 - Python 3.8 has no Self
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        for thread in list(self._threads):
            thread.join(SECONDS)
        self._listener.close()

    def stop(self) -> None:
        """End all connections, and refuse new ones."""
        _wake(self._listener)
        with self.lock:
            pairs = list(self._open.values())
        for pair in pairs:
            pair.wake()

    def _narrow(self, sock: socket.socket) -> None:
        if self._is_thin:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, THIN_BUFFER)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, THIN_BUFFER)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, THIN_SEGMENT)

    def _start(self, target: Callable[..., object], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        thread.start()
        self._threads = [each for each in self._threads if each.is_alive()] + [thread]

    def _accept(self) -> None:
        number = 0
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            number += 1
            server = socket.socket()
            self._narrow(server)
            server.settimeout(SECONDS)
            try:
                server.connect(("127.0.0.1", self._upstream))
            except OSError:  # the store is gone: so is the client's connection
                server.close()
                client.close()
                continue
            for each in (client, server):
                each.settimeout(None)  # woken at the end; an idle connection is no fault
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.faults.opened(number)
                self._open[number] = pair = _Pair(self, number, client, server)
            self._start(self._carry, pair)

    def _carry(self, pair: _Pair) -> None:
        pair.carry()
        with self.lock:
            pair.close()
            del self._open[pair.number]


class _Pair:
    """One connection of a client's, and the one to the store that goes with it."""

    def __init__(self, link: Link, number: int, client: socket.socket, server: socket.socket) -> None:
        self.number = number
        self._link, self._client, self._server = link, client, server
        self._fate: str | None = None

    def carry(self) -> None:
        """Hand on both ways until an end, or a fault, is reached."""
        upwards = threading.Thread(target=self._one_way, args=(UP, self._client, self._server), daemon=True)
        upwards.start()
        self._one_way(DOWN, self._server, self._client)
        upwards.join(SECONDS)

    def wake(self) -> None:
        """End what both ways wait for."""
        _wake(self._server)
        if self._fate != "reset":  # which must not become an ordinary end at the last moment
            _wake(self._client)

    def close(self) -> None:
        """Give both back; where it is a reset, this is when the client hears of it."""
        self.wake()
        self._client.close()
        self._server.close()

    def _one_way(self, way: str, source: socket.socket, sink: socket.socket) -> None:
        """Hand on in one direction; its end is the other one's too."""
        with contextlib.suppress(OSError):
            self._pump(way, source, sink)
        if self._fate is None:
            self.wake()
        elif self._fate != "stall" or way == UP:  # else it is the client who gives up, and ends it
            _wake(self._server)

    def _pump(self, way: str, source: socket.socket, sink: socket.socket) -> None:
        """Hand on until an end, or a fault, is reached; behind a fault, requests are taken and forgotten."""
        link = self._link
        while True:
            block = source.recv(link.block)
            if not block:
                return
            if self._fate is not None:
                continue
            with link.lock:
                count, fate = link.faults.take(self.number, way, len(block))
                if fate is not None:
                    self._fate = fate  # already now: an answer that comes meanwhile is too late
                    link.broken[fate] += 1
            if link.pace is not None:
                link.pace(way, count)
            sink.sendall(block[:count])
            with link.lock:
                link.passed[way] += count
            if fate is not None:
                self._break(fate)
                if way == DOWN or fate != "cut":  # else to close on what comes still would be a reset
                    return

    def _break(self, fate: str) -> None:
        """Let the store see an end, and the client the fault."""
        if fate == "stall":
            return
        _wake(self._server)
        if fate == "cut":  # all that was said is heard, and then the end
            _wake(self._client, socket.SHUT_WR)
        else:
            self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            _wake(self._client, socket.SHUT_RD)  # which wakes who reads, and says nothing yet


def _wake(sock: socket.socket, how: int = socket.SHUT_RDWR) -> None:
    """End a blocking call in another thread."""
    with contextlib.suppress(OSError):
        sock.shutdown(how)
