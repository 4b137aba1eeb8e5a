"""What a request needs before it can be one: programs, a name, a port, TLS. Each is tried alone, for `doctor`.

Trust and proxies are those that the client has: ordinary.py asks `requests` for them, direct.py makes the TLS context.
Every wait is bounded, also that for the resolver, which nothing can interrupt. Certificates: RFC 5280; names: RFC 6125.
"""

from __future__ import annotations

import os
import platform
import socket
import ssl
import stat
import sys
from functools import partial
from threading import Thread
from time import perf_counter, time

from .certificate import clock_trouble, presented, validity
from .endpoint import is_ip_address
from .errors import TransportError
from .findings import FAILED, OK, WARNING, Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Tuple, TypeVar

    T = TypeVar("T")

    Address = Tuple[Any, ...]  # family, kind, protocol, name, place: one of getaddrinfo's

LONGEST = 5.0  # seconds that any of these may take
WHOLE = 30.0  # seconds for one question with all its answer, which could drip for ever
_SLOWEST = 4096  # bytes of a body in a second
_SOON = 14  # days before its end in which a certificate should be renewed
_MOST = 8  # addresses of one name that are tried
PROXY_ADVICE = (
    "HTTP_PROXY, HTTPS_PROXY or ALL_PROXY names the proxy: correct it, unset it, or name the store in NO_PROXY."
)


def programs() -> Finding:
    """Whether what must be installed is, and its versions."""
    try:
        from . import ordinary, wire  # noqa: F401
    except ImportError as error:
        text = f"Python {platform.python_version()}: {error}"
        advice = "Look where they come from: PYTHONPATH, another Python, another environment?"
        if "No module named" in text:
            advice = "Install what is missing: pip install requests"
        return Finding(FAILED, "programs", "versions", text, advice)
    own = getattr(sys.modules[__package__], "__version__", "")
    versions = [f"{name} {sys.modules[name].__version__}" for name in ("requests", "urllib3")]
    texts = [f"{__package__} {own}", f"Python {platform.python_version()}", *versions, ssl.OPENSSL_VERSION]
    return Finding(OK, "programs", "versions", ", ".join(texts))


