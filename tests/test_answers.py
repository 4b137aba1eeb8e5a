"""What S3 answers when all went well: objects, ranges, dates, XML, list pages and copies, none of it trusted.

Traps: a body needs its length and a range must be the one asked for (24), 200 with an error inside (26), XML with a
DOCTYPE or in an odd encoding (28), Last-Modified with a wrong weekday (31), lists with and without encoding (32a),
tokens that are missing, digits that are none.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from cdn_sigv4 import answers
from cdn_sigv4.errors import CDNError, InvalidResponse
from cdn_sigv4.s3 import Request, byte_range

same_each_run = settings(derandomize=True, database=None, deadline=None, max_examples=200)

NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
NOT_NUMBERS = [
    "",
    " ",
    "-1",
    "+1",
    "1.0",
    "1e3",
    "0x1",
    "1 ",
    " 1",
    "1,1",
    "1_0",
    "\u0665",
    "²",
    "\uff11",
    "one",
    "9" * 20,
    "\0",
]


def asking(start: int | None = None, end: int | None = None, tail: int | None = None) -> Request:
    return Request("GET", "buc", "k", headers={"range": byte_range(start, end, tail)})


# --- objects ---------------------------------------------------------------------------------------------------------


def test_object_info() -> None:
    """The properties read the answer's headers, metadata without its prefix."""
    headers = {
        "etag": '"abc"',
        "content-type": "text/plain",
        "x-amz-version-id": "v1",
        "last-modified": "Tue, 03 Feb 2026 04:05:06 GMT",
        "x-amz-meta-note": "a  b",
        "x-amz-meta-": "odd",
        "x-amz-metadata": "none of it",
    }
    info = answers.ObjectInfo("buc", "k", 5, headers)
    assert (info.bucket, info.key, info.size) == ("buc", "k", 5)
    assert (info.etag, info.content_type, info.version_id) == ('"abc"', "text/plain", "v1")
    assert info.last_modified == datetime(2026, 2, 3, 4, 5, 6, tzinfo=timezone.utc)
    assert info.metadata == {"note": "a  b", "": "odd"}
    assert repr(info) == "ObjectInfo('buc', 'k', size=5, etag='\"abc\"')"
    headers.clear()
    assert info.etag == '"abc"', "the headers are its own"


def test_object_info_where_the_server_was_silent() -> None:
    """What no header says is None, and no metadata is an empty dict."""
    info = answers.ObjectInfo("buc", "k", None, {})
    assert [info.size, info.etag, info.content_type, info.version_id, info.last_modified] == [None] * 5
    assert info.metadata == {}


def test_listed_object_is_a_prefix_without_a_size() -> None:
    """An empty object is an object; only a line without size is a prefix."""
    assert answers.ListedObject("a/").is_prefix
    assert not answers.ListedObject("a", 0).is_prefix


@pytest.mark.parametrize(("text", "expected"), [("0", 0), ("5", 5), ("007", 7), ("9" * 19, 10**19 - 1)])
def test_content_length(text: str, expected: int) -> None:
    """Content-Length is digits."""
    assert answers.content_length({"content-length": text}) == expected


@pytest.mark.parametrize("text", NOT_NUMBERS, ids=ascii)
def test_content_length_refused(text: str) -> None:
    """Signs, blanks, other scripts' digits and endless digits are no length; what is shown of them is one line."""
    with pytest.raises(InvalidResponse, match="Content-Length is") as caught:
        answers.content_length({"content-length": text})
    assert str(caught.value).isprintable()


def test_content_length_may_be_missing() -> None:
    """No header is None, which is not 0."""
    assert answers.content_length({}) is None


def test_a_megabyte_of_digits_is_refused_at_once() -> None:
    """Digits are not turned into a number before they are counted, and not all repeated."""
    began = time.perf_counter()
    with pytest.raises(InvalidResponse) as caught:
        answers.content_length({"content-length": "9" * (1 << 20)})
    assert time.perf_counter() - began < 5
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("headers", "size", "expected"),
    [
        ({"content-length": "5"}, None, 5),
        ({"content-length": "5"}, 7, 7),
        ({"content-length": "5"}, 0, 0),
        ({}, None, None),
    ],
)
def test_described(headers: dict[str, str], size: int | None, expected: int | None) -> None:
    """A given size, 0 too, goes before Content-Length; without both it is unknown."""
    info = answers.described(asking(), headers, size)
    assert (info.bucket, info.key, info.size, info.headers) == ("buc", "k", expected, headers)


