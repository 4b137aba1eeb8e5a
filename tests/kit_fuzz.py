"""What the fuzzing tests share: hostile text, damaged bytes, answers in XML and HTTP, and how a call ends."""

from __future__ import annotations

import contextlib
import re
import socket
import sys
import threading
import tracemalloc
from typing import TYPE_CHECKING, Any, Callable, Iterator

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from kit import BUCKET
from rawhttp import Answer

from cdn_sigv4.errors import CDNError

if TYPE_CHECKING:
    from rawserver import RawRequest

    from cdn_sigv4 import S3Client

MIB = 1 << 20
MAX_SHOWN = 5000  # characters: subject, message and request id have at most 1,000 each, the hint is a sentence

# The same examples in every run and nothing kept between runs; the slow first example of a server is no matter.
fuzzing = settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)

# -- text

# Any text at all: `characters()` has surrogates, NUL and all other controls among them.
WILD = st.text(st.characters(), max_size=30)
_ASCII = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
_KEY_PIECES = [
    "/", "//", ".", "..", "/../", "./", "a", "bucket", "%2e%2e", "%00", "%", "?", "#", "?versionId=", "&", "=", "+",
    " ", "\\", "C:", "~", "@host", "http://", ";", "\r\n", "\r\nX-Evil: 1\r\n\r\n", "\0", "\t", "\x1b[2J", "\x7f",
    "\x85", "\u00e9", "e\u0301", "\u65e5", "\U0001f916", "\u2028", "\u202e", "\ufeff", "\uffff", "\ud800", "\udcff",
]  # fmt: skip
_BITS = st.one_of(st.sampled_from(_KEY_PIECES), st.text(max_size=3))
KEYS = st.one_of(
    WILD,
    st.lists(_BITS, max_size=8).map("".join),
    st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=4).map("/".join),
    st.builds(lambda bit, count: bit * count, _BITS, st.integers(1, 700)),
)
_VALUE_PIECES = ["a", " ", "  ", ",", '"', "\t", "\r", "\n", "\r\n ", "\0", "\x7f", "\u00ff", "\u0100", "\ud800", ";=?"]
VALUES = st.one_of(_ASCII, WILD, st.lists(st.sampled_from(_VALUE_PIECES), max_size=6).map("".join), st.just("x" * 9000))
NAMES = st.one_of(
    st.text("abcxyzABC-0123456789", min_size=1, max_size=20),
    st.sampled_from(["Content-Type", "Host", "x-amz-meta-a", "X-Amz-Date", "Cookie", "", "a b", "a:", "\u00fc"]),
    WILD,
)
NO_TEXT = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.binary(max_size=5), st.lists(st.text(max_size=3))
)

# -- bytes

_BYTE_PIECES = [
    b"\0", b"\xff", b"\x80", b"<", b">", b"&", b"/>", b"&#x1;", b"&#xD800;", b"&a;", b"<!DOCTYPE x>", b"<![CDATA[",
    b"]]>", b"<!--", b"<?x?>", b"</", b"<a>", b"<a b='c'/>", b'"', b"'", b"xmlns=''", b"\xef\xbb\xbf", b"\xff\xfe",
    b"\xed\xa0\x80", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b":", b"-", b"-1", b"0", b"9" * 30, b"%", b"%FF", b"%00",
    b" ", b"\t", b"\x1b[2J",
]  # fmt: skip


