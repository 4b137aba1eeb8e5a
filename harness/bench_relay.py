"""A TCP relay on 127.0.0.1 that counts what the client and the server send, whatever these believe.

It counts what it has received, so also what the server has sent in vain to a client that is killed. What is left in the
relay's own buffer then was never on its way to the client: that buffer is kept small, so that the count says little
more than a direct connection would have carried. What is left in the client's (up to tcp_rmem's maximum) counts.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Callable

BLOCK = 256 * 1024  # bytes
SEND_BUFFER = 128 * 1024  # bytes; Linux makes it twice as large
SECONDS = 30.0  # to connect, and to end


class Relay:
    """The relay to 127.0.0.1:`port`, a context manager. `up`: bytes that clients sent; `down`: that the server did."""

    def __init__(self, port: int) -> None:
        self.up = self.down = 0
        self._upstream = port
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._is_over = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)

    @property
    def endpoint(self) -> str:
        """The URL by which a client goes through it."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Relay:  # noqa: PYI034 - Python 3.8 has no Self
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._is_over = True
            for each in [self._listener, *self._open]:
                _wake(each)
        for thread in self._threads:
            thread.join(SECONDS)
        self._listener.close()

    def settle(self) -> None:
        """Wait until what dead clients have left behind is counted: all connections are closed then."""
        for thread in self._threads[1:]:
            thread.join(SECONDS)

    def _start(self, target: Callable[[], object]) -> None:
        thread = threading.Thread(target=target, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
                server = socket.create_connection(("127.0.0.1", self._upstream), SECONDS)
            except OSError:  # the relay's end, or the server's: then nothing is left to be done either
                return
            server.settimeout(None)  # an idle connection is no fault; the relay's end wakes it
            with self._lock:
                if self._is_over:
                    client.close()
                    server.close()
                    return
                self._open |= {client, server}
            self._start(lambda pair=(client, server): self._carry(*pair))  # type: ignore[misc]

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        """Hand on both ways until both have ended."""
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        upwards = threading.Thread(target=self._pump, args=(client, server, "up"), daemon=True)
        upwards.start()
        self._pump(server, client, "down")
        upwards.join(SECONDS)
        with self._lock:
            self._open -= {client, server}
            client.close()
            server.close()

    def _pump(self, source: socket.socket, sink: socket.socket, way: str) -> None:
        """Hand on one way; where that ends, the other way does too: HTTP's connections are not closed by halves."""
        block = memoryview(bytearray(BLOCK))
        with contextlib.suppress(OSError):
            while True:
                count = source.recv_into(block)
                if not count:
                    break
                with self._lock:
                    setattr(self, way, getattr(self, way) + count)
                sink.sendall(block[:count])
        _wake(source)
        _wake(sink)


def _wake(sock: socket.socket) -> None:
    """End a blocking call in another thread."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
