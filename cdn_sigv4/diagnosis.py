"""From an answer that is an error to a typed exception that says what happened and, where it is known, what to do.

An error's XML is read leniently: it may be missing (HEAD), HTML (a proxy, a console) or without namespace. Codes:
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html; what MinIO adds: cmd/api-errors.go in its source.
"""

from __future__ import annotations

import re

from .answers import is_amazonian, parse_time, parse_xml
from .errors import (
    AccessDenied,
    CDNError,
    IntegrityError,
    InvalidResponse,
    NotFound,
    NotModified,
    PreconditionFailed,
    RedirectRefused,
    ResponseError,
    printable,
)
from .s3 import check_scope_name, located

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from .endpoint import Endpoint
    from .s3 import Request

MAX_CLOCK_SKEW = 15 * 60  # seconds: AWS's RequestTimeTooSkewed; MinIO: globalMaxSkewTime in cmd/globals.go

_FIRST_YEAR, _LAST_YEAR = 1970, 2100  # of clocks that were never set, and of none today: outside nothing is learnt
_MAX_REGION = 60  # characters: no region has more, and what is learnt is signed and shown
_WRONG_REGION = (301, 307, 400, 403)  # what AWS and MinIO say to a request that was signed for another region

_CLASSES = {
    304: NotModified,
    401: AccessDenied,
    403: AccessDenied,
    404: NotFound,
    412: PreconditionFailed,
}

# A careful store has seen that what arrived is not what was signed: MinIO's and AWS's names for it.
_DAMAGE = frozenset(["XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch", "BadDigest"])
_DAMAGED = (
    "The bytes that arrived are not the bytes that were signed: damaged on the way, or the source changed meanwhile."
)
_DELETED = "The object was deleted; the bucket keeps its older versions behind a delete marker."
_ANONYMOUS = "The request was anonymous: give credentials, or allow everybody to do this."
_BUSY = "The server is busy: try again later."
_FULL = "The server's disk is full."
_HINTS = {
    "InvalidAccessKeyId": "This server does not know the access key: check it, and the endpoint.",
    "InvalidTokenId": "The session token is not this key's: static keys take none, temporary ones must have it.",
    "ExpiredToken": "The temporary credentials have expired: fetch new ones.",
    "NoSuchBucket": "Create the bucket first, or check its name and the endpoint.",
    "BucketNotEmpty": "Delete the objects (and versions) in the bucket first.",
    **dict.fromkeys(_DAMAGE, _DAMAGED),
    "XMinioInvalidObjectName": "MinIO keeps keys as file paths: no '//', no '.' or '..' segments, 255 bytes a segment.",
    "XMinioInvalidResourceName": "MinIO keeps keys as file paths: no '.' or '..' segments.",
    "XMinioStorageFull": _FULL,
    "SlowDown": _BUSY,
    "SlowDownRead": _BUSY,
    "SlowDownWrite": _BUSY,
    "XMinioServerNotInitialized": "The server is still starting: try again in some seconds.",
    "EntityTooLarge": "One request carries at most 5 GiB.",
    "MissingContentLength": "A proxy on the way has dropped Content-Length: go past it.",
    "InvalidRange": "The object has no byte in the range asked for.",
}

# What a policy must allow: of buckets, of an upload under way, of objects.
_BUCKET_RIGHTS = {"GET": "s3:ListBucket", "PUT": "s3:CreateBucket"}
_UPLOAD_RIGHTS = {"GET": "s3:ListMultipartUploadParts", "DELETE": "s3:AbortMultipartUpload"}
_RIGHTS = {"PUT": "s3:PutObject", "POST": "s3:PutObject", "DELETE": "s3:DeleteObject"}

CONSOLE_SAYS = "must be made to API port"  # MinIO's, to a request that is signed

# Of a code that MinIO gives for several causes, its words tell which one it is.
_MESSAGES = (
    ("InvalidAccessKeyId", "account is disabled", "The user is disabled in the store: enable it, or use another key."),
    ("InvalidArgument", CONSOLE_SAYS, "That is MinIO's console: give the S3 port (9000 by default) as the endpoint's."),
    ("InternalError", "no space left on device", _FULL),
    (
        "InvalidRequest",
        "was stored using a form of Server Side Encryption",
        "The object is encrypted (SSE-C): whoever stored it has the key.",
    ),
)

