"""Fuzzing the raw bytes of answers: damaged ones, odd status lines, headers and framing, and bytes that are no HTTP.

After each answer the server closes the connection. Whatever it has sent, a call soon gives what was framed or raises an
error of this package, and a file on the disk stays or is replaced by the whole object. Traps: lost and truncated
answers (24, 30), errors in a 200 (26), interim answers (29), bodies in codings (23).
"""

import hashlib
import pathlib
import tempfile

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kit import BUCKET, LONG, client_of, within
from kit_calls import copy, delete, get, head, listed, part, put, tail
from kit_fuzz import COPY, ERROR, LIST, create, damaged, ended, fuzzing, head_of_bucket, lengths, status_of, taken_apart
from rawserver import Answer, RawServer

from cdn_sigv4.errors import CDNError

BODY = b"0123456789"
GOOD = [
    b'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 10\r\nContent-Type: text/plain\r\nx-amz-meta-a: b\r\n\r\n' + BODY,
    b'HTTP/1.1 206 Partial Content\r\nETag: "e"\r\nContent-Range: bytes 2-5/10\r\nContent-Length: 4\r\n\r\n2345',
    b'HTTP/1.1 206 Partial Content\r\nETag: "e"\r\nContent-Range: bytes 6-9/10\r\nContent-Length: 4\r\n\r\n6789',
    b'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 0\r\nDate: Tue, 03 Feb 2026 04:05:06 GMT\r\n\r\n',
    b"HTTP/1.1 204 No Content\r\nx-amz-request-id: 1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(LIST), LIST),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(LIST), LIST),
    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(COPY), COPY),
    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(ERROR), ERROR),
    b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n%s" % (len(ERROR), ERROR),
    b"HTTP/1.1 503 Slow Down\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n",
    b'HTTP/1.1 304 Not Modified\r\nETag: "e"\r\n\r\n',
    b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/x\r\nContent-Length: 0\r\n\r\n",
    b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 10\r\n\r\n' + BODY,
    b'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 10\r\nTransfer-Encoding: chunked\r\n\r\na\r\n%s\r\n0\r\n\r\n'
    % BODY,
]

