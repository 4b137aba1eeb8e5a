"""HTTP/1.1 messages for the loopback server: what arrived, kept byte for byte, and what goes back, lies included.

Reading is strict, by RFC 9112: lines end in CRLF, the request line has two single spaces, a body has one length or is
chunked, and nothing stands between two requests. Whatever were forgiven here a real store might not forgive. No
sockets are opened here; `Wire` is given one.
"""

from __future__ import annotations

import dataclasses
import http
import re
import socket
import struct
import sys
import threading
from typing import Callable, Iterator, List, Mapping, Sequence, Tuple

BLOCK = 65536  # bytes sent or received at a time
MAX_HEAD = 65536  # bytes of request line and header lines together
WITHOUT_BODY = (204, 304)  # RFC 9110: neither body nor, here, Content-Length; the same goes for any 1xx
_REQUEST_LINE = re.compile(rb"([!-~]+) ([!-~\x80-\xff]+) HTTP/1\.([01])")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([^\x00\r\n]*)")

HeaderList = List[Tuple[str, str]]


class BadRequest(Exception):
    """The client sent something that is not HTTP/1.1: raised in the test when the server stops."""


class Gone(Exception):
    """The peer went away or was silent beyond the timeout: for this server an ordinary event."""


class RawRequest:
    """One request as it came over the socket.

    `head` is request line and header lines with their CRLFs, up to and including the empty line. `body` has any chunked
    framing taken off; it is read from the socket when the answer callable first looks at it, else after the callable
    has returned. Where the answer goes out `before_body`, it is what was drained afterwards. `complete` tells whether
    the whole body came. `connection` counts TCP connections from 1.
    """

    def __init__(self, head: bytes, method: str, target: bytes, headers: HeaderList, connection: int) -> None:
        self.head = head
        self.method = method
        self.target = target
        self.headers = headers
        self.connection = connection
        self.complete = False
        self.received = bytearray()
        self.load: Callable[[], None] | None = None

    @property
    def body(self) -> bytes:
        if self.load is not None:
            self.load()
        return bytes(self.received)

    @property
    def path(self) -> bytes:
        """The target's path, still encoded; without scheme and authority, should it be in absolute form."""
        return re.sub(rb"\Ahttps?://[^/?]*", b"", self.target).partition(b"?")[0]

    @property
    def query(self) -> bytes:
        return self.target.partition(b"?")[2]

    def header(self, name: str) -> str | None:
        """The value of a header: None if absent, joined with `, ` if sent more than once."""
        name = name.lower()
        values = [value for key, value in self.headers if key.lower() == name]
        return ", ".join(values) if values else None

    def __repr__(self) -> str:
        return f"<RawRequest {self.method} {self.path!r} {len(self.received)} bytes, connection {self.connection}>"


@dataclasses.dataclass
class Answer:
    """What goes back. Content-Length is added unless a header frames the body itself or the status has no body."""

    status: int = 200
    reason: str | None = None
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = ()
    body: bytes = b""
    raw: bytes | None = None  # these exact bytes instead of status line, headers and body
    length: int | None = None  # a Content-Length that may lie
    no_length: bool = False  # no Content-Length: the end of the connection is the end of the body
    cut_after: int | None = None  # send this many bytes of the body (or of `raw`), then end the connection
    reset: bool = False  # end the connection with RST; without `cut_after` nothing at all is sent before it
    close: bool = False  # end the connection after the answer, and say so in a header
    before_body: bool = False  # refuse early: the answer goes out before the request's body is read
    drain: int = 1 << 20  # with `before_body`: read at most this much of that body; if there is more, close
    delay: threading.Event | None = None  # wait for this before sending
    delay_after: int | None = None  # wait only when this many bytes of the body (or of `raw`) are out
    extra: bytes = b""  # sent behind the answer on the same connection

    def parts(self, method: str) -> tuple[bytes, bytes]:
        """The head, and the bytes that `cut_after` and `delay_after` count."""
        if self.raw is not None:
            return b"", self.raw
        fields = list(self.headers.items()) if isinstance(self.headers, Mapping) else list(self.headers)
        bodiless = self.status < 200 or self.status in WITHOUT_BODY
        framed = bool({name.lower() for name, _ in fields} & {"content-length", "transfer-encoding"})
        if self.length is not None:
            fields.append(("Content-Length", str(self.length)))
        elif not (self.no_length or bodiless or framed):
            fields.append(("Content-Length", str(len(self.body))))
        if self.close:
            fields.append(("Connection", "close"))
        lines = [f"HTTP/1.1 {self.status} {_phrase(self.status) if self.reason is None else self.reason}"]
        lines += [f"{name}: {value}" for name, value in fields]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        return head, b"" if bodiless or method == "HEAD" else self.body

    @property
    def breaks_off(self) -> bool:
        return self.reset or self.cut_after is not None


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


