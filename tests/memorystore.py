"""A small S3 in memory, as an answer for RawServer: every request's signature is checked before anything else.

Path style only: `/bucket/key`, where the key is the percent-decoded raw bytes behind the bucket's slash, never
normalised. It knows PUT and HEAD bucket, ListObjectsV2, PUT, GET, HEAD, DELETE and copy of objects, and multipart
uploads (memorymultipart.py), with the status codes and error codes of the Amazon S3 API Reference. Whatever it does not
know is answered 501, so that a test never passes because a parameter was overlooked.
"""

from __future__ import annotations

import base64
import datetime as dt
import email.utils
import re
import threading
from typing import Callable, Mapping
from xml.sax.saxutils import escape

import memorymultipart
from memorymultipart import (
    ALGORITHMS,
    CHECKSUM,
    Stored,
    StoreError,
    Upload,
    check_digests,
    described,
    document,
    iso,
    piece,
    read_part,
    wants_checksum,
    xml_name,
)
from rawhttp import Answer, RawRequest
from sigcheck import SignatureError, decode, parse_query, verify

MAX_KEYS = 1000  # S3 API Reference, ListObjectsV2
KEPT = re.compile(
    "x-amz-meta-.+|x-amz-checksum-(crc32|sha256)|cache-control|content-(type|encoding|disposition|language)|expires"
)
HARMLESS = re.compile("X-Amz-.+|x-id")  # x-id only names the operation, for the logs
LISTING = {"list-type", "prefix", "delimiter", "max-keys", "start-after", "continuation-token", "encoding-type"}
LISTING_PARTS = {"uploadId", "max-parts", "part-number-marker"}
UPLOAD_CALLS = {("PUT", "partNumber", "uploadId"), ("POST", "uploadId"), ("DELETE", "uploadId")}