# Where the answer names no code: a HEAD's, or one of a proxy on the way.
_STATUS_HINTS = {
    407: "The proxy wants a user's credentials, in the proxy's URL before the host.",
    412: "The object is another one than if_match names; or, with if_none_match='*', there is one already.",
    413: "A proxy before the store limits the size of bodies.",
    500: "The server failed: its log says why.",
    429: _BUSY,
    502: "A proxy before the store does not reach it: is the store running?",
    503: "The server is busy or starting: try again later.",
    504: "A proxy before the store waits for it in vain: is the store running?",
    511: "A network log-in (captive portal) is in the way.",
}


def diagnose(
    request: Request,
    endpoint: Endpoint,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    region: str,
    now: float,
    anonymous: bool = False,
) -> CDNError:
    """The exception for an answer that is an error: a ResponseError, or IntegrityError where the store saw damage.

    `headers` with lower-case names, `body` the beginning of the answer's; `now`: this machine's time, in seconds since
    1970; `region`: the one that was signed for; `anonymous`: nothing was signed.
    """
    from http.client import responses  # whoever got an answer has it loaded

    found = _read_error(body)
    code = found.get("Code") or headers.get("x-minio-error-code")
    message = found.get("Message") or headers.get("x-minio-error-desc", "").strip('"') or _plain(body)
    kind = _CLASSES.get(status, RedirectRefused if 300 <= status < 400 else ResponseError)
    served = parse_time(headers.get("date"))
    server_time = None if anonymous else _skewed(status, code, served or parse_time(found.get("ServerTime")), now)
    other_region = _other_region(found.get("Region") or headers.get("x-amz-bucket-region"), region)
    hint = (
        (_ANONYMOUS if anonymous and status == 403 and (code or not body) else None)
        or (None if server_time is None else _clock_hint(server_time - now))
        or (None if other_region is None else _region_hint(other_region, region))
        or (_redirect_hint(headers) if kind is RedirectRefused else None)
        or _signature_hint(code, found, request, endpoint)
        or next((hint for name, words, hint in _MESSAGES if name == code and words in message), None)
        or _HINTS.get(code or "")
        or (_DELETED if headers.get("x-amz-delete-marker") == "true" else None)
        or _stranger_hint(status, code, headers, body)
        or _denied_hint(status, code, request)
        or _STATUS_HINTS.get(status)
    )
    evidence = {
        "operation": request.method,
        "bucket": request.bucket,
        "key": request.key,
        "status": status,
        "code": code,
        "request_id": headers.get("x-amz-request-id") or found.get("RequestId"),
        "hint": hint,
    }
    message = unsigned(message or responses.get(status, "no explanation"))
    if code in _DAMAGE:
        return IntegrityError(message, **evidence)  # type: ignore[arg-type]
    error = kind(message, **evidence)  # type: ignore[arg-type]
    error.retry_after = _retry_after(headers.get("retry-after"), served)
    error.server_time = server_time
    error.region = other_region if status in _WRONG_REGION else None
    return error


# What may stand between a name and its value: `=`, `": "`, `=&quot;`, `>`; of `%3D` the rest is taken for the value's.
_BETWEEN = r"(?:\W|&(?:quot|gt|#34);){1,12}"


def unsigned(text: str) -> str:
    """Without the signature or session token that a server, or a proxy, repeats: they are good for minutes."""
    text = re.sub(rf"(?i)(signature){_BETWEEN}[0-9a-f]{{32,}}", r"\1 …", text)
    return re.sub(rf"(?i)(security-token){_BETWEEN}[\w%+/=.-]{{8,}}", r"\1 …", text)


def _read_error(body: bytes) -> dict[str, str]:
    """The fields of `<Error>`, none where the body is anything else."""
    try:
        return {element.tag: (element.text or "").strip() for element in parse_xml(body, "Error")}
    except InvalidResponse:
        return {}


def _plain(body: bytes) -> str:
    """A short plain-text body, such as Go's own server gives; HTML says nothing in one line."""
    text = printable(body.decode("utf-8", "replace").strip(), 200)
    return "" if text.startswith("<") else text


def _retry_after(text: str | None, served: datetime | None) -> float | None:
    """Seconds for which the server wants to be left alone (RFC 9110, 10.2.3); a date counts from the server's own."""
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    until = parse_time(text)
    return None if until is None or served is None else max((until - served).total_seconds(), 0.0)


