"""The one place that sends: a signed request goes out exactly as it was signed, its answer comes back as raw bytes.

`requests` is kept from everything that it would do to a request of its own accord:
- the target is the signed string, not what `requests` and urllib3 make of a URL with `..`, `//` or `%41`;
- headers are built by hand: no `~/.netrc`, no parameters, headers, auth or cookies of a session (psf/requests#3929);
- no redirect is followed, no body decoded, nothing retried (urllib3 would send a half-read body again);
- proxies and CA bundle are resolved once, and an explicit `verify` wins (psf/requests#3829);
- what the socket's timeout limits is a stall, never a transfer that moves;
- a process that was forked opens connections of its own.

This module imports `requests`; it is itself imported when the first request goes out.
"""

from __future__ import annotations

import os
from http.client import HTTPException, IncompleteRead
from socket import MSG_PEEK, socket

import urllib3
from requests import PreparedRequest, Session
from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException
from requests.structures import CaseInsensitiveDict
from requests.utils import select_proxy
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, LocationParseError
from urllib3.util import parse_url
from urllib3.util.wait import wait_for_read

from .answers import content_length
from .errors import InvalidResponse, TransportError
from .failures import transport_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from requests import Response

    from .body import Body
    from .s3 import Request, SignedRequest

if tuple(int(part) for part in urllib3.__version__.split(".")[:2]) < (1, 26):
    raise ImportError(f"urllib3 {urllib3.__version__} is too old for cdn_sigv4; type: pip install 'urllib3>=1.26.5'")

USER_AGENT = "cdn-sigv4"
POOL_SIZE = 32  # connections kept for threads; more threads work, their connections are not kept
_INTERIM_PEEK = 10  # bytes of an answer that tell an interim one: its version and first digit
_BLOCK = 64 << 10  # bytes per read of a small answer


class _ExactConnection:
    """What is mixed into urllib3's connections: the stall timeout while sending, and an ear for an early answer."""

    stall: float
    sock: Any
    _head_sent = False
    _cut_short = False

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        self.sock.settimeout(self.stall)  # until the answer is read, urllib3 leaves the connect timeout on it

    def putrequest(self, *args: Any, **kwargs: Any) -> None:
        self._head_sent = self._cut_short = False
        super().putrequest(*args, **kwargs)  # type: ignore[misc]

    def send(self, data: Any) -> None:
        # A server that refuses early (403, 503) answers while the body still goes out, and closes soon after: stop
        # at once and read what it says. urllib3 takes a broken pipe for just that.
        try:
            if self._head_sent and self._is_answered():
                raise BrokenPipeError  # noqa: TRY301
            super().send(data)  # type: ignore[misc]
        except (BrokenPipeError, ConnectionResetError):
            self._cut_short = True
            raise BrokenPipeError from None
        self._head_sent = True

    def _is_answered(self) -> bool:
        # Only a plain socket can be asked: TLS is readable for reasons of its own (session tickets). A "100 Continue"
        # that nobody asked for is no answer yet.
        if type(self.sock) is not socket or not wait_for_read(self.sock, timeout=0):
            return False
        return not self.sock.recv(_INTERIM_PEEK, MSG_PEEK).startswith(b"HTTP/1.1 1")

    def getresponse(self, *args: Any, **kwargs: Any) -> Any:
        kwargs.pop("buffering", None)  # urllib3 1.26 tries it first, and its TypeError would hide the real cause
        response = super().getresponse(*args, **kwargs)  # type: ignore[misc]
        if self._cut_short and self.sock is not None:
            # Half a request is on this connection: it ends with this answer (which keeps the socket until it is read).
            self.sock.close()
            self.sock = None
        return response


class _ExactAdapter(HTTPAdapter):
    """Sends the target of an `_ExactRequest` as it stands."""

    def __init__(self, stall: float) -> None:
        self._pools = {
            "http": _pool_class(HTTPConnectionPool, stall),
            "https": _pool_class(HTTPSConnectionPool, stall),
        }
        super().__init__(pool_connections=POOL_SIZE, pool_maxsize=POOL_SIZE)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        if type(manager).__name__ == "ProxyManager":  # a SOCKS manager has connections of its own
            manager.pool_classes_by_scheme = self._pools
        return manager

    def request_url(self, request: PreparedRequest, proxies: Any) -> str:
        return request.url or "" if _sends_absolute(request.url or "", proxies) else request.path_url


def _pool_class(base: Any, stall: float) -> Any:
    connection = type("ExactConnection", (_ExactConnection, base.ConnectionCls), {"stall": stall})
    return type("ExactPool", (base,), {"ConnectionCls": connection})


def _sends_absolute(url: str, proxies: Any) -> bool:
    """Whether the request line carries the whole URL: plain HTTP through an HTTP proxy (RFC 9112, 3.2.2)."""
    proxy = select_proxy(url, proxies)
    return proxy is not None and url.startswith("http:") and not proxy.lower().startswith("socks")


class _ExactRequest(PreparedRequest):
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
            # An empty reader would go out chunked; no body and a length of 0 is what S3 wants.
            self.body = body if body.size else None  # type: ignore[assignment]
        self.hooks = {"response": [_forget_location]}

    @property
    def path_url(self) -> str:
        return self.target


def _forget_location(response: Response, **_: object) -> None:
    # Even with allow_redirects=False, `requests` reads a redirect's whole body, of any size, to prepare what would
    # come next. Without Location it is an answer like any other.
    if "location" in response.headers:
        response.headers["x-cdn-location"] = response.headers.pop("location")


