"""A loopback HTTP/1.1 server on raw sockets that keeps what it was sent, byte for byte, and misbehaves on request.

It stands in for a store, a proxy or a broken network: the test gives a callable that turns a RawRequest into an
Answer, and an Answer may lie about its length, stop half-way, stall, reset the connection or come too early
(rawhttp.py has both). MemoryStore (memorystore.py) is such a callable: a small S3 that checks every signature.
Nothing here sleeps, every wait has a limit, and an error in a server thread is raised in the test at the end.
"""

from __future__ import annotations

import contextlib
import pathlib
import socket
import ssl
import sys
import threading
import warnings
from typing import Callable

from memorystore import MemoryStore
from rawhttp import Answer, Answerer, BadRequest, Gone, RawRequest, Wire, chunked, in_turn, parse_head

__all__ = ["Answer", "BadRequest", "MemoryStore", "RawRequest", "RawServer", "chunked", "in_turn", "make_tls"]


def make_tls(folder: pathlib.Path) -> tuple[ssl.SSLContext, str]:
    """A server context for localhost, 127.0.0.1 and ::1, and the file of the authority that vouches for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the last cryptography for Python 3.8 says at import that it is the last
        import trustme  # only here, so that plain HTTP needs nothing beyond the standard library

        authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1", "::1").configure_cert(context)
    path = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    return context, str(path)


class RawServer:
    """The server, as a context manager.

    `answer` is called as soon as a request's head is in, from many threads at once if several connections are open, and
    may be replaced at any time. `timeout` (seconds) bounds every single wait.
    """

    def __init__(
        self,
        answer: Answerer | None = None,
        *,
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
        timeout: float = 10.0,
    ) -> None:
        self.answer: Answerer = answer if answer is not None else lambda request: Answer()
        self.errors: list[BaseException] = []
        self._host, self._tls, self._timeout = host, tls, timeout
        self._changed = threading.Condition()
        self._requests: list[RawRequest] = []
        self._sockets: dict[int, socket.socket] = {}
        self._threads: list[threading.Thread] = []
        self._delays: list[threading.Event] = []
        self._accepted = 0
        self._stopping = False
        self._listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._listener.bind((host, 0))
            self._listener.listen(64)
        except OSError:
            self._listener.close()
            raise
        self.port: int = self._listener.getsockname()[1]

    @property
    def authority(self) -> str:
        return f"[{self._host}]:{self.port}" if ":" in self._host else f"{self._host}:{self.port}"

    @property
    def endpoint(self) -> str:
        return ("http://" if self._tls is None else "https://") + self.authority

    @property
    def requests(self) -> list[RawRequest]:
        """All requests so far: each is recorded when its body was read or given up, before its answer goes out."""
        with self._changed:
            return list(self._requests)

    @property
    def connections(self) -> int:
        """How many TCP connections were accepted so far, used or not."""
        with self._changed:
            return self._accepted

    def wait_for(self, count: int) -> list[RawRequest]:
        """Wait until `count` requests are recorded; AssertionError when they do not come in time."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._requests) >= count, self._timeout):
                raise AssertionError(f"{len(self._requests)} requests came instead of {count}")
            return list(self._requests)

    def __enter__(self) -> RawServer:  # noqa: PYI034 - Python 3.8 has no Self, and nobody derives from this
        self._start(self._accept)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.stop()
        if error is None and self.errors:
            raise self.errors[0]

    def stop(self) -> None:
        """Close everything and join every thread; a thread that would not end becomes one of the `errors`."""
        with self._changed:
            self._stopping = True
            for delay in self._delays:
                delay.set()
            for each in self._sockets.values():
                _wake(each)
            threads = list(self._threads)
        _wake(self._listener)
        with contextlib.suppress(OSError):  # where that does not wake `accept`, a connection does
            socket.create_connection((self._host, self.port), self._timeout).close()
        for thread in threads:
            thread.join(self._timeout)
            if thread.is_alive():
                self.errors.append(RuntimeError("a server thread did not end"))
        self._listener.close()

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=_untraced, args=(target, *args), daemon=True)
        thread.start()
        self._threads.append(thread)

    def _accept(self) -> None:
        while True:
            try:
                plain = self._listener.accept()[0]
            except OSError as error:
                if not self._stopping:
                    self.errors.append(error)
                return
            plain.settimeout(self._timeout)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._changed:
                if self._stopping:
                    plain.close()
                    return
                self._accepted += 1
                self._sockets[self._accepted] = plain
                self._start(self._serve, plain, self._accepted)

    def _serve(self, sock: socket.socket, number: int) -> None:
        try:
            if self._tls is not None:
                sock = self._secured(self._tls, sock, number)
            wire = Wire(sock)
            while self._exchange(wire, number):
                pass
        except (Gone, OSError):  # OSError: a failed TLS handshake, or a reset while closing
            pass
        except BaseException as error:  # noqa: BLE001 - all of them belong to the test
            self.errors.append(error)
        finally:
            with self._changed:  # closed first: who no longer finds it here may rely on its end having been sent
                sock.close()
                self._sockets.pop(number, None)

    def _secured(self, tls: ssl.SSLContext, plain: socket.socket, number: int) -> socket.socket:
        secured = tls.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        try:
            with self._changed:
                self._sockets[number] = secured
                stopping = self._stopping
            if not stopping:
                secured.do_handshake()
        except BaseException:
            secured.close()
            raise
        return secured

    def _exchange(self, wire: Wire, number: int) -> bool:
        """One request and its answer; True when the connection may carry another."""
        head = wire.read_head()
        if head is None:
            return False
        request, keep = parse_head(head, number)
        request.load = lambda: wire.load_body(request)
        try:
            answer = self.answer(request)
            if not answer.before_body and request.load is not None:
                request.load()
        finally:
            request.load = None  # from here on the test may look at it, and only this thread reads the socket
            self._record(request)
        self._reply(wire, request, answer)
        if answer.breaks_off:
            return False
        if not request.complete:
            wire.drain(request, answer.drain)
        return keep and not answer.close and not answer.no_length

    def _record(self, request: RawRequest) -> None:
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()

    def _reply(self, wire: Wire, request: RawRequest, answer: Answer) -> None:
        head, counted = answer.parts(request.method)
        if answer.reset and answer.cut_after is None:
            head = counted = b""
        counted = counted if answer.cut_after is None else counted[: answer.cut_after]
        first = answer.delay_after
        if first is None:
            self._wait(answer.delay)
            wire.send(head + counted)
        else:
            wire.send(head + counted[:first])
            self._wait(answer.delay)
            wire.send(counted[first:])
        if answer.reset:
            wire.reset()
        elif answer.cut_after is None:
            wire.send(answer.extra)

    def _wait(self, delay: threading.Event | None) -> None:
        if delay is None:
            return
        with self._changed:
            if self._stopping:
                return
            self._delays.append(delay)
        if not delay.wait(self._timeout):
            raise RuntimeError("the answer's delay was not set in time")


def _untraced(target: Callable[..., None], *args: object) -> None:
    """Run a server's thread without the trace function of the coverage, which looks only at the package."""
    sys.settrace(None)
    target(*args)


def _wake(sock: socket.socket) -> None:
    """End a blocking call in another thread. The base class's method: SSLSocket's would pull the TLS layer away."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
