"""What S3 answers in headers when all went well: objects, lengths, ranges and dates, none of it trusted.

Traps: a body needs its length and a range must be the one asked for (24), Last-Modified with a wrong weekday (31).
"""

import random
import time
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from cdn_sigv4 import answers
from cdn_sigv4.errors import InvalidResponse
from cdn_sigv4.s3 import Request, byte_range

same_each_run = settings(derandomize=True, database=None, deadline=None, max_examples=200)

NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
NOT_NUMBERS = ["", " ", "-1", "+1", "1.0", "1e3", "0x1", "1 ", " 1", "1,1", "1_0", "\u0665", "²", "one", "9" * 20, "\0"]

ETAG = {"etag": '"e"'}


def asking(start=None, end=None, tail=None):
    return Request("GET", "buc", "k", headers={"range": byte_range(start, end, tail)})


def test_object_info():
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


def test_object_info_where_the_server_was_silent():
    """What no header says is None, and no metadata is an empty dict."""
    info = answers.ObjectInfo("buc", "k", None, {})
    assert [info.size, info.etag, info.content_type, info.version_id, info.last_modified] == [None] * 5
    assert info.metadata == {}


def test_listed_object_is_a_prefix_without_a_size():
    """An empty object is an object; only a line without size is a prefix."""
    assert answers.ListedObject("a/").is_prefix
    assert not answers.ListedObject("a", 0).is_prefix


@pytest.mark.parametrize(("text", "expected"), [("0", 0), ("5", 5), ("007", 7), ("9" * 19, 10**19 - 1)])
def test_content_length(text, expected):
    """Content-Length is digits."""
    assert answers.content_length({"content-length": text}) == expected


@pytest.mark.parametrize("text", NOT_NUMBERS, ids=ascii)
def test_content_length_refused(text):
    """Signs, blanks, other scripts' digits and endless digits are no length; what is shown of them is one line."""
    with pytest.raises(InvalidResponse, match="Content-Length is") as caught:
        answers.content_length({"content-length": text})
    assert str(caught.value).isprintable()


def test_content_length_may_be_missing():
    """No header is None, which is not 0."""
    assert answers.content_length({}) is None


def test_a_megabyte_of_digits_is_refused_at_once():
    """Digits are not turned into a number before they are counted, and not all repeated."""
    began = time.perf_counter()
    with pytest.raises(InvalidResponse) as caught:
        answers.content_length({"content-length": "9" * (1 << 20)})
    assert time.perf_counter() - began < 5
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(("length", "size"), [({"content-length": "5"}, 5), ({}, None)], ids=["known", "unknown"])
def test_headed(length, size):
    """A HEAD's Content-Length is the object's size; without it the size is unknown."""
    info = answers.headed(asking(), {**ETAG, **length})
    assert (info.bucket, info.key, info.size, info.etag) == ("buc", "k", size, '"e"')


@pytest.mark.parametrize("headers", [{"etag": '"e"'}, {"x-amz-request-id": "1"}, {"x-amzn-requestid": "1"}])
def test_origin(headers):
    """Entity tag or any x-amz- header is the sign of an S3 server; some stores give but one of them."""
    answers.check_origin(headers)


PORTAL = {"content-type": "text/html", "content-length": "5", "server": "nginx", "last-modified": "yesterday"}


@pytest.mark.parametrize(
    "take",
    [
        lambda: answers.received(asking(), 200, PORTAL),
        lambda: answers.headed(asking(), PORTAL),
        lambda: answers.stored(asking(), {}, PORTAL, 5),
        lambda: answers.check_done(PORTAL, b"<html>"),
        lambda: answers.check_bucket_head(PORTAL),
    ],
    ids=["get", "head", "put", "delete", "bucket"],
)
def test_a_captive_portal_is_no_store(take):
    """A 200 from something else on the way, with a page of its own, is no object and no success."""
    with pytest.raises(InvalidResponse, match="not from an S3 server") as caught:
        take()
    assert "captive portal" in caught.value.hint


def test_a_bare_200_to_a_buckets_head():
    """A store that says 200 and nothing else has the bucket: Garage does so."""
    answers.check_bucket_head({"content-length": "0", "date": "today"})
    answers.check_bucket_head({})


