"""The bytes of one upload: of known size, hashed before they are sent, read again from the start for each attempt.

Why a reader and not the caller's object: `requests` sends an empty or unsized source chunked, which S3 refuses
(psf/requests#6294); a file that grows meanwhile would push its extra bytes into the next request on the
connection; and a plain bytes object goes out in one `sendall`, whose timeout is a total and not a stall timeout.
"""

from __future__ import annotations

import io

from . import checksums
from .errors import SourceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import IO, Any, Protocol, TypeVar, Union

    T = TypeVar("T")

    class _Buffer(Protocol):
        def __len__(self) -> int: ...

    Source = Union[bytes, bytearray, memoryview, _Buffer, IO[bytes], Iterable[Union[bytes, bytearray, memoryview]]]

BLOCK = 1 << 20  # bytes per read while hashing and copying: larger blocks were no faster
_END = object()
SPOOL_MEMORY = 8 << 20  # bytes of an iterable that are kept in memory before a temporary file takes them


class Body:
    """`size` bytes that `read` hands out, and then no more. Made by `open_body`; `close` gives the source back."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.remaining = size
        self.heard: Callable[[int], object] | None = None  # called with the number of bytes that have been read
        self._digests: dict[str, bytes] = {}

    def read(self, amount: int = -1) -> bytes | memoryview:
        """At most `amount` bytes, empty at the end. SourceError when the source ends early or cannot be read."""
        wanted = self.remaining if amount < 0 else min(amount, self.remaining)
        if wanted == 0:
            return b""
        block = _reading(lambda: self._read(wanted))
        if len(block) > wanted:  # what is too much would stand before the next request on the connection
            raise SourceError(f"the source gave {len(block)} bytes when asked for {wanted}")
        if not block:
            raise SourceError(
                f"the source had {self.size} bytes at first, and ended {self.remaining} bytes before that",
                hint="Nothing was stored of this attempt: upload it again when nobody writes to it.",
            )
        self.remaining -= len(block)
        if self.heard is not None:
            self.heard(self.size - self.remaining)
        return block

    def rewind(self) -> None:
        """Begin again, for the pass that sends after the one that hashes."""
        _reading(self._seek)
        self.remaining = self.size

    def digests(self, *names: str) -> dict[str, bytes]:
        """The checksums of all bytes by name, each computed once, those asked for together in one pass."""
        missing = [name for name in dict.fromkeys(names) if name not in self._digests]
        if missing:
            self.rewind()
            self._digests.update(checksums.digests(self._blocks(), missing, self.size))
            self.rewind()
        return self._digests

    def sha256(self) -> str:
        """SHA-256 of all bytes, as hex."""
        return self.digests("sha256")["sha256"].hex()

    def _blocks(self) -> Iterator[bytes | memoryview]:
        while self.remaining:
            yield self.read(BLOCK)

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
        self._view = view.cast("B") if view.c_contiguous and view.nbytes else memoryview(view.tobytes())
        super().__init__(self._view.nbytes)

    def _read(self, amount: int) -> memoryview:
        start = self.size - self.remaining
        self._lent = self._view[start : start + amount]
        return self._lent

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
        super().__init__(max(_reading(lambda: file.seek(0, io.SEEK_END)) - self._start, 0))
        _reading(self._seek)

    def _read(self, amount: int) -> bytes:
        block = self._file.read(amount)
        if not isinstance(block, bytes):
            raise TypeError(_not_bytes(block))
        return block

    def _seek(self) -> None:
        self._file.seek(self._start)

    def close(self) -> None:
        if self._own:
            self._file.close()


def open_body(source: Any) -> Body:
    """A body from a bytes-like object (measured in bytes), a binary file (from its position on), or an iterable.

    An iterable of bytes, or a file that cannot seek, is copied first (in memory up to 8 MiB, then in a temporary
    file), because S3 wants length and SHA-256 before the first byte. TypeError for text and anything else.
    """
    if source is None or isinstance(source, str) or hasattr(source, "__fspath__"):
        raise TypeError(_not_bytes(source))
    try:
        return _MemoryBody(memoryview(source))
    except TypeError:
        pass
    if hasattr(source, "read"):
        if isinstance(source, io.TextIOBase) or isinstance(_reading(lambda: source.read(0)), str):
            raise TypeError(_not_bytes(source))
        if can_seek(source):
            return _FileBody(source, own=False)
        return _spooled(iter(lambda: source.read(BLOCK), b""))
    if hasattr(source, "__iter__") and not isinstance(source, dict):
        return _spooled(iter(source))
    raise TypeError(_not_bytes(source))


def _reading(step: Callable[[], T]) -> T:
    """What `step` gives. OSError would pass for the network's; ValueError is a closed file's, EOFError gzip's."""
    try:
        return step()
    except (OSError, ValueError, EOFError) as error:
        raise SourceError(f"the source could not be read: {error}") from error


def can_seek(file: IO[bytes]) -> bool:
    """Whether a file can be read again from where it stands; a pipe has the method and cannot."""
    try:
        file.seek(file.tell())
    except (AttributeError, OSError):
        return False
    return True


def _spooled(blocks: Iterator[Any]) -> Body:
    from tempfile import SpooledTemporaryFile  # noqa: PLC0415 - not at import time: 13 ms

    spool = SpooledTemporaryFile(SPOOL_MEMORY)  # noqa: SIM115 - the body owns it
    try:
        while True:
            block: Any = _reading(lambda: next(blocks, _END))
            if block is _END:
                break
            if isinstance(block, str):
                raise TypeError(_not_bytes(block))  # noqa: TRY301
            spool.write(block if isinstance(block, bytes) else memoryview(block).tobytes())
        spool.seek(0)
        return _FileBody(spool, own=True)
    except BaseException:
        spool.close()
        raise


def _not_bytes(source: object) -> str:
    if isinstance(source, (str, io.TextIOBase)):
        return f"the body must be bytes, not text ({type(source).__name__}): encode it, or open the file with 'rb'"
    if hasattr(source, "__fspath__"):
        return "the body must be bytes, not a path: call upload_file, or open the file with 'rb'"
    return f"the body must be bytes-like, a binary file or an iterable of bytes, not {type(source).__name__}"
