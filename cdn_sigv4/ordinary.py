"""The way through `requests`: a session, what its environment says, and whether somebody stands in its place.

wire.py says when this way is taken; until then, where nobody else has, `requests` is not imported: it takes as long as
all the rest of a process that fetches one small object.
"""

from __future__ import annotations

import http.client
from http.cookiejar import DefaultCookiePolicy
from types import FunctionType

import requests
import urllib3
from requests import Session
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH, select_proxy
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from .adapter import ExactAdapter, ExactRequest, check_exact
from .reply import SessionAnswer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .body import Body
    from .connection import Sending
    from .reply import Failed
    from .s3 import SignedRequest

# What others put something of their own in the place of: `responses` HTTPAdapter.send, `requests-mock` get_adapter,
# tracers any of these. They are to see every request.
_REPLACED: tuple[tuple[Any, str, Any], ...] = (
    (Session, "send", vars(requests.sessions)),
    (Session, "get_adapter", vars(requests.sessions)),
    (HTTPAdapter, "send", vars(requests.adapters)),
    (HTTPAdapter, "cert_verify", vars(requests.adapters)),
    (HTTPConnectionPool, "urlopen", vars(urllib3.connectionpool)),
    (HTTPConnectionPool, "_make_request", vars(urllib3.connectionpool)),
    (HTTPConnectionPool.ConnectionCls, "request", vars(urllib3.connection)),
    (http.client.HTTPConnection, "putrequest", vars(http.client)),
    (http.client.HTTPConnection, "getresponse", vars(http.client)),
)

# Of proxies that name none: urllib3's, and PySocks'. Without one here it is http's.
_PORTS = {"https": 443, "socks4": 1080, "socks4a": 1080, "socks5": 1080, "socks5h": 1080}


def is_replaced() -> bool:
    """Whether one of these is not what its own module has made."""
    for owner, name, home in _REPLACED:
        method = getattr(owner, name)
        if type(method) is not FunctionType or method.__globals__ is not home:
            return True
    return False


class Ordinary:
    """A session, the caller's or one of our own, with the settings of its environment. See `Wire`."""

    def __init__(
        self, url: str, timeout: tuple[float, float], verify: bool | str | None, given: Session | None
    ) -> None:
        self._timeout = timeout
        self._session = Session() if given is None else given
        if given is None:
            self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # none is sent, so none is kept
            adapter = ExactAdapter(timeout[1])
            self._session.mount("https://", adapter)
            self._session.mount("http://", adapter)
        verify = self._session.verify if verify is None else verify
        self._settings: Any = self._session.merge_environment_settings(url, {}, True, verify, None)
        # Without a scheme http is meant, but `host:port` is read as scheme and path by requests before 2.27 on Python
        # 3.9 and later (psf/requests#5855), and by all of them where the host has no dot (#6455).
        proxies = self._settings["proxies"]
        proxies.update({name: f"http://{proxy}" for name, proxy in proxies.items() if proxy and "://" not in proxy})
        self.proxy = _proxy_address(url, proxies)

    @property
    def authorities(self) -> bool | str:
        """The file or folder of those who are trusted with TLS; False for everybody."""
        verify: bool | str = self._settings["verify"]
        return DEFAULT_CA_BUNDLE_PATH if verify is True else verify

    def prepared(self, signed: SignedRequest, body: Body | None, sending: Sending) -> Callable[[Failed], SessionAnswer]:
        """What sends the request and gives its answer; ValueError where the way would change the signed target."""
        request = ExactRequest(signed, body, sending)
        check_exact(self._session, request, self._settings["proxies"])
        settings = {"timeout": self._timeout, "allow_redirects": False, **self._settings}
        return lambda failed: SessionAnswer(self._session.send(request, **settings), failed)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


def _proxy_address(url: str, proxies: Any) -> str:
    """Host and port of the proxy to be used, empty without one.

    ValueError where it is no URL, without quoting it: it may hold a password.
    """
    proxy = select_proxy(url, proxies)
    if not proxy:
        return ""
    try:
        scheme, _, host, port = parse_url(proxy)[:4]
    except LocationParseError:
        scheme = host = port = None
    if not host or scheme not in ("http", "https", "socks4", "socks4a", "socks5", "socks5h"):
        raise ValueError(
            "the proxy is no URL such as http://host:3128: look at HTTP_PROXY, HTTPS_PROXY, or the session"
        )
    port = port or _PORTS.get(scheme)
    return f"{host}:{port}" if port else host