def test_described_without_a_key() -> None:
    """A bucket's own description has an empty key."""
    assert answers.described(Request("HEAD", "buc"), {}, None).key == ""


def test_stored() -> None:
    """A PUT's answer describes the object; its type and metadata are those sent, length and type of the answer not."""
    sent = {"content-type": "text/plain", "x-amz-meta-a": "1", "x-amz-version-id": "mine", "x-amz-tagging": "t=1"}
    info = answers.stored(
        asking(),
        sent,
        {"etag": '"e"', "x-amz-version-id": "v", "content-length": "0", "content-type": "application/xml"},
        5,
    )
    assert info == answers.ObjectInfo(
        "buc", "k", 5, {"content-type": "text/plain", "x-amz-meta-a": "1", "x-amz-version-id": "v", "etag": '"e"'}
    )


def test_stored_needs_an_entity_tag() -> None:
    """A 200 without entity tag is some other server's: nothing is taken for stored."""
    with pytest.raises(InvalidResponse, match="no entity tag"):
        answers.stored(asking(), {}, {"content-length": "0"}, 5)


# --- what a GET brings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 5, 1 << 40])
def test_whole_object(length: int) -> None:
    """A 200 to a request without Range is the object, of Content-Length bytes."""
    info, count = answers.received(asking(), 200, {"content-length": str(length)})
    assert (info.size, count) == (length, length)


@pytest.mark.parametrize(
    ("request_", "content_range", "length", "size"),
    [
        pytest.param(asking(0, 5), "bytes 0-4/10", 5, 10, id="beginning"),
        pytest.param(asking(2, 5), "bytes 2-4/10", 3, 10, id="middle"),
        pytest.param(asking(9, 10), "bytes 9-9/10", 1, 10, id="last byte"),
        pytest.param(asking(5), "bytes 5-9/10", 5, 10, id="to the end"),
        pytest.param(asking(0), "bytes 0-9/10", 10, 10, id="all of it"),
        pytest.param(asking(5, 100), "bytes 5-9/10", 5, 10, id="reaching over the end"),
        pytest.param(asking(0, 11), "bytes 0-9/10", 10, 10, id="reaching over the end by one"),
        pytest.param(asking(tail=3), "bytes 7-9/10", 3, 10, id="tail"),
        pytest.param(asking(tail=10), "bytes 0-9/10", 10, 10, id="tail of the object's length"),
        pytest.param(asking(tail=99), "bytes 0-9/10", 10, 10, id="tail longer than the object"),
    ],
)
def test_range(request_: Request, content_range: str, length: int, size: int) -> None:
    """A 206 is taken when it is the range asked for, as far as there is object; the size is the whole object's."""
    info, count = answers.received(request_, 206, {"content-length": str(length), "content-range": content_range})
    assert (info.size, count) == (size, length)