class MemoryStore:
    """`secrets` maps access key to secret, `tokens` access key to the session token it needs (others may send none).

    `strict_query=False` is for boto3, which sends its query unsorted. With a `clock`, skew and expiry count.
    `objects` maps (bucket, key) to what is stored and `buckets` names the buckets; a test may look at both and fill
    them beforehand with `put`. `uploads` maps upload id to the multipart uploads that are open. A test may lower
    `least_part` (bytes of any part but the last), `parts_per_page` and `keys_per_page`, and switch on two things that
    MinIO does:
    `full_object_part_checksums` (GET of one part tells the part's checksum even if the object's is that of the whole)
    and `put_echoes_checksum` (the answer to a PUT has the checksum sent with it; the answer to a part always has).
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
        self.uploads: dict[str, Upload] = {}
        self.least_part, self.parts_per_page = memorymultipart.LEAST_PART, memorymultipart.PARTS_PER_PAGE
        self.keys_per_page = MAX_KEYS
        self.full_object_part_checksums = self.put_echoes_checksum = False
        self._secrets, self._tokens, self._region = secrets, dict(tokens or {}), region
        self._allow_unsigned, self._strict_query, self._clock = allow_unsigned_payload, strict_query, clock
        self._lock = threading.Lock()
        self._count = 0
        self._begun = 0

    def put(self, bucket: str, key: str | bytes, body: bytes, headers: Mapping[str, str] | None = None) -> Stored:
        """Store without a request; the bucket comes into being with it."""
        stored = Stored(body, {name.lower(): value for name, value in (headers or {}).items()}, self._now())
        self.buckets.add(bucket)
        self.objects[bucket, key.encode("utf-8") if isinstance(key, str) else key] = stored
        return stored

    def __call__(self, request: RawRequest) -> Answer:
        # What takes long comes before the lock: a slow upload must not hold up the others.
        request.received = request.body  # as bytes, which nobody copies once more
        refusal = self._refusal(request)
        with self._lock:
            self._count += 1
            always = {"x-amz-request-id": f"{self._count:016X}", "Date": email.utils.format_datetime(self._now(), True)}
            try:
                if refusal is not None:
                    raise refusal
                answer = self._dispatch(request)
            except StoreError as error:
                answer = _error_answer(request, error, always["x-amz-request-id"])
            answer.headers = {**always, **dict(answer.headers)}
            return answer

    def _now(self) -> dt.datetime:
        return self._clock() if self._clock else dt.datetime.now(dt.timezone.utc)

    def _dispatch(self, request: RawRequest) -> Answer:
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
        if "uploads" in query or "uploadId" in query:
            return self._on_upload(request, bucket, key, query)
        if query and (set(query) != {"partNumber"} or request.method not in ("GET", "HEAD")):
            raise StoreError(501, "NotImplemented", "query parameters: " + " ".join(query))
        return self._on_object(request, bucket, key, query.get("partNumber"))

    def _refusal(self, request: RawRequest) -> StoreError | None:
        """Why the request is not to be trusted."""
        now = self._clock() if self._clock else None
        try:
            proof = verify(
                request.head, request.body, self._secrets, region=self._region, now=now,
                strict_query=self._strict_query, allow_unsigned_payload=self._allow_unsigned,
            )  # fmt: skip
        except SignatureError as error:
            return StoreError(403, error.code, str(error))
        if proof.session_token != self._tokens.get(proof.access_key):
            return StoreError(403, "InvalidTokenId", "The security token included in the request is invalid")
        return None

    def _on_bucket(self, request: RawRequest, bucket: str, query: Mapping[str, bytes]) -> Answer:
        if request.method == "HEAD" and not query:
            return Answer()
        if request.method == "GET" and query.get("list-type") == b"2" and set(query) <= LISTING:
            entries = sorted((key, stored) for (owner, key), stored in self.objects.items() if owner == bucket)
            body = _listing(bucket, entries, query, self.keys_per_page)
            return Answer(headers={"Content-Type": "application/xml"}, body=body)
        raise StoreError(501, "NotImplemented", "this call on a bucket")

    def _on_upload(self, request: RawRequest, bucket: str, key: bytes, query: Mapping[str, bytes]) -> Answer:
        call = request.method, *sorted(query)
        if call == ("POST", "uploads"):
            upload = memorymultipart.begin(request, bucket, key, _kept(request))
            self._begun += 1
            self.uploads[memorymultipart.upload_id(self._begun)] = upload
            return memorymultipart.begun(upload, memorymultipart.upload_id(self._begun))
        listing = request.method == "GET" and {"uploadId"} <= set(query) <= LISTING_PARTS
        if not listing and call not in UPLOAD_CALLS:
            raise StoreError(501, "NotImplemented", "this call on an upload")
        number = memorymultipart.number_of(query.get("partNumber", b"1"))
        if request.method == "POST":  # before it is asked whether the upload is there, as on MinIO
            _check_writing(request, self.objects.get((bucket, key)))
        name = query["uploadId"].decode("latin-1")
        upload = self.uploads.get(name)
        if upload is None or (upload.bucket, upload.key) != (bucket, key):
            raise StoreError(404, "NoSuchUpload", "The specified multipart upload does not exist.")
        if request.method == "PUT":
            return memorymultipart.add_part(request, upload, number, self._now())
        if listing:
            return memorymultipart.list_parts(upload, name, query, self.parts_per_page)
        if request.method == "POST":
            stored = self.objects[bucket, key] = memorymultipart.complete(request, upload, self.least_part, self._now())
        del self.uploads[name]
        return Answer(204) if request.method == "DELETE" else memorymultipart.completed(request, upload, stored)

    def _on_object(self, request: RawRequest, bucket: str, key: bytes, number: bytes | None) -> Answer:
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
        if number is None:
            return _read(request, stored)
        return read_part(request, stored, memorymultipart.number_of(number), self.full_object_part_checksums)

    def _write(self, request: RawRequest, bucket: str, key: bytes, old: Stored | None) -> Answer:
        _check_writing(request, old)
        headers = _kept(request)
        source = request.header("x-amz-copy-source")
        if source is None:
            check_digests(request)
            stored = self.put(bucket, key, request.body, headers)
            return Answer(headers={"ETag": stored.etag, **(stored.sums if self.put_echoes_checksum else {})})
        owner, _, path = source.lstrip("/").encode("ascii").partition(b"/")
        original = self.objects.get((decode(owner).decode("utf-8", "replace"), decode(path)))
        if original is None:
            raise StoreError(404, "NoSuchKey", "The copy's source does not exist.")
        replace = request.header("x-amz-metadata-directive") == "REPLACE"
        stored = self.put(bucket, key, original.body, headers if replace else _copied(original))
        text = f"<LastModified>{iso(stored.modified)}</LastModified><ETag>{escape(stored.etag)}</ETag>"
        return Answer(headers={"Content-Type": "application/xml"}, body=document("CopyObjectResult", text))


def _kept(request: RawRequest) -> dict[str, str]:
    return {name: value for name, value in request.headers if KEPT.fullmatch(name.lower())}


def _copied(original: Stored) -> dict[str, str]:
    """The headers of a copy, which is made in one piece: so its checksum is one of the whole."""
    headers = {name: value for name, value in original.headers.items() if name != CHECKSUM + "type"}
    for name, digest in ALGORITHMS.items():
        if original.parts and CHECKSUM + name.lower() in headers:
            headers[CHECKSUM + name.lower()] = base64.b64encode(digest(original.body)).decode("ascii")
    return headers


def _check_writing(request: RawRequest, old: Stored | None) -> None:
    if old is not None:
        _check_conditions(request, old, unchanged=412)
    elif request.header("if-match") is not None:
        raise StoreError(404, "NoSuchKey", "The specified key does not exist.")


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


def _read(request: RawRequest, stored: Stored) -> Answer:
    span = _span(request.header("range"), len(stored.body))
    if span is not None:
        return piece(stored, span, {})
    headers = {**described(stored), **(stored.sums if wants_checksum(request) else {})}
    return Answer(200, headers=headers, body=stored.body)


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


def _listing(bucket: str, entries: list[tuple[bytes, Stored]], query: Mapping[str, bytes], most: int) -> bytes:
    """ListBucketResult. The continuation token is the last name given out; a common prefix stands for all under it."""
    encoded = query.get("encoding-type") == b"url"
    prefix, delimiter = query.get("prefix", b""), query.get("delimiter", b"")
    limit = min(int(query.get("max-keys", b"1000")), most)
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
            common[name] = f"<CommonPrefixes><Prefix>{xml_name(name, encoded)}</Prefix></CommonPrefixes>"
    last = max([*rows, *common], default=b"")
    parts = [f"<Name>{escape(bucket)}</Name><Prefix>{xml_name(prefix, encoded)}</Prefix><MaxKeys>{limit}</MaxKeys>"]
    parts += [f"<Delimiter>{xml_name(delimiter, encoded)}</Delimiter>"] if delimiter else []
    parts += ["<EncodingType>url</EncodingType>"] if encoded else []
    more = truncated and limit > 0
    parts.append(f"<KeyCount>{len(rows) + len(common)}</KeyCount><IsTruncated>{str(more).lower()}</IsTruncated>")
    if more:
        parts.append(f"<NextContinuationToken>{base64.b64encode(last).decode('ascii')}</NextContinuationToken>")
    return document("ListBucketResult", "".join([*parts, *rows.values(), *common.values()]))


def _row(key: bytes, stored: Stored, encoded: bool) -> str:
    return (
        f"<Contents><Key>{xml_name(key, encoded)}</Key><LastModified>{iso(stored.modified)}</LastModified>"
        f"<ETag>{escape(stored.etag)}</ETag><Size>{len(stored.body)}</Size></Contents>"
    )


def _error_answer(request: RawRequest, error: StoreError, request_id: str) -> Answer:
    """S3's error document has no namespace; HEAD answers have no body at all."""
    fields = {"Code": error.code, "Message": error.message}
    fields.update(Resource=request.path.decode("latin-1"), RequestId=request_id)
    inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inner}</Error>'.encode()
    headers = {"Content-Type": "application/xml", **error.headers}
    return Answer(error.status, headers=headers, body=b"" if request.method == "HEAD" else body)