NUMBERS = [
    "0",
    "1",
    "4",
    "10",
    "10",
    "010",
    "-1",
    "+5",
    " 5",
    "5 ",
    "0x5",
    "1_0",
    "5, 5",
    "5,6",
    "5.0",
    "",
    "\u0665",
    "9" * 19,
    "9" * 5000,
]
DATES = [
    "Tue, 03 Feb 2026 04:05:06 GMT",
    "0",
    "-1",
    "Tue",
    "2026-02-03T04:05:06Z",
    "9" * 5000,
    "Mon, 01 Jan 0000 00:00:00 GMT",
]
WORDS = [
    "",
    "a",
    '"',
    "\x00",
    "\x7f",
    "\xff",
    "\x85",
    "\x1b[2J",
    ",",
    ";",
    "=",
    "a=b; c",
    "x" * 70000,
    "\r\n folded",
    "a\rb: c",
]
SUMS = [
    "",
    "AAAAAA==",
    "AAAA",
    "=",
    "!!!!",
    "AAAAAA==-3",
    "x" * 5000,
    "\xff",
    "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
]
VALUES = {
    "Content-Length": NUMBERS,
    "Content-Range": [
        "bytes 0-9/10",
        "bytes 2-5/10",
        "bytes 6-9/10",
        "bytes */10",
        "bytes 2-5/*",
        "bytes -",
        "x 2-5/10",
    ],
    "Transfer-Encoding": ["chunked", "chunked", "gzip, chunked", "identity", "chunked, chunked", "", "CHUNKED", "x"],
    "Content-Encoding": ["gzip", "deflate", "br", "zstd", "aws-chunked", "gzip," * 50, "identity", "x"],
    "Connection": ["close", "keep-alive", "upgrade", "x, y"],
    "ETag": ['"e"', "", 'W/"e"', f'"{hashlib.md5(BODY).hexdigest()}"', f'"{"0" * 32}"', '"a-1"', "*"],
    "Date": DATES,
    "Last-Modified": DATES,
    "Expires": DATES,
    "Retry-After": ["1", "60", "-1", "1.5", "nan", "inf", "1e400", "9" * 5000, *DATES],
    "Location": ["http://127.0.0.1:1/", "//x", "http://[", "http://u:p@h/?X-Amz-Signature=1", "\xff"],
    "Set-Cookie": ["a=b", "a=b; expires=Tue; path", "=;;=", "a=b; max-age=x; domain=127.0.0.1"],
    "Content-Type": ["text/html", "text/plain; charset=\xff", ";;", "application/xml; charset=no-such"],
    "Trailer": ["x-amz-checksum-crc32"],
    "Refresh": ["0; url=http://127.0.0.1:1/"],
    "WWW-Authenticate": ["Negotiate", "Basic realm="],
    "x-amz-bucket-region": ["eu-west-1", "\x1b[2J", "../.."],
    "x-minio-error-code": ["SlowDown", "x" * 3000],
    "x-amz-checksum-crc32": SUMS,
    "x-amz-checksum-sha256": SUMS,
    "x-amz-checksum-type": ["FULL_OBJECT", "COMPOSITE", "x"],
    "x-amz-server-side-encryption": ["AES256", "aws:kms"],
    "x-amz-mp-parts-count": NUMBERS,
    "x-amz-meta-a": [],
    "x y": [],
    "no-colon\r\nx": [],
    "": [],
    " folded": [],
    "\x00": [],
}
LINES = [(name, value) for name, values in VALUES.items() for value in [*values, *WORDS]]
STATUSES = st.one_of(
    st.sampled_from(
        ["200", "200", "200", "206", "204", "304", "403", "404", "412", "500", "503", "301", "307", "101", "100"]
    ),
    st.integers(0, 1100).map(lambda number: f"{number:03d}"),
    st.sampled_from(["-20", "2e2", "", "\u0662", "20", "2000", "x"]),
)
VERSIONS = st.sampled_from(["HTTP/1.1"] * 8 + ["HTTP/1.0", "HTTP/1.9", "HTTP/2.0", "HTTP/0.9", "ICY", "http/1.1", ""])
REASONS = st.sampled_from(["OK", "OK", "", "\x00", "\xff\xfe", "x" * 500, "\x1b[2J"])
ENDS = st.sampled_from(["\r\n"] * 12 + ["\n", "\r", "\r\r\n", ""])
SIZES = st.sampled_from(
    ["0", "1", "a", "A", "10", "-5", "-0", "0x5", " 5", "5;x=y", "", "g", "f" * 16, "f" * 5000, "5" + "x" * 70000]
)


def chunk(size, data, end):
    """One chunk, whose size may be another than that of its data."""
    return (size or f"{len(data):x}").encode() + b"\r\n" + data + end


DATA = st.one_of(
    st.sampled_from([b"", BODY, BODY[2:6], BODY * 2, LIST, COPY, ERROR, b"<html>"]), st.binary(max_size=20)
)
CHUNKS = st.builds(chunk, st.one_of(st.none(), st.none(), SIZES), DATA, st.sampled_from([b"\r\n", b"\r\n", b"\n", b""]))
LAST = st.sampled_from([b"0\r\n\r\n", b"0\r\n\r\n", b"0\r\n", b"", b"0\r\nx: y\r\n\r\n", b"-1\r\n"])
FRAMED = st.one_of(DATA, st.builds(lambda chunks, last: b"".join(chunks) + last, st.lists(CHUNKS, max_size=3), LAST))


def answer(version, status, reason, lines, right, end, data):
    """A whole answer; `right` adds what a good one of this body has."""
    if right:
        lines = [("ETag", '"e"'), ("Content-Length", str(len(data))), *lines]
    text = end.join([f"{version} {status} {reason}", *(f"{name}: {value}" for name, value in lines), "", ""])
    return text.encode("utf-8" if "\u0665" in text else "latin-1", "replace") + data


