"""Connections that carry a request as it was signed, and take its answer's head whole or not at all.

They are urllib3's, with what http.client does of its own accord changed: named beside each method. `ask` is the short
way past it: to put a request together, and to parse its answer as mail, takes it longer than all the rest.

Rules: RFC 9112 (HTTP/1.1); RFC 9110, 15.2 (interim answers).
"""

from __future__ import annotations

import socket as sockets
import threading
from http.client import (
    BadStatusLine,
    HTTPException,
    HTTPMessage,
    HTTPResponse,
    IncompleteRead,
    LineTooLong,
    UnknownProtocol,
)
from socket import IPPROTO_TCP, MSG_PEEK, socket
from socket import timeout as SocketTimeout  # noqa: N812 - an alias of TimeoutError only from Python 3.10 on
from ssl import SSLError

from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.wait import wait_for_read, wait_for_write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from .body import Body
    from .s3 import SignedRequest

    T = TypeVar("T")

USER_AGENT = "cdn-sigv4"
KEPT = 32  # connections to one server that are kept for threads (more work, theirs are not); servers known at a time
BLOCK_SIZE = 256 << 10  # bytes of a body that are sent at a time: http.client's own 16 KiB cost half of the rate
_NOT_SENT = getattr(sockets, "TCP_NOTSENT_LOWAT", None)  # tcp(7); macOS has it too
_TOGETHER = 16 << 10  # bytes of a body that go out with the head, in one packet or few
_MAX_WAITS = 100  # for a socket that is said to take bytes, and takes none
_MAX_INTERIM = 10  # interim answers (1xx) before the final one: more are no HTTP, and could go on for ever
_INTERIM_PEEK = 10  # bytes of an answer that tell an interim one: its version and first digit
_BLANKS = " \t"  # and no others: in UTF-8 that is read as Latin-1 some letters' bytes pass for blanks
_MAX_LINE, _MAX_FIELDS = 65536, 100  # bytes of a line, and lines, of an answer's head: http.client's own limits


def sent_headers(signed: SignedRequest, body: Body | None) -> dict[str, str]:
    """The headers that go out: those that were signed, and those that need not be."""
    headers = {**signed.headers, "accept-encoding": "identity", "user-agent": USER_AGENT}
    if body is not None:
        headers["content-length"] = str(body.size)
    elif signed.method in ("PUT", "POST"):
        headers["content-length"] = "0"
    return headers


def head_of(signed: SignedRequest, body: Body | None) -> bytes:
    """The head of a request; everything in it was checked where it was made."""
    fields = [f"{name}: {value}\r\n" for name, value in sent_headers(signed, body).items()]
    return f"{signed.method} {signed.target} HTTP/1.1\r\n{''.join(fields)}\r\n".encode("ascii")


class Sending:
    """How far a request has come, for whoever has to say what its failure means."""

    head_sent: bool | None = False  # None: not known, where another one's adapter sends it
    cut_short = False  # the body was not sent to its end: the answer came first, or the connection broke
    is_answered = False  # the answer's head has come


