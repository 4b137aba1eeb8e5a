"""Proves what becomes of every answer that is not the one hoped for: a typed error, in bounded time, never a retry.

Traps 23, 24, 26 to 30, and what a hostile or broken server may send. Each row is one answer; after each, the same
client's next request works, and the server saw the failed one exactly once.
"""

import threading

import pytest
from kit import BODY, ETAG, client_of, still_works, within
from kit_calls import copy, delete, get, head, listed, part, put, ranged, tail, xml
from rawserver import Answer, RawServer, chunked

from cdn_sigv4 import (
    AccessDenied,
    CDNError,
    InvalidResponse,
    NotFound,
    NotModified,
    OutcomeUnknown,
    ResponseError,
    TransportError,
)


def told(length, **more):
    return Answer(headers={**ETAG, "Content-Length": length}, body=b"12345", close=True, **more)


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + level, b"&%c;" % (97 + level) * 10) for level in range(12))
    + b"]><%s><Code>&m;</Code><Message>&m;</Message></%s>"
)
HTML = b"<html><body>Sign in to the hotel's network</body></html>"
STALLED = {"delay": threading.Event(), "delay_after": 1 << 20}  # an answer without end, for all that the client can see
ENDLESS = Answer(500, body=b"x" * (2 << 20), length=1 << 40, **STALLED)
CHUNKED = {"Transfer-Encoding": "chunked"}
IN_CHUNKS = {**ETAG, **CHUNKED}
BROKEN = Answer(headers=CHUNKED, body=b"zz\r\n", close=True)
LATE = b"<?xml version='1.0'?>" + b" " * 999 + b"<Error><Code>SlowDown</Code></Error>"
PIECES = {"Content-Type": "multipart/byteranges; boundary=x"}
MANY = Answer(500, headers=[(f"X-{number}", "y") for number in range(10000)])
WIDE = Answer(500, headers={"X-Wide": "y" * (1 << 20)})

