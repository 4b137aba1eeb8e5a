"""What `requests` is given instead of its own: a request that nothing prepares, and an adapter that sends it as it is.

ordinary.py sends with them, where a proxy stands before the server, or where the caller's session, or somebody who
stands in for the network in a test, is to be asked.
"""

from __future__ import annotations

from requests import PreparedRequest, Session
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import select_proxy
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from .connection import KEPT, current, pool_classes, sent_headers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from requests import Response

    from .body import Body
    from .connection import Sending
    from .s3 import SignedRequest


class ExactRequest(PreparedRequest):
    """A prepared request that nothing prepares: all of it was decided where it was signed."""

    def __init__(self, signed: SignedRequest, body: Body | None, sending: Sending) -> None:
        super().__init__()
        self.sending = sending
        sending.head_sent = None  # known where this module's adapter sends it
        self.method = signed.method
        self.url = signed.url
        self.target = signed.target
        self.headers = CaseInsensitiveDict(sent_headers(signed, body))
        if body is not None and body.size:
            self.body = body  # type: ignore[assignment]
        self.hooks = {"response": [_forget_location]}

    @property
    def path_url(self) -> str:
        """The signed target, not what could be read from the URL."""
        return self.target


def _forget_location(response: Response, **_: object) -> None:
    # Even with allow_redirects=False, `requests` reads a redirect's whole body, of any size, to prepare what would
    # come next. Without Location it is an answer like any other.
    if "location" in response.headers:
        response.headers["x-cdn-location"] = response.headers.pop("location")


class ExactAdapter(HTTPAdapter):
    """Sends the target of an `ExactRequest` as it stands."""

    def __init__(self, stall: float) -> None:
        self._pools = pool_classes(stall)
        super().__init__(pool_connections=KEPT, pool_maxsize=KEPT)

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
        """Send it, and note how far an `ExactRequest` came."""
        outer = getattr(current, "sending", None)  # a handler of urllib3's log messages may send in between
        current.sending = request.sending  # type: ignore[attr-defined]
        current.sending.head_sent = False
        try:
            return super().send(request, *args, **kwargs)
        finally:
            current.sending = outer

    def request_url(self, request: PreparedRequest, proxies: Any) -> str:
        """The target as it was signed; some versions of `requests` shorten `//` (psf/requests#6711)."""
        return request.url or "" if sends_absolute(request.url or "", proxies) else request.path_url


def sends_absolute(url: str, proxies: Any) -> bool:
    """Whether the request line carries the whole URL: plain HTTP through an HTTP proxy (RFC 9112, 3.2.2)."""
    proxy = select_proxy(url, proxies)
    return proxy is not None and url.startswith("http:") and not proxy.lower().startswith("socks")


def check_exact(session: Session, prepared: ExactRequest, proxies: Any) -> None:
    """ValueError where the way to the server would repeat the request, or change its target."""
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
