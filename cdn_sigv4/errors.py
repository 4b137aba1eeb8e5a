"""What can go wrong, as one tree; every error carries its evidence and, where the cause is known, a hint.

    CDNError
    ├── ResponseError
    │   ├── NotModified           304
    │   ├── AccessDenied          401, 403
    │   ├── NotFound              404
    │   ├── PreconditionFailed    412
    │   └── RedirectRefused       3xx
    ├── InvalidResponse
    ├── IntegrityError
    ├── TransportError
    │   ├── OutcomeUnknown
    │   ├── ObjectChanged
    │   └── ClockError
    ├── SourceError
    └── CredentialsError

A caller's own mistake is a ValueError or a TypeError, raised before anything is sent. Trouble with a local
file to be written is the OSError that the system gave. The names of status codes and of S3's error codes
are AWS's: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations


class CDNError(Exception):
    """Base of all errors that this package raises about a request.

    Attributes, each None where unknown: `message` (str), `operation` (HTTP method), `bucket`, `key`,
    `status` (HTTP status, int), `code` (S3's error code), `request_id` (the server's name for the request,
    to be found in its log), `hint` (one sentence that says what to do), `attempts` (requests that were made, int),
    `seconds` (that it took, float).
    """

    def __init__(
        self,
        message: str,
        *,
        operation: str | None = None,
        bucket: str | None = None,
        key: str | None = None,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        hint: str | None = None,
        attempts: int | None = None,
        seconds: float | None = None,
    ) -> None:
        # Only `message` is positional, so that the pickled form (args, then __dict__) makes the same error again.
        super().__init__(message)
        self.message = message
        self.operation = operation
        self.bucket = bucket
        self.key = key
        self.status = status
        self.code = code
        self.request_id = request_id
        self.hint = hint
        self.attempts = attempts
        self.seconds = seconds

    def add_hint(self, text: str) -> None:
        """Say one thing more (for this package's own use)."""
        self.hint = f"{self.hint} {text}" if self.hint else text

    def as_unknown(self, message: str, hint: str | None = None) -> OutcomeUnknown:
        """OutcomeUnknown with the evidence of this error (for this package's own use)."""
        unknown = OutcomeUnknown(message)
        for name in ("operation", "bucket", "key", "status", "code", "request_id", "attempts", "seconds"):
            setattr(unknown, name, getattr(self, name))
        unknown.hint = hint or self.hint
        return unknown

    def __str__(self) -> str:
        place = None if self.bucket is None else self.bucket if self.key is None else f"{self.bucket}/{self.key}"
        subject = " ".join(part for part in (self.operation, place) if part)
        status = " ".join(str(part) for part in (self.status, self.code) if part)
        text = ": ".join(printable(part) for part in (subject, status, self.message) if part)
        if self.request_id:
            text += f" [request id {printable(self.request_id)}]"
        if self.attempts is not None and self.attempts > 1:
            text += f" (after {self.attempts} attempts{'' if self.seconds is None else f' in {self.seconds:.0f} s'})"
        return f"{text} - {self.hint}" if self.hint else text


class ResponseError(CDNError):
    """The server answered with an error; `status` is always set, `code` where the server named one.

    `retry_after`: seconds for which the server asks to be left alone. `server_time`: seconds since 1970 by the
    server's clock, where that is what it complains of; `region`: the region to sign for, where it is another one.
    `is_outdated`: the credentials were refused, and there are others by now.
    """

    retry_after: float | None = None
    server_time: float | None = None
    region: str | None = None
    is_outdated: bool = False


class NotModified(ResponseError):
    """304: the object's entity tag is the one given as `if_none_match`."""


class AccessDenied(ResponseError):
    """401 or 403: the key is unknown, the signature is wrong, or the key may not do this."""


class NotFound(ResponseError):
    """404: no such bucket, key or version."""


class PreconditionFailed(ResponseError):
    """412: `if_match` or `if_none_match` did not hold; nothing was changed by this request."""


class RedirectRefused(ResponseError):
    """3xx: the server points elsewhere. A signature is made for one host, so it is never followed."""


class InvalidResponse(CDNError):
    """The answer is not one that HTTP or S3 allow here; nothing of it was used.

    `is_strange`: it is not from an S3 server at all, but from a captive portal, a proxy, or another server.
    """

    is_strange = False


class IntegrityError(CDNError):
    """The bytes are not the object's: a checksum or an MD5 entity tag says so. What was read is not to be used.

    After an upload: the store says that it has other bytes than were sent, and may have kept them; the hint says so.
    """


class TransportError(CDNError):
    """No whole answer came: name not resolved, refused, reset, stalled, cut short, or TLS failed.

    `cause` is one word for which of these, a row of the table in retry.py.
    """

    cause = "other"


class OutcomeUnknown(TransportError):
    """The whole request was sent and its answer was lost: the server may or may not have acted on it."""


class ObjectChanged(TransportError):
    """Another version took the object's place while it was read: what was read is the beginning of the old one."""

    cause = "changed"


class ClockError(TransportError):
    """The server's certificate is not valid at the time that this machine's clock shows; both are named."""

    cause = "certificate"


class CredentialsError(CDNError):
    """The caller's function gave no credentials: it raised something (the `__cause__`), or gave something else."""


class SourceError(CDNError):
    """The bytes to send could not be read, or became fewer meanwhile; nothing was stored of that attempt."""


def printable(text: str, limit: int = 1000) -> str:
    """`text` on one line, without control characters (a server's words must not drive a terminal), cut at `limit`."""
    shown = "".join(char if char.isprintable() else " " for char in text[: limit + 1])
    return shown if len(text) <= limit else shown[:limit] + "…"