class Answer:
    """One answer: `status`, `headers` (lower-case names), and its body as raw bytes. Close it, or read it whole."""

    def __init__(self, response: Response, failed: Any) -> None:
        self.status = response.status_code
        self.headers = {name.lower(): value for name, value in response.headers.items()}
        if "x-cdn-location" in self.headers:
            self.headers["location"] = self.headers.pop("x-cdn-location")
        self._response = response
        self._failed = failed

    def read(self, amount: int) -> bytes:
        """At most `amount` bytes; empty at the end, wherever that is: the caller knows how many there must be."""
        try:
            return self._response.raw.read(amount, decode_content=False)
        except (HTTPError, HTTPException, OSError, ValueError) as error:
            failure = self._failed(error)
        self.close()
        raise failure from None

    def read_some(self, limit: int) -> bytes:
        """The first `limit` bytes of an error's body, or as many as come: the status has said the main thing."""
        body = b""
        try:
            while len(body) < limit:
                block = self.read(limit - len(body))
                if not block:
                    return body
                body += block
        except TransportError:
            return body
        self.close()
        return body

    def read_all(self, limit: int) -> bytes:
        """The whole of a small body; InvalidResponse for more than `limit` bytes."""
        blocks = []
        room = limit + 1
        while room > 0:
            block = self.read(min(room, _BLOCK))
            if not block:
                break
            blocks.append(block)
            room -= len(block)
        else:
            self.close()
            raise InvalidResponse(f"the answer is longer than the {limit} bytes that it can need", status=self.status)
        body = b"".join(blocks)
        length = content_length(self.headers)
        if length is not None and length > len(body) and self._response.request.method != "HEAD":
            raise self._failed(IncompleteRead(body, length - len(body)))  # urllib3 1.26 does not notice
        return body

    def close(self) -> None:
        """Give the connection up, unless the body was read to its end."""
        self._response.close()


class Wire:
    """Sends signed requests over one pool of connections, shared by threads.

    `timeout` is (seconds to connect, seconds without a byte moved). `verify` is True, False, a CA file, or None for
    what the session says. A `session` of the caller's gives its adapters, proxies, `verify` and `cert`, no more.
    """

    def __init__(
        self, url: str, *, timeout: tuple[float, float], verify: bool | str | None, session: Session | None
    ) -> None:
        self._url = url
        self._timeout = timeout
        self._verify = verify
        self._given = session
        self._ready: tuple[int, Session, Any] | None = None

    def _session(self) -> tuple[Session, Any]:
        """The session and the settings of its environment: made once in each process.

        Two threads that come first may make one each: the loser's is dropped with its one connection.
        """
        ready = self._ready
        if ready is None or ready[0] != os.getpid():
            session = self._given
            if session is not None and ready is not None:
                session.close()  # the parent's connections; both processes would read each other's answers
            if session is None:
                session = Session()
                adapter = _ExactAdapter(self._timeout[1])
                session.mount("https://", adapter)
                session.mount("http://", adapter)
            verify = session.verify if self._verify is None else self._verify
            settings = session.merge_environment_settings(self._url, {}, True, verify, None)
            self._ready = ready = (os.getpid(), session, settings)
        return ready[1], ready[2]

    def send(self, request: Request, signed: SignedRequest, body: Body | None = None) -> Answer:
        """The answer, whatever its status; TransportError without one. `body` must stand at its beginning.

        ValueError, before anything is sent, where the way to the server would change the signed target.
        """
        session, settings = self._session()
        prepared = _ExactRequest(signed, body)
        _check_exact(session, prepared, settings["proxies"])

        def failed(error: Exception) -> TransportError:
            return transport_error(error, request, signed, body, self._timeout)

        try:
            response = session.send(prepared, timeout=self._timeout, allow_redirects=False, **settings)
        except (RequestException, HTTPError, HTTPException, OSError, ValueError) as error:
            failure = failed(error)
        else:
            if response.status_code >= 200 and not (response.status_code < 300 and body is not None and body.remaining):
                return Answer(response, failed)
            # What comes next on this connection belongs to this request: it must not answer another one.
            response.close()
            interim = (
                f"answered {response.status_code} before it had the whole request, or in place of the final answer"
            )
            failure = failed(HTTPException(f"{signed.authority} {interim}"))
        raise failure from None  # the cause carries the prepared request, and so the signature and the token

    def close(self) -> None:
        """Close the connections, unless they are those of the caller's session or of the parent process."""
        ready, self._ready = self._ready, None
        if ready is not None and self._given is None and ready[0] == os.getpid():
            ready[1].close()


def _check_exact(session: Session, prepared: _ExactRequest, proxies: Any) -> None:
    url = prepared.url or ""
    adapter = session.get_adapter(url)
    retries = getattr(adapter, "max_retries", None)
    if any(getattr(retries, name, 0) for name in ("total", "connect", "read", "redirect", "status", "other")):
        raise ValueError("the given session's adapter repeats requests, with half-read bodies: give it max_retries=0")
    if _sends_absolute(url, proxies):
        try:
            exact = parse_url(url).url == url  # urllib3 reads it again on the way to a proxy (urllib3#4965)
        except LocationParseError:
            exact = False
        if not exact:
            raise ValueError("a plain HTTP proxy would change this key's '.' or '..' segments: use https, or no proxy")
        return
    request_url = getattr(adapter, "request_url", None)  # an adapter that mocks HTTP has none
    if request_url is not None and request_url(prepared, proxies) != prepared.target:
        raise ValueError(
            "the given session's adapter would change this key on its way (psf/requests#6711): give no session"
        )
