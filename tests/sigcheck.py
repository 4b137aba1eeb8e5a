"""An independent judge of AWS Signature Version 4 for S3, from the raw bytes of one HTTP request.

It is a second opinion: its own arithmetic over `hashlib` and `hmac`, sharing nothing with the package under test or
with botocore. It is stricter than real stores (MinIO demands only `host` among the signed headers), because a request
that passes here must also pass on AWS. The rules come from the Amazon S3 API Reference:
  Authenticating Requests: Using the Authorization Header  .../API/sig-v4-header-based-auth.html
  Authenticating Requests: Using Query Parameters          .../API/sigv4-query-string-auth.html
S3 encodes a path once and never normalises it, so what is sent must itself be the canonical form. RFC 9112 and RFC
9110 decide what a request line, a header line and a field value may look like.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
from typing import Dict, List, Mapping, NamedTuple, Tuple

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
MAX_EXPIRES = 604800  # seconds, seven days; S3 API Reference, X-Amz-Expires
MAX_SKEW = 900  # seconds, fifteen minutes; S3 error code RequestTimeTooSkewed

# Whatever sits between client and store may rewrite these, so a signature over them breaks on the way.
NEVER_SIGNED = frozenset(
    ["accept-encoding", "authorization", "connection", "expect", "transfer-encoding", "user-agent"]
)
SIGNED_IF_PRESENT = frozenset(["content-md5", "content-type", "range"])

_REQUEST_LINE = re.compile(rb"([A-Z]+) ([\x21-\x7e]+) HTTP/1\.[01]")
_HEADER_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t\x20-\x7e]*)")
_ABSOLUTE = re.compile(rb"https?://([^/?]+)(.*)")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_CREDENTIAL = r"([^\s,]+)/([0-9]{8})/([^\s,/]+)/([^\s,/]+)/aws4_request"
_SIGNATURE = r"([0-9a-f]{64})"
_AUTHORIZATION = re.compile(f"{ALGORITHM} Credential={_CREDENTIAL}, SignedHeaders=([^\\s,]+), Signature={_SIGNATURE}")

Pairs = List[Tuple[bytes, bytes]]
Headers = Dict[str, List[str]]


class SignatureError(ValueError):
    """One rule was broken: the text says which. Neither text nor attributes ever hold the secret.

    `code` is the S3 error code a store would answer; `canonical_request` is the judge's own, where it got that far.
    """

    def __init__(self, rule: str, *, code: str = "SignatureDoesNotMatch", canonical_request: str | None = None) -> None:
        super().__init__(rule)
        self.code = code
        self.canonical_request = canonical_request


class Verified(NamedTuple):
    """What a good signature vouches for."""

    access_key: str
    region: str
    service: str
    timestamp: str
    signed_headers: tuple[str, ...]
    session_token: str | None
    canonical_request: str
    presigned: bool


class _Claim(NamedTuple):
    """What the request says about its own signature; `expires` is None in the header form."""

    access_key: str
    day: str
    region: str
    service: str
    timestamp: str
    signed_headers: tuple[str, ...]
    signature: str
    session_token: str | None
    expires: int | None


def verify(
    head: bytes,
    body: bytes,
    secrets: Mapping[str, str],
    *,
    region: str | None = None,
    service: str = "s3",
    allow_unsigned_payload: bool = False,
    strict_query: bool = True,
    now: dt.datetime | None = None,
) -> Verified:
    """Check one request, `head` and `body` as they came over the socket; raise SignatureError at the first broken rule.

    `secrets` maps access key to secret. `region=None` accepts any region. `strict_query=False` lets a foreign client
    send its query unsorted or a bare `name` for `name=` (boto3 does both); the escapes are checked all the same.
    `now` (aware) adds the clock rules: 15 minutes of skew, and the expiry of a presigned URL.
    """
    method, path, query, headers = parse_head(head)
    _require(encode(decode(path), keep=b"/") == path and path.startswith(b"/"), "path not canonical on the wire")
    pairs = parse_query(query)
    presigned = any(name in (b"X-Amz-Algorithm", b"X-Amz-Credential", b"X-Amz-Signature") for name, _ in pairs)
    claim = _claim_of_query(pairs, headers) if presigned else _claim_of_header(headers)
    if presigned:
        pairs = [pair for pair in pairs if pair[0] != b"X-Amz-Signature"]
    _check_query_order(pairs, query, strict_query)
    _check_scope(claim, region, service)
    _check_clock(claim, now)
    _check_signed_headers(claim, headers)
    payload = UNSIGNED_PAYLOAD if presigned else _payload_hash(headers, body, allow_unsigned_payload)
    canonical = _canonical_request(method, path, pairs, headers, claim.signed_headers, payload)
    if claim.access_key not in secrets:
        raise SignatureError("access key is not known", code="InvalidAccessKeyId", canonical_request=canonical)
    expected = _signature(secrets[claim.access_key], claim, canonical)
    if not hmac.compare_digest(expected, claim.signature):
        raise SignatureError("signature differs", canonical_request=canonical)
    return Verified(
        claim.access_key, claim.region, claim.service, claim.timestamp, claim.signed_headers,
        claim.session_token, canonical, presigned,
    )  # fmt: skip


def decode(text: bytes) -> bytes:
    """Undo percent-encoding; a `%` without two hex digits stays, so that re-encoding shows it up."""
    return _ESCAPE.sub(lambda match: bytes([int(match.group(1), 16)]), text)


def encode(raw: bytes, keep: bytes = b"") -> bytes:
    """AWS UriEncode: RFC 3986 unreserved characters (and `keep`) stand, all else is %XX in capitals."""
    return b"".join(bytes([c]) if c in _UNRESERVED or c in keep else b"%%%02X" % c for c in raw)


def parse_head(head: bytes) -> tuple[str, bytes, bytes, Headers]:
    """Method, path and query as sent, and the header values in order under their lower-case names."""
    for end in (b"\r\n\r\n", b"\r\n"):
        if head.endswith(end):
            head = head[: -len(end)]
            break
    first, *lines = head.split(b"\r\n")
    line = _REQUEST_LINE.fullmatch(first)
    if line is None:
        raise SignatureError("malformed request line")
    headers: Headers = {}
    for raw in lines:
        field = _HEADER_LINE.fullmatch(raw)
        if field is None:
            raise SignatureError("malformed header line")
        headers.setdefault(field.group(1).decode("ascii").lower(), []).append(field.group(2).decode("ascii"))
    _require(len(headers.get("host", [])) == 1, "exactly one Host header is needed")
    target = line.group(2)
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is not None:
        authority = absolute.group(1).decode("ascii")
        _require(authority == headers["host"][0].strip(" \t"), "Host differs from the target's authority")
        target = absolute.group(2)
    path, _, query = target.partition(b"?")
    return line.group(1).decode("ascii"), path, query, headers


def parse_query(query: bytes) -> Pairs:
    """The pairs as sent, still encoded, in the order sent."""
    pairs: Pairs = []
    for piece in query.split(b"&") if query else []:
        name, _, value = piece.partition(b"=")
        _require(encode(decode(name)) == name and encode(decode(value)) == value, "query not canonical on the wire")
        pairs.append((name, value))
    return pairs


def _require(holds: bool, rule: str, code: str = "SignatureDoesNotMatch") -> None:
    if not holds:
        raise SignatureError(rule, code=code)


def _single(headers: Headers, name: str) -> str:
    """The only value of a header that must be there exactly once."""
    values = headers.get(name, [])
    _require(len(values) > 0, f"{name} missing")
    _require(len(values) == 1, f"{name} sent more than once")
    return values[0].strip(" \t")


def _claim_of_header(headers: Headers) -> _Claim:
    match = _AUTHORIZATION.fullmatch(_single(headers, "authorization"))
    if match is None:
        raise SignatureError("Authorization is malformed")
    access_key, day, region, service, signed, signature = match.groups()
    token = _single(headers, "x-amz-security-token") if "x-amz-security-token" in headers else None
    timestamp = _single(headers, "x-amz-date")
    return _Claim(access_key, day, region, service, timestamp, tuple(signed.split(";")), signature, token, None)


def _claim_of_query(pairs: Pairs, headers: Headers) -> _Claim:
    _require("authorization" not in headers, "Authorization header beside a presigned query")
    amz: dict[str, str] = {}
    for name, value in pairs:
        if name.startswith(b"X-Amz-"):
            _require(name.decode() not in amz, f"{name.decode()} sent more than once")
            amz[name.decode()] = decode(value).decode("latin-1")
    for needed in ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature"):
        _require("X-Amz-" + needed in amz, f"X-Amz-{needed} missing")
    _require(amz["X-Amz-Algorithm"] == ALGORITHM, "X-Amz-Algorithm is not " + ALGORITHM)
    credential = re.fullmatch(_CREDENTIAL, amz["X-Amz-Credential"])
    if credential is None:
        raise SignatureError("X-Amz-Credential is malformed")
    _require(re.fullmatch(_SIGNATURE, amz["X-Amz-Signature"]) is not None, "X-Amz-Signature is malformed")
    expires = amz["X-Amz-Expires"]
    in_bounds = re.fullmatch("[1-9][0-9]{0,5}", expires) is not None and int(expires) <= MAX_EXPIRES
    _require(in_bounds, f"X-Amz-Expires is not within 1 to {MAX_EXPIRES}")
    access_key, day, region, service = credential.groups()
    signed = tuple(amz["X-Amz-SignedHeaders"].split(";"))
    token = amz.get("X-Amz-Security-Token")
    return _Claim(
        access_key, day, region, service, amz["X-Amz-Date"], signed, amz["X-Amz-Signature"], token, int(expires)
    )  # fmt: skip


def _check_query_order(pairs: Pairs, query: bytes, strict: bool) -> None:
    """One canonical query string is both signed and sent; the signature itself may stand anywhere in it."""
    if strict:
        _require(pairs == sorted(pairs), "query not sorted on the wire")
        _require(all(b"=" in piece for piece in query.split(b"&")) or not query, "query parameter without =")


def _check_scope(claim: _Claim, region: str | None, service: str) -> None:
    _instant(claim)
    _require(claim.timestamp[:8] == claim.day, "day of x-amz-date differs from the credential scope")
    _require(region is None or claim.region == region, f"region in the credential scope is not {region}")
    _require(claim.service == service, f"service in the credential scope is not {service}")


def _instant(claim: _Claim) -> dt.datetime:
    """The moment of signing. `strptime` alone would accept blanks and single digits."""
    _require(re.fullmatch("[0-9]{8}T[0-9]{6}Z", claim.timestamp) is not None, "x-amz-date is not ISO 8601 basic")
    try:
        return dt.datetime.strptime(claim.timestamp + "+0000", "%Y%m%dT%H%M%SZ%z")
    except ValueError:
        raise SignatureError("x-amz-date is no moment in time") from None


def _check_clock(claim: _Claim, now: dt.datetime | None) -> None:
    if now is None:
        return
    age = (now - _instant(claim)).total_seconds()
    if claim.expires is None:
        _require(abs(age) <= MAX_SKEW, "x-amz-date is too far from the server's clock", "RequestTimeTooSkewed")
    else:
        _require(age >= -MAX_SKEW, "presigned URL is not valid yet", "AccessDenied")
        _require(age <= claim.expires, "presigned URL has expired", "AccessDenied")


def _check_signed_headers(claim: _Claim, headers: Headers) -> None:
    """A presigned URL is fixed before its user adds a Range or a type, so there only host and x-amz-* are demanded."""
    signed = claim.signed_headers
    _require(all(name == name.lower() for name in signed), "SignedHeaders not in lower case")
    _require(list(signed) == sorted(set(signed)), "SignedHeaders not sorted")
    _require("host" in signed, "host is not signed")
    for name in headers:
        needed = name.startswith("x-amz-") or (claim.expires is None and name in SIGNED_IF_PRESENT)
        _require(not needed or name in signed, f"{name} is not signed")
    for name in signed:
        _require(name not in NEVER_SIGNED, f"{name} must not be signed")
        _require(name in headers, f"signed header {name} was not sent")


def _payload_hash(headers: Headers, body: bytes, allow_unsigned: bool) -> str:
    declared = _single(headers, "x-amz-content-sha256")
    if declared == UNSIGNED_PAYLOAD:
        _require(allow_unsigned, "UNSIGNED-PAYLOAD is not allowed here")
    else:
        actual = hashlib.sha256(body).hexdigest()
        _require(declared == actual, "x-amz-content-sha256 is not the SHA-256 of the body")
    return declared


def _canonical_request(
    method: str, path: bytes, pairs: Pairs, headers: Headers, signed: tuple[str, ...], payload: str
) -> str:
    query = b"&".join(name + b"=" + value for name, value in sorted(pairs))
    lines = [method, path.decode("ascii"), query.decode("ascii")]
    for name in signed:
        # Without an argument `split` would also collapse characters that HTTP does not count as blanks.
        values = [re.sub("[ \t]+", " ", value.strip(" \t")) for value in headers[name]]
        lines.append(name + ":" + ",".join(values))
    return "\n".join([*lines, "", ";".join(signed), payload])


def _signature(secret: str, claim: _Claim, canonical: str) -> str:
    scope = f"{claim.day}/{claim.region}/{claim.service}/aws4_request"
    digest = hashlib.sha256(canonical.encode("ascii")).hexdigest()
    key = ("AWS4" + secret).encode("utf-8")
    for step in scope.split("/"):
        key = hmac.new(key, step.encode("utf-8"), hashlib.sha256).digest()
    text = f"{ALGORITHM}\n{claim.timestamp}\n{scope}\n{digest}"
    return hmac.new(key, text.encode("utf-8"), hashlib.sha256).hexdigest()
