"""What lies between `requests` and the socket: a request goes out as it was signed, its answer's head comes whole.

Here are the subclasses of what `requests`, urllib3 and http.client have for this; wire.py uses them where the caller
gives no session. The behaviour that each method changes is named beside it.
"""

from __future__ import annotations

import threading
from http.client import BadStatusLine, HTTPResponse, IncompleteRead, parse_headers
from socket import MSG_PEEK, socket
from ssl import SSLError

from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import select_proxy
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.wait import wait_for_read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from requests import Response

    from .body import Body
    from .s3 import SignedRequest

USER_AGENT = "cdn-sigv4"
BLOCK_SIZE = 256 << 10  # bytes of a body that are sent at a time: http.client's own 16 KiB cost half of the rate
POOL_SIZE = 32  # connections kept for threads; more threads work, their connections are not kept
_MAX_INTERIM = 10  # interim answers (1xx) before the final one: more are no HTTP, and could go on for ever
_INTERIM_PEEK = 10  # bytes of an answer that tell an interim one: its version and first digit


class ExactRequest(PreparedRequest):
    """A prepared request that nothing prepares: all of it was decided where it was signed."""

    def __init__(self, signed: SignedRequest, body: Body | None) -> None:
        super().__init__()
        self.method = signed.method
        self.url = signed.url
        self.target = signed.target
        self.headers = CaseInsensitiveDict(signed.headers)
        self.headers["Accept-Encoding"] = "identity"
        self.headers["User-Agent"] = USER_AGENT
        if body is not None:
            self.headers["Content-Length"] = str(body.size)
            self.body = body if body.size else None  # type: ignore[assignment]
        self.hooks = {"response": [_forget_location]}
        self.head_sent: bool | None = None  # known where this module's adapter sends it
        self.cut_short: bool = False  # the body was not sent to its end: the answer came first, or the connection broke

    @property
    def path_url(self) -> str:
        """The signed target, not what could be read from the URL."""
        return self.target


def _forget_location(response: Response, **_: object) -> None:
    # Even with allow_redirects=False, `requests` reads a redirect's whole body, of any size, to prepare what would
    # come next. Without Location it is an answer like any other.
    if "location" in response.headers:
        response.headers["x-cdn-location"] = response.headers.pop("location")


