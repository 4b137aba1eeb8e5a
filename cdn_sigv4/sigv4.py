"""AWS Signature Version 4, one function for each box of AWS's own diagram. Pure: the time comes in as text.

    canonical request  ->  string to sign  ->  signature  ->  Authorization header, or query parameters
                             credential scope    ^
                             signing key --------+

Rules: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
S3's own: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html (header form) and
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html (presigned form).

S3 takes the path as it was sent, encoded once. Every other service takes the normalised path, encoded once
more: see `canonical_uri`. Nothing here decides which headers are signed: all that are given are signed.
"""

from __future__ import annotations

import time
from functools import lru_cache

from .hashes import sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from hashlib import _Hash
    from typing import Tuple, Union

    from .credentials import Credentials

    Text = Union[str, bytes]
    Pairs = Iterable[Tuple[Text, Text]]
    Headers = Iterable[Tuple[str, str]]

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
S3_SERVICES = frozenset(["s3", "s3-object-lambda", "s3-outposts", "s3express"])  # whose paths are signed as sent
MAX_EXPIRES = 604_800  # seconds, seven days: the longest life of a presigned URL (AWS, sigv4-query-string-auth)

_UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"  # RFC 3986, 2.3
_KEPT_IN_PATH = _UNRESERVED + b"/"
_ENCODED = [chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in range(256)]
_ENCODED_PATH = [chr(byte) if byte in _KEPT_IN_PATH else f"%{byte:02X}" for byte in range(256)]


class Scope:
    """The credential scope of one signature: its time (`20150830T123600Z`, UTC), region and service."""

    __slots__ = ("date", "region", "service", "text", "timestamp")

    def __init__(self, timestamp: str, region: str, service: str) -> None:
        self.timestamp = timestamp
        self.date = timestamp[:8]  # of the one timestamp, so that midnight cannot fall between the two
        self.region = region
        self.service = service
        self.text = f"{self.date}/{region}/{service}/aws4_request"

    def __str__(self) -> str:
        return self.text


def format_timestamp(seconds: float) -> str:
    """Seconds since 1970 as `20150830T123600Z`, the ISO 8601 basic form in UTC that X-Amz-Date demands."""
    return _second(seconds // 1)


@lru_cache(maxsize=8)  # small requests come by the thousand in one second
def _second(seconds: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))


def uri_encode(text: Text) -> str:
    """Percent-encode all bytes of the UTF-8 form but A-Z a-z 0-9 - . _ ~ (RFC 3986, 2.3), in upper-case hex.

    Raises UnicodeEncodeError (a ValueError) for a lone surrogate.
    """
    data = text.encode() if isinstance(text, str) else text
    return str(data, "latin-1").translate(_ENCODED)  # one character for each byte


def uri_encode_path(path: Text) -> str:
    """The same, but `/` stays as it is."""
    data = path.encode() if isinstance(path, str) else path
    text = str(data, "latin-1")
    return text.translate(_ENCODED_PATH) if data.translate(None, _KEPT_IN_PATH) else text  # most keys are plain


def normalise_path(path: str) -> str:
    """Remove `.`, `..` and empty segments: for every service but S3, whose keys may hold them.

    Like RFC 3986, 5.2.4, but `//` becomes `/`, and a slash at the end stays only where it was sent.
    """
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    return "/" + "/".join(kept) + ("/" if kept and path.endswith("/") else "")


def canonical_uri(path: str, service: str) -> str:
    """The path as it is signed, from the path as it is sent: kept for S3, normalised and encoded again elsewhere."""
    return path or "/" if service in S3_SERVICES else uri_encode_path(normalise_path(path))


def canonical_query(pairs: Pairs) -> str:
    """The query as it is signed, and sent: encoded first, then sorted by name and value; `k` becomes `k=`."""
    return "&".join([f"{name}={value}" for name, value in sorted([(uri_encode(n), uri_encode(v)) for n, v in pairs])])


def canonical_headers(headers: Headers) -> tuple[str, str]:
    """The block of canonical headers and the list of signed headers; the values of a repeated name are joined."""
    values: dict[str, str] = {}
    for given, value in headers:
        name, trimmed = given.lower(), " ".join(value.split())
        values[name] = f"{values[name]},{trimmed}" if name in values else trimmed
    names, block = sorted(values), ""
    for name in names:
        block += f"{name}:{values[name]}\n"
    return block, ";".join(names)


def canonical_request(method: str, uri: str, query: str, headers: Headers, payload_hash: str) -> tuple[str, str]:
    """The canonical request, and the list of signed headers that is part of it."""
    block, signed = canonical_headers(headers)
    return f"{method}\n{uri}\n{query}\n{block}\n{signed}\n{payload_hash}", signed


