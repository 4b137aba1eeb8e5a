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
from http.client import HTTPException, HTTPResponse, IncompleteRead
from http.cookiejar import DefaultCookiePolicy

import urllib3
from requests import Session
from requests.exceptions import RequestException
from requests.utils import select_proxy
from urllib3.exceptions import HTTPError, LocationParseError
from urllib3.util import parse_url

from .adapter import ExactAdapter, ExactRequest, sends_absolute
from .answers import content_length
from .errors import InvalidResponse, TransportError
from .failures import transport_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from requests import Response

    from .body import Body
    from .s3 import Request, SignedRequest

_URLLIB3: str = urllib3.__version__  # type: ignore[attr-defined]
if tuple(int(part) for part in _URLLIB3.split(".")[:2]) < (1, 26):
    raise ImportError(f"urllib3 {_URLLIB3} is too old for cdn_sigv4; type: pip install 'urllib3>=1.26.5'")

_BLOCK = 64 << 10  # bytes per read of a small answer
_SMALL_BLOCK = 8  # bytes per read of an error's, which has some hundred


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

    def readinto(self, view: memoryview) -> int:
        """Read into this memory, without a copy on the way; the number of bytes, 0 at the end."""
        raw = self._response.raw
        source = getattr(raw, "_fp", None)  # http.client's answer: urllib3's own `readinto` is a read and a copy
        if not isinstance(source, HTTPResponse):
            block = self.read(len(view))
            view[: len(block)] = block
            return len(block)
        try:
            count = source.readinto(view)
        except (HTTPException, OSError, ValueError) as error:
            failure = self._failed(error)
        else:
            if source.length == 0 and not source.chunked:
                raw.release_conn()
            return count
        self.close()
        raise failure from None

    def _blocks(self, most: int, step: int = _BLOCK) -> Iterator[bytes]:
        """The body's blocks up to its end, or up to `most` bytes."""
        while most > 0:
            block = self.read(min(most, step))
            if not block:
                return
            most -= len(block)
            yield block

    def read_some(self, limit: int, is_late: Callable[[], bool]) -> bytes:
        """The first `limit` bytes of an error's body, or as many as come in time: the status has said the main thing.

        In small steps: when the connection breaks the layers below lose what the last step had so far.
        """
        body = b""
        try:
            for block in self._blocks(limit, _SMALL_BLOCK):
                body += block
                if is_late():
                    break
            else:
                if len(body) < limit:
                    return body
        except TransportError:
            return body
        self.close()
        return body

    def read_all(self, limit: int) -> bytes:
        """The whole of a small body; InvalidResponse for more than `limit` bytes."""
        body = b"".join(self._blocks(limit + 1))
        if len(body) > limit:
            self.close()
            raise InvalidResponse(f"the answer is longer than the {limit} bytes that it can need", status=self.status)
        length = content_length(self.headers)
        if length is not None and length > len(body) and self._may_have_body:
            raise self._failed(IncompleteRead(body, length - len(body)))  # urllib3 1.26 does not notice
        return body

    @property
    def _may_have_body(self) -> bool:
        return self.status not in (204, 304) and self._response.request.method != "HEAD"  # RFC 9112, 6.3

    def close(self) -> None:
        """Give the connection up, unless the body was read to its end."""
        self._response.close()


class Wire:
    """Sends signed requests over one pool of connections, shared by threads.

    `timeout` is (seconds to connect, seconds without a byte moved). `verify` is True, False, a CA file, or None for
    what the session says. A `session` of the caller's gives its adapters, proxies, `verify` and `cert`, no more.
    `born` is the process in which the client was made, `clock` its time, which a certificate's dates are compared with.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: tuple[float, float],
        verify: bool | str | None,
        session: Session | None,
        born: int,
        clock: Callable[[], float],
    ) -> None:
        self._url = url
        self._timeout = timeout
        self._verify = verify
        self._given = session
        self._born = born
        self._clock = clock
        self._ready: tuple[int, Session, Any, str] | None = None

    def _session(self) -> tuple[Session, Any, str]:
        """The session, the settings of its environment, and the proxy's address: made once in each process.

        Two threads that come first may make one each: the loser's is dropped with its one connection.
        """
        ready = self._ready
        if ready is None or ready[0] != os.getpid():
            session = self._given
            if session is not None and self._born != os.getpid():
                session.close()  # the parent's connections: both processes would read each other's answers
            if session is None:
                session = Session()
                session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # none is sent, so none is kept
                adapter = ExactAdapter(self._timeout[1])
                session.mount("https://", adapter)
                session.mount("http://", adapter)
            verify = session.verify if self._verify is None else self._verify
            settings = session.merge_environment_settings(self._url, {}, True, verify, None)
            self._ready = ready = (os.getpid(), session, settings, _proxy_address(self._url, settings["proxies"]))
        return ready[1:]

    def send(self, request: Request, signed: SignedRequest, body: Body | None = None) -> Answer:
        """The answer, whatever its status; TransportError without one. `body` must stand at its beginning.

        ValueError, before anything is sent, where the way to the server would change the signed target.
        """
        session, settings, proxy = self._session()
        prepared = ExactRequest(signed, body)
        _check_exact(session, prepared, settings["proxies"])

        def failed(error: Exception) -> TransportError:
            return transport_error(error, request, prepared, body, self._timeout, proxy, self._clock)

        try:
            response = session.send(prepared, timeout=self._timeout, allow_redirects=False, **settings)
        except (RequestException, HTTPError, HTTPException, OSError, ValueError) as error:
            failure = failed(error)
        else:
            is_unsent = prepared.cut_short or (body is not None and body.remaining)
            if response.status_code >= (300 if is_unsent else 200):
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


def _proxy_address(url: str, proxies: Any) -> str:
    """Host and port of the proxy to be used, empty without one.

    ValueError where it is no URL, without quoting it: it may hold a password.
    """
    proxy = select_proxy(url, proxies)
    if not proxy:
        return ""
    try:  # without a scheme `requests` takes it for http
        scheme, _, host, port = parse_url(proxy if "://" in proxy else f"http://{proxy}")[:4]
    except LocationParseError:
        scheme = host = port = None
    if not host or scheme not in ("http", "https", "socks4", "socks4a", "socks5", "socks5h"):
        raise ValueError(
            "the proxy is no URL such as http://host:3128: look at HTTP_PROXY, HTTPS_PROXY, or the session"
        )
    return f"{host}:{port}" if port else host


def _check_exact(session: Session, prepared: ExactRequest, proxies: Any) -> None:
    url = prepared.url or ""
    adapter = session.get_adapter(url)
    retries = getattr(adapter, "max_retries", None)
    if any(getattr(retries, name, 0) for name in ("total", "connect", "read", "redirect", "status", "other")):
        raise ValueError("the given session's adapter repeats requests, with half-read bodies: give it max_retries=0")
    if sends_absolute(url, proxies):
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
