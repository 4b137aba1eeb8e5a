"""What S3 answers when all went well, as values: headers and XML in, `ObjectInfo` and list pages out. No I/O.

Headers come as a dict with lower-case names. Nothing that a server sends is trusted: sizes are digits, XML has
no DOCTYPE, and what is shown of its words is made printable. Answers that are errors: see diagnosis.py.

Rules: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html, API_GetObject.html and
API_CopyObject.html; ranges: RFC 9110, 14.
"""

from __future__ import annotations

from functools import partial

from .errors import InvalidResponse, ObjectChanged, printable
from .s3 import MAX_KEY_BYTES, Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from xml.etree.ElementTree import Element

    from .s3 import Request

MAX_XML_BYTES = 8 << 20  # a list page: 1,000 keys of 1,024 bytes, each byte encoded as three, and the fields beside
_MAX_TIME = 100  # characters of a date
# Elements, attributes, entities and lines each cost a parser far more memory than their bytes: a page has 40,000.
_MAX_XML_MARKS = 200_000
_XML_MARKS = (b"<", b"=", b"&", b"\n", b"\r")


class ObjectInfo(Value):
    """One object as the server described it.

    `bucket`, `key`; `size` in bytes (of the whole object, also where only a range was read; None after a copy);
    `headers`, the answer's own, with lower-case names. The properties read these; each is None where the server
    was silent.
    """

    def __init__(self, bucket: str, key: str, size: int | None, headers: Mapping[str, str]) -> None:
        self.bucket = bucket
        self.key = key
        self.size = size
        self.headers = dict(headers)

    def __repr__(self) -> str:
        return f"ObjectInfo({self.bucket!r}, {self.key!r}, size={self.size}, etag={self.etag!r})"

    @property
    def etag(self) -> str | None:
        """The entity tag with its quotes, as `if_match` and `if_none_match` take it."""
        return self.headers.get("etag")

    @property
    def content_type(self) -> str | None:
        """The media type that was stored with the object."""
        return self.headers.get("content-type")

    @property
    def version_id(self) -> str | None:
        """The version, in a bucket that keeps versions."""
        return self.headers.get("x-amz-version-id")

    @property
    def last_modified(self) -> datetime | None:
        """When it was stored, in UTC; None also where the server's date cannot be read."""
        return parse_time(self.headers.get("last-modified"))

    @property
    def metadata(self) -> dict[str, str]:
        """The user's metadata, names in lower case and without `x-amz-meta-`."""
        prefix = "x-amz-meta-"
        return {name[len(prefix) :]: value for name, value in self.headers.items() if name.startswith(prefix)}


class ListedObject(Value):
    """One line of a list: an object with `key`, `size` in bytes, `etag` with its quotes and `last_modified` (UTC).

    Where a delimiter was given, keys that share a prefix up to it are one line with `is_prefix` True and the rest None.
    """

    def __init__(
        self, key: str, size: int | None = None, etag: str | None = None, last_modified: datetime | None = None
    ) -> None:
        self.key = key
        self.size = size
        self.etag = etag
        self.last_modified = last_modified

    @property
    def is_prefix(self) -> bool:
        """True for a common prefix, which is no object."""
        return self.size is None


def content_length(headers: Mapping[str, str]) -> int | None:
    """The answer's Content-Length, None without one; InvalidResponse for anything but digits (RFC 9110, 8.6)."""
    text = headers.get("content-length")
    if text is None:
        return None
    return whole_number("Content-Length", text)


def check_origin(headers: Mapping[str, str]) -> None:
    """InvalidResponse unless S3 has answered: a captive portal says 200 to everything, with a page of its own."""
    is_page = headers.get("content-type", "").startswith("text/html")
    if not is_amazonian(headers) and ("etag" not in headers or is_page):
        strange = InvalidResponse(
            "the answer has no x-amz- header, and no entity tag or a web page with it: it is not from an S3 server",
            hint="A captive portal or a proxy answers in the store's place, or the endpoint is another server.",
        )
        strange.is_strange = True
        raise strange


def is_amazonian(headers: Mapping[str, str]) -> bool:
    """Whether an answer has one of S3's own headers: nearly every store sends them, and nobody else does."""
    return "x-amz-request-id" in headers or any(name.startswith(("x-amz-", "x-amzn-")) for name in headers)  # moto's


def check_done(headers: Mapping[str, str], text: bytes) -> None:
    """InvalidResponse for a success that comes with a web page; some stores send XML where S3 sends nothing."""
    if b"<html" in text[:1000].lower():
        check_origin(headers)