def damaged(whole: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Good bytes with a few things done to them: flipped, deleted, inserted, doubled, swapped, cut off."""
    places = st.tuples(st.integers(0, 1 << 16), st.integers(0, 1 << 16))
    steps = st.tuples(st.sampled_from(_STEPS), places, st.sampled_from(_BYTE_PIECES))
    return st.builds(_damage, whole, st.lists(steps, min_size=1, max_size=6))


def _damage(data: bytes, steps: list[Any]) -> bytes:
    for step, (one, two), piece in steps:
        first, last = sorted((one % (len(data) + 1), two % (len(data) + 1)))
        data = step(data, first, last, piece)
    return data


def _flip(data: bytes, first: int, last: int, piece: bytes) -> bytes:
    return data[:first] + bytes([data[first] ^ (1 << last % 8)]) + data[first + 1 :] if first < len(data) else data


def _replace(data: bytes, first: int, last: int, piece: bytes) -> bytes:
    return data[:first] + piece + data[first + len(piece) :]


def _insert(data: bytes, first: int, last: int, piece: bytes) -> bytes:
    return data[:first] + piece + data[first:]


def _delete(data: bytes, first: int, last: int, piece: bytes) -> bytes:
    return data[:first] + data[min(last, first + 20) :]


def _double(data: bytes, first: int, last: int, piece: bytes) -> bytes:
    return data[:last] + data[first:last] + data[last:] if len(data) < MIB else data


def _swap(data: bytes, first: int, last: int, piece: bytes) -> bytes:
    return data[last:] + data[first:last] + data[:first]


def _cut(data: bytes, first: int, last: int, piece: bytes) -> bytes:
    return data[:last]


_STEPS = [_flip, _flip, _replace, _insert, _insert, _delete, _delete, _double, _swap, _cut]

# -- how a call ends


def ended(call: Callable[[], Any]) -> Any:
    """What a call gives, or the CDNError that it raises, which must be showable; any other exception passes."""
    try:
        return call()
    except CDNError as error:
        caught = error.with_traceback(None)
    caught.__context__ = None  # the frames that either holds would keep this one, and a connection, until some day
    assert str(caught).isprintable()
    assert len(str(caught)) < MAX_SHOWN
    return caught


@contextlib.contextmanager
def counted() -> Iterator[Callable[[], int]]:
    """Count what is allocated: the function gives the peak so far, in MiB beyond what there was."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        yield lambda: (tracemalloc.get_traced_memory()[1] - before) // MIB
    finally:
        tracemalloc.stop()


# -- answers

LIST = b"""<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name><Prefix/><KeyCount>3</KeyCount>
<MaxKeys>1000</MaxKeys><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated><Contents><Key>a%2Bb+c</Key>
<LastModified>2026-02-03T04:05:06.000Z</LastModified><ETag>&quot;0123&quot;</ETag><Size>5</Size></Contents><Contents>
<Key>z</Key><LastModified>2026-02-03T04:05:06Z</LastModified><ETag>"4567"</ETag><Size>0</Size></Contents>
<CommonPrefixes><Prefix>b%2F</Prefix></CommonPrefixes></ListBucketResult>"""
COPY = (
    b'<CopyObjectResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LastModified>2026-02-03T04:05:06Z'
    b'</LastModified><ETag>"0123"</ETag></CopyObjectResult>'
)
ERROR = (
    b"<?xml version='1.0'?><Error><Code>SignatureDoesNotMatch</Code><Message>m</Message><RequestId>1</RequestId>"
    b"<CanonicalRequest>GET\n/\n\nhost:h:9000\n</CanonicalRequest><ServerTime>2026-02-03T04:05:06Z</ServerTime>"
    b"<Region>eu-west-1</Region></Error>"
)


def obliging(seen: list[RawRequest]) -> Callable[[RawRequest], Answer]:
    """A store that keeps each request in `seen` and says yes to all of them, in the form that each needs."""

    def answer(request: RawRequest) -> Answer:
        _ = request.body
        seen.append(request)
        if request.header("x-amz-copy-source") is not None:
            return Answer(body=COPY)
        if request.method == "GET" and b"list-type=2" in request.query:
            return Answer(body=b"<ListBucketResult/>")
        return Answer(204 if request.method == "DELETE" else 200, headers={"ETag": '"e"'})

    return answer


_HEAD = re.compile(rb"[^\n]*\n(?:(?!\r?\n)[^\n]*\n)*\r?\n")


def status_of(head: bytes) -> str:
    """The status in a head, as http.client reads it: of Latin-1, so that more than a blank can stand before it."""
    return [*head.partition(b"\n")[0].decode("latin-1").split(None, 2), "", ""][1]


def taken_apart(raw: bytes) -> tuple[bytes, bytes]:
    """The final head in the raw bytes of an answer (behind any interim ones), and all that follows it."""
    while True:
        head = _HEAD.match(raw)
        if head is None:
            return raw, b""
        if status_of(head.group())[:1] != "1":
            return head.group(), raw[head.end() :]
        raw = raw[head.end() :]


def lengths(head: bytes) -> set[int]:
    """What a head's Content-Lengths say, as far as they are numbers."""
    return {int(text) for text in re.findall(rb"(?i)content-length:[ \t]*([0-9]{1,20})[ \t]*(?=[\r\n])", head)}


def create(client: S3Client) -> Any:
    """A new bucket."""
    return client.create_bucket(BUCKET)


def head_of_bucket(client: S3Client) -> Any:
    """Whether a bucket is there."""
    return client.head_bucket(BUCKET)


class Endless:
    """A server that answers the first request with `head`, and then with `block` over and over until the client leaves.

    `sent`: how many bytes it got rid of; at `limit` it gives up, and the client would have taken any number.
    """

    def __init__(self, head: bytes, block: bytes, limit: int = 64 * MIB) -> None:
        self.sent = 0
        self._head, self._block, self._limit = head, block * (65536 // len(block) + 1), limit
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Endless:  # noqa: PYI034 - Python 3.8 has no Self, and nobody derives from this
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        sys.settrace(None)  # the coverage looks at the package
        with contextlib.suppress(OSError):
            sock = self._listener.accept()[0]
            with sock:
                sock.settimeout(5)
                sock.recv(65536)
                sock.sendall(self._head)
                while self.sent < self._limit:
                    sock.sendall(self._block)
                    self.sent += len(self._block)