def _skewed(status: int, code: str | None, served: datetime | None, now: float) -> float | None:
    """The server's time, where a 403 comes because ours is too far from it: some call it by another name.

    By its own name a smaller difference will do: it was larger when the request was signed.
    """
    if status != 403 or served is None or not _FIRST_YEAR <= served.year < _LAST_YEAR:
        return None
    server_time = served.timestamp()
    least = 60 if code == "RequestTimeTooSkewed" else MAX_CLOCK_SKEW
    return None if abs(server_time - now) < least else server_time


def _clock_hint(behind: float) -> str:
    side = "behind" if behind > 0 else "ahead of"
    minutes = round(abs(behind) / 60)
    off = f"{minutes} minutes" if minutes <= 2 * 24 * 60 else f"{round(minutes / 60 / 24)} days"
    return f"This machine's clock is {off} {side} the server's, 15 minutes are tolerated: set it."


def _other_region(theirs: str | None, ours: str) -> str | None:
    """The region that the server names, where it is another one and can be signed for."""
    if not theirs or theirs == ours or len(theirs) > _MAX_REGION:
        return None
    try:
        return check_scope_name("region", theirs)
    except ValueError:
        return None


def _region_hint(theirs: str, ours: str) -> str:
    return f"The request was signed for region {ours!r}, the bucket is in {theirs!r}: give that as region."


def _redirect_hint(headers: Mapping[str, str]) -> str:
    # The server's word: of it only the host is shown, neither a path with a signature nor a user with a password.
    scheme, _, rest = headers.get("location", "").partition("://")
    for end in "/?#\\":
        rest = rest.partition(end)[0]
    is_url = scheme.lower() in ("http", "https") and rest
    host = f"{scheme}://{rest.rpartition('@')[2]}" if is_url else "the host that it names"
    return (
        f"Redirects are never followed; if {printable(host, 200)} is the store, give it as the endpoint,"
        " else something answers in the store's place (a log-in page, a proxy)."
    )


def _signature_hint(code: str | None, found: Mapping[str, str], request: Request, endpoint: Endpoint) -> str | None:
    if code != "SignatureDoesNotMatch":
        return None
    # AWS sends back the canonical request as it saw it; its host line then tells a wrong secret from a proxy.
    seen = [line[5:] for line in found.get("CanonicalRequest", "").splitlines() if line.startswith("host:")]
    signed, _ = located(endpoint, request)
    if seen and seen[0] != signed:
        return f"A proxy has changed the Host header: signed for {signed}, seen as {printable(seen[0], 200)}."
    if seen:
        return "The secret key is wrong for this access key."
    return f"The secret key is wrong, or a proxy changes the path or the Host header (it was signed for {signed})."


def _denied_hint(status: int, code: str | None, request: Request) -> str | None:
    if status != 403 or (code or "AccessDenied") != "AccessDenied":
        return None
    if request.method == "HEAD":
        return "No permission, no such thing, or a wrong secret: a HEAD's answer does not tell, a GET's does."
    is_within = "uploadId" in request.query
    if request.method == "GET" and request.key is not None and not is_within:
        right = "s3:GetObjectVersion" if "versionId" in request.query else "s3:GetObject"
        return (
            f"The access key may not read this object ({right}); or there is no such bucket or object,"
            " which a key without s3:ListBucket is not told."
        )
    rights = {**_RIGHTS, **_UPLOAD_RIGHTS} if is_within else _RIGHTS if request.key is not None else _BUCKET_RIGHTS
    also = " and, of the source, s3:GetObject" if "x-amz-copy-source" in request.headers else ""
    version = "Version" if "versionId" in request.query else ""
    needed = f"{rights.get(request.method, 'this')}{version}{also}"
    return f"The access key's policy does not allow {needed} here, or the bucket's name is wrong."


def _stranger_hint(status: int, code: str | None, headers: Mapping[str, str], body: bytes) -> str | None:
    text = body[:1000].lower()
    if b"http request to an https server" in text or b"plain http request was sent to https port" in text:
        return "The server speaks TLS: begin the endpoint with https://."
    if status in (407, 413, 429, 500, 502, 504, 511):  # they speak for themselves, with a page as without one
        return None
    if b"<html" in text and status == 503:
        return "A proxy before the store has answered: is the store running?"
    if b"<html" in text:
        return "That is a web page, not S3: is the endpoint the S3 port (MinIO: 9000 by default, not its console)?"
    if body and not code and status in (401, 403, 404) and not is_amazonian(headers):
        return "That is no answer of S3's: is the endpoint the S3 port, or does a gateway stand before it?"
    return None
