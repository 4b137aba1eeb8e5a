"""A small S3 in memory, as an answer for RawServer: every request's signature is checked before anything else.

Path style only: `/bucket/key`, where the key is the percent-decoded raw bytes behind the bucket's slash, never
normalised. It knows PUT and HEAD bucket, ListObjectsV2, and PUT, GET, HEAD, DELETE and copy of objects, with the status
codes and error codes of the Amazon S3 API Reference. Whatever it does not know is answered 501, so that a test never
passes because a parameter was overlooked.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import email.utils
import hashlib
import re
import threading
from typing import Callable, Mapping, NamedTuple
from urllib.parse import quote_plus
from xml.sax.saxutils import escape

from rawhttp import Answer, RawRequest
from sigcheck import SignatureError, decode, parse_query, verify

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
MAX_KEYS = 1000  # S3 API Reference, ListObjectsV2
KEPT = re.compile(
    "x-amz-meta-.+|x-amz-checksum-(crc32|sha256)|cache-control|content-(type|encoding|disposition|language)|expires"
)
HARMLESS = re.compile("X-Amz-.+|x-id")  # x-id only names the operation, for the logs
LISTING = {"list-type", "prefix", "delimiter", "max-keys", "start-after", "continuation-token", "encoding-type"}


class Stored(NamedTuple):
    body: bytes
    headers: dict[str, str]
    modified: dt.datetime

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.body).hexdigest()}"'


class StoreError(Exception):
    """Becomes an error answer."""

    def __init__(self, status: int, code: str, message: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(code)
        self.status, self.code, self.message, self.headers = status, code, message, dict(headers or {})


class MemoryStore:
    """`secrets` maps access key to secret, `tokens` access key to the session token it needs (others may send none).

    `strict_query=False` is for boto3, which sends its query unsorted. With a `clock`, skew and expiry count.
    `objects` maps (bucket, key) to what is stored and `buckets` names the buckets; a test may look at both and fill
    them beforehand with `put`.
    """

    def __init__(
        self,
        secrets: Mapping[str, str],
        *,
        region: str = "us-east-1",
        tokens: Mapping[str, str] | None = None,
        buckets: tuple[str, ...] = (),
        allow_unsigned_payload: bool = False,
        strict_query: bool = True,
        clock: Callable[[], dt.datetime] | None = None,
    ) -> None:
        self.objects: dict[tuple[str, bytes], Stored] = {}
        self.buckets: set[str] = set(buckets)
        self._secrets, self._tokens, self._region = secrets, dict(tokens or {}), region
        self._allow_unsigned, self._strict_query, self._clock = allow_unsigned_payload, strict_query, clock
        self._lock = threading.Lock()
        self._count = 0

    def put(self, bucket: str, key: str | bytes, body: bytes, headers: Mapping[str, str] | None = None) -> Stored:
        """Store without a request; the bucket comes into being with it."""
        stored = Stored(body, {name.lower(): value for name, value in (headers or {}).items()}, self._now())
        self.buckets.add(bucket)
        self.objects[bucket, key.encode("utf-8") if isinstance(key, str) else key] = stored
        return stored

    def __call__(self, request: RawRequest) -> Answer:
        _ = request.body  # read it before taking the lock: a slow upload must not hold up the others
        with self._lock:
            self._count += 1
            always = {"x-amz-request-id": f"{self._count:016X}", "Date": email.utils.format_datetime(self._now(), True)}
            try:
                answer = self._dispatch(request)
            except StoreError as error:
                answer = _error_answer(request, error, always["x-amz-request-id"])
            answer.headers = {**always, **dict(answer.headers)}
            return answer

    def _now(self) -> dt.datetime:
        return self._clock() if self._clock else dt.datetime.now(dt.timezone.utc)

    def _dispatch(self, request: RawRequest) -> Answer:
        self._authenticate(request)
        if request.header("transfer-encoding") is not None:
            raise StoreError(501, "NotImplemented", "A header you provided implies functionality not implemented")
        name, _, rest = request.path[1:].partition(b"/")
        bucket, key = decode(name).decode("utf-8", "replace"), decode(rest)
        query = {decode(n).decode("latin-1"): decode(v) for n, v in parse_query(request.query)}
        query = {n: v for n, v in query.items() if HARMLESS.fullmatch(n) is None}
        if request.method == "PUT" and request.header("content-length") is None:
            raise StoreError(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
        if not key and request.method == "PUT" and not query:
            self.buckets.add(bucket)
            return Answer(headers={"Location": f"/{bucket}"})
        if bucket not in self.buckets:
            raise StoreError(404, "NoSuchBucket", "The specified bucket does not exist")
        if not key:
            return self._on_bucket(request, bucket, query)
        if query:
            raise StoreError(501, "NotImplemented", "query parameters: " + " ".join(query))
        return self._on_object(request, bucket, key)

    def _authenticate(self, request: RawRequest) -> None:
        now = self._clock() if self._clock else None
        try:
            proof = verify(
                request.head, request.body, self._secrets, region=self._region, now=now,
                strict_query=self._strict_query, allow_unsigned_payload=self._allow_unsigned,
            )  # fmt: skip
        except SignatureError as error:
            raise StoreError(403, error.code, str(error)) from None
        if proof.session_token != self._tokens.get(proof.access_key):
            raise StoreError(403, "InvalidTokenId", "The security token included in the request is invalid")

    def _on_bucket(self, request: RawRequest, bucket: str, query: Mapping[str, bytes]) -> Answer:
        if request.method == "HEAD" and not query:
            return Answer()
        if request.method == "GET" and query.get("list-type") == b"2" and set(query) <= LISTING:
            entries = sorted((key, stored) for (owner, key), stored in self.objects.items() if owner == bucket)
            return Answer(headers={"Content-Type": "application/xml"}, body=_listing(bucket, entries, query))
        raise StoreError(501, "NotImplemented", "this call on a bucket")

    def _on_object(self, request: RawRequest, bucket: str, key: bytes) -> Answer:
        stored = self.objects.get((bucket, key))
        if request.method == "DELETE":
            self.objects.pop((bucket, key), None)
            return Answer(204)
        if request.method == "PUT":
            return self._write(request, bucket, key, stored)
        if request.method not in ("GET", "HEAD"):
            raise StoreError(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
        if stored is None:
            raise StoreError(404, "NoSuchKey", "The specified key does not exist.")
        _check_conditions(request, stored, unchanged=304)
        return _read(request, stored)

    def _write(self, request: RawRequest, bucket: str, key: bytes, old: Stored | None) -> Answer:
        if old is None and request.header("if-match") is not None:
            raise StoreError(404, "NoSuchKey", "The specified key does not exist.")
        if old is not None:
            _check_conditions(request, old, unchanged=412)
        headers = {name: value for name, value in request.headers if KEPT.fullmatch(name.lower())}
        source = request.header("x-amz-copy-source")
        if source is None:
            _check_digests(request)
            stored = self.put(bucket, key, request.body, headers)
            return Answer(headers={"ETag": stored.etag})
        owner, _, path = source.lstrip("/").encode("ascii").partition(b"/")
        original = self.objects.get((decode(owner).decode("utf-8", "replace"), decode(path)))
        if original is None:
            raise StoreError(404, "NoSuchKey", "The copy's source does not exist.")
        replace = request.header("x-amz-metadata-directive") == "REPLACE"
        stored = self.put(bucket, key, original.body, headers if replace else original.headers)
        text = f"<LastModified>{_iso(stored)}</LastModified><ETag>{escape(stored.etag)}</ETag>"
        return Answer(headers={"Content-Type": "application/xml"}, body=_document("CopyObjectResult", text))


def _check_conditions(request: RawRequest, stored: Stored, unchanged: int) -> None:
    """RFC 9110 section 13; S3 answers a PUT's failed If-None-Match with 412."""
    match, none_match = request.header("if-match"), request.header("if-none-match")
    if match is not None and match != "*" and stored.etag not in _tags(match):
        raise StoreError(412, "PreconditionFailed", "If-Match")
    if none_match is not None and (none_match == "*" or stored.etag in _tags(none_match)):
        raise StoreError(unchanged, "PreconditionFailed", "If-None-Match", {"ETag": stored.etag})


