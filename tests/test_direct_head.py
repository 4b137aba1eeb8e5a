"""Proves what the short way's parser makes of an answer's head: the same as http.client's, or an error, or more safe.

Rules: RFC 9112 (HTTP/1.1). A head that is not whole is never an answer, wherever it ends.
"""

import http.client
import io
import re

import hypothesis.strategies as st
import pytest
from hypothesis import given
from kit import BODY, client_of, good, still_works
from kit_calls import delete, get, head, listed, put
from rawserver import Answer, RawServer, in_turn

from cdn_sigv4 import CDNError, ResponseError, TransportError
from cdn_sigv4.connection import WholeHead

OK = b"HTTP/1.1 200 OK\r\n"
END = b"\r\n"


class Heard:
    """A socket on which so many bytes came, and then the end."""

    def __init__(self, data):
        self.stream = io.BytesIO(data)
        self.stream.close = lambda: None  # to be looked at afterwards

    def makefile(self, mode):
        return io.BufferedReader(self.stream)


def parsed(data, method="GET"):
    """The answer that these bytes are."""
    answer = WholeHead(Heard(data), method=method)
    try:
        answer.begin()
    except BaseException:
        answer.close()
        raise
    return answer


def fields(lines):
    """The header fields of an answer with these lines."""
    return parsed(OK + lines + END).fields


# -- header fields

FIELDS = [
    ("none", b"", {}),
    ("one", b"ETag: x\r\n", {"etag": "x"}),
    ("no blank behind the colon", b"ETag:x\r\n", {"etag": "x"}),
    ("blanks around the value", b"ETag: \t x \t \r\n", {"etag": "x"}),
    ("blanks inside", b"A: x  y\tz\r\n", {"a": "x  y\tz"}),
    ("a blank before the colon is of the name", b"ETag : x\r\n", {"etag ": "x"}),
    ("empty", b"ETag:\r\nA: \r\n", {"etag": "", "a": ""}),
    ("no name", b": x\r\nA: y\r\n", {"a": "y"}),
    ("colons in the value", b'ETag: "a:b"\r\n', {"etag": '"a:b"'}),
    ("capitals", b"X-AMZ-Request-Id: Ab\r\n", {"x-amz-request-id": "Ab"}),
    ("bytes beyond ASCII", b"A: \xe4\r\n", {"a": "\xe4"}),
    (
        "bytes that Latin-1 has for blanks",
        b"A: voil\xc3\xa0\r\nB: \xc3\x85\r\n",
        {"a": "voil\xc3\xa0", "b": "\xc3\x85"},
    ),
    ("repeated", b"A: 1\r\nB: 2\r\na: 3\r\nA:\r\n", {"a": "1, 3, ", "b": "2"}),
    ("folded", b"A: 1\r\n 2\r\n\t3  \r\nB: 4\r\n", {"a": "1 2 3", "b": "4"}),
    ("folded with a colon", b"A: 1\r\n B: 2\r\n", {"a": "1 B: 2"}),
    ("folded, and the last of a repeated one", b"A: 1\r\nA: 2\r\n 3\r\n", {"a": "1, 2 3"}),
    ("line feeds alone", b"A: 1\nB: 2\n", {"a": "1", "b": "2"}),
    ("a hundred", b"A: 1\r\n" * 100, {"a": ", ".join("1" * 100)}),
    ("64 KiB", b"A: " + b"x" * (65536 - 5) + b"\r\n", {"a": "x" * (65536 - 5)}),
]


@pytest.mark.parametrize(("lines", "expected"), [each[1:] for each in FIELDS], ids=[each[0] for each in FIELDS])
def test_fields(lines, expected):
    """Names in small letters, values without the blanks around them, those of a repeated name joined."""
    assert fields(lines) == expected