def string_to_sign(scope: Scope, canonical: str) -> str:
    """The text that is signed in place of the canonical request."""
    return f"{ALGORITHM}\n{scope.timestamp}\n{scope.text}\n{sha256(canonical.encode()).hexdigest()}"


def signing_key(secret_key: str, date: str, region: str, service: str) -> bytes:
    """The key of one day, region and service: four HMACs from the secret (AWS, "Calculate the signature")."""
    key = _hmac(b"AWS4" + secret_key.encode(), date)
    return _hmac(_hmac(_hmac(key, region), service), "aws4_request")


def signature(credentials: Credentials, scope: Scope, to_sign: str) -> str:
    """The signature of a string to sign: its HMAC under the signing key, 64 hex digits."""
    inner, outer = _begun(credentials.secret_key, scope.date, scope.region, scope.service)
    inner, outer = inner.copy(), outer.copy()
    inner.update(to_sign.encode())
    outer.update(inner.digest())
    return outer.hexdigest()


@lru_cache(maxsize=8)  # one key lasts a day; small, because each entry keeps a secret in memory
def _begun(secret_key: str, date: str, region: str, service: str) -> tuple[_Hash, _Hash]:
    """HMAC's two hashes with the signing key in them (RFC 2104, 2 and 4), to be copied: `hmac` makes them anew."""
    block = signing_key(secret_key, date, region, service).ljust(64, b"\0")
    return sha256(bytes(x ^ 0x36 for x in block)), sha256(bytes(x ^ 0x5C for x in block))


def _hmac(key: bytes, text: str) -> bytes:
    import hmac  # four times a day

    return hmac.new(key, text.encode(), "sha256").digest()


def authorization(credentials: Credentials, scope: Scope, canonical: str, signed: str) -> str:
    """The value of Authorization for a canonical request (x-amz-date is in it) and its list of signed headers."""
    value = signature(credentials, scope, string_to_sign(scope, canonical))
    return f"{ALGORITHM} Credential={credentials.access_key}/{scope.text}, SignedHeaders={signed}, Signature={value}"


def sign_headers(
    credentials: Credentials, scope: Scope, method: str, uri: str, query: str, headers: Headers, payload_hash: str
) -> dict[str, str]:
    """The header form: the headers to add to a request that has `headers` (`host` must be among them).

    `uri` is the canonical URI, `query` the canonical query, `payload_hash` the body's SHA-256 in hex or
    `UNSIGNED-PAYLOAD`. S3 also wants the latter as the header x-amz-content-sha256, among `headers`.
    """
    added = {"x-amz-date": scope.timestamp}
    if credentials.session_token is not None:
        added["x-amz-security-token"] = credentials.session_token
    canonical = canonical_request(method, uri, query, [*headers, *added.items()], payload_hash)
    added["Authorization"] = authorization(credentials, scope, *canonical)
    return added


def sign_query(
    credentials: Credentials,
    scope: Scope,
    method: str,
    uri: str,
    pairs: Pairs,
    headers: Headers,
    payload_hash: str,
    *,
    expires_in: int,
) -> str:
    """The presigned form: the whole query string to send, made of `pairs` and the signature's own parameters.

    `expires_in` is in seconds, 1 to 604,800 (ValueError outside). Who holds the URL acts with the key's rights
    until then. S3 wants `UNSIGNED-PAYLOAD` as `payload_hash`, since the body is not known yet.
    """
    if isinstance(expires_in, bool) or not isinstance(expires_in, int) or not 1 <= expires_in <= MAX_EXPIRES:
        raise ValueError(
            f"expires_in must be a whole number of seconds from 1 to {MAX_EXPIRES} (seven days), not {expires_in!r}"
        )
    headers = list(headers)
    own: list[tuple[Text, Text]] = [
        ("X-Amz-Algorithm", ALGORITHM),
        ("X-Amz-Credential", f"{credentials.access_key}/{scope.text}"),
        ("X-Amz-Date", scope.timestamp),
        ("X-Amz-Expires", str(expires_in)),
        ("X-Amz-SignedHeaders", canonical_headers(headers)[1]),
    ]
    if credentials.session_token is not None:
        own.append(("X-Amz-Security-Token", credentials.session_token))
    query = canonical_query([*pairs, *own])
    canonical, _ = canonical_request(method, uri, query, headers, payload_hash)
    return f"{query}&X-Amz-Signature={signature(credentials, scope, string_to_sign(scope, canonical))}"
