"""A link between the client and the store that counts the bytes, and breaks: cut, reset or stalled behind random ones.

A TCP relay on 127.0.0.1. Each connection is given its end when it is opened, in bytes of answers; what a fault means
for the request that it meets is left to chance, as on a real link.
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
from types import TracebackType

BLOCK = 64 * 1024  # bytes
SECONDS = 30.0  # no wait of the relay's is longer
RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no seconds: the end is an RST
FATES = ("cut", "reset", "stall")


class Link:
    """The relay to 127.0.0.1:`port`, a context manager.

    `mean`: bytes of answers after which a connection breaks, on average; 0: it never does. `down` counts the bytes of
    answers that were handed on, `broken` the connections that were ended, by kind.
    """

    def __init__(self, port: int, seed: int, mean: int = 0) -> None:
        self.down = 0
        self.broken = dict.fromkeys(FATES, 0)
        self._upstream, self._mean = port, mean
        self._random = random.Random(seed)  # noqa: S311 - no secret
        self._lock = threading.Lock()
        self._open: dict[int, tuple[socket.socket, socket.socket]] = {}
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)

    @property
    def endpoint(self) -> str:
        """The URL by which a client takes this link."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Link:  # noqa: PYI034 - Python 3.8 has no Self
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _wake(self._listener)
        with self._lock:
            pairs = list(self._open.values())
        for pair in pairs:
            for each in pair:
                _wake(each)
        for thread in list(self._threads):
            thread.join(SECONDS)
        self._listener.close()

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
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
            try:
                server = socket.create_connection(("127.0.0.1", self._upstream), SECONDS)
            except OSError:  # the store is gone: so is the client's connection
                client.close()
                continue
            self._open_pair(number, client, server)

    def _open_pair(self, number: int, client: socket.socket, server: socket.socket) -> None:
        for each in (client, server):
            each.settimeout(None)  # woken at the end; an idle connection is no fault
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._open[number] = client, server
            end = int(self._random.expovariate(1 / self._mean)) if self._mean else -1
            fate = self._random.choice(FATES)
        self._start(self._carry, number, client, server, end, fate)

    def _carry(self, number: int, client: socket.socket, server: socket.socket, end: int, fate: str) -> None:
        """Hand on both ways until an end, or the fault, is reached; then close both."""
        upwards = threading.Thread(target=_pump, args=(client, server), daemon=True)
        upwards.start()
        how = socket.SHUT_RDWR
        try:
            if self._down(server, client, end):
                with self._lock:
                    self.broken[fate] += 1
                if fate == "stall":
                    upwards.join(SECONDS)  # the client gives up first
                elif fate == "reset":
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    how = socket.SHUT_RD  # which wakes the other direction, and says nothing yet
        except OSError:
            pass
        finally:
            _wake(server)
            _wake(client, how)
            upwards.join(SECONDS)
            with self._lock:
                client.close()
                server.close()
                self._open.pop(number, None)

    def _down(self, server: socket.socket, client: socket.socket, end: int) -> bool:
        """Hand on what the server says; whether the fault was reached."""
        left = end
        while True:
            block = server.recv(BLOCK)
            if not block:
                return False
            if end >= 0:
                block = block[:left]
                left -= len(block)
            client.sendall(block)
            with self._lock:
                self.down += len(block)
            if end >= 0 and left <= 0:
                return True


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Hand on in one direction; its end too."""
    with contextlib.suppress(OSError):
        while True:
            block = source.recv(BLOCK)
            if not block:
                break
            sink.sendall(block)
    _wake(sink)


def _wake(sock: socket.socket, how: int = socket.SHUT_RDWR) -> None:
    """End a blocking call in another thread."""
    with contextlib.suppress(OSError):
        sock.shutdown(how)
