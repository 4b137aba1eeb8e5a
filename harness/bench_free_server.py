"""A server on 127.0.0.1 that costs nearly nothing, so that what is measured is the client's own cost.

It says what S3 would say, and keeps nothing: a GET is answered from the files of a folder (`/bucket/a/b` is the file
`a/b`; small ones by one send of bytes that are there already, large ones by sendfile), the body of a PUT is dropped
in the kernel, where that can be done. No signature is looked at. An upload is answered with an entity tag that is no
MD5, so that a client that compares has nothing to compare with. What came is counted, for whoever asks.

Run as a program by bench_free.py: it prints its port, and then, for each line that it reads, its tally.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
import os
import re
import socket
import sys
import threading
import time
import urllib.parse
import zlib
from base64 import b64encode
from email.utils import formatdate
from pathlib import Path
from typing import NamedTuple

HEAD_BLOCK = 1 << 16  # bytes: a request's head, and of an upload the first bytes of its body
SMALL = 1 << 20  # bytes: up to there an object is held ready, and its entity tag is its MD5
DROPPED = 8 << 20  # bytes of a body that are dropped by one call
# tcp(7): on Linux the bytes are thrown away where they are, elsewhere they are copied into a buffer that nobody reads.
DROP_FLAG = socket.MSG_TRUNC if sys.platform == "linux" else 0

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
DECODED = re.compile(rb"\r\nx-amz-decoded-content-length: *(\d+)", re.IGNORECASE)
RANGE = re.compile(rb"\r\nrange: *bytes=(\d*)-(\d*)\r", re.IGNORECASE)
WANTS_CHECKSUM = re.compile(rb"\r\nx-amz-checksum-mode: *enabled", re.IGNORECASE)
IS_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
EXPECTS = re.compile(rb"\r\nexpect: *100-continue", re.IGNORECASE)

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
TAG = '"free-1"'  # of what was uploaded
ID = "x-amz-request-id: FREE0123456789AB\r\n"  # by which an answer is known to be a store's
STORED = f"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: {TAG}\r\n{ID}\r\n".encode()
GONE = b"HTTP/1.1 204 No Content\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
NOT_SERVED = b"HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Object(NamedTuple):
    """A file as it is answered: `fields` are the headers of every answer, `checksum` those for who asks for them."""

    descriptor: int
    size: int
    fields: bytes
    checksum: bytes
    content: bytes | None  # of a small one

    def head(self, *, with_checksum: bool) -> bytes:
        """The head of the answer with all of it."""
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s%s\r\n" % (
            self.size,
            self.fields,
            self.checksum if with_checksum else b"",
        )


def opened(path: Path) -> Object:
    """A file, read once."""
    crc, md5, block = 0, hashlib.md5(), b""  # noqa: S324 - S3's entity tag
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        for block in iter(lambda: file.read(SMALL), b""):
            crc = zlib.crc32(block, crc)
            if size <= SMALL:
                md5.update(block)
    tag = f'"{md5.hexdigest()}"' if size <= SMALL else TAG
    fields = f"ETag: {tag}\r\nLast-Modified: {formatdate(usegmt=True)}\r\nAccept-Ranges: bytes\r\n"
    fields += f"Content-Type: application/octet-stream\r\n{ID}"
    checksum = f"x-amz-checksum-crc32: {b64encode(crc.to_bytes(4, 'big')).decode()}\r\n"
    checksum += "x-amz-checksum-type: FULL_OBJECT\r\n"
    return Object(
        os.open(path, os.O_RDONLY), size, fields.encode(), checksum.encode(), block if size <= SMALL else None
    )


class FreeServer:
    """Serves `folder` on a port of 127.0.0.1, each connection in a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._objects: dict[bytes, Object] = {}
        self._ready: dict[bytes, bytes] = {}  # whole answers to GETs of small objects, by the target and one letter
        self._lock = threading.Lock()
        self._tally = {"gets": 0, "puts": 0, "bytes": 0}
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def tally(self) -> dict[str, float]:
        """Answered GETs, PUTs and the bytes of these without their framing; seconds of this process's time."""
        with self._lock:
            return {**self._tally, "cpu": time.process_time()}

    def serve(self) -> None:
        """Take connections until the listener is closed."""
        while True:
            try:
                connection = self._listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _converse(self, connection: socket.socket) -> None:
        """Answer one request after the other."""
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection, contextlib.suppress(OSError), mmap.mmap(-1, DROPPED) as waste:
            buffer = b""
            while True:
                end = buffer.find(b"\r\n\r\n")
                if end < 0:
                    block = connection.recv(HEAD_BLOCK)
                    if not block:
                        return
                    buffer += block
                    continue
                head, buffer = buffer[: end + 2], buffer[end + 4 :]
                method, target, _ = head.split(b" ", 2)
                if method == b"GET":
                    self._get(connection, target, head)
                else:
                    buffer = self._take(connection, head, buffer, waste)
                    if not self._answer(connection, method, target, head):
                        return

    def _get(self, connection: socket.socket, target: bytes, head: bytes) -> None:
        with_checksum = WANTS_CHECKSUM.search(head) is not None
        span = RANGE.search(head)
        ready = None if span else self._ready.get(target + b" %d" % with_checksum)
        if ready is not None:
            connection.sendall(ready)
        else:
            self._send(connection, target, span, with_checksum=with_checksum)
        with self._lock:
            self._tally["gets"] += 1

    def _send(
        self, connection: socket.socket, target: bytes, span: re.Match[bytes] | None, *, with_checksum: bool
    ) -> None:
        """Send all of an object, or a range of it."""
        found = self._found(target)
        if found is None:
            connection.sendall(missing(target))
            return
        if span is None:
            head, start, count = found.head(with_checksum=with_checksum), 0, found.size
            if found.content is not None:
                self._ready[target + b" %d" % with_checksum] = head + found.content
        else:
            start, end = spanned(span, found.size)
            count = end - start + 1
            head = b"HTTP/1.1 206 Partial Content\r\nContent-Length: %d\r\n" % count
            head += b"Content-Range: bytes %d-%d/%d\r\n%s\r\n" % (start, end, found.size, found.fields)
        connection.sendall(head)
        while count:
            sent = os.sendfile(connection.fileno(), found.descriptor, start, count)
            start, count = start + sent, count - sent

    def _found(self, target: bytes) -> Object | None:
        path = target.partition(b"?")[0]
        if path not in self._objects:
            parts = urllib.parse.unquote(path.decode("ascii")).split("/")[2:]
            file = self._folder.joinpath(*parts)
            if not parts or ".." in parts or not file.is_file():
                return None
            self._objects[path] = opened(file)
        return self._objects[path]

    def _take(self, connection: socket.socket, head: bytes, begun: bytes, waste: mmap.mmap) -> bytes:
        """Drop a request's body, of which `begun` has come; what has come behind it."""
        match = LENGTH.search(head)
        length = int(match[1]) if match else 0
        if not begun and length and EXPECTS.search(head):
            connection.sendall(CONTINUE)
        left = length - len(begun)
        while left > 0:
            count = connection.recv_into(waste, min(left, DROPPED), DROP_FLAG)
            if not count:
                raise ConnectionResetError
            left -= count
        return begun[length:]

    def _answer(self, connection: socket.socket, method: bytes, target: bytes, head: bytes) -> bool:
        """Answer what is no GET; whether the connection lasts."""
        if IS_CHUNKED.search(head):
            connection.sendall(NOT_SERVED)
            return False
        if method == b"PUT":
            match = DECODED.search(head) or LENGTH.search(head)
            with self._lock:
                self._tally["puts"] += 1
                self._tally["bytes"] += int(match[1]) if match else 0
            connection.sendall(STORED)
        elif method == b"HEAD":
            found = self._found(target)
            with_checksum = WANTS_CHECKSUM.search(head) is not None
            connection.sendall(missing(b"") if found is None else found.head(with_checksum=with_checksum))
        elif method == b"POST":
            connection.sendall(of_parts(target))
        elif method == b"DELETE":
            connection.sendall(GONE)
        else:
            connection.sendall(NOT_SERVED)
            return False
        return True


