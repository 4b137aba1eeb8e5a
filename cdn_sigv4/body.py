"""The bytes of one upload: of known size, hashed before they are sent, read again from the start for each attempt.

Why a reader and not the caller's object: `requests` sends an empty or unsized source chunked, which S3 refuses
(psf/requests#6294); a file that grows meanwhile would push its extra bytes into the next request on the
connection; and a plain bytes object goes out in one `sendall`, whose timeout is a total and not a stall timeout.
"""

from __future__ import annotations

import io
import os
import sys

from . import checksums
from .errors import SourceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import IO, Any, TypeVar

    T = TypeVar("T")


BLOCK = 1 << 20  # bytes per read while hashing and copying: larger blocks were no faster
_SENDFILE = hasattr(os, "sendfile") and sys.platform == "linux"  # elsewhere it has other rules


class Body:
    """`size` bytes that `read` hands out, and then no more. Made by `open_body`; `close` gives the source back."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.remaining = size
        # Called with the number of bytes that have been read to be sent: what tries again, and what shows progress.
        self.heard: Callable[[int], object] | None = None
        self.progress: Callable[[int], object] | None = None
        self._digests: dict[str, bytes] = {}
        self._is_one_of_many = False  # others are hashed at the same time: no second thread is worth it

    def read(self, amount: int = -1) -> bytes | memoryview:
        """At most `amount` bytes, empty at the end. SourceError when the source ends early or cannot be read."""
        wanted = self.remaining if amount < 0 else min(amount, self.remaining)
        if wanted == 0:
            return b""
        block = reading(lambda: self._read(wanted))
        if len(block) > wanted:  # what is too much would stand before the next request on the connection
            raise SourceError(f"the source gave {len(block)} bytes when asked for {wanted}")
        self._count(len(block))
        return block

    def _count(self, amount: int) -> None:
        """So many bytes are on their way."""
        if not amount:
            raise SourceError(
                f"the source had {self.size} bytes at first, and ended {self.remaining} bytes before that",
                hint="Nothing was stored of this attempt: upload it again when nobody writes to it.",
            )
        self.remaining -= amount
        for listener in (self.heard, self.progress):
            if listener is not None:
                listener(self.size - self.remaining)

    def send_to(self, descriptor: int) -> bool:  # noqa: ARG002 - of those that can
        """Have the system itself send what this socket takes (sendfile(2)); False where it cannot: then `read`.

        The socket's own errors, BlockingIOError where it takes nothing now; SourceError as in `read`.
        """
        return False

    def rewind(self) -> None:
        """Begin again, for the pass that sends after the one that hashes."""
        reading(self._seek)
        self.remaining = self.size

    def digests(self, *names: str) -> dict[str, bytes]:
        """The checksums of all bytes by name, each computed once, those asked for together in one pass."""
        missing = [name for name in dict.fromkeys(names) if name not in self._digests]
        if missing:
            listeners, self.heard, self.progress = (self.heard, self.progress), None, None  # nothing is sent
            try:
                self.rewind()
                self._digests.update(
                    checksums.digests(self._blocks(), missing, 0 if self._is_one_of_many else self.size)
                )
                self.rewind()
            finally:
                self.heard, self.progress = listeners
        return self._digests

    def sha256(self) -> str:
        """SHA-256 of all bytes, as hex."""
        return self.digests("sha256")["sha256"].hex()

    def _blocks(self) -> Iterator[bytes | memoryview]:
        while self.remaining:
            yield self.read(BLOCK)

    def part(self, start: int, size: int) -> Body:
        """So many of the bytes, from `start` on, as a body of their own, which other threads may read meanwhile."""
        raise NotImplementedError

    @property
    def stamp(self) -> tuple[int, int] | None:
        """Size in bytes and time of the last change in nanoseconds, None for what is no plain file."""
        return None

    def is_changed(self) -> bool:
        """Whether the source is known to be another than when it was opened."""
        return False

    def close(self) -> None:
        """Let go of the source; a file of the caller's stays open."""

    def _read(self, amount: int) -> bytes | memoryview:
        raise NotImplementedError

    def _seek(self) -> None:
        """Go back to the first byte; where reading is by position there is nothing to do."""


class _MemoryBody(Body):
    """The caller's memory, not copied."""

    def __init__(self, view: memoryview) -> None:
        self._lent = memoryview(b"")
        self._view = flat(view)
        super().__init__(self._view.nbytes)

    def _read(self, amount: int) -> memoryview:
        start = self.size - self.remaining
        self._lent = self._view[start : start + amount]
        return self._lent

    def part(self, start: int, size: int) -> Body:
        return _one_of_many(_MemoryBody(self._view[start : start + size]))

    def close(self) -> None:
        # A bytearray cannot be resized while a view on it lives, and a failure's frames keep the block being sent.
        self._lent.release()
        self._view.release()


