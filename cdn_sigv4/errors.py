"""What can go wrong, as one tree; every error carries its evidence and, where the cause is known, a hint.

    CDNError
    ├── ResponseError             the server answered, and its answer is an error
    │   ├── NotModified           304: the object still is what if_none_match names
    │   ├── AccessDenied          401, 403: unknown key, wrong signature, or no permission
    │   ├── NotFound              404: no such bucket, key or version
    │   ├── PreconditionFailed    412: if_match or if_none_match did not hold
    │   └── RedirectRefused       3xx: redirects are reported, never followed
    ├── InvalidResponse           the answer breaks the rules of HTTP or S3: nothing of it is used
    ├── TransportError            no whole answer: refused, reset, stalled, cut short, TLS failure
    │   └── OutcomeUnknown        the request went out whole, its answer was lost: it may have taken effect
    └── SourceError               the local bytes to send could not be read, or changed meanwhile

A caller's own mistake is a ValueError or a TypeError, raised before anything is sent. Trouble with a local
file to be written is the OSError that the system gave. The names of status codes and of S3's error codes
are AWS's: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations


class CDNError(Exception):
    """Base of all errors that this package raises about a request.

    Attributes, each None where unknown: `message` (str), `operation` (HTTP method), `bucket`, `key`,
    `status` (HTTP status, int), `code` (S3's error code), `request_id` (the server's name for the request,
    to be found in its log), `hint` (one sentence that says what to do).
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

    def __str__(self) -> str:
        place = None if self.bucket is None else self.bucket if self.key is None else f"{self.bucket}/{self.key}"
        subject = " ".join(part for part in (self.operation, place) if part)
        status = " ".join(str(part) for part in (self.status, self.code) if part)
        text = ": ".join(printable(part) for part in (subject, status, self.message) if part)
        if self.request_id:
            text += f" [request id {printable(self.request_id)}]"
        return f"{text} - {self.hint}" if self.hint else text


class ResponseError(CDNError):
    """The server answered with an error; `status` is always set, `code` where the server named one."""


class NotModified(ResponseError):
    """304: the object's entity tag is the one given as `if_none_match`."""


class AccessDenied(ResponseError):
    """401 or 403: the key is unknown, the signature is wrong, or the key may not do this."""


class NotFound(ResponseError):
    """404: no such bucket, key or version."""


class PreconditionFailed(ResponseError):
    """412: `if_match` or `if_none_match` did not hold; nothing was changed."""


class RedirectRefused(ResponseError):
    """3xx: the server points elsewhere. A signature is made for one host, so it is never followed."""


class InvalidResponse(CDNError):
    """The answer is not one that HTTP or S3 allow here; nothing of it was used."""


class TransportError(CDNError):
    """No whole answer came: name not resolved, refused, reset, stalled, cut short, or TLS failed."""


class OutcomeUnknown(TransportError):
    """The whole request was sent and its answer was lost: the server may or may not have acted on it."""


class SourceError(CDNError):
    """The bytes to send could not be read from their local source, or it shrank meanwhile; nothing was stored."""


def printable(text: str, limit: int = 1000) -> str:
    """`text` on one line, without control characters (a server's words must not drive a terminal), cut at `limit`."""
    shown = "".join(char if char.isprintable() else " " for char in text[: limit + 1])
    return shown if len(text) <= limit else shown[:limit] + "…"