@pytest.mark.parametrize(
    ("request_", "content_range", "length"),
    [
        pytest.param(asking(0, 5), "bytes 1-5/10", 5, id="another beginning"),
        pytest.param(asking(0, 5), "bytes 0-3/10", 4, id="shorter than asked"),
        pytest.param(asking(0, 5), "bytes 0-5/10", 6, id="longer than asked"),
        pytest.param(asking(0, 5), "bytes 0-9/10", 10, id="all of it instead"),
        pytest.param(asking(5), "bytes 5-8/10", 4, id="ends early"),
        pytest.param(asking(5), "bytes 0-9/10", 10, id="begins early"),
        pytest.param(asking(tail=3), "bytes 6-8/10", 3, id="not the tail"),
        pytest.param(asking(tail=3), "bytes 6-9/10", 4, id="tail too long"),
        pytest.param(asking(tail=99), "bytes 1-9/10", 9, id="not the whole of a short object"),
        pytest.param(asking(5, 100), "bytes 5-9/11", 5, id="over the end, but a byte is missing"),
        pytest.param(asking(0, 5), "bytes 0-4/10", 4, id="Content-Length too small"),
        pytest.param(asking(0, 5), "bytes 0-4/10", 6, id="Content-Length too large"),
        pytest.param(asking(0, 5), "bytes 0-4/4", 5, id="last byte outside the object"),
        pytest.param(asking(0, 5), "bytes 0-4/*", 5, id="size unknown"),
        pytest.param(asking(0, 5), "bytes */10", 5, id="unsatisfied"),
        pytest.param(asking(5), "bytes 5-4/5", 0, id="nothing at all"),
        pytest.param(asking(0, 5), "items 0-4/10", 5, id="unit not bytes"),
        pytest.param(asking(0, 5), "bytes=0-4/10", 5, id="the request's form"),
        pytest.param(asking(0, 5), "0-4/10", 5, id="no unit"),
        pytest.param(asking(0, 5), "bytes 0-4", 5, id="no size"),
        pytest.param(asking(0, 5), "bytes  0-4/10", 5, id="two blanks"),
        pytest.param(asking(0, 5), "bytes 0-4/10/10", 5, id="two sizes"),
        pytest.param(asking(0, 5), "bytes -0-4/10", 5, id="minus"),
        pytest.param(asking(0, 5), "bytes \u0660-\u0664/\u0661\u0660", 5, id="Arabic digits"),
        pytest.param(asking(0, 5), "bytes ⁰-⁴/¹⁰", 5, id="superscript digits"),
        pytest.param(asking(0, 5), f"bytes 0-4/{'9' * 5000}", 5, id="huge digits"),
        pytest.param(asking(0, 5), "", 5, id="empty"),
        pytest.param(asking(0, 5), "\x1b[2J\r\n", 5, id="controls"),
    ],
)
def test_range_refused(request_: Request, content_range: str, length: int) -> None:
    """Another range than the one asked for is never written into a file; what is shown of it is one short line."""
    headers = {"content-length": str(length), "content-range": content_range}
    with pytest.raises(InvalidResponse, match=r"Content-Range|asked for") as caught:
        answers.received(request_, 206, headers)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


def test_range_without_content_range() -> None:
    """A 206 that does not say which range it is, multipart/byteranges for one, is refused."""
    with pytest.raises(InvalidResponse, match="Content-Range"):
        answers.received(asking(0, 5), 206, {"content-length": "5"})


@pytest.mark.parametrize(
    ("request_", "status", "reason"),
    [(asking(0, 5), 200, "with Range has status 200"), (asking(), 206, "without Range has status 206")],
)
def test_status_fits_the_request(request_: Request, status: int, reason: str) -> None:
    """The whole object in place of a range, or a range unasked, is refused, with the status as evidence."""
    with pytest.raises(InvalidResponse, match=reason) as caught:
        answers.received(request_, status, {"content-length": "5", "content-range": "bytes 0-4/10"})
    assert caught.value.status == status


@pytest.mark.parametrize(("request_", "status"), [(asking(), 200), (asking(0, 5), 206)])
def test_no_body_without_its_length(request_: Request, status: int) -> None:
    """Without Content-Length a cut body looks whole: refused, with a hint at the proxy."""
    with pytest.raises(InvalidResponse, match="no Content-Length") as caught:
        answers.received(request_, status, {"content-range": "bytes 0-4/10"})
    assert "proxy" in caught.value.hint


def test_no_body_in_chunks() -> None:
    """With Transfer-Encoding the length does not count (RFC 9112, 6.3), so such a body is refused as well."""
    with pytest.raises(InvalidResponse, match="no Content-Length"):
        answers.received(asking(), 200, {"content-length": "5", "transfer-encoding": "chunked"})


@same_each_run
@given(data=st.data(), size=st.integers(1, 60))
def test_range_is_the_slice(data: st.DataObject, size: int) -> None:
    """For any slice of any object exactly one range is right: the slice's own."""
    start = data.draw(st.integers(0, size - 1))
    end = data.draw(st.one_of(st.none(), st.integers(start + 1, 2 * size + 1)))
    tail = data.draw(st.one_of(st.none(), st.integers(1, 2 * size)))
    request = asking(tail=tail) if tail else asking(start, end)
    right = range(size)[-tail:] if tail else range(size)[start:end]
    first = data.draw(st.one_of(st.just(right[0]), st.integers(0, size - 1)))
    last = data.draw(st.one_of(st.just(right[-1]), st.integers(first, size - 1)))
    assume(first <= last)
    headers = {"content-length": str(last - first + 1), "content-range": f"bytes {first}-{last}/{size}"}
    if (first, last) == (right[0], right[-1]):
        info, count = answers.received(request, 206, headers)
        assert (info.size, count) == (size, len(right))
    else:
        with pytest.raises(InvalidResponse):
            answers.received(request, 206, headers)


