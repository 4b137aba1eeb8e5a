"""What a caller may give to be sent: memory, a file, or an iterable, of which nobody knows how long it is."""

from __future__ import annotations

import io

from .body import BLOCK, flat, in_memory, not_bytes, of_file, reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import IO, Any, Protocol, Union

    from typing_extensions import Buffer  # type checkers bring it

    from .body import Body

    class _Array(Protocol):  # numpy's says that it is a Buffer only from Python 3.12 on
        @property
        def nbytes(self) -> int: ...

    Source = Union[Buffer, _Array, IO[bytes], Iterable[Union[bytes, bytearray, memoryview]]]

_END = object()
SPOOL_MEMORY = 8 << 20  # bytes of an iterable that are kept in memory before a temporary file takes them


class Stream:
    """The bytes of an iterable, or of a file that cannot seek: nobody knows how many, and they come once."""

    def __init__(self, blocks: Iterator[Any]) -> None:
        self._blocks = blocks
        self._rest = memoryview(b"")

    def take(self, amount: int) -> bytearray:
        """So many bytes, fewer only at the end. SourceError, or what the iterable raises, where it cannot be read."""
        taken = bytearray()
        while len(taken) < amount and not self.is_at_end():
            wanted = amount - len(taken)
            taken += self._rest[:wanted]
            self._rest = self._rest[wanted:]
        return taken

    def is_at_end(self) -> bool:
        """Whether there is nothing more; asks for the next block to find out."""
        while not self._rest.nbytes:
            self._rest = memoryview(b"")  # even an empty view keeps an iterable from filling its buffer again
            block: Any = reading(lambda: next(self._blocks, _END))
            if block is _END:
                return True
            if isinstance(block, str):
                raise TypeError(not_bytes(block))
            self._rest = flat(memoryview(block))
        return False

    def spooled(self) -> Body:
        """All of it, in memory up to 8 MiB, then in a temporary file."""
        from tempfile import SpooledTemporaryFile  # 13 ms

        spool = SpooledTemporaryFile(SPOOL_MEMORY)  # noqa: SIM115 - the body owns it
        try:
            while not self.is_at_end():
                spool.write(self.take(BLOCK))
            spool.seek(0)
            return of_file(spool, own=True)
        except BaseException:
            spool.close()
            raise


def open_source(source: Any) -> Body | Stream:
    """A body from a bytes-like object (measured in bytes) or a binary file (from its position on).

    A `Stream` from an iterable of bytes, or a file that cannot seek. TypeError for text and anything else.
    """
    if source is None or isinstance(source, str) or hasattr(source, "__fspath__"):
        raise TypeError(not_bytes(source))
    try:
        return in_memory(source)
    except TypeError:
        pass
    if hasattr(source, "read"):
        if isinstance(source, io.TextIOBase) or isinstance(reading(lambda: source.read(0)), str):
            raise TypeError(not_bytes(source))
        if can_seek(source):
            return of_file(source, own=False)
        return Stream(iter(lambda: source.read(BLOCK), b""))
    if hasattr(source, "__iter__") and not isinstance(source, dict):
        return Stream(iter(source))
    raise TypeError(not_bytes(source))


def open_body(source: Any) -> Body:
    """The same, but a stream is copied first: one request needs length and SHA-256 before the first byte."""
    opened = open_source(source)
    return opened.spooled() if isinstance(opened, Stream) else opened


def can_seek(file: IO[bytes]) -> bool:
    """Whether a file can be read again from where it stands; a pipe has the method and cannot."""
    try:
        file.seek(file.tell())
    except (AttributeError, OSError):
        return False
    return True