def _tags(value: str) -> list[str]:
    """Entity tags with their quotes; S3 also takes one without."""
    return [f'"{tag}"' for tag in re.findall(r'[^\s,"]+', value)]


def _check_digests(request: RawRequest) -> None:
    """What the client says about its body besides the signature."""
    body = request.body
    actual = {
        "content-md5": hashlib.md5(body).digest(),
        "x-amz-checksum-sha256": hashlib.sha256(body).digest(),
        "x-amz-checksum-crc32": binascii.crc32(body).to_bytes(4, "big"),
    }
    for name, digest in actual.items():
        if request.header(name) not in (None, base64.b64encode(digest).decode("ascii")):
            raise StoreError(400, "BadDigest", f"The {name} you specified did not match what we received.")


def _read(request: RawRequest, stored: Stored) -> Answer:
    headers = {"content-type": "binary/octet-stream", "Accept-Ranges": "bytes", "ETag": stored.etag}
    headers["Last-Modified"] = email.utils.format_datetime(stored.modified, True)
    with_checksum = (request.header("x-amz-checksum-mode") or "").upper() == "ENABLED"
    span, size = _span(request.header("range"), len(stored.body)), len(stored.body)
    whole = with_checksum and span is None
    headers.update({n: v for n, v in stored.headers.items() if whole or not n.startswith("x-amz-checksum-")})
    if span is None:
        return Answer(200, headers=headers, body=stored.body)
    headers["Content-Range"] = f"bytes {span[0]}-{span[1] - 1}/{size}"
    return Answer(206, headers=headers, body=stored.body[span[0] : span[1]])