class Way:
    """The way to the server at `url`, or to the proxy before it. ValueError where the environment's proxy is no URL.

    `endpoint` is the store's URL, for which the client asks the environment; a bucket's may be another.
    """

    def __init__(self, url: str, endpoint: str, timeout: float, verify: bool | str | None) -> None:
        from urllib.parse import urlsplit

        from .ordinary import Ordinary

        settings = Ordinary(endpoint, (timeout, timeout), verify, None)
        settings.close()
        there = urlsplit(f"//{settings.proxy}" if settings.proxy else url)
        self.proxy = settings.proxy
        self.host = there.hostname or ""
        self.is_tls = url.startswith("https:")
        self.port = there.port or (443 if self.is_tls and not self.proxy else 80)
        self._timeout = min(timeout, LONGEST)
        self._authorities = settings.authorities
        self._addresses: list[Address] = []

    def through(self) -> Finding | None:
        """Which proxy is in the way, if any."""
        if not self.proxy:
            return None
        text = f"{self.proxy}: name and port below are the proxy's"
        return Finding(OK, "proxy", "look into the environment", text)

    def named(self) -> Finding:
        """Whether the name has addresses."""
        tried, begun = f"look up {self.host}", perf_counter()
        found = _looked_up(self.host, self.port)
        if found is None:
            advice = "The resolver does not answer: is the network up? See /etc/resolv.conf."
            return Finding(FAILED, "name", tried, f"no answer within {LONGEST:g} s", advice)
        if isinstance(found, OSError) or not found:
            is_away = isinstance(found, socket.gaierror) and found.errno == socket.EAI_AGAIN
            advice = "Is the network up, and the resolver (/etc/resolv.conf)?" if is_away else "Check the host's name."
            text = "the resolver cannot be reached" if is_away else "there is no such name"
            return Finding(FAILED, "name", tried, text, PROXY_ADVICE if self.proxy else advice)
        self._addresses = list({each[4][0]: each for each in found}.values())[:_MOST]
        if is_ip_address(self.host):
            return Finding(OK, "name", tried, "it is an address")
        return Finding(OK, "name", tried, f"{', '.join(map(_shown, self._addresses))}, {_milliseconds(begun)}")

    def connected(self) -> Finding:
        """Whether the port takes connections, at each of the addresses."""
        tried = f"connect to port {self.port}"
        results = _tried(self._timeout + 0.5, [partial(self._knock, each) for each in self._addresses])
        texts = []
        for address, result in zip(self._addresses, results):
            text = f"open, {result * 1000:.0f} ms" if isinstance(result, float) else self._reason(result)
            texts.append(f"{_shown(address)} {text}")
        alive = [each for each, result in zip(self._addresses, results) if isinstance(result, float)]
        if alive == self._addresses:
            return Finding(OK, "port", tried, "; ".join(texts))
        self._addresses = alive
        if alive:
            advice = "Each new connection may try the dead address first: repair it, or take it out of the name."
            return Finding(WARNING, "port", tried, "; ".join(texts), advice)
        advice = "Is the server running, is this its port, and does a firewall let it through?"
        return Finding(FAILED, "port", tried, "; ".join(texts), PROXY_ADVICE if self.proxy else advice)

    def secured(self) -> Finding | None:
        """Whether TLS can be spoken, by the trust that the client has; behind a proxy the first request shows it."""
        if not self.is_tls or self.proxy:
            return None
        from .direct import Direct

        tried = f"shake hands by TLS with {self.host}"
        try:
            context = Direct("https", (self._timeout, self._timeout), self._authorities).trusted()
        except OSError as error:
            text = f"the authorities in {self._authorities} cannot be read: {error.strerror or error}"
            return Finding(FAILED, "tls", tried, text, "--ca-file, or REQUESTS_CA_BUNDLE, must name a file with PEM.")
        context.check_hostname = bool(self._authorities)  # urllib3 1.26 does that itself
        try:
            version, names, der = self._handshake(context)
        except OSError as error:
            return Finding(FAILED, "tls", tried, *self._refused(context, error))
        return self._certified(tried, version, names, der)

    def speaks_tls(self) -> bool:
        """Whether this port, taken for one of plain HTTP, shows a certificate."""
        return not self.proxy and presented(self.host, self.port, self._timeout) is not None

    def _knock(self, address: Address) -> float:
        begun = perf_counter()
        self._opened(address).close()
        return perf_counter() - begun

    def _opened(self, address: Address) -> socket.socket:
        family, kind, protocol, _, place = address
        opened = socket.socket(family, kind, protocol)
        try:
            opened.settimeout(self._timeout)
            opened.connect(place)
        except BaseException:
            opened.close()
            raise
        return opened

    def _reason(self, error: OSError | None) -> str:
        if error is None or isinstance(error, socket.timeout):
            return f"does not answer within {self._timeout:g} s"
        return "refuses" if isinstance(error, ConnectionRefusedError) else (error.strerror or str(error))

    def _handshake(self, context: ssl.SSLContext) -> tuple[str, dict[str, Any], bytes]:
        with self._opened(self._addresses[0]) as plain, context.wrap_socket(
            plain, server_hostname=self.host.rstrip(".")
        ) as secured:
            return secured.version() or "TLS", secured.getpeercert() or {}, secured.getpeercert(binary_form=True) or b""

    def _certified(self, tried: str, version: str, names: dict[str, Any], der: bytes) -> Finding:
        until = (validity(der) or (0.0, 0.0))[1]
        days = int((until - time()) // 86400)
        text = f"{version}, the certificate is valid until {_day(until)} ({days} days)"
        issuer = dict(pair for group in names.get("issuer", ()) for pair in group)
        if issuer:
            text += f", issued by {issuer.get('commonName') or issuer.get('organizationName')}"
        if not self._authorities:
            advice = "Anybody can stand in this server's place: trust its authority with --ca-file instead."
            return Finding(WARNING, "tls", tried, f"{text}; whose it is is not checked", advice)
        if days < _SOON:
            return Finding(WARNING, "tls", tried, text, "Renew the certificate before it ends.")
        return Finding(OK, "tls", tried, text)

    def _refused(self, context: ssl.SSLContext, error: OSError) -> tuple[str, str]:
        """What went wrong in the handshake, and what to do."""
        from .failures import WRONG_DATES, WRONG_NAME

        code = getattr(error, "verify_code", 0)
        if code in WRONG_DATES:
            trouble = clock_trouble(self.host, self.port, time(), self._timeout)
            text = trouble or f"the certificate is not accepted: {getattr(error, 'verify_message', error)}"
            return text, "Set this machine's clock; if it is right, have the certificate renewed."
        if code in WRONG_NAME:
            text = f"the certificate is for {self._names(context)}, not for {self.host}"
            return text, "Give one of those names as the host, or have the certificate issued for this one."
        if isinstance(error, ssl.SSLCertVerificationError):
            text = f"the certificate is not accepted: {error.verify_message}; trusted is {self._authorities}"
            return text, "For a private authority give its file with --ca-file, or name it in REQUESTS_CA_BUNDLE."
        if self._speaks_plain():
            return "the port speaks plain HTTP, no TLS", "Begin the host with http://, or give the port of TLS."
        if isinstance(error, socket.timeout):
            return f"no answer within {self._timeout:g} s", "Is this the server's port? Its log may say more."
        text = str(error).partition(" (_ssl.c:")[0] or type(error).__name__
        return text, "Is this the server's port, and does it speak TLS?"

    def _names(self, context: ssl.SSLContext) -> str:
        """The names in a certificate that all else is right with."""
        context.check_hostname = False
        try:
            found = self._handshake(context)[1].get("subjectAltName", ())
        except OSError:
            found = ()
        return ", ".join(name for _, name in found[:_MOST]) or "other names"

    def _speaks_plain(self) -> bool:
        try:
            with self._opened(self._addresses[0]) as plain:
                plain.sendall(b"HEAD / HTTP/1.0\r\n\r\n")
                return plain.recv(5).startswith(b"HTTP")
        except OSError:
            return False


def settings_file(path: str) -> Finding | None:
    """Whether everybody may read the file with the secrets; None where it is no file, or that cannot be told."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    if os.name != "posix" or not stat.S_ISREG(found.st_mode):
        return None
    tried, mode = f"look who may read {path}", f"mode {stat.S_IMODE(found.st_mode):04o}"
    others = [word for bit, word in ((stat.S_IROTH, "read"), (stat.S_IWOTH, "change")) if found.st_mode & bit]
    if not others:
        return Finding(OK, "config", tried, f"{mode}: not everybody")
    text = f"{mode}: every user of this machine may {' and '.join(others)} it, and it holds secrets"
    return Finding(
        WARNING, "config", tried, text, "Type chmod 600 with its name; if others could see the keys, make new ones."
    )


def longest(size: int) -> float:
    """Seconds that a question whose body, or answer, has so many bytes may take."""
    return WHOLE + size / _SLOWEST


def within(seconds: float, work: Callable[[], T]) -> T:
    """What this gives, or raises; TransportError where it does not come in time. It then goes on, unattended."""
    thread, outcome = _begun(work)
    thread.join(seconds)
    if not outcome:
        raise TransportError(f"no whole answer within {seconds:g} s: it comes too slowly")
    result, error = outcome[0]
    if error is not None:
        raise error
    found: T = result
    return found


def _begun(work: Callable[[], Any]) -> tuple[Thread, list[tuple[Any, BaseException | None]]]:
    """A thread that does this, and where what it gives, or raises, comes to stand.

    Nothing interrupts a resolver that hangs, but nobody has to wait for it.
    """
    outcome: list[tuple[Any, BaseException | None]] = []

    def run() -> None:
        try:
            outcome.append((work(), None))
        except BaseException as error:  # noqa: BLE001 - it is for whoever waits
            outcome.append((None, error))

    thread = Thread(target=run, daemon=True)
    thread.start()
    return thread, outcome


def resolves(host: str, port: int) -> bool:
    """Whether the name has an address."""
    return isinstance(_looked_up(host, port), list)


def _looked_up(host: str, port: int) -> Any:
    """The list of getaddrinfo, or its error; None where it does not come in time."""
    return _tried(LONGEST, [partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)])[0]


def _tried(seconds: float, works: list[Callable[[], Any]]) -> list[Any]:
    """What each gives, all at once, or the OSError that it raises; None where it is not done in time."""
    until = perf_counter() + seconds
    results = []
    for thread, outcome in [_begun(work) for work in works]:
        thread.join(max(0.0, until - perf_counter()))
        result, error = outcome[0] if outcome else (None, None)
        if isinstance(error, UnicodeError):  # a name that has no form for the resolver
            error = OSError(str(error))
        if error is not None and not isinstance(error, OSError):
            raise error
        results.append(result if error is None else error)
    return results


def _shown(address: Address) -> str:
    return str(address[4][0])


def _milliseconds(begun: float) -> str:
    return f"{(perf_counter() - begun) * 1000:.0f} ms"


def _day(seconds: float) -> str:
    from datetime import datetime, timedelta

    return (datetime(1970, 1, 1) + timedelta(seconds=seconds)).date().isoformat()  # noqa: DTZ001 - UTC throughout