class WholeHead(HTTPResponse):
    """http.client takes the end of the connection for the end of the headers: half a head would be a success.

    And it takes any interim answer but "100 Continue" (of which it takes any number) for the final one. `fields`: the
    headers by their lower-case names; the values of a repeated one are joined.
    """

    fp: Any
    fields: dict[str, str]

    def begin(self) -> None:
        """Read the head of the final answer."""
        version, status = self._read_head()
        interim = 0
        while 100 <= status < 200 and status != 101:  # 101 has left HTTP
            interim += 1
            if interim > _MAX_INTERIM:
                raise BadStatusLine("interim answers without end")
            version, status = self._read_head()
        if not version.startswith("HTTP/1."):
            raise UnknownProtocol(version)
        self.code = self.status = status
        self.version = 10 if version == "HTTP/1.0" else 11
        self.chunked = self.fields.get("transfer-encoding", "").lower() == "chunked"
        self.chunk_left = None
        self.length = self._length()
        connection = self.fields.get("connection", "").lower()
        is_kept = "close" not in connection if self.version == 11 else "keep-alive" in connection
        self.will_close = not is_kept or (self.length is None and not self.chunked)

    def _length(self) -> int | None:
        if self.status in (204, 304) or 100 <= self.status < 200 or self._method == "HEAD":  # type: ignore[attr-defined]
            return 0
        if "transfer-encoding" in self.fields:  # whatever it is, a length beside it says nothing (RFC 9112, 6.3)
            return None
        text = self.fields.get("content-length", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None

    def _read_head(self) -> tuple[str, int]:
        """Version and status of an answer; its header fields are in `fields` then."""
        buffered = self.fp.peek(1)
        end = buffered.find(b"\r\n\r\n")
        if end > 0 and buffered.count(b"\n", 0, end) == buffered.count(b"\r\n", 0, end):  # all has come at once
            lines = self.fp.read(end + 4)[:end].decode("latin-1").split("\r\n")
            found = _status(lines[0])
            self.fields = _fields(lines[1:])
        else:
            found = _status(self._line())
            self.fields = self._read_fields()
        return found

    def _line(self) -> str:
        line: bytes = self.fp.readline(_MAX_LINE + 1)
        if len(line) > _MAX_LINE:
            raise LineTooLong("header line")
        if line[-1:] != b"\n":
            raise IncompleteRead(line) if line[:5] in b"HTTP/" else BadStatusLine(repr(line[:60]))
        return line[: -2 if line[-2:] == b"\r\n" else -1].decode("latin-1")

    def _read_fields(self) -> dict[str, str]:
        """The header fields of a head, or of a trailer, which must end with an empty line."""
        lines: list[str] = []
        while len(lines) <= _MAX_FIELDS:
            line = self._line()
            if not line:
                return _fields(lines)
            lines.append(line)
        raise HTTPException(f"got more than {_MAX_FIELDS} headers")

    def _read_next_chunk_size(self) -> int:
        size: int = super()._read_next_chunk_size()  # type: ignore[misc]
        if size < 0:  # http.client takes "-1" for a number, and then reads to the end of the connection
            self._close_conn()  # type: ignore[attr-defined]
            raise IncompleteRead(b"")
        return size

    def _read_and_discard_trailer(self) -> None:
        self._read_fields()  # which are bounded in number and length: http.client reads any number of these

    def readinto(self, buffer: Any) -> int:
        """At most as many bytes as the buffer holds; 0 at the end."""
        # What one receive gives: http.client waits until all of the buffer is full, and what it has is lost when the
        # connection breaks.
        if self.fp is None or self.chunked or self.length is None:
            return super().readinto(buffer)
        count: int = self.fp.readinto1(memoryview(buffer)[: self.length])
        self.length -= count
        if not self.length or not count:
            self._close_conn()  # type: ignore[attr-defined]
        return count


def _status(line: str) -> tuple[str, int]:
    version, _, rest = line.partition(" ")
    code = rest.lstrip()[:4].rstrip()
    if not version.startswith("HTTP/") or not (code.isascii() and code.isdigit() and len(code) == 3 and code >= "100"):
        raise BadStatusLine(line)
    return version, int(code)


def _fields(lines: list[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    if len(lines) > _MAX_FIELDS:
        raise HTTPException(f"got more than {_MAX_FIELDS} headers")
    for line in lines:
        before, colon, value = line.partition(":")
        value = value.strip(_BLANKS)
        if "\r" in line or "\n" in line or "\0" in line:  # some take these for the end of a line, or of the value
            raise HTTPException("the answer's head has a control character in a header field")
        is_folded = line[0] in _BLANKS  # as nobody should any more (RFC 9112, 5.2)
        if is_folded and name:
            fields[name] += " " + line.strip(_BLANKS)
        elif is_folded or not colon:
            raise HTTPException("the answer's head has a line that is no header field")
        elif before:
            name = before.lower()  # a blank in the name makes it another one
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


class _MailHead(WholeHead):
    """The same with the headers as http.client has them, for urllib3."""

    def begin(self) -> None:
        if self.headers is None:
            super().begin()
            self.headers = self.msg = HTTPMessage()
            for name, value in self.fields.items():
                self.headers.set_raw(name, value)


# The `Sending` of the request that a thread sends by way of urllib3: a connection is not told which it is.
current = threading.local()


class _ExactConnection:
    """What is mixed into urllib3's connections: the stall timeout while sending, and an ear for an early answer."""

    stall: float
    sock: Any
    response_class = _MailHead
    _sending: Sending | None = None  # of the request that is under way: what a proxy is told first is no part of it

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.blocksize = BLOCK_SIZE

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        self.sock.settimeout(self.stall)  # until the answer is read, urllib3 leaves the connect timeout on it

    def ask(self, sending: Sending, method: str, head: bytes, body: Body | None) -> WholeHead:
        """Send a request with this head on the open connection; its answer, of which the body is still to be read."""
        self._sending = sending
        if self.sock.gettimeout() != self.stall:
            self.sock.settimeout(self.stall)
        try:
            if body is not None and 0 < body.size <= _TOGETHER:
                head = b"".join((head, body.read()))
            self.send(head)
            is_plain = type(self.sock) is socket
            if is_plain and body is not None and body.remaining:
                self._keep_short()
            while body is not None and body.remaining:
                if not (is_plain and self._as_body(sending, lambda: self._send_file(body))):
                    self.send(body.read(BLOCK_SIZE))
        except BrokenPipeError:
            if not sending.head_sent:
                raise
        finally:
            self._sending = None
        response = WholeHead(self.sock, method=method)
        try:
            response.begin()
        except BaseException:
            response.close()
            raise
        return response

    def putrequest(self, *args: Any, **kwargs: Any) -> None:
        self._sending = current.sending
        if self.sock is not None:
            self.sock.settimeout(self.stall)  # on a kept connection urllib3 2 has just set the connect timeout
        super().putrequest(*args, **kwargs)  # type: ignore[misc]

    def send(self, data: Any) -> None:
        sending = self._sending
        if sending is not None and sending.head_sent:
            self._as_body(sending, lambda: self._send_all(data))
            return
        super().send(data)  # type: ignore[misc]
        if sending is not None:
            sending.head_sent = True

    def _keep_short(self) -> None:
        """Let few bytes wait in the system for being sent: else it takes none for a long time on a slow link."""
        if _NOT_SENT is not None:
            self.sock.setsockopt(IPPROTO_TCP, _NOT_SENT, BLOCK_SIZE)

    def _as_body(self, sending: Sending, step: Callable[[], T]) -> T:
        # A server that refuses early (403, 503) answers while the body still goes out, and closes soon after: stop
        # at once and read what it says. urllib3 takes a broken pipe for just that.
        try:
            if self._is_answered():
                raise BrokenPipeError
            return step()
        except (ConnectionError, SSLError):
            sending.cut_short = True
            raise BrokenPipeError from None

    def _send_all(self, data: Any) -> None:
        if type(self.sock) is not socket:
            super().send(data)  # type: ignore[misc]
            return
        sent = 0
        with memoryview(data) as view:
            while sent < len(view):  # the timeout is that of a step: `sendall`'s would be that of the block
                sent += self.sock.send(view[sent:])

    def _send_file(self, body: Body) -> bool:
        """Have the system send some of a file, without a copy; False where it cannot."""
        for _ in range(_MAX_WAITS):
            try:
                return body.send_to(self.sock.fileno())
            except BlockingIOError:
                if not wait_for_write(self.sock, timeout=self.stall):
                    raise SocketTimeout("timed out") from None
        return False  # it is the file that gives nothing now

    def _is_answered(self) -> bool:
        # Only a plain socket can be asked: TLS is readable for reasons of its own (session tickets). A "100 Continue"
        # that nobody asked for is no answer yet.
        if type(self.sock) is not socket or not wait_for_read(self.sock, timeout=0):
            return False
        return not self.sock.recv(_INTERIM_PEEK, MSG_PEEK).startswith(b"HTTP/1.1 1")

    def getresponse(self, *args: Any, **kwargs: Any) -> Any:
        sending, self._sending = self._sending, None
        kwargs.pop("buffering", None)  # urllib3 1.26 tries it first, and its TypeError would hide the real cause
        response = super().getresponse(*args, **kwargs)  # type: ignore[misc]
        if sending is not None and sending.cut_short and self.sock is not None:
            # Half a request is on this connection: it ends with this answer (which keeps the socket until it is read).
            self.sock.close()
            self.sock = None
        return response


def pool_classes(stall: float) -> dict[str, Any]:
    """urllib3's pools by scheme, with connections of this module's; `stall`: seconds without a byte moved."""
    return {"http": _pool_class(HTTPConnectionPool, stall), "https": _pool_class(HTTPSConnectionPool, stall)}


def _pool_class(base: Any, stall: float) -> Any:
    connection = type("ExactConnection", (_ExactConnection, base.ConnectionCls), {"stall": stall})
    return type("ExactPool", (base,), {"ConnectionCls": connection})