# --- dates -----------------------------------------------------------------------------------------------------------

MOMENT = datetime(2026, 2, 3, 4, 5, 6, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Tue, 03 Feb 2026 04:05:06 GMT", id="as it should be"),
        pytest.param("Mon, 03 Feb 2026 04:05:06 GMT", id="wrong weekday"),
        pytest.param("Xyz, 03 Feb 2026 04:05:06 GMT", id="no weekday at all"),
        pytest.param("03 Feb 2026 04:05:06 GMT", id="without weekday"),
        pytest.param("Tue, 3 Feb 2026 04:05:06 GMT", id="one-digit day"),
        pytest.param("Tue, 03 Feb 2026 06:05:06 +0200", id="another zone"),
        pytest.param("Tue, 03 Feb 2026 04:05:06", id="without zone"),
        pytest.param("Tuesday, 03-Feb-26 04:05:06 GMT", id="RFC 850"),
        pytest.param("Tue Feb  3 04:05:06 2026", id="asctime, which is in UTC"),
        pytest.param("2026-02-03T04:05:06Z", id="ISO 8601"),
        pytest.param("2026-02-03T04:05:06.789Z", id="ISO 8601 with milliseconds"),
        pytest.param("2026-02-03T04:05:06.123456789Z", id="ISO 8601 with nanoseconds"),
        pytest.param("2026-02-03T04:05:06.000+00:00", id="ISO 8601 with a zone that is UTC"),
    ],
)
def test_dates(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every form that stores write is the same moment in UTC, wherever this machine stands."""
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    time.tzset()
    try:
        parsed = answers.parse_time(text)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert parsed == MOMENT
    assert parsed.tzinfo is timezone.utc


@pytest.mark.parametrize(
    "text",
    [
        None, "", " ", ",", "garbage", "Tue", "Tue, 03 Foo 2026 04:05:06 GMT", "Tue, 03 Feb", "0", "-1", "1770091506",
        "0000-01-01T00:00:00Z", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-02-03T25:00:00Z", "2026-02-03",
        "2026-02-03 04:05:06", "2026-02-03T", "10000-01-01T00:00:00Z", "Tue, 03 Feb 99999 04:05:06 GMT",
        "Tue, 03 Feb 10000 00:00:00 GMT", "99999999999999999999 Feb 2026 00:00:00 GMT",
        "Tue, 03 Feb 2026 04:05:06 +99999999999999999999", "²²²²-02-03T04:05:06Z", "-0000 Feb , -1",
    ],
    ids=ascii,
)  # fmt: skip
def test_no_dates(text: str | None) -> None:
    """What is no date, or none that a datetime can hold, is None and never an exception."""
    assert answers.parse_time(text) is None


def test_year_0() -> None:
    """A header's year 0, which some clocks write, gives some date or none, but no exception."""
    found = answers.parse_time("Mon, 01 Jan 0000 00:00:00 GMT")
    assert found is None or found.tzinfo is timezone.utc


# Hypothesis wants naive bounds.
YEAR_1900, YEAR_9999 = datetime(1900, 1, 1), datetime(9999, 12, 31)  # noqa: DTZ001


@same_each_run
@given(when=st.datetimes(YEAR_1900, YEAR_9999), fraction=st.sampled_from(["", ".0", ".123"]))
def test_dates_come_back(when: datetime, fraction: str) -> None:
    """What Python writes in either form is read as the moment that it was, to the second."""
    when = when.replace(microsecond=0, tzinfo=timezone.utc)
    assert answers.parse_time(format_datetime(when, usegmt=True)) == when
    assert answers.parse_time(f"{when:%Y-%m-%dT%H:%M:%S}{fraction}Z") == when


PIECES = [
    "Tue,",
    "Tue",
    "03",
    "Feb",
    "2026",
    "04:05:06",
    "GMT",
    "+0200",
    "-",
    "+",
    ",",
    ":",
    "12:",
    "99999999999999",
    "0",
]
PIECES += [
    "-1",
    "-0000",
    "T",
    "/",
    "\t",
    "(",
    "feb-",
    "-feb",
    "\u0663",
    "²",
    "4.5.6",
    "12:3:4:5",
    "\0",
    "²:3",
    "+²",
    "1.²",
]


@settings(same_each_run, max_examples=2000)
@given(text=st.one_of(st.text(max_size=40), st.lists(st.sampled_from(PIECES), max_size=8).map(" ".join)))
@example(text="-0000 Feb , -1")
def test_no_text_is_an_exception(text: str) -> None:
    """A server's date, whatever it is, gives a datetime in UTC or None."""
    found = answers.parse_time(text)
    assert found is None or found.utcoffset() == timedelta(0)


# --- XML -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"<Error><Code>C</Code></Error>", id="bare"),
        pytest.param(b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>C</Code></Error>\n', id="declared"),
        pytest.param(f"<Error {NAMESPACE}><Code>C</Code></Error>".encode(), id="namespace"),
        pytest.param(b'<s:Error xmlns:s="urn:x"><s:Code>C</s:Code></s:Error>', id="prefix"),
        pytest.param(b' \r\n <?xml version="1.0"?><Error><Code>C</Code></Error>', id="blanks before the declaration"),
        pytest.param(b"\xef\xbb\xbf<Error><Code>C</Code></Error>", id="byte order mark"),
        pytest.param("<Error><Code>C</Code></Error>".encode("utf-16"), id="UTF-16"),
        pytest.param(b"<!-- c --><?pi x?><Error><!-- c --><Code>C</Code></Error>", id="comments"),
        pytest.param(b"<Error><Code><![CDATA[C]]></Code></Error>", id="CDATA"),
    ],
)
def test_xml(body: bytes) -> None:
    """The element is found with and without namespace, in every encoding that XML demands."""
    root = answers.parse_xml(body, "Error")
    assert (root.tag, root.findtext("Code")) == ("Error", "C")


LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(20)
)
LAUGHS += "]><ListBucketResult>&u;</ListBucketResult>"
EXTERNAL = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><ListBucketResult>&e;</ListBucketResult>'


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(LAUGHS, id="billion laughs"),
        pytest.param(EXTERNAL, id="external entity"),
        pytest.param('<!DOCTYPE x SYSTEM "http://h/x.dtd"><ListBucketResult/>', id="external DTD"),
        pytest.param("<!DOCTYPE html><html></html>", id="HTML"),
        pytest.param("<!DOCTYPE x><ListBucketResult/>", id="DOCTYPE alone"),
    ],
)
@pytest.mark.parametrize(
    ("before", "encoding"),
    [
        pytest.param("", "utf-8", id="UTF-8"),
        pytest.param("\ufeff", "utf-8", id="UTF-8 with byte order mark"),
        pytest.param("\ufeff", "utf-16-le", id="UTF-16, little end first"),
        pytest.param("\ufeff", "utf-16-be", id="UTF-16, big end first"),
        pytest.param('<?xml version="1.0" encoding="UTF-16"?>', "utf-16", id="UTF-16, declared"),
        pytest.param('<?xml version="1.0" encoding="latin-1"?>', "latin-1", id="Latin-1, declared"),
    ],
)
def test_doctype_is_refused_at_once(text: str, before: str, encoding: str) -> None:
    """No entity is ever defined, in whichever encoding the DOCTYPE hides, and no time is spent on it."""
    began = time.perf_counter()
    with pytest.raises(InvalidResponse, match="DOCTYPE"):
        answers.parse_xml((before + text).encode(encoding), "ListBucketResult")
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"  \n", id="blank"),
        pytest.param(b"<Error><Code>C</Code>", id="truncated"),
        pytest.param(b"<Error><Co", id="truncated in a tag"),
        pytest.param(b"<Error/><Error/>", id="two roots"),
        pytest.param(b"<Error/>junk", id="text behind"),
        pytest.param(b"junk", id="text"),
        pytest.param(b'{"code": 1}', id="JSON"),
        pytest.param(b"<html><p>502<br></html>", id="HTML that is no XML"),
        pytest.param(b"<Error>\xff</Error>", id="no UTF-8"),
        pytest.param(b"<Error>&#x1;</Error>", id="a character that XML 1.0 has not"),
        pytest.param(b"<Error>\x01</Error>", id="a raw control"),
        pytest.param(b"<Error>&nbsp;</Error>", id="undefined entity"),
        pytest.param(b"<s:Error/>", id="unbound prefix"),
        pytest.param(b"\x1f\x8b\x08\x00", id="gzip"),
        pytest.param(b"\0" * 100, id="zeros"),
        pytest.param(b'<?xml version="1.0" encoding="no-such"?><Error/>', id="unknown encoding"),
        pytest.param(b'<?xml version="1.0" encoding="shift_jis"?><Error/>', id="multi-byte encoding"),
        pytest.param(b'<?xml version="1.0" encoding="utf-7"?><Error/>', id="UTF-7"),
        pytest.param(b'<?xml version="1.0" encoding="base64"?><Error/>', id="an encoding that is no text"),
        pytest.param(b'<?xml version="1.0" encoding="idna"?><Error/>', id="an encoding that is no charmap"),
    ],
)
def test_no_xml(body: bytes) -> None:
    """Whatever is not XML is an InvalidResponse that keeps no reference to the parser's exception."""
    with pytest.raises(InvalidResponse, match="not the XML that S3 promises") as caught:
        answers.parse_xml(body, "Error")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@same_each_run
