"""From what `requests`, urllib3, http.client and the socket raise to this package's `TransportError`, in plain words.

Their own exceptions are wrapped in one another, name memory addresses instead of causes, and carry the URL and the
prepared request with its signature.
"""

from __future__ import annotations

import errno
from http.client import BadStatusLine, HTTPException, IncompleteRead, RemoteDisconnected
from socket import EAI_AGAIN, gaierror
from socket import timeout as SocketTimeout  # noqa: N812 - an alias of TimeoutError only from Python 3.10 on
from ssl import SSLCertVerificationError, SSLEOFError, SSLError, SSLZeroReturnError

from requests.exceptions import InvalidSchema, InvalidURL, ProxyError
from urllib3.connectionpool import CertificateError  # type: ignore[attr-defined]
from urllib3.exceptions import ConnectTimeoutError, LocationParseError, NewConnectionError, ReadTimeoutError

from .errors import ClockError, OutcomeUnknown, TransportError, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .body import Body
    from .connection import Sending
    from .s3 import Request, SignedRequest

_TIMEOUTS = (ReadTimeoutError, SocketTimeout)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The exception and those it was made of, as `requests` and urllib3 wrap them."""
    for _ in range(10):
        if error is None:
            return
        yield error
        inner = [getattr(error, "reason", None), *error.args, error.__cause__, error.__context__]
        error = next((item for item in inner if isinstance(item, BaseException)), None)


# What happened: its name in the table of retry.py, in plain words, and what to do. The first line that has one of the
# exception's causes holds. {text} is the innermost cause's own, {proxy} the proxy's host and port.
_FAILURES: tuple[tuple[tuple[type[BaseException], ...], str, str, str | None], ...] = (
    (
        (ProxyError,),
        "proxy",
        "the proxy {proxy} could not be reached, or refused: {text}",
        "HTTP_PROXY or HTTPS_PROXY names it, or the session: unset it, or name the server in NO_PROXY.",
    ),
    (
        (InvalidSchema, InvalidURL, LocationParseError),
        "other",
        "the proxy {proxy} cannot be used",
        "HTTP_PROXY or HTTPS_PROXY names it, or the session: a SOCKS proxy needs pip install 'requests[socks]'.",
    ),
    ((gaierror,), "unresolved", "the host name of {authority} does not resolve", "Check the endpoint, or the network."),
    (
        (SSLCertVerificationError, CertificateError),
        "certificate",
        "the certificate of {authority} was not accepted: {text}",
        "For a private certificate authority give its file as verify=, or name it in REQUESTS_CA_BUNDLE.",
    ),
    (
        (SSLEOFError, SSLZeroReturnError),
        "closed",
        "{authority} ended the TLS connection",
        "If the server speaks plain HTTP, begin the endpoint with http://.",
    ),
    (
        (SSLError,),
        "tls",
        "TLS with {authority} failed: {text}",
        "If the server speaks plain HTTP, begin the endpoint with http://; a file given as verify= must hold PEM.",
    ),
    (
        (ConnectionRefusedError,),
        "refused",
        "{authority} refuses the connection",
        "Is the server running, and is this its port?",
    ),
    (
        (NewConnectionError,),
        "unreachable",
        "no connection to {authority}: {text}",
        "Is this machine's network up, and does a firewall let it through?",
    ),
    (
        (ConnectTimeoutError,),
        "connect timeout",
        "no connection to {authority} within {connect:g} s",
        "Check the endpoint, or the network.",
    ),
    (
        _TIMEOUTS,
        "stalled",
        "{authority} moved no byte for {stall:g} s",
        "Server or link are stalled; timeout= says how long to wait.",
    ),
    (
        (RemoteDisconnected, IncompleteRead, ConnectionError),
        "closed",
        "{authority} closed the connection before its answer was complete",
        None,
    ),
    (
        (BadStatusLine,),
        "not http",
        "{authority} does not answer in HTTP",
        "Is this the right port, and http or https right?",
    ),
    ((HTTPException,), "not http", "{text}", None),
    ((BaseException,), "other", "{text}", None),
)
# Where neither a body nor the adapter tells: these happen before anything is sent.
_UNSENT = (
    gaierror,
    SSLError,
    CertificateError,
    NewConnectionError,
    ConnectTimeoutError,
    InvalidSchema,
    InvalidURL,
    LocationParseError,
)


_REFUSED_TUNNEL = "Tunnel connection failed: 4"  # http.client's words, before the status
_PROXY_HINT = "It wants a user's credentials, in the proxy's URL before the host, or it allows no such server."
_NAME_HINT = "The certificate is for other names: give one of those as the endpoint, or have it issued for this one."
_BUCKET_HINT = "The bucket is part of that name: check both, or leave it out by addressing='path'."
_TLS_HINT = "If that lasts: is the port right? One that speaks TLS does this; then begin the endpoint with https://."
# No way to it, or none that is allowed; else this machine lacks something, such as free file descriptors.
_NO_WAY = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EACCES, errno.EPERM)
_NO_SOCKET_HINT = "It is this machine that makes no connection: the message says why."
_PEM_HINT = "A file given as verify=, or named in REQUESTS_CA_BUNDLE, must hold PEM."
_NO_PEM = "no certificate or crl found"  # OpenSSL's words, of a file; the same class as for a handshake
WRONG_NAME = (62, 64)  # OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH
_CLOCK_HINT = "Set this machine's clock; if it is right, the server's certificate has expired, or is not valid yet."
WRONG_DATES = (9, 10)  # OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED


def _clock_trouble(causes: list[BaseException], authority: str, timeout: float, now: float) -> str | None:
    """Both dates in words, where a certificate was refused for its dates."""
    if not any(getattr(cause, "verify_code", 0) in WRONG_DATES for cause in causes):
        return None
    from .certificate import clock_trouble  # hardly ever needed

    host, colon, port = authority.rpartition(":")
    if not colon or authority.endswith("]"):
        host, port = authority, "443"
    return clock_trouble(host, int(port), now, timeout)


def _is_sent(sending: Sending, body: Body | None, causes: list[BaseException]) -> bool:
    """Whether all of the request may have gone out."""
    if sending.head_sent is None:
        has_begun = not any(isinstance(cause, _UNSENT) for cause in causes)
        return has_begun if body is None or not body.size else body.remaining == 0
    return sending.head_sent and not sending.cut_short and (body is None or body.remaining == 0)


def _closer_hint(
    name: str, causes: list[BaseException], request: Request, signed: SignedRequest, sending: Sending
) -> str | None:
    """What to do, where more is known than what kind of failure it is."""
    if any(getattr(cause, "verify_code", 0) in WRONG_NAME or "doesn't match" in str(cause) for cause in causes):
        return _NAME_HINT  # the words are urllib3 1.26's, which compares the names itself
    if any(_NO_PEM in str(cause) for cause in causes):
        return _PEM_HINT
    is_in_host = signed.authority.startswith(f"{request.bucket}.") and f"/{request.bucket}" not in signed.target
    if name == "unknown host" and is_in_host:
        return _BUCKET_HINT
    if name == "unreachable" and not any(getattr(each, "errno", None) in _NO_WAY for each in causes):
        return _NO_SOCKET_HINT
    if signed.scheme != "http" or name != "closed" or sending.is_answered or sending.cut_short:
        return None
    is_silent = any(isinstance(each, ConnectionResetError) or getattr(each, "partial", None) == b"" for each in causes)
    return _TLS_HINT if is_silent else None


def transport_error(
    error: Exception,
    request: Request,
    signed: SignedRequest,
    sending: Sending,
    body: Body | None,
    timeout: tuple[float, float],
    proxy: str,
    clock: Callable[[], float],
) -> TransportError:
    """The error in this package's words; the original's hold the URL, objects' addresses and the request itself."""
    causes = list(_causes(error))
    if sending.head_sent is False and any(isinstance(cause, _TIMEOUTS) for cause in causes):
        causes = [ConnectTimeoutError()]  # urllib3 calls a silent TLS handshake a read timeout
    name, text, hint = next(line[1:] for line in _FAILURES if any(isinstance(cause, line[0]) for cause in causes))
    if name == "unresolved" and all(cause.errno != EAI_AGAIN for cause in causes if isinstance(cause, gaierror)):
        name = "unknown host"
    if name == "proxy" and any(_REFUSED_TUNNEL in str(cause).replace("failed: 408", "") for cause in causes):
        name, hint = "proxy refuses", _PROXY_HINT
    if name == "tls" and sending.head_sent:  # agreed on long ago: damage on the way looks like this
        name = "closed"
    hint = _closer_hint(name, causes, request, signed, sending) or hint
    innermost = (str(causes[-1]) or type(causes[-1]).__name__).partition(" (_ssl.c:")[0]
    text = text.format(authority=signed.authority, connect=timeout[0], stall=timeout[1], text=innermost, proxy=proxy)
    trouble = None
    if name == "certificate" and not proxy:
        trouble = _clock_trouble(causes, signed.authority, timeout[0], clock())
    is_sent = _is_sent(sending, body, causes)
    kind: type[TransportError] = OutcomeUnknown if is_sent and request.is_write else TransportError
    if kind is OutcomeUnknown:
        text += "; the whole request was sent, so it may have taken effect"
    if trouble is not None:
        kind, text, hint = ClockError, f"{text}: {trouble}", _CLOCK_HINT
    failure: TransportError = kind(
        printable(text), operation=request.method, bucket=request.bucket, key=request.key, hint=hint
    )
    failure.cause = name
    return failure