Answerer = Callable[[RawRequest], Answer]


def in_turn(*answers: Answer | Answerer) -> Answerer:
    """The first answer for the first request and so on; the last one for all that follow."""
    left = list(answers)
    lock = threading.Lock()

    def answer(request: RawRequest) -> Answer:
        with lock:
            chosen = left.pop(0) if len(left) > 1 else left[0]
        return chosen if isinstance(chosen, Answer) else chosen(request)

    return answer


def chunked(body: bytes, size: int = 1000) -> bytes:
    """`body` in chunked framing, to go with the header `Transfer-Encoding: chunked`."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)] + [b""]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)


def parse_head(head: bytes, connection: int) -> tuple[RawRequest, bool]:
    """The request, and whether its connection may be kept."""
    first, *lines = head[:-4].split(b"\r\n")
    line = _REQUEST_LINE.fullmatch(first)
    if line is None:
        raise BadRequest(f"request line {first[:200]!r}")
    headers: HeaderList = []
    for raw in lines:
        field = _FIELD.fullmatch(raw)
        if field is None:
            raise BadRequest(f"header line {raw.partition(b':')[0][:200]!r}")
        headers.append((field.group(1).decode("latin-1"), field.group(2).decode("latin-1").strip(" \t")))
    request = RawRequest(head, line.group(1).decode("latin-1"), line.group(2), headers, connection)
    return request, line.group(3) == b"1" and (request.header("connection") or "").lower() != "close"


class Wire:
    """One accepted connection: strict reading through a buffer, and sending in blocks.

    Blocks, because `sendall` counts its timeout for the whole of what it is given, not for each step forward.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = bytearray()

    def read_head(self) -> bytes | None:
        """The bytes up to and including the empty line; None when the peer has closed between two requests."""
        while b"\r\n\r\n" not in self._buffer:
            if len(self._buffer) > MAX_HEAD:
                raise BadRequest(f"no end of the head within {MAX_HEAD} bytes")
            if not self._fill(may_end=True):
                if self._buffer:
                    raise BadRequest(f"stray bytes on the connection: {bytes(self._buffer[:80])!r}")
                return None
        return self._take(self._buffer.index(b"\r\n\r\n") + 4)

    def load_body(self, request: RawRequest) -> None:
        """Read the whole body into the request, encouraging a client that waits to be."""
        request.load = None
        if (request.header("expect") or "").lower() == "100-continue":
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.drain(request, sys.maxsize)

    def drain(self, request: RawRequest, limit: int) -> None:
        """Read at most `limit` bytes of body; `Gone` when there is more."""
        for size in self._sizes(request):
            left = min(size, limit - len(request.received))
            whole = left == size
            while left:
                if not self._buffer:
                    self._fill()
                block = self._take(min(left, len(self._buffer)))
                request.received += block
                left -= len(block)
            if not whole:
                raise Gone("the body is longer than is to be drained")
        request.complete = True

    def _sizes(self, request: RawRequest) -> Iterator[int]:
        """The lengths of the body's runs of bytes; the framing between them is read here."""
        length, coding = request.header("content-length"), request.header("transfer-encoding")
        if coding is None:
            if re.fullmatch("[0-9]{1,18}", length or "0") is None:
                raise BadRequest(f"Content-Length {length!r}")
            yield int(length or "0")
            return
        if coding.lower() != "chunked" or length is not None:
            raise BadRequest(f"Transfer-Encoding {coding!r} with Content-Length {length!r}")
        size = self._chunk_size()
        while size:
            yield size
            if self._line() != b"":
                raise BadRequest("chunk is longer than it says")
            size = self._chunk_size()
        while self._line() != b"":  # trailer fields
            pass

    def _chunk_size(self) -> int:
        line = self._line()
        if re.fullmatch(rb"[0-9A-Fa-f]{1,15}(;.*)?", line) is None:
            raise BadRequest(f"chunk size {line[:80]!r}")
        return int(line.partition(b";")[0], 16)

    def _line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            if len(self._buffer) > MAX_HEAD:
                raise BadRequest("endless line in a chunked body")
            self._fill()
        return self._take(self._buffer.index(b"\r\n") + 2)[:-2]

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _fill(self, may_end: bool = False) -> bool:
        try:
            block = self._sock.recv(BLOCK)
        except OSError as error:
            raise Gone(str(error)) from error
        self._buffer += block
        if not block and not may_end:
            raise Gone("the peer closed in the middle of a body")
        return bool(block)

    def send(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            for at in range(0, len(view), BLOCK):
                self._sock.sendall(view[at : at + BLOCK])
        except OSError as error:
            raise Gone(str(error)) from error

    def reset(self) -> None:
        """End with RST: what closing a socket does when it may not linger."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()