@given(body=st.one_of(st.binary(max_size=60), st.text(alphabet="<>/&;!?-[]ErorC= \"'", max_size=40).map(str.encode)))
def test_no_bytes_are_another_exception(body: bytes) -> None:
    """Any bytes at all are an element or an InvalidResponse."""
    try:
        said = answers.parse_xml(body, "Error").tag
    except InvalidResponse as error:
        said = str(error)
    assert said == "Error" or (said.startswith("the answer") and said.isprintable())


def test_another_root_is_refused_with_its_code() -> None:
    """An `<Error>` in a 200 is no success, and its code is kept as evidence."""
    with pytest.raises(InvalidResponse, match="<Error> where <CopyObjectResult> belongs") as caught:
        answers.parse_xml(f"<Error {NAMESPACE}><Code>InternalError</Code></Error>".encode(), "CopyObjectResult")
    assert caught.value.code == "InternalError"


def test_another_root_is_shown_short() -> None:
    """A server's long element name is cut."""
    with pytest.raises(InvalidResponse) as caught:
        answers.parse_xml(f"<{'x' * 5000}/>".encode(), "Error")
    assert len(str(caught.value)) < 200
    assert caught.value.code is None


def test_deep_xml_does_no_harm() -> None:
    """A hundred thousand elements in each other are refused like any other answer, not with a crash."""
    depth = 100_000
    with pytest.raises(InvalidResponse, match="belongs"):
        answers.parse_xml(b"<a>" * depth + b"</a>" * depth, "Error")


# --- list pages ------------------------------------------------------------------------------------------------------


def page(inner: str, attributes: str = NAMESPACE) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult {attributes}>{inner}</ListBucketResult>'.encode()


def listed(key: str, size: str = "1") -> str:
    return f"<Contents><Key>{key}</Key><Size>{size}</Size></Contents>"


URL = "<EncodingType>url</EncodingType>"


@pytest.mark.parametrize("attributes", ["", NAMESPACE], ids=["without namespace", "with namespace"])
def test_list_page(attributes: str) -> None:
    """A page's entries come with all their fields."""
    body = page(
        "<Name>buc</Name><Prefix/><KeyCount>1</KeyCount><IsTruncated>false</IsTruncated><Contents><Key>a</Key>"
        "<LastModified>2026-02-03T04:05:06.000Z</LastModified><ETag>&#34;e&#34;</ETag><Size>5</Size></Contents>",
        attributes,
    )
    assert answers.parse_list(body) == ([answers.ListedObject("a", 5, '"e"', MOMENT)], None)


def test_empty_page() -> None:
    """No entries and no token is the end."""
    assert answers.parse_list(page("<KeyCount>0</KeyCount>")) == ([], None)