@pytest.mark.parametrize("text", [b"", b" \r\n", b"<CreateBucketResponse/>"], ids=["nothing", "blanks", "moto's XML"])
def test_done_with_few_words(text):
    """Where S3 says nothing beyond the status, other stores may."""
    answers.check_done({}, text)


def test_stored():
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


def test_stored_needs_an_entity_tag():
    """A 200 without entity tag is some other server's: nothing is taken for stored."""
    with pytest.raises(InvalidResponse, match="no entity tag"):
        answers.stored(asking(), {}, {"content-length": "0", "x-amz-request-id": "1"}, 5)


@pytest.mark.parametrize("length", [0, 5, 1 << 40])
def test_whole_object(length):
    """A 200 to a request without Range is the object, of Content-Length bytes."""
    info, first, count = answers.received(asking(), 200, {**ETAG, "content-length": str(length)})
    assert (info.size, first, count) == (length, 0, length)


@pytest.mark.parametrize(
    ("request_", "content_range", "length", "size"),
    [
        pytest.param(asking(2, 5), "bytes 2-4/10", 3, 10, id="middle"),
        pytest.param(asking(9, 10), "bytes 9-9/10", 1, 10, id="last byte"),
        pytest.param(asking(5), "bytes 5-9/10", 5, 10, id="to the end"),
        pytest.param(asking(5, 100), "bytes 5-9/10", 5, 10, id="reaching over the end"),
        pytest.param(asking(tail=3), "bytes 7-9/10", 3, 10, id="tail"),
        pytest.param(asking(tail=99), "bytes 0-9/10", 10, 10, id="tail longer than the object"),
    ],
)
def test_range(request_, content_range, length, size):
    """A 206 is taken when it is the range asked for, as far as there is object; the size is the whole object's."""
    info, first, count = answers.received(
        request_, 206, {**ETAG, "content-length": str(length), "content-range": content_range}
    )
    assert (info.size, first, count) == (size, int(content_range[6]), length)


@pytest.mark.parametrize(
    ("request_", "content_range", "length"),
    [
        pytest.param(asking(0, 5), "bytes 1-5/10", 5, id="another beginning"),
        pytest.param(asking(0, 5), "bytes 0-3/10", 4, id="shorter than asked"),
        pytest.param(asking(0, 5), "bytes 0-9/10", 10, id="all of it instead"),
        pytest.param(asking(5), "bytes 5-8/10", 4, id="ends early"),
        pytest.param(asking(tail=3), "bytes 6-8/10", 3, id="not the tail"),
        pytest.param(asking(tail=3), "bytes 6-9/10", 4, id="tail too long"),
        pytest.param(asking(tail=99), "bytes 1-9/10", 9, id="not the whole of a short object"),
        pytest.param(asking(5, 100), "bytes 5-9/11", 5, id="over the end, but a byte is missing"),
        pytest.param(asking(0, 5), "bytes 0-4/10", 6, id="Content-Length too large"),
        pytest.param(asking(0, 5), "bytes 0-4/4", 5, id="last byte outside the object"),
        pytest.param(asking(0, 5), "bytes 0-4/*", 5, id="size unknown"),
        pytest.param(asking(0, 5), "bytes */10", 5, id="unsatisfied"),
        pytest.param(asking(5), "bytes 5-4/5", 0, id="nothing at all"),
        pytest.param(asking(0, 5), "bytes=0-4/10", 5, id="the request's form"),
        pytest.param(asking(0, 5), "bytes 0-4", 5, id="no size"),
        pytest.param(asking(0, 5), "bytes  0-4/10", 5, id="two blanks"),
        pytest.param(asking(0, 5), "bytes -0-4/10", 5, id="minus"),
        pytest.param(asking(0, 5), "bytes \u0660-\u0664/\u0661\u0660", 5, id="Arabic digits"),
        pytest.param(asking(0, 5), f"bytes 0-4/{'9' * 5000}", 5, id="huge digits"),
        pytest.param(asking(0, 5), "\x1b[2J\r\n", 5, id="controls"),
    ],
)
def test_range_refused(request_, content_range, length):
    """Another range than the one asked for is never written into a file; what is shown of it is one short line."""
    headers = {**ETAG, "content-length": str(length), "content-range": content_range}
    with pytest.raises(InvalidResponse, match=r"Content-Range|asked for") as caught:
        answers.received(request_, 206, headers)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("request_", "status", "reason"),
    [(asking(0, 5), 200, "with Range has status 200"), (asking(), 206, "without Range has status 206")],
)
def test_status_fits_the_request(request_, status, reason):
    """The whole object in place of a range, or a range unasked, is refused, with the status as evidence."""
    with pytest.raises(InvalidResponse, match=reason) as caught:
        answers.received(request_, status, {**ETAG, "content-length": "5", "content-range": "bytes 0-4/10"})
    assert caught.value.status == status