def test_the_head_ends_at_a_line_feed_alone():
    """An empty line of one byte ends it as well, and what follows is the body."""
    answer = parsed(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi")
    assert (answer.fields, answer.read(9)) == ({"content-length": "2"}, b"hi")


NO_HEADS = [
    ("no colon", b"ETag x\r\n", http.client.HTTPException),
    ("folded before any field", b" x\r\n", http.client.HTTPException),
    ("folded before any field, with a colon", b" A: x\r\n", http.client.HTTPException),
    ("a carriage return alone", b"\r", http.client.HTTPException),
    ("101 fields", b"A: 1\r\n" * 101, http.client.HTTPException),
    ("more than 64 KiB", b"A: " + b"x" * 65536 + b"\r\n", http.client.LineTooLong),
    ("more than 64 KiB folded", b"A: 1\r\n " + b"x" * 65536 + b"\r\n", http.client.LineTooLong),
]


@pytest.mark.parametrize(("lines", "kind"), [each[1:] for each in NO_HEADS], ids=[each[0] for each in NO_HEADS])
def test_what_is_no_head(lines, kind):
    """Lines that are no header fields, too many or too long ones are refused; nothing is guessed."""
    with pytest.raises(kind):
        fields(lines)


STARTS = [
    (b"HTTP/2.0 200 OK\r\n", http.client.UnknownProtocol),
    (b"HTTP/0.9 200 OK\r\n", http.client.UnknownProtocol),
    (b"HTTX/1.1 200 OK\r\n", http.client.BadStatusLine),
    (b"SSH-2.0-OpenSSH\r\n", http.client.BadStatusLine),
    (b"HTTP/1.1 OK\r\n", http.client.BadStatusLine),
    (b"HTTP/1.1 20\r\n", http.client.BadStatusLine),
    (b"HTTP/1.1 1000 OK\r\n", http.client.BadStatusLine),
    (b"HTTP/1.1 -200 OK\r\n", http.client.BadStatusLine),
    (b"HTTP/1.1 " + b"x" * 65536 + b"\r\n", http.client.LineTooLong),
    (b"\r\n", http.client.BadStatusLine),
    (b"", http.client.IncompleteRead),
]


@pytest.mark.parametrize(("start", "kind"), STARTS, ids=[repr(start[:20]) for start, _ in STARTS])
def test_what_is_no_status_line(start, kind):
    """Another version, another protocol, a status that is none, or nothing."""
    with pytest.raises(kind):
        parsed(start + END if start else b"")


TOKEN = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
names = st.text(TOKEN, min_size=1, max_size=12)
inner = st.text([chr(code) for code in range(256) if code >= 32 and code not in (0x7F, 0x85, 0xA0)] + ["\t"])
folds = st.lists(inner.filter(lambda text: text.strip(" \t")), max_size=2)
blanks = st.text(" \t", max_size=3)
line = st.tuples(names, blanks, inner, blanks, folds, st.sampled_from(["\r\n", "\n"]))


@given(st.lists(line, max_size=20), st.booleans())
def test_as_http_client_reads_it(lines, repeat):
    """Any well-formed head has the names and values that the standard library finds, line for line."""
    lines = lines + lines[:2] if repeat else lines
    text = "".join(
        f"{name}:{before}{value}{after}{''.join(end + ' ' + more for more in folds)}{end}"
        for name, before, value, after, folds, end in lines
    )
    data = text.encode("latin-1") + b"\r\n"
    expected = {}
    for name, value in http.client.parse_headers(io.BytesIO(data)).items():
        expected.setdefault(name.lower(), []).append(value)
    found = fields(text.encode("latin-1"))
    assert {name: " ".join(re.split("[ \t]+", value)).strip() for name, value in found.items()} == {
        name: " ".join(re.split("[ \t\r\n]+", ", ".join(value.strip(" \t") for value in values))).strip()
        for name, values in expected.items()
    }


# -- interim answers


def interim(number, status=100, lines=b"Link: x\r\n"):
    return (b"HTTP/1.1 %d Early\r\n%s\r\n" % (status, lines)) * number


@pytest.mark.parametrize("status", [100, 102, 103, 199])
@pytest.mark.parametrize("number", [1, 2, 9])
def test_interim_answers(status, number):
    """They are passed over with their headers; the final answer is the first that is none."""
    answer = parsed(interim(number, status) + OK + b"Content-Length: 2\r\n\r\nhi")
    assert (answer.status, answer.fields, answer.read(9)) == (200, {"content-length": "2"}, b"hi")


def test_ten_interim_answers():
    """Ten of them are as many as may come."""
    assert parsed(interim(10) + OK + END).status == 200


def test_more_than_ten_interim_answers():
    """Eleven, and any number more, are no HTTP."""
    for number in (11, 1000):
        with pytest.raises(http.client.BadStatusLine):
            parsed(interim(number) + OK + END)


def test_switching_protocols_is_final():
    """A 101 has left HTTP: what follows is no answer (the client takes it for no success)."""
    assert parsed(interim(1, 101) + OK + END).status == 101


# -- the body's length, and whether the connection is kept

KEPT = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", "GET", 2, False),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n", "GET", 2, False),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n", "GET", 2, True),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCONNECTION: x, Close\r\n", "GET", 2, True),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: x\r\nConnection: close\r\n", "GET", 2, True),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n", "GET", 2, True),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: Keep-Alive\r\n", "GET", 2, False),
    (b"HTTP/1.2 200 OK\r\nContent-Length: 2\r\n", "GET", 2, False),
    (b"HTTP/1.1 200 OK\r\n", "GET", None, True),
    (b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n", "GET", None, True),
    (b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n", "GET", None, True),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n", "GET", None, True),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n", "GET", None, True),
    (b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\n", "GET", None, True),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n", "GET", None, True),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: Chunked\r\n", "GET", None, False),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", "HEAD", 0, False),
    (b"HTTP/1.1 200 OK\r\n", "HEAD", 0, False),
    (b"HTTP/1.1 204 No\r\nContent-Length: 2\r\n", "DELETE", 0, False),
    (b"HTTP/1.1 304 No\r\nContent-Length: 2\r\n", "GET", 0, False),
]