# Name, call, answer, error, what its text contains.
ROWS = [
    ("empty-403", get, Answer(403), AccessDenied, "403: Forbidden"),
    ("head-404", head, Answer(404), NotFound, "404"),
    ("head-403", head, Answer(403, headers={"x-minio-error-code": "AccessDenied"}), AccessDenied, "AccessDenied"),
    ("304", get, Answer(304), NotModified, "304"),
    ("503", put, Answer(503, headers={"Retry-After": "0"}, body=xml("SlowDown")), ResponseError, "try again later"),
    ("429", get, Answer(429, headers={"Retry-After": "0"}), ResponseError, "429"),
    ("html-403", put, Answer(403, body=HTML), AccessDenied, "web page"),
    ("html-200-to-list", listed, Answer(200, body=HTML), InvalidResponse, "<html> where <ListBucketResult>"),
    ("cut-list-on-the-way", listed, Answer(body=b"<X/>", length=99, close=True), TransportError, "closed"),
    ("bomb-in-error", get, Answer(400, body=BOMB % (b"Error", b"Error")), ResponseError, "400"),
    ("bomb-in-list", listed, Answer(body=BOMB % ((b"ListBucketResult",) * 2)), InvalidResponse, "DOCTYPE"),
    ("200-with-error-to-put", put, Answer(headers=ETAG, body=xml("Oops")), ResponseError, "200 Oops"),
    ("200-with-error-to-copy", copy, Answer(body=xml("SlowDown")), ResponseError, "200 SlowDown"),
    ("200-with-late-error-to-copy", copy, Answer(body=LATE), CDNError, "SlowDown"),
    ("200-with-error-to-list", listed, Answer(body=xml("AccessDenied")), CDNError, "AccessDenied"),
    ("huge-list", listed, Answer(body=b" " * (9 << 20)), InvalidResponse, "longer than the 8388608 bytes"),
    ("chunked-error", get, Answer(403, headers=CHUNKED, body=chunked(xml("NoWay"))), AccessDenied, "NoWay"),
    ("bad-chunks", get, Answer(403, headers=CHUNKED, body=b"zz\r\n", close=True), AccessDenied, "403"),
    ("bad-chunks-to-list", listed, BROKEN, TransportError, ""),
    ("endless-error-to-put", put, ENDLESS, ResponseError, "500"),
    ("cut-error", get, Answer(403, body=xml("NoWay"), cut_after=20), AccessDenied, "403"),
    ("10000-headers-to-put", put, MANY, OutcomeUnknown, ""),
    ("1-MB-header-to-put", put, WIDE, OutcomeUnknown, ""),
    ("1-MB-reason", get, Answer(500, reason="y" * (1 << 20)), TransportError, ""),
    ("control-characters", get, Answer(400, headers={"Server": "\x1b[2J"}, body=b"\x1b[2J"), ResponseError, "400"),
    ("no-length", get, Answer(headers=ETAG, body=BODY, no_length=True), InvalidResponse, "no Content-Length"),
    ("chunked-body", get, Answer(headers=IN_CHUNKS, body=chunked(BODY)), InvalidResponse, "no Content-Length"),
    ("length-word", get, told("five"), InvalidResponse, "Content-Length"),
    ("length-5000-digits", get, told("9" * 5000), InvalidResponse, "Content-Length"),
    ("length-word-to-head", head, told("five"), InvalidResponse, "Content-Length"),
    ("length-word-to-put", put, told("five"), CDNError, "Content-Length"),
    ("204-to-get", get, Answer(204, headers=ETAG), CDNError, "204"),
    ("201-to-get", get, Answer(201, headers=ETAG, body=BODY), CDNError, "201"),
    ("206-to-get", get, ranged("bytes 0-3/4"), InvalidResponse, "without Range"),
    ("202-to-put", put, Answer(202, headers=ETAG), CDNError, "202"),
    ("202-to-delete", delete, Answer(202), CDNError, "202"),
    ("no-etag-to-put", put, Answer(), InvalidResponse, "entity tag"),
    ("103-to-get", get, Answer(raw=b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", close=True), CDNError, ""),
    ("101-to-get", get, Answer(101, headers={"Upgrade": "h2c"}), CDNError, ""),
    ("whole-for-part", part, Answer(headers=ETAG, body=BODY), InvalidResponse, "with Range has status 200"),
    ("part-elsewhere", part, ranged("bytes 3-6/10"), InvalidResponse, "asked for bytes=2-5"),
    ("part-multipart", part, Answer(206, headers=PIECES, body=b"--x--"), InvalidResponse, ""),
    ("tail-elsewhere", tail, ranged("bytes 2-5/10"), InvalidResponse, "asked for bytes=-4"),
    ("416", part, Answer(416, body=xml("InvalidRange")), ResponseError, "no byte"),
    ("no-http", get, Answer(raw=b"SSH-2.0-OpenSSH_9.2\r\n", cut_after=99), TransportError, ""),
    ("no-http-to-put", put, Answer(raw=b"SSH-2.0-OpenSSH_9.2\r\n", cut_after=99), OutcomeUnknown, ""),
    ("status-word", get, Answer(raw=b"HTTP/1.1 abc OK\r\n\r\n", cut_after=99), TransportError, ""),
    ("status-999", get, Answer(999), CDNError, ""),
    ("status-000", get, Answer(raw=b"HTTP/1.1 000 X\r\nContent-Length: 0\r\n\r\n", cut_after=99), CDNError, ""),
    ("header-without-colon", get, Answer(raw=b"HTTP/1.1 200 OK\r\nnone\r\nA: 2\r\n\r\n", cut_after=99), CDNError, ""),
]  # fmt: skip


@pytest.mark.parametrize(("call", "answer", "kind", "text"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_one_answer_one_error(call, answer, kind, text):
    """The error has type, evidence and one printable line; one request was made; the client is as good as new."""
    with RawServer(lambda request: answer) as server, client_of(server, timeout=(5, 8)) as client:
        with within(4), pytest.raises(kind) as caught:
            call(client)
        if kind is not CDNError:
            assert type(caught.value) is kind
        shown = str(caught.value)
        assert text in shown
        assert shown.isprintable()
        assert len(shown) < 2000
        assert (caught.value.operation, caught.value.bucket) == (server.requests[0].method, "bucket")
        assert caught.value.key == (None if call is listed else "key")
        assert len(server.requests) == 1
        still_works(client, server)


def test_duplicate_lengths():
    """Two lengths that differ are refused; whether two equal ones are, is left open, but no byte is ever guessed."""
    for second, body in (("9", b"12345"), ("5", b"12345")):
        answer = Answer(
            headers=[*ETAG.items(), ("Content-Length", "5"), ("Content-Length", second)], body=body, close=True
        )
        with RawServer(lambda request, answer=answer: answer) as server, client_of(server) as client:
            try:
                assert get(client) == b"12345"
            except CDNError:
                pass
            else:
                assert second == "5"
            assert len(server.requests) == 1
            still_works(client, server)