def check_bucket_head(headers: Mapping[str, str]) -> None:
    """InvalidResponse when the answer to a bucket's HEAD is a page's; some stores (Garage) say 200 and nothing else."""
    if "html" in headers.get("content-type", "") or content_length(headers):
        check_origin(headers)


def whole_number(name: str, text: str) -> int:
    """A number that a server has written as digits; InvalidResponse for anything else."""
    if text.isascii() and text.isdigit() and len(text) < 20:
        return int(text)
    raise InvalidResponse(f"the answer's {name} is {printable(text, 60)!r}")


def described(request: Request, headers: Mapping[str, str], size: int | None) -> ObjectInfo:
    """The object that an answer to `request` describes."""
    return ObjectInfo(request.bucket, request.key or "", size, headers)


def headed(request: Request, headers: Mapping[str, str]) -> ObjectInfo:
    """The object that the answer to a HEAD describes."""
    check_origin(headers)
    return described(request, headers, content_length(headers))


def stored(request: Request, sent: Mapping[str, str], headers: Mapping[str, str], size: int) -> ObjectInfo:
    """The object that a PUT made of `size` bytes and the headers `sent`; InvalidResponse where S3 did not answer."""
    check_origin(headers)
    found = {name: value for name, value in headers.items() if name not in ("content-length", "content-type")}
    return made(request, sent, found, size)


def made(request: Request, sent: Mapping[str, str], found: dict[str, str], size: int) -> ObjectInfo:
    """The object of which the answer says what is `found`; what describes it is as it was sent."""
    if not found.get("etag"):
        raise InvalidResponse("the answer has no entity tag, which S3 gives to every object that it has stored")
    found.update((name, sent[name]) for name in sent if name == "content-type" or name.startswith("x-amz-meta-"))
    return described(request, found, size)


def received(request: Request, status: int, headers: Mapping[str, str]) -> tuple[ObjectInfo, int, int]:
    """What a GET's answer brings: the object, the place in it where this body begins, and the body's number of bytes.

    InvalidResponse without Content-Length (a cut body could not be told from a whole one), for a range that is
    not the one asked for, and for a whole object in place of a range.
    """
    check_origin(headers)
    if "etag" not in headers and "last-modified" not in headers:
        raise InvalidResponse("the answer has neither an entity tag nor Last-Modified, one of which every object has")
    length = content_length(headers)
    if length is None or "transfer-encoding" in headers:
        raise InvalidResponse(
            "the answer has no Content-Length, so a body cut short could not be told from a whole one",
            hint="A proxy that compresses or re-chunks objects does this: go past it.",
        )
    asked = request.headers.get("range")
    if (status == 206) != (asked is not None):
        raise InvalidResponse(
            f"the answer to a request {'with' if asked else 'without'} Range has status {status}", status=status
        )
    if asked is None:
        return described(request, headers, length), 0, length
    first, total = _content_range(headers.get("content-range", ""), length)
    start, _, end = asked[len("bytes=") :].partition("-")
    expected = (int(start), min(int(end) + 1 if end else total, total)) if start else (max(total - int(end), 0), total)
    if (first, first + length) != expected:
        raise InvalidResponse(
            f"asked for {asked}, the answer is {printable(headers.get('content-range', ''), 60)!r}", status=status
        )
    return described(request, headers, total), first, length


def continued(request: Request, status: int, headers: Mapping[str, str], begun: ObjectInfo) -> int:
    """Check that an answer goes on with the object that was `begun`; the bytes at its beginning to be skipped.

    Some stores ignore If-Match, some ignore Range and send all of it again (RFC 9110, 14.2 lets them). ObjectChanged
    for another object, InvalidResponse for other bytes of the same.
    """
    check_origin(headers if is_amazonian(headers) or not is_amazonian(begun.headers) else {})
    if "etag" not in headers:
        raise InvalidResponse("the answer does not say of which version of the object its bytes are", status=status)
    if headers["etag"] != begun.etag:
        raise replaced()
    if status == 206:
        info, _, _ = received(request, status, headers)
        skipped = 0
    else:
        info = described(request, headers, content_length(headers))
        skipped = int(request.headers["range"][len("bytes=") :].partition("-")[0])
    if info.size != begun.size:
        raise InvalidResponse(
            f"the object had {begun.size} bytes, now its answer says {info.size}, under the same entity tag",
            status=status,
        )
    return skipped


def replaced() -> ObjectChanged:
    """The error for an object that is no longer the one whose beginning was read."""
    return ObjectChanged("the object was replaced while it was read", hint="Read it again from its beginning.")