def _span(value: str | None, size: int) -> tuple[int, int] | None:
    """First byte and end of a single range; None where there is none, or one that RFC 9110 lets a server ignore."""
    match = re.fullmatch("bytes=([0-9]*)-([0-9]*)", value or "")
    if match is None or not any(match.groups()):
        return None
    first, last = match.groups()
    if first and last and int(last) < int(first):
        return None
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if start >= end:
        raise StoreError(416, "InvalidRange", "The range cannot be satisfied.", {"Content-Range": f"bytes */{size}"})
    return start, end


def _listing(bucket: str, entries: list[tuple[bytes, Stored]], query: Mapping[str, bytes]) -> bytes:
    """ListBucketResult. The continuation token is the last name given out; a common prefix stands for all under it."""
    encoded = query.get("encoding-type") == b"url"
    prefix, delimiter = query.get("prefix", b""), query.get("delimiter", b"")
    limit = min(int(query.get("max-keys", b"1000")), MAX_KEYS)
    token = query.get("continuation-token")
    after = query.get("start-after", b"") if token is None else base64.b64decode(token)
    rows: dict[bytes, str] = {}
    common: dict[bytes, str] = {}
    truncated = False
    for key, stored in entries:
        cut = key.find(delimiter, len(prefix)) if delimiter else -1
        name = key if cut < 0 else key[: cut + len(delimiter)]
        if not key.startswith(prefix) or name <= after or name in common:
            continue
        truncated = len(rows) + len(common) >= limit
        if truncated:
            break
        if cut < 0:
            rows[name] = _row(name, stored, encoded)
        else:
            common[name] = f"<CommonPrefixes><Prefix>{_name(name, encoded)}</Prefix></CommonPrefixes>"
    last = max([*rows, *common], default=b"")
    parts = [f"<Name>{escape(bucket)}</Name><Prefix>{_name(prefix, encoded)}</Prefix><MaxKeys>{limit}</MaxKeys>"]
    parts += [f"<Delimiter>{_name(delimiter, encoded)}</Delimiter>"] if delimiter else []
    parts += ["<EncodingType>url</EncodingType>"] if encoded else []
    more = truncated and limit > 0
    parts.append(f"<KeyCount>{len(rows) + len(common)}</KeyCount><IsTruncated>{str(more).lower()}</IsTruncated>")
    if more:
        parts.append(f"<NextContinuationToken>{base64.b64encode(last).decode('ascii')}</NextContinuationToken>")
    return _document("ListBucketResult", "".join([*parts, *rows.values(), *common.values()]))


def _row(key: bytes, stored: Stored, encoded: bool) -> str:
    return (
        f"<Contents><Key>{_name(key, encoded)}</Key><LastModified>{_iso(stored)}</LastModified>"
        f"<ETag>{escape(stored.etag)}</ETag><Size>{len(stored.body)}</Size></Contents>"
    )


def _name(raw: bytes, encoded: bool) -> str:
    """A key in XML. AWS writes a space as `+`. Unencoded control characters become `&#x1;`, no XML, as on MinIO."""
    if encoded:
        return quote_plus(raw, safe="/")
    text = escape(raw.decode("utf-8", "replace"))
    return re.sub("[\x00-\x08\x0b-\x1f]", lambda match: f"&#x{ord(match.group()):X};", text)


def _iso(stored: Stored) -> str:
    return stored.modified.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _document(root: str, inner: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{NAMESPACE}">{inner}</{root}>'.encode()


def _error_answer(request: RawRequest, error: StoreError, request_id: str) -> Answer:
    """S3's error document has no namespace; HEAD answers have no body at all."""
    fields = {"Code": error.code, "Message": error.message}
    fields.update(Resource=request.path.decode("latin-1"), RequestId=request_id)
    inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inner}</Error>'.encode()
    headers = {"Content-Type": "application/xml", **error.headers}
    return Answer(error.status, headers=headers, body=b"" if request.method == "HEAD" else body)