class _LastLine:
    """A file of which the last line read is remembered."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.line = b""

    def readline(self, limit: int) -> bytes:
        self.line = self.file.readline(limit)
        return self.line

    def close(self) -> None:
        self.file.close()


class _WholeHead(HTTPResponse):
    """http.client takes the end of the connection for the end of the headers: half a head would be a success.

    And it takes any interim answer but "100 Continue" (of which it takes any number) for the final one: RFC 9110, 15.2.
    """

    def _read_status(self) -> Any:
        for _ in range(_MAX_INTERIM):
            line = super()._read_status()  # type: ignore[misc]
            if not 100 <= line[1] < 200 or line[1] == 101:  # 101 has left HTTP
                return line
            parse_headers(self.fp)
        raise BadStatusLine("interim answers without end")

    def _read_next_chunk_size(self) -> int:
        size: int = super()._read_next_chunk_size()  # type: ignore[misc]
        if size < 0:  # http.client takes "-1" for a number, and then reads to the end of the connection
            self._close_conn()  # type: ignore[attr-defined]
            raise IncompleteRead(b"")
        return size

    def _read_and_discard_trailer(self) -> None:
        parse_headers(self.fp)  # which are bounded in number and length: http.client reads any number of these

    def readinto(self, buffer: Any) -> int:
        # What one receive gives: http.client waits until all of the buffer is full, and what it has is lost when the
        # connection breaks.
        if self.fp is None or self.chunked or self.length is None:
            return super().readinto(buffer)
        count: int = self.fp.readinto1(memoryview(buffer)[: self.length])
        self.length -= count
        if not self.length or not count:
            self._close_conn()  # type: ignore[attr-defined]
        return count

    def begin(self) -> None:
        self.fp: Any
        watched = _LastLine(self.fp)
        self.fp = watched
        try:
            super().begin()
        finally:
            if self.fp is watched:
                self.fp = watched.file
        if watched.line not in (b"\r\n", b"\n"):
            raise IncompleteRead(b"")


# The request that a thread is sending: a connection is not told which it is.
_current = threading.local()


class _ExactConnection:
    """What is mixed into urllib3's connections: the stall timeout while sending, and an ear for an early answer."""

    stall: float
    sock: Any
    response_class = _WholeHead
    _requested = False  # after putrequest: what a proxy is told before that is no part of the request
    _head_sent = False
    _cut_short = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.blocksize = BLOCK_SIZE

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        self.sock.settimeout(self.stall)  # until the answer is read, urllib3 leaves the connect timeout on it

    def putrequest(self, *args: Any, **kwargs: Any) -> None:
        self._head_sent = self._cut_short = False
        self._requested = True
        if self.sock is not None:
            self.sock.settimeout(self.stall)  # on a kept connection urllib3 2 has just set the connect timeout
        super().putrequest(*args, **kwargs)  # type: ignore[misc]

    def send(self, data: Any) -> None:
        # A server that refuses early (403, 503) answers while the body still goes out, and closes soon after: stop
        # at once and read what it says. urllib3 takes a broken pipe for just that.
        try:
            if self._head_sent and self._is_answered():
                raise BrokenPipeError
            if self._head_sent and type(self.sock) is socket:
                sent = 0
                with memoryview(data) as view:
                    while sent < len(view):  # the timeout is that of a step: `sendall`'s would be that of the block
                        sent += self.sock.send(view[sent:])
            else:
                super().send(data)  # type: ignore[misc]
        except (ConnectionError, SSLError):
            if not self._head_sent:
                raise
            self._cut_short = _current.request.cut_short = True
            raise BrokenPipeError from None
        if self._requested:
            self._head_sent = True
            _current.request.head_sent = True

    def _is_answered(self) -> bool:
        # Only a plain socket can be asked: TLS is readable for reasons of its own (session tickets). A "100 Continue"
        # that nobody asked for is no answer yet.
        if type(self.sock) is not socket or not wait_for_read(self.sock, timeout=0):
            return False
        return not self.sock.recv(_INTERIM_PEEK, MSG_PEEK).startswith(b"HTTP/1.1 1")

    def getresponse(self, *args: Any, **kwargs: Any) -> Any:
        self._requested = False
        kwargs.pop("buffering", None)  # urllib3 1.26 tries it first, and its TypeError would hide the real cause
        response = super().getresponse(*args, **kwargs)  # type: ignore[misc]
        if self._cut_short and self.sock is not None:
            # Half a request is on this connection: it ends with this answer (which keeps the socket until it is read).
            self.sock.close()
            self.sock = None
        return response


class ExactAdapter(HTTPAdapter):
    """Sends the target of an `ExactRequest` as it stands."""

    def __init__(self, stall: float) -> None:
        self._pools = {
            "http": _pool_class(HTTPConnectionPool, stall),
            "https": _pool_class(HTTPSConnectionPool, stall),
        }
        super().__init__(pool_connections=POOL_SIZE, pool_maxsize=POOL_SIZE)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of this module's connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Make them so for a proxy too."""
        manager = super().proxy_manager_for(*args, **kwargs)
        if type(manager).__name__ == "ProxyManager":  # a SOCKS manager has connections of its own
            manager.pool_classes_by_scheme = self._pools
        return manager

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """Send it, and note on an `ExactRequest` whether its head went out."""
        outer = getattr(_current, "request", None)  # a handler of urllib3's log messages may send in between
        _current.request = request
        request.head_sent = False  # type: ignore[attr-defined]
        try:
            return super().send(request, *args, **kwargs)
        finally:
            _current.request = outer  # and nothing keeps the request, with its body, when it is done

    def request_url(self, request: PreparedRequest, proxies: Any) -> str:
        """The target as it was signed; some versions of `requests` shorten `//` (psf/requests#6711)."""
        return request.url or "" if sends_absolute(request.url or "", proxies) else request.path_url


def _pool_class(base: Any, stall: float) -> Any:
    connection = type("ExactConnection", (_ExactConnection, base.ConnectionCls), {"stall": stall})
    return type("ExactPool", (base,), {"ConnectionCls": connection})


def sends_absolute(url: str, proxies: Any) -> bool:
    """Whether the request line carries the whole URL: plain HTTP through an HTTP proxy (RFC 9112, 3.2.2)."""
    proxy = select_proxy(url, proxies)
    return proxy is not None and url.startswith("http:") and not proxy.lower().startswith("socks")