@pytest.mark.parametrize(("request_", "status"), [(asking(), 200), (asking(0, 5), 206)])
def test_no_body_without_its_length(request_, status):
    """Without Content-Length a cut body looks whole: refused, with a hint at the proxy."""
    with pytest.raises(InvalidResponse, match="no Content-Length") as caught:
        answers.received(request_, status, {**ETAG, "content-range": "bytes 0-4/10"})
    assert "proxy" in caught.value.hint


def test_no_body_in_chunks():
    """With Transfer-Encoding the length does not count (RFC 9112, 6.3), so such a body is refused as well."""
    with pytest.raises(InvalidResponse, match="no Content-Length"):
        answers.received(asking(), 200, {**ETAG, "content-length": "5", "transfer-encoding": "chunked"})


@same_each_run
@given(data=st.data(), size=st.integers(1, 60))
def test_range_is_the_slice(data, size):
    """For any slice of any object exactly one range is right: the slice's own."""
    start = data.draw(st.integers(0, size - 1))
    end = data.draw(st.one_of(st.none(), st.integers(start + 1, 2 * size + 1)))
    tail = data.draw(st.one_of(st.none(), st.integers(1, 2 * size)))
    request = asking(tail=tail) if tail else asking(start, end)
    right = range(size)[-tail:] if tail else range(size)[start:end]
    first = data.draw(st.one_of(st.just(right[0]), st.integers(0, size - 1)))
    last = data.draw(st.one_of(st.just(right[-1]), st.integers(first, size - 1)))
    assume(first <= last)
    headers = {**ETAG, "content-length": str(last - first + 1), "content-range": f"bytes {first}-{last}/{size}"}
    if (first, last) == (right[0], right[-1]):
        info, begin, count = answers.received(request, 206, headers)
        assert (info.size, begin, count) == (size, right[0], len(right))
    else:
        with pytest.raises(InvalidResponse):
            answers.received(request, 206, headers)


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
def test_dates(text, monkeypatch):
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
def test_no_dates(text):
    """What is no date, or none that a datetime can hold, is None and never an exception."""
    assert answers.parse_time(text) is None


PIECES = [
    "Tue,", "Tue", "03", "Feb", "2026", "04:05:06", "GMT", "+0200", "-", "+", ",", ":", "12:", "99999999999999", "0",
    "-1", "-0000", "T", "/", "\t", "(", "feb-", "-feb", "\u0663", "²", "4.5.6", "12:3:4:5", "\0", "²:3", "+²", "1.²",
]  # fmt: skip


def is_moment_or_none(text):
    """Whether a text gives a datetime in UTC or None."""
    found = answers.parse_time(text)
    return found is None or found.utcoffset() == timedelta(0)


@settings(same_each_run, max_examples=500)
@given(text=st.text(max_size=40))
@example(text="-0000 Feb , -1")
@example(text="Mon, 01 Jan 0000 00:00:00 GMT")
def test_no_text_is_an_exception(text):
    """A server's date, whatever it is, gives a datetime in UTC or None."""
    assert is_moment_or_none(text)


def test_no_pieces_of_dates_are_an_exception():
    """So do the words that dates are made of, in any order; ten thousand of these cost less than a few of any text."""
    chance = random.Random(1)
    for _ in range(10_000):
        text = " ".join(chance.choices(PIECES, k=chance.randrange(9)))
        assert is_moment_or_none(text), text
