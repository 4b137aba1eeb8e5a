"""The body of one object as a file to read: counted to the byte, and an error instead of a short one."""

from __future__ import annotations

import io

from .body import BLOCK
from .errors import TransportError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    from .answers import ObjectInfo

    class Source(Protocol):
        """What is read from: wire.py's `Answer`."""

        def read(self, amount: int, /) -> bytes:
            """At most `amount` bytes, empty at the end."""

        def close(self) -> None:
            """Give the connection up."""


_MOST = 64 << 20  # bytes asked for at once: what the server says of the length is no reason to reserve memory


class ObjectReader(io.BufferedIOBase):
    """A binary file without seek: `read`, `readinto`, a context manager, and iteration in blocks of up to 1 MiB.

    `info` is the object's `ObjectInfo`, `length` the number of bytes in this body (fewer than `info.size` for a
    range). `read(n)` gives n bytes, fewer only at the end; `read()` the rest. TransportError when the connection
    breaks or stalls: what was read until then is a beginning, not the object. Close it, or read it to its end.
    """

    def __init__(self, source: Source, info: ObjectInfo, length: int) -> None:
        super().__init__()
        self.info = info
        self.length = length
        self._left = length
        self._source = source

    def readable(self) -> bool:
        """True."""
        return True

    def read(self, amount: int | None = -1, /) -> bytes:
        """`amount` bytes, all that are left for None or a negative one; empty at the end."""
        wanted = self._left if amount is None or amount < 0 else min(amount, self._left)
        blocks = []
        while wanted:
            blocks.append(self._block(min(wanted, _MOST)))
            wanted -= len(blocks[-1])
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    def read1(self, amount: int = -1, /) -> bytes:
        """What one read of the connection brings, at most `amount` bytes; empty at the end."""
        wanted = min(BLOCK if amount < 0 else amount, self._left)
        return self._block(wanted) if wanted else b""

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        block = self.read1()
        if not block:
            raise StopIteration
        return block

    def readlines(self, _hint: int | None = -1, /) -> list[bytes]:
        """All lines that are left: the inherited one would take the blocks of the iteration for lines."""
        return list(iter(self.readline, b""))

    def _block(self, wanted: int) -> bytes:
        if self.closed:
            raise ValueError("the reader is closed")
        block = self._source.read(wanted)
        if not block:
            self.close()
            done = self.length - self._left
            raise TransportError(
                f"the body ended after {done} of {self.length} bytes",
                operation="GET",
                bucket=self.info.bucket,
                key=self.info.key,
            )
        self._left -= len(block)
        return block

    def close(self) -> None:
        """Give the connection back, or up where bytes are still to come."""
        if not self.closed:
            self._source.close()
        super().close()
