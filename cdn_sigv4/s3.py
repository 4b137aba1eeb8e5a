"""What is asked of S3, as values: a request, and the request signed for an endpoint. No I/O.

`located` is the one function that makes a path from a key. The path that it gives is signed, and the same
string is sent: a signer that reads it back from a URL would sign what `requests` made of `a/../b`.

Rules: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html,
names: .../userguide/object-keys.html and .../userguide/bucketnamingrules.html, header fields: RFC 9110, 5.
"""

from __future__ import annotations

from functools import lru_cache

from .endpoint import is_ip_address
from .hashes import EMPTY_SHA256
from .sigv4 import (
    UNSIGNED_PAYLOAD,
    Scope,
    authorization,
    canonical_query,
    canonical_request,
    sign_query,
    uri_encode,
    uri_encode_path,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .credentials import Credentials
    from .endpoint import Endpoint

XML_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
MAX_KEY_BYTES = 1024  # of UTF-8 (AWS, object-keys)
MAX_PUT_BYTES = 5 << 30  # one request's body (AWS, PutObject)
MAX_METADATA_BYTES = 2048  # names and values together (AWS, UsingMetadata; MinIO refuses more as well)

# `text.strip(THESE)` is empty if and only if all of the text's characters are among these: the fastest such test.
_BUCKET_CHARS = "abcdefghijklmnopqrstuvwxyz0123456789-."
_NAME_CHARS = "abcdefghijklmnopqrstuvwxyz0123456789-ABCDEFGHIJKLMNOPQRSTUVWXYZ!#$%&'*+.^_`|~"  # RFC 9110, 5.6.2
# Headers that the signer, the body or an argument of its own sets; a second value would contradict it.
_OWN_HEADERS = frozenset([
    "accept-encoding", "authorization", "connection", "content-length", "expect", "host", "if-match", "if-none-match",
    "proxy-authorization", "range", "te", "trailer", "transfer-encoding", "upgrade", "user-agent",
    "x-amz-content-sha256", "x-amz-copy-source", "x-amz-date", "x-amz-metadata-directive", "x-amz-security-token",
])  # fmt: skip


class Value:
    """Plain data: equal by content, shown field by field."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


class Request(Value):
    """One request to S3 before it is signed: method, bucket, key (None for the bucket itself), query and headers.

    `headers` are all signed. Payload, length, host and date are added where it is signed and sent.
    """

    def __init__(
        self,
        method: str,
        bucket: str,
        key: str | None = None,
        query: Mapping[str, str | None] | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> None:
        self.method = method
        self.bucket = bucket
        self.key = key
        self.query = {name: value for name, value in (query or {}).items() if value is not None}
        self.headers = {name: value for name, value in (headers or {}).items() if value is not None}
        check_bucket(bucket)  # not before all is there: who shows a traceback's variables wants to see it
        if key is not None:
            check_key(key)
        for name, value in self.headers.items():
            check_header(name, value)
        for name, value in self.query.items():
            if not isinstance(value, str):
                raise TypeError(f"{name} must be str, not {type(value).__name__}")

    @property
    def is_write(self) -> bool:
        """Whether the store is another one afterwards: it matters then whether a request without answer arrived.

        Of an upload in parts only its completion counts: until then there is no object.
        """
        is_within = "uploads" in self.query or ("uploadId" in self.query and self.method != "POST")
        return self.method not in ("GET", "HEAD") and not is_within

    def __repr__(self) -> str:  # without the headers: a customer's encryption key may be among them
        return f"Request({self.method!r}, {self.bucket!r}, {self.key!r}, {self.query!r})"


def object_request(
    method: str,
    bucket: str,
    key: str,
    query: Mapping[str, str | None] | None = None,
    headers: Mapping[str, str | None] | None = None,
) -> Request:
    """A request for an object; without a key it would be one for the bucket, and do something else."""
    return Request(method, bucket, check_key(key), query, headers)


class SignedRequest:
    """What is sent: `target` and `headers` are the very strings that were signed. No `repr` shows the headers."""

    def __init__(self, method: str, scheme: str, authority: str, target: str, headers: dict[str, str]) -> None:
        self.method = method
        self.scheme = scheme
        self.authority = authority
        self.target = target
        self.headers = headers

    @property
    def url(self) -> str:
        """The absolute URL, exact to the byte."""
        return f"{self.scheme}://{self.authority}{self.target}"


_scope = lru_cache(maxsize=8)(Scope)  # the requests of one second share theirs


def located(endpoint: Endpoint, request: Request) -> tuple[str, str]:
    """The authority and the path of a request, encoded once: the only place where a key becomes a path."""
    if endpoint.addressing == "path":
        path = f"{endpoint.base_path}/{request.bucket}"
        return endpoint.authority, path if request.key is None else f"{path}/{uri_encode_path(request.key)}"
    if endpoint.scheme == "https" and "." in request.bucket:
        raise ValueError(
            f"bucket {request.bucket!r} has a dot, which no TLS wildcard certificate covers: use addressing='path'"
        )
    return f"{request.bucket}.{endpoint.authority}", f"{endpoint.base_path}/{uri_encode_path(request.key or '')}"


def signed(
    request: Request,
    endpoint: Endpoint,
    credentials: Credentials | None,
    *,
    region: str,
    timestamp: str,
    payload_hash: str = EMPTY_SHA256,
) -> SignedRequest:
    """`request` in header form: Authorization covers the target and every header in it. None signs nothing."""
    authority, path = located(endpoint, request)
    query = canonical_query(request.query.items()) if request.query else ""
    headers = {"host": authority, **request.headers}
    if credentials is not None:
        headers["x-amz-content-sha256"] = payload_hash
        headers["x-amz-date"] = timestamp  # from here on as in `sign_headers`, in one dict: a tenth less of the time
        if credentials.session_token is not None:
            headers["x-amz-security-token"] = credentials.session_token
        canonical = canonical_request(request.method, path, query, headers.items(), payload_hash)
        headers["Authorization"] = authorization(credentials, _scope(timestamp, region, "s3"), *canonical)
    return SignedRequest(request.method, endpoint.scheme, authority, f"{path}?{query}" if query else path, headers)


def presigned_url(
    request: Request, endpoint: Endpoint, credentials: Credentials, *, region: str, timestamp: str, expires_in: int
) -> str:
    """`request` as a URL that anybody may use until `expires_in` seconds after `timestamp`."""
    authority, path = located(endpoint, request)
    scope, host, pairs = _scope(timestamp, region, "s3"), [("host", authority)], request.query.items()
    query = sign_query(credentials, scope, request.method, path, pairs, host, UNSIGNED_PAYLOAD, expires_in=expires_in)
    return f"{endpoint.scheme}://{authority}{path}?{query}"


def check_bucket(name: str) -> str:
    """A bucket's name by AWS's rules: 3 to 63 of a-z 0-9 - . with a letter or digit at both ends, no IP address."""
    if not isinstance(name, str):
        raise TypeError(f"the bucket must be str, not {type(name).__name__}")
    if (
        not 3 <= len(name) <= 63
        or name.strip(_BUCKET_CHARS)
        or not (name[0].isalnum() and name[-1].isalnum())
        or ".." in name
        or is_ip_address(name)
    ):
        raise ValueError(
            f"{name!r} is no bucket name: 3 to 63 lower-case letters, digits, '-' and single '.', a letter or digit"
            " at both ends, and not an IP address"
        )
    return name


def check_key(key: str) -> str:
    """An object's key: 1 to 1,024 bytes of UTF-8 without NUL. It is never normalised."""
    if not isinstance(key, str):
        raise TypeError(f"the key must be str, not {type(key).__name__}")
    try:
        size = len(key.encode("utf-8"))
    except UnicodeEncodeError:
        raise ValueError(f"the key {key!r} holds half of a surrogate pair, which has no UTF-8 form") from None
    if not 1 <= size <= MAX_KEY_BYTES:
        raise ValueError(f"a key has 1 to {MAX_KEY_BYTES} bytes of UTF-8, this one has {size}")
    if "\0" in key:
        raise ValueError(f"the key {key!r} contains a NUL character")
    return key


def check_size(size: int) -> None:
    """ValueError for more than one request can carry."""
    if size > MAX_PUT_BYTES:
        raise ValueError(f"the body has {size} bytes; one request carries at most {MAX_PUT_BYTES} (5 GiB)")


def check_header(name: str, value: str) -> None:
    """A header that arrives as it was signed: a token, and printable ASCII without outer blanks (RFC 9110, 5.5)."""
    if not isinstance(name, str) or not isinstance(value, str):
        raise TypeError(f"header names and values must be str: {name!r} has a {type(value).__name__}")
    if not name or name.strip(_NAME_CHARS):
        raise ValueError(f"{name!r} is no header name: letters, digits and '-' without blanks")
    if not (value.isascii() and value.isprintable()) or value != value.strip(" "):
        raise ValueError(
            f"the value of {name!r} must be printable ASCII without line breaks or outer blanks:"
            " encode other text first, for example with urllib.parse.quote"
        )


def object_headers(
    content_type: str | None = None,
    metadata: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The headers that describe a new object, checked. `headers` are any others that S3 knows for it."""
    described: dict[str, str] = {}
    for name, value in (metadata or {}).items():
        check_header(name, value)
        described[f"x-amz-meta-{name.lower()}"] = value
    size = sum(len(name) - len("x-amz-meta-") + len(value) for name, value in described.items())
    if len(described) != len(metadata or {}):
        raise ValueError("two names in the metadata differ only in upper and lower case, which S3 does not keep")
    if size > MAX_METADATA_BYTES:
        raise ValueError(f"the metadata has {size} bytes, S3 allows {MAX_METADATA_BYTES} in names and values together")
    for name, value in (headers or {}).items():
        check_header(name, value)
        lower = name.lower()
        if lower in _OWN_HEADERS or lower.startswith("x-amz-meta-") or lower in described:
            raise ValueError(f"the header {name!r} is set by this package, by an argument of its own, or twice")
        described[lower] = value
    if content_type is not None:
        if "content-type" in described:
            raise ValueError("the content type is given twice, as content_type and among the headers")
        described["content-type"] = content_type
    return described


def copy_source(bucket: str, key: str, version_id: str | None) -> str:
    """The value of x-amz-copy-source: bucket and key, encoded as in a path (AWS, CopyObject)."""
    source = f"/{check_bucket(bucket)}/{uri_encode_path(check_key(key))}"
    return source if version_id is None else f"{source}?versionId={uri_encode(version_id)}"


def location_constraint(region: str) -> bytes:
    """The body of CreateBucket: empty for us-east-1, which must not be named (AWS, CreateBucket)."""
    if region == "us-east-1":
        return b""
    inner = f"<LocationConstraint>{region}</LocationConstraint>"
    return f'<CreateBucketConfiguration xmlns="{XML_NAMESPACE}">{inner}</CreateBucketConfiguration>'.encode()


def check_scope_name(what: str, name: str) -> str:
    """A region's or a service's name: letters, digits, '-' and '_', since it is part of the credential scope."""
    if not isinstance(name, str):
        raise TypeError(f"the {what} must be str, not {type(name).__name__}")
    if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
        raise ValueError(f"{name!r} is no {what}: letters, digits, '-' and '_'")
    return name


def byte_range(start: int | None, end: int | None, tail: int | None) -> str | None:
    """The Range header for `start` and `end` as in slices (end excluded), or the last `tail` bytes; None for all."""
    for name, value, least in (("start", start, 0), ("end", end, 1), ("tail", tail, 1)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise TypeError(f"{name} must be int, not {type(value).__name__}")
        if value is not None and value < least:
            raise ValueError(f"{name} must be at least {least}, not {value}: for the last n bytes give tail=n")
    if tail is not None:
        if start is not None or end is not None:
            raise ValueError("give either tail, or start and end")
        return f"bytes=-{tail}"
    if start is None and end is None:
        return None
    if end is not None and (start or 0) >= end:
        raise ValueError(f"start {start} is not before end {end}: an empty range cannot be asked for")
    return f"bytes={start or 0}-{'' if end is None else end - 1}"
