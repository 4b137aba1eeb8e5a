"""From what `requests`, urllib3, http.client and the socket raise to this package's `TransportError`, in plain words.

Their own exceptions are wrapped in one another, name memory addresses instead of causes, and carry the URL and the
prepared request with its signature.
"""

from __future__ import annotations

from http.client import IncompleteRead, RemoteDisconnected
from socket import gaierror
from socket import timeout as SocketTimeout  # noqa: N812 - an alias of TimeoutError only from Python 3.10 on
from ssl import SSLCertVerificationError, SSLError

from requests.exceptions import ProxyError
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ReadTimeoutError

from .errors import OutcomeUnknown, TransportError, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .body import Body
    from .s3 import Request, SignedRequest

_CERTIFICATE_HINT = "For a private certificate authority give its file as verify=; also check this machine's clock."


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The exception and those it was made of, as `requests` and urllib3 wrap them."""
    for _ in range(10):
        if error is None:
            return
        yield error
        inner = [getattr(error, "reason", None), *error.args, error.__cause__, error.__context__]
        error = next((item for item in inner if isinstance(item, BaseException)), None)


# What happened, in plain words, and what to do: the first line that has one of the causes holds. {text} is the
# innermost cause's own.
_FAILURES: tuple[tuple[tuple[type[BaseException], ...], str, str | None], ...] = (
    ((ProxyError,), "the proxy could not be reached or refused ({text})", None),
    ((gaierror,), "the host name of {authority} does not resolve", "Check the endpoint, or the network."),
    ((SSLCertVerificationError,), "the certificate of {authority} was not accepted: {text}", _CERTIFICATE_HINT),
    (
        (SSLError,),
        "TLS with {authority} failed: {text}",
        "If the server speaks plain HTTP, begin the endpoint with http://.",
    ),
    ((ConnectionRefusedError,), "{authority} refuses the connection", "Is the server running, and is this its port?"),
    ((NewConnectionError,), "no connection to {authority}: {text}", None),
    ((ConnectTimeoutError,), "no connection to {authority} within {connect:g} s", None),
    ((ReadTimeoutError, SocketTimeout), "no byte moved for {stall:g} s ({connect:g} s while connecting)", None),
    (
        (RemoteDisconnected, IncompleteRead, ConnectionResetError, BrokenPipeError),
        "{authority} closed the connection before its answer was complete",
        None,
    ),
    ((BaseException,), "{text}", None),
)
# Where a request has no body to tell by: these happen before anything is sent.
_UNSENT = (gaierror, SSLCertVerificationError, NewConnectionError, ConnectTimeoutError)


def transport_error(
    error: Exception, request: Request, signed: SignedRequest, body: Body | None, timeout: tuple[float, float]
) -> TransportError:
    """The error in this package's words; the original's hold the URL, objects' addresses and the request itself."""
    causes = list(_causes(error))
    text, hint = next((t, h) for kinds, t, h in _FAILURES if any(isinstance(cause, kinds) for cause in causes))
    innermost = str(causes[-1]) or type(causes[-1]).__name__
    text = text.format(authority=signed.authority, connect=timeout[0], stall=timeout[1], text=innermost)
    if body is not None and body.size:
        sent = body.remaining == 0
    else:
        sent = not any(isinstance(cause, _UNSENT) for cause in causes)
    kind = OutcomeUnknown if sent and request.method not in ("GET", "HEAD") else TransportError
    return kind(printable(text), operation=request.method, bucket=request.bucket, key=request.key, hint=hint)