def _content_range(text: str, length: int) -> tuple[int, int]:
    """First byte and total size from `bytes first-last/total` (RFC 9110, 14.4), which must agree with the length."""
    unit, _, rest = text.partition(" ")
    span, _, total = rest.partition("/")
    first, _, last = span.partition("-")
    if unit == "bytes":
        begin, end, size = (whole_number("Content-Range", part) for part in (first, last, total))
        if end - begin + 1 == length > 0 and end < size:
            return begin, size
    raise InvalidResponse(
        f"the answer's Content-Range {printable(text, 60)!r} does not fit its Content-Length {length}"
    )


def parse_time(text: str | None) -> datetime | None:
    """A date as S3 writes it, in headers (RFC 9110, 5.6.7) or XML (ISO 8601); None where it is neither.

    The weekday is not looked at: some stores get it wrong, and nothing follows from it.
    """
    from datetime import datetime, timedelta, timezone
    from email.utils import mktime_tz, parsedate_tz

    if not text or len(text) > _MAX_TIME:
        return None
    epoch = datetime(1970, 1, 1, tzinfo=timezone.utc)
    try:
        if text[4:5] == "-":
            return datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
        fields = parsedate_tz(text)
        return None if fields is None else epoch + timedelta(seconds=mktime_tz(fields))
    except (ValueError, OverflowError, IndexError, TypeError):  # the last two: parsedate_tz before Python 3.9
        return None


def parse_xml(body: bytes, *expected: str) -> Element:
    """The root element of an XML answer, namespaces removed; InvalidResponse unless it has one of the names `expected`.

    A DOCTYPE is refused where it begins, so no entity is ever defined: https://docs.python.org/3/library/xml.html.
    """
    from xml.etree.ElementTree import ParseError, TreeBuilder, XMLParser

    class Builder(TreeBuilder):
        def doctype(self, *_: object) -> None:
            raise InvalidResponse("the answer's XML has a DOCTYPE")

    if sum(body.count(mark) for mark in _XML_MARKS) > _MAX_XML_MARKS:
        raise InvalidResponse("the answer's XML has more elements than S3 has anything to say with")
    parser = XMLParser(target=Builder())  # noqa: S314 - no DOCTYPE, no entities, and the size is bounded
    try:
        parser.feed(body.lstrip())
        root: Element = parser.close()
    except (ParseError, ValueError, LookupError) as error:  # the latter two: an encoding that Python cannot read
        raise InvalidResponse(f"the answer is not the XML that S3 promises ({error})") from None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    if root.tag not in expected:
        raise InvalidResponse(
            f"the answer's XML is <{printable(root.tag, 60)}> where <{expected[0]}> belongs", code=root.findtext("Code")
        )
    return root


def parse_list(body: bytes) -> tuple[list[ListedObject], str | None]:
    """The entries of one list page in the order of their keys, and the token of the next page (None: the last one)."""
    from urllib.parse import unquote_plus

    root = parse_xml(body, "ListBucketResult")
    # Keys are decoded only when the answer says that they are encoded: some stores ignore what was asked.
    # A key that is no UTF-8 keeps its bytes as surrogates, which no request takes: it is shown, never mistaken.
    encoded = root.findtext("EncodingType") == "url"
    decode = partial(unquote_plus, errors="surrogateescape") if encoded else str
    entries = [ListedObject(decode(_named(item, "Prefix"))) for item in root.findall("CommonPrefixes")]
    for item in root.findall("Contents"):
        size = whole_number("Size", item.findtext("Size") or "")
        when = parse_time(item.findtext("LastModified"))
        entries.append(ListedObject(decode(_named(item, "Key")), size, item.findtext("ETag"), when))
    truncated = root.findtext("IsTruncated") == "true"
    token = root.findtext("NextContinuationToken") if truncated else None
    if truncated and not token:
        raise InvalidResponse("the list goes on, but the answer does not say where")
    return sorted(entries, key=_key), token


def _named(item: Element, tag: str) -> str:
    text = item.findtext(tag)
    if not text or len(text) > 3 * MAX_KEY_BYTES:  # each byte encoded as three
        raise InvalidResponse(f"an entry of the list has no {tag}, or one that is longer than any key")
    return text


def _key(entry: ListedObject) -> bytes:
    return entry.key.encode("utf-8", "surrogateescape")


def parse_copy(request: Request, headers: Mapping[str, str], body: bytes) -> ObjectInfo:
    """The copy's description. S3 sends the status before it knows the outcome, so the body must name the success."""
    root = parse_xml(body, "CopyObjectResult")
    found = {name: value for name, value in headers.items() if name.startswith("x-amz-")}  # the rest is the XML's own
    for name, tag in (("etag", "ETag"), ("last-modified", "LastModified")):
        text = root.findtext(tag)
        if text:
            found[name] = text
    return described(request, found, None)