@pytest.mark.parametrize(("start", "method", "length", "closes"), KEPT, ids=range(len(KEPT)))
def test_length_and_end(start, method, length, closes):
    """How long the body is, and whether the connection ends with it (RFC 9112, 6.3 and 9.3)."""
    answer = parsed(start + END, method)
    assert (answer.length, answer.will_close) == (length, closes)


CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("trailer", [b"", b"X-Checksum: 1\r\n", b"A: 1\r\n B\r\n" * 50])
def test_chunks_with_a_trailer(trailer):
    """The trailer's fields are read and dropped, up to the empty line behind them."""
    answer = parsed(CHUNKED + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n" + trailer + b"\r\nHTTP/1.1")
    assert answer.read(99) + answer.read(99) + answer.read(99) == b"abcde"
    assert answer.fp is None  # read to its end: the connection may be kept


@pytest.mark.parametrize(
    "rest",
    [b"-1\r\nabc", b"-0x1\r\nabc", b"x\r\nabc", b"\r\nabc", b"3\r\nab", b"3\r\nabc\r\n", b"0\r\n", b"0\r\nA: 1\r\n",
     b"0\r\nA: 1", b"0\r\nno field\r\n\r\n", b"0\r\n" + b"A: 1\r\n" * 101 + b"\r\n"],
    ids=lambda rest: repr(rest[:12]),
)  # fmt: skip
def test_chunks_that_are_none(rest):
    """A negative or unreadable size, and an end before the end, are errors and no end of the body."""
    answer = parsed(CHUNKED + rest)
    with pytest.raises((http.client.HTTPException, ValueError)):
        list(iter(lambda: answer.read(99), b""))
    answer.close()


def test_a_negative_chunk_is_not_read():
    """A chunk of -1 bytes ends it all: http.client would read to the end of the connection, into memory."""
    heard = Heard(CHUNKED + b"-1\r\n" + bytes(1 << 20))
    answer = WholeHead(heard, method="GET")
    answer.begin()
    with pytest.raises(http.client.IncompleteRead):
        answer.read(99)
    assert heard.stream.tell() < 1 << 17
    answer.close()


def test_reading_into_memory_takes_what_came():
    """`readinto` gives what one receive gave, and nothing of what lies behind the body."""
    answer = parsed(OK + b"Content-Length: 5\r\n\r\nfirstHTTP/1.1 200 OK")
    memory = bytearray(9)
    assert answer.readinto(memory) == 5
    assert bytes(memory) == b"first\0\0\0\0"
    assert (answer.fp, answer.length, answer.readinto(memory)) == (None, 0, 0)


# -- over the wire, through the client

WHOLE = {
    "get": (get, b'HTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: 4\r\n\r\nbody'),
    "put": (put, b'HTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: 0\r\n\r\n'),
    "head": (head, b'HTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: 4\r\n\r\n'),
    "delete": (delete, b"HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n"),
    "interim": (
        get,
        b'HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: 2\r\n\r\nhi',
    ),
    "chunked": (
        listed,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n13\r\n<ListBucketResult/>\r\n0\r\nA: 1\r\n\r\n",
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_cut_anywhere(name):
    """An answer that ends before its end is a TransportError wherever that is, and whole it is the success."""
    call, raw = WHOLE[name]
    with RawServer() as server, client_of(server) as client:
        server.answer = lambda request: Answer(raw=raw)
        call(client)
        for count in range(len(raw)):
            server.answer = lambda request, count=count: Answer(raw=raw, cut_after=count)
            with pytest.raises(TransportError):
                call(client)
        still_works(client, server)


REFUSED = (
    b"HTTP/1.1 404 Not Found\r\nContent-Type: application/xml\r\nContent-Length: 33\r\n\r\n"
    b"<Error><Code>NoSuchKey</Code></Er"
)


def test_cut_refusal():
    """A refusal cut in its head is a TransportError; behind that the status has said what there is to say."""
    ends = REFUSED.index(b"\r\n\r\n") + 4
    with RawServer() as server, client_of(server) as client:
        for count in range(len(REFUSED)):
            server.answer = lambda request, count=count: Answer(raw=REFUSED, cut_after=count)
            with pytest.raises(TransportError if count < ends else ResponseError):
                get(client)
        still_works(client, server)


BROKEN = {
    "no colon": b"HTTP/1.1 200 OK\r\nETag x\r\nContent-Length: 4\r\n\r\nbody",
    "HTTP/2": b'HTTP/2.0 200 OK\r\nETag: "x"\r\nContent-Length: 4\r\n\r\nbody',
    "garbage": b"\x00\x01\x02\x03\r\n\r\n",
    "too many": OK + b"A: 1\r\n" * 101 + b"Content-Length: 4\r\n\r\nbody",
    "too long": OK + b"A: " + b"x" * 65536 + b"\r\nContent-Length: 4\r\n\r\nbody",
    "eleven interim": interim(11) + OK + b'ETag: "x"\r\nContent-Length: 4\r\n\r\nbody',
}


@pytest.mark.parametrize("call", [get, put])
@pytest.mark.parametrize("name", BROKEN)
def test_heads_that_are_none(name, call):
    """What is no HTTP ends as a TransportError and with its connection, and the next request is answered."""
    with RawServer(in_turn(Answer(raw=BROKEN[name]), good)) as server, client_of(server) as client:
        with pytest.raises(TransportError):
            call(client)
        still_works(client, server)
        assert server.connections == 2


def test_an_old_server():
    """HTTP/1.0 with a length is understood; the connection is kept only where the server says so."""
    for line, connections in ((b"", 2), (b"Connection: keep-alive\r\n", 1)):
        raw = b"HTTP/1.0 200 OK\r\n" + line + b'ETag: "x"\r\nContent-Length: %d\r\n\r\n' % len(BODY) + BODY
        with RawServer(in_turn(Answer(raw=raw), good)) as server, client_of(server) as client:
            assert get(client) == BODY
            still_works(client, server)
            assert server.connections == connections


def test_a_negative_chunk_is_no_list():
    """A list in a chunk of -1 bytes is a TransportError, and not what comes up to the end of the connection."""
    raw = CHUNKED.replace(b"\r\n\r\n", b'\r\nETag: "x"\r\n\r\n') + b"-1\r\n<ListBucketResult/>"
    with RawServer(in_turn(Answer(raw=raw, cut_after=len(raw)), good)) as server, client_of(server) as client:
        with pytest.raises(CDNError) as caught:
            listed(client)
        assert type(caught.value) is TransportError