def spanned(span: re.Match[bytes], size: int) -> tuple[int, int]:
    """First and last byte of `bytes=a-b`, `a-` or `-n`."""
    first, last = span[1], span[2]
    if not first:
        return max(0, size - int(last)), size - 1
    return int(first), min(int(last), size - 1) if last else size - 1


def of_parts(target: bytes) -> bytes:
    """The answer to the beginning, or the end, of an upload in parts."""
    bucket, _, key = urllib.parse.unquote(target.partition(b"?")[0].decode("ascii"))[1:].partition("/")
    is_end = b"uploadId=" in target
    name = "CompleteMultipartUploadResult" if is_end else "InitiateMultipartUploadResult"
    inner = f"<ETag>{TAG.replace(chr(34), '&quot;')}</ETag>" if is_end else "<UploadId>free</UploadId>"
    return xml(f'<{name} xmlns="{NAMESPACE}"><Bucket>{bucket}</Bucket><Key>{key}</Key>{inner}</{name}>')


def missing(target: bytes) -> bytes:
    """404; without a target as to a HEAD, which has no body."""
    if not target:
        return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    return xml("<Error><Code>NoSuchKey</Code><Message>it is not there</Message></Error>", "404 Not Found")


def xml(text: str, status: str = "200 OK") -> bytes:
    """An answer with XML in it."""
    body = b'<?xml version="1.0" encoding="UTF-8"?>\n' + text.encode()
    return f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def main() -> None:
    """Serve the folder that is named, until the standard input ends."""
    server = FreeServer(Path(sys.argv[1]))
    print(server.port, flush=True)
    threading.Thread(target=server.serve, daemon=True).start()
    for _ in sys.stdin:
        print(json.dumps(server.tally()), flush=True)


if __name__ == "__main__":
    main()