class _FileBody(Body):
    """A seekable binary file, from where it stands to its end."""

    def __init__(self, file: IO[bytes], *, own: bool) -> None:
        self._file = file
        self._own = own
        self._start = file.tell()
        super().__init__(max(reading(lambda: file.seek(0, io.SEEK_END)) - self._start, 0))
        reading(self._seek)
        # A file of the system's own is read by position: its readers do not have to wait for one another.
        is_plain = type(file) in (io.BufferedReader, io.BufferedRandom, io.FileIO) and hasattr(os, "pread")
        self._descriptor = reading(file.fileno) if is_plain else None
        self._stamp = self._look()
        self._lock: Any = None

    def _look(self) -> tuple[int, int] | None:
        if self._descriptor is None:
            return None
        self._file.flush()
        found = os.fstat(self._descriptor)
        return found.st_size, found.st_mtime_ns

    @property
    def stamp(self) -> tuple[int, int] | None:
        return self._stamp

    def is_changed(self) -> bool:
        return reading(self._look) != self._stamp

    def part(self, start: int, size: int) -> Body:
        if self._descriptor is not None:
            return _one_of_many(_PositionBody(self._descriptor, self._start + start, size))
        if self._lock is None:
            from threading import Lock

            self._lock = Lock()
        shared = _one_of_many(_SharedBody(self._file, self._lock, self._start + start, size))
        if type(self._file) is io.BytesIO:
            return shared
        taken = bytearray()  # others may have to decompress all of it again to go back: they are read in order
        for block in shared._blocks():  # noqa: SLF001 - made here
            taken += block
        return _one_of_many(_MemoryBody(memoryview(taken)))

    def _read(self, amount: int) -> bytes:
        return _bytes_from(self._file, amount)

    def _seek(self) -> None:
        self._file.seek(self._start)

    def close(self) -> None:
        if self._own:
            self._file.close()


class _PositionBody(Body):
    """A piece of a file, read by position."""

    def __init__(self, descriptor: int, start: int, size: int) -> None:
        super().__init__(size)
        self._descriptor = descriptor
        self._end = start + size
        self._can_be_sent = _SENDFILE

    def send_to(self, descriptor: int) -> bool:
        if not self._can_be_sent:
            return False
        try:
            count = os.sendfile(descriptor, self._descriptor, self._end - self.remaining, min(self.remaining, BLOCK))
        except OSError as error:
            if isinstance(error, (BlockingIOError, ConnectionError, InterruptedError)):
                raise
            self._can_be_sent = False  # not from every file system; what is wrong with this file `read` finds out
            return False
        self._count(count)
        return True

    def _read(self, amount: int) -> bytes:
        return os.pread(self._descriptor, amount, self._end - self.remaining)


class _SharedBody(Body):
    """A piece of what can seek, but has one position for all."""

    def __init__(self, file: IO[bytes], lock: Any, start: int, size: int) -> None:
        super().__init__(size)
        self._file = file
        self._lock = lock
        self._end = start + size

    def _read(self, amount: int) -> bytes:
        with self._lock:
            self._file.seek(self._end - self.remaining)
            return _bytes_from(self._file, amount)


def _one_of_many(body: Body) -> Body:
    body._is_one_of_many = True  # noqa: SLF001 - made here
    return body


def in_memory(source: Any) -> Body:
    """The bytes of a bytes-like object, not copied; TypeError for anything else."""
    return _MemoryBody(memoryview(source))


def of_file(file: IO[bytes], *, own: bool) -> Body:
    """Those of a binary file that can seek, from where it stands to its end; its `own` one the body closes."""
    return _FileBody(file, own=own)


def reading(step: Callable[[], T]) -> T:
    """What `step` gives. OSError would pass for the network's; ValueError is a closed file's, EOFError gzip's."""
    try:
        return step()
    except (OSError, ValueError, EOFError) as error:
        raise SourceError(f"the source could not be read: {error}") from error


def flat(view: memoryview) -> memoryview:
    """The same bytes in one dimension, copied only where they do not lie side by side."""
    return view.cast("B") if view.c_contiguous and view.nbytes else memoryview(view.tobytes())


def _bytes_from(file: IO[bytes], amount: int) -> bytes:
    block = file.read(amount)
    if not isinstance(block, bytes):
        raise TypeError(not_bytes(block))
    return block


def not_bytes(source: object) -> str:
    """What to say of a source that gives no bytes."""
    if isinstance(source, (str, io.TextIOBase)):
        return f"the body must be bytes, not text ({type(source).__name__}): encode it, or open the file with 'rb'"
    if hasattr(source, "__fspath__"):
        return "the body must be bytes, not a path: call upload_file, or open the file with 'rb'"
    return f"the body must be bytes-like, a binary file or an iterable of bytes, not {type(source).__name__}"