RAW = st.one_of(
    damaged(st.sampled_from(GOOD)),
    st.builds(
        answer, VERSIONS, STATUSES, REASONS, st.lists(st.sampled_from(LINES), max_size=4), st.booleans(), ENDS, FRAMED
    ),
    st.builds(
        answer,
        st.just("HTTP/1.1"), st.just("200"), st.just("OK"), st.lists(st.sampled_from(LINES), max_size=2), st.just(True),
        st.just("\r\n"), DATA,
    ),
    st.binary(max_size=100),
    st.sampled_from(GOOD),
)  # fmt: skip


class Fuzzed:
    """A server that answers each request with given bytes and closes; each answer is for a new client."""

    def __init__(self, server):
        self._server = server
        self.requests = 0

    def __call__(self, raw, call):
        """What the call gives for these bytes, or the CDNError that it raises."""

        def answering(request):
            self.requests += 1
            return Answer(raw=raw, cut_after=len(raw))

        self._server.answer = answering
        self.requests = 0
        with client_of(self._server, timeout=(1, 1)) as client, within(LONG):
            return ended(lambda: call(client))


@pytest.fixture(scope="module")
def fuzzed():
    with RawServer() as server:
        yield Fuzzed(server)


def is_framed(raw, data):
    """Whether these are the bytes that a raw answer frames: as many as it says, from the end of its head on."""
    top, rest = taken_apart(raw)
    return len(data) in lengths(top) and rest[: len(data)] == data


def examples(test):
    """The test with each good answer as an example."""
    for raw in GOOD:
        test = example(raw=raw)(test)
    return test


@settings(fuzzing, max_examples=500)
@given(raw=RAW)
@examples
def test_get(fuzzed, raw):
    """The bytes of an object are exactly those that the answer frames by its Content-Length, or there is an error."""
    result = fuzzed(raw, get)
    assert isinstance(result, CDNError) or is_framed(raw, result)


@settings(fuzzing, max_examples=300)
@given(raw=RAW, call=st.sampled_from([part, tail]))
@example(raw=GOOD[1], call=part)
@example(raw=GOOD[2], call=tail)
def test_ranges(fuzzed, raw, call):
    """A range's bytes are those framed, with a Content-Range that names just them, or there is an error."""
    result = fuzzed(raw, call)
    if not isinstance(result, CDNError):
        assert is_framed(raw, result)
        assert status_of(taken_apart(raw)[0]) == "206"
        assert len(result) <= 4


OTHERS = [put, head, delete, copy, listed, create, head_of_bucket]


@settings(fuzzing, max_examples=600)
@given(raw=RAW, call=st.sampled_from(OTHERS))
def test_other_operations(fuzzed, raw, call):
    """Every other operation gives its value for an answer that is a success, or raises this package's error."""
    result = fuzzed(raw, call)
    assert fuzzed.requests == 1 or isinstance(result, CDNError)
    if not isinstance(result, CDNError):
        assert status_of(taken_apart(raw)[0]) in ("200", "204")
        if call is put:
            assert result.etag is not None
        if call is copy:
            assert b"CopyObjectResult" in raw.replace(b"\0", b"")


@settings(fuzzing, max_examples=300)
@given(raw=RAW)
@examples
def test_files(fuzzed, raw):
    """A download replaces the file by the bytes that the answer frames, or raises an error and leaves it as it was."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "target")
        path.write_bytes(b"old")
        result = fuzzed(raw, lambda client: client.download_file(BUCKET, "key", path, durable=False))
        if isinstance(result, CDNError):
            assert path.read_bytes() == b"old"
        else:
            assert is_framed(raw, path.read_bytes())
            assert result.bytes_moved == len(path.read_bytes())


@pytest.mark.parametrize(
    ("call", "number"),
    [(get, 0), (get, 13), (part, 1), (tail, 2), (put, 3), (head, 3), (delete, 4), (copy, 7), (listed, 5), (listed, 6),
     (create, 3), (head_of_bucket, 3)],
)  # fmt: skip
def test_good_answers(fuzzed, call, number):
    """The answers that are damaged here are successes when they are whole."""
    assert not isinstance(fuzzed(GOOD[number], call), CDNError)