@pytest.mark.parametrize(
    ("said", "sent", "key"),
    [
        pytest.param(URL, "a%20b", "a b", id="encoded blank"),
        pytest.param(URL, "a+b", "a b", id="plus is a blank"),
        pytest.param(URL, "a%2Bb", "a+b", id="encoded plus"),
        pytest.param(URL, "a%2520b", "a%20b", id="decoded once"),
        pytest.param(URL, "a%01b", "a\x01b", id="a character that XML has not"),
        pytest.param(URL, "%C3%BC%F0%9F%A4%96", "ü🤖", id="UTF-8"),
        pytest.param(URL, "u%CC%88", "u\u0308", id="never normalised"),
        pytest.param(URL, "a%2Fb/c", "a/b/c", id="slashes"),
        pytest.param(URL, "100%", "100%", id="a lone percent sign, which was not encoded"),
        pytest.param("", "a%20b", "a%20b", id="not said: percent stays"),
        pytest.param("", "a+b", "a+b", id="not said: plus stays"),
        pytest.param("", "a &amp; b", "a & b", id="not said: XML's own escapes"),
        pytest.param("<EncodingType/>", "a%20b", "a%20b", id="said empty"),
        pytest.param("<EncodingType>none</EncodingType>", "a%20b", "a%20b", id="said otherwise"),
    ],
)
def test_keys_are_decoded_only_when_the_answer_says_so(said: str, sent: str, key: str) -> None:
    """Objects and common prefixes alike: `encoding-type=url` was asked for, but only the answer tells."""
    inner = f"{said}{listed(sent)}<CommonPrefixes><Prefix>{sent}</Prefix></CommonPrefixes>"
    entries, _ = answers.parse_list(page(inner))
    assert [entry.key for entry in entries] == [key, key]
    assert sorted(entry.is_prefix for entry in entries) == [False, True]


@same_each_run
@given(
    keys=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20), max_size=6, unique=True),
    encode=st.sampled_from([quote, quote_plus]),
)
@example(keys=["\uffff", "\U00010000"], encode=quote)
def test_any_key_comes_back(keys: list[str], encode: object) -> None:
    """Keys of any characters come back in the order of their UTF-8 bytes, with a blank written either way."""
    entries, token = answers.parse_list(page(URL + "".join(listed(escape(encode(key))) for key in keys)))
    assert [entry.key for entry in entries] == sorted(keys, key=str.encode)
    assert token is None


def test_a_key_that_is_no_utf_8_is_like_no_other() -> None:
    """Bytes that are no UTF-8 stay apart as surrogates, which no request takes, and keep their place in the order."""
    entries, _ = answers.parse_list(page(URL + listed("a%FF") + listed("a%FE") + listed("a%EF%BF%BD")))
    assert [entry.key for entry in entries] == ["a\ufffd", "a\udcfe", "a\udcff"]


def test_common_prefixes_stand_in_order() -> None:
    """Objects and common prefixes come as one list in the order of their keys, as S3 counts them."""
    inner = listed("a") + listed("c") + listed("Z")
    inner += "<CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes><CommonPrefixes><Prefix>d/</Prefix></CommonPrefixes>"
    entries, _ = answers.parse_list(page(inner))
    assert [(entry.key, entry.is_prefix) for entry in entries] == [
        ("Z", False), ("a", False), ("b/", True), ("c", False), ("d/", True),
    ]  # fmt: skip
    assert vars(entries[2]) == {"key": "b/", "size": None, "etag": None, "last_modified": None}


@pytest.mark.parametrize(
    ("truncated", "token", "expected"),
    [
        pytest.param(
            "<IsTruncated>true</IsTruncated>",
            "<NextContinuationToken>t+/=</NextContinuationToken>",
            "t+/=",
            id="goes on",
        ),
        pytest.param(
            "<IsTruncated>false</IsTruncated>", "<NextContinuationToken>t</NextContinuationToken>", None, id="ends"
        ),
        pytest.param("<IsTruncated>false</IsTruncated>", "", None, id="ends without token"),
        pytest.param("", "<NextContinuationToken>t</NextContinuationToken>", None, id="says nothing"),
    ],
)
@pytest.mark.parametrize("said", ["", URL], ids=["plain", "url"])
def test_next_page(truncated: str, token: str, expected: str | None, said: str) -> None:
    """The token counts where the list is truncated; it is opaque, and encoding-type does not decode it."""
    assert answers.parse_list(page(said + truncated + token + listed("a")))[1] == expected


@pytest.mark.parametrize("token", ["", "<NextContinuationToken/>"])
def test_truncated_without_token(token: str) -> None:
    """A list that goes on but does not say where is an error, and not a shorter list."""
    with pytest.raises(InvalidResponse, match="does not say where"):
        answers.parse_list(page(f"<IsTruncated>true</IsTruncated>{token}{listed('a')}"))


@pytest.mark.parametrize("size", [text for text in NOT_NUMBERS if text != "\0"], ids=ascii)
def test_bad_sizes(size: str) -> None:
    """A size is digits, in a list too."""
    with pytest.raises(InvalidResponse, match="Size is"):
        answers.parse_list(page(listed("a", size)))


def test_missing_size() -> None:
    """An object without size is an error, and not a common prefix."""
    with pytest.raises(InvalidResponse, match="Size is"):
        answers.parse_list(page("<Contents><Key>a</Key></Contents>"))


@pytest.mark.parametrize("inner", ["<Contents><Size>1</Size></Contents>", "<CommonPrefixes/>"])
def test_missing_key(inner: str) -> None:
    """A line without its key is an error, since no object has an empty one."""
    with pytest.raises(InvalidResponse):
        answers.parse_list(page(inner))


def test_bad_date_in_a_list_is_none() -> None:
    """A date that cannot be read costs the date, not the list."""
    inner = "<Contents><Key>a</Key><Size>0</Size><LastModified>yesterday</LastModified></Contents>"
    assert answers.parse_list(page(inner)) == ([answers.ListedObject("a", 0)], None)


@pytest.mark.parametrize(
    "body", [b"", b"<Error/>", b"<html/>", LAUGHS.encode()], ids=["empty", "error", "html", "laughs"]
)
def test_no_list(body: bytes) -> None:
    """What is no list page is an error, and not an empty list."""
    with pytest.raises(InvalidResponse):
        answers.parse_list(body)


# --- copies ----------------------------------------------------------------------------------------------------------


def test_copy() -> None:
    """Entity tag and date are the copy's own, from the XML; of the headers only x-amz-* speak of the object."""
    body = (
        f'<CopyObjectResult {NAMESPACE}><ETag>"new"</ETag><LastModified>2026-02-03T04:05:06Z</LastModified>'
        "</CopyObjectResult>"
    ).encode()
    headers = {
        "content-length": str(len(body)),
        "content-type": "application/xml",
        "etag": '"the XML\'s"',
        "last-modified": "Tue, 03 Feb 2020 04:05:06 GMT",
        "x-amz-version-id": "v2",
    }
    info = answers.parse_copy(Request("PUT", "buc", "k"), headers, body)
    assert (info.bucket, info.key, info.size) == ("buc", "k", None)
    assert (info.etag, info.last_modified, info.version_id, info.content_type) == ('"new"', MOMENT, "v2", None)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(b"<Error><Code>InternalError</Code></Error>", "InternalError", id="error in a 200"),
        pytest.param(b'<?xml version="1.0"?>\n<Error><Code>SlowDown</Code></Error>', "SlowDown", id="declared"),
        pytest.param(b"", None, id="empty"),
        pytest.param(b" \n \n", None, id="blanks that kept the connection alive, and nothing more"),
        pytest.param(b"<CopyObjectResult><ETag>", None, id="truncated"),
        pytest.param(b"<CopyPartResult/>", None, id="another result"),
    ],
)
def test_no_copy(body: bytes, code: str | None) -> None:
    """The status was sent before the outcome was known: without the success element there is no copy."""
    with pytest.raises(CDNError) as caught:
        answers.parse_copy(Request("PUT", "buc", "k"), {}, body)
    assert type(caught.value) is InvalidResponse
    assert caught.value.code == code


def test_copy_without_entity_tag() -> None:
    """An entity tag that the answer does not name is None, and so is the date: as ObjectInfo says."""
    info = answers.parse_copy(Request("PUT", "buc", "k"), {"etag": '"header"'}, b"<CopyObjectResult/>")
    assert info.etag is None
    assert info.last_modified is None
