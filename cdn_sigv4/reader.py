"""The body of one object as a file to read: counted to the byte, verified at its end, an error for a short one."""

from __future__ import annotations

import io

from .body import BLOCK
from .errors import IntegrityError, TransportError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Protocol

    from .answers import ObjectInfo
    from .checksums import Verifier
    from .errors import CDNError

    class Source(Protocol):
        """What is read from: retrieval.py's `Retrieval`."""

        def read(self, amount: int, /) -> bytes:
            """At most `amount` bytes, empty at the end."""

        def close(self) -> None:
            """Give the connection up."""


_MOST = 64 << 20  # bytes asked for at once: what the server says of the length is no reason to reserve memory


class ObjectReader(io.BufferedIOBase):
    """A binary file without seek: `read`, `readinto`, a context manager, and iteration in blocks of up to 1 MiB.

    `info` is the object's `ObjectInfo`, `length` the number of bytes in this body (fewer than `info.size` for a
    range). `read(n)` gives n bytes, fewer only at the end; `read()` the rest. A body that breaks or stalls goes on
    where it was, as the client's `retry` says; TransportError when it cannot: what was read until then is a beginning,
    not the object. Close it, or read it to its end.

    `verified` says at the end which checksum has proved the bytes ("crc32", "sha256", "sha1", "md5"), None where the
    store offered none, or for a range. Where the bytes are not those of the checksum, the read that would give the last
    of them raises IntegrityError instead; a `read()` of all fetches them once more first.
    """

    def __init__(
        self,
        source: Source,
        info: ObjectInfo,
        length: int,
        verifier: Verifier | None = None,
        restart: Callable[[IntegrityError], tuple[ObjectInfo, int, Verifier | None]] | None = None,
    ) -> None:
        super().__init__()
        self.info = info
        self.length = length
        self.verified: str | None = None
        self._left = length
        self._source = source
        self._verifier = verifier
        self._restart = restart
        if length == 0:
            self._final(self._nothing)

    def readable(self) -> bool:
        """True."""
        return True

    def read(self, amount: int | None = -1, /) -> bytes:
        """`amount` bytes, all that are left for None or a negative one; empty at the end."""
        self._check_open()
        if amount is None or amount < 0:
            return self._final(self._rest)
        wanted = min(amount, self._left)
        return self._final(lambda: self._joined(wanted))

    def _rest(self) -> bytes:
        """All that is left; where nothing was handed out yet, what is damaged may be fetched again."""
        is_whole = self._left == self.length
        try:
            return self._joined(self._left)
        except IntegrityError as error:
            if not is_whole:
                raise
            damage = error
        self._again(damage)
        return self._joined(self._left)

    def _nothing(self) -> bytes:
        """An object without bytes is verified at once; it may be another one the second time."""
        try:
            self._verify()
        except IntegrityError as error:
            damage = error
        else:
            return b""
        self._again(damage)
        if not self.length:
            self._verify()
        return b""

    def _again(self, damage: IntegrityError) -> None:
        if self._restart is None:
            raise damage
        self.info, self.length, self._verifier = self._restart(damage)
        self._left = self.length

    def _final(self, read: Callable[[], bytes]) -> bytes:
        """What `read` gives; an error ends it, lest who goes on take it for the end of the file."""
        try:
            return read()
        except BaseException:
            self.close()
            raise

    def read1(self, amount: int = -1, /) -> bytes:
        """What one read of the connection brings, at most `amount` bytes; empty at the end."""
        self._check_open()
        wanted = min(BLOCK if amount < 0 else amount, self._left)
        return self._final(lambda: self._block(wanted)) if wanted else b""

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

    def _check_open(self) -> None:
        if self.closed:  # also after an error: none must take what follows for the end of the object
            raise ValueError("the reader is closed")

    def _joined(self, wanted: int) -> bytes:
        blocks = []
        while wanted:
            blocks.append(self._block(min(wanted, _MOST)))
            wanted -= len(blocks[-1])
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    def _block(self, wanted: int) -> bytes:
        block = self._source.read(wanted)
        if not block:
            raise self._about(TransportError(f"the body ended after {self.length - self._left} of {self.length} bytes"))
        self._left -= len(block)
        if self._verifier is not None:
            self._verifier.update(block)
        if not self._left:
            self._verify()
        return block

    def _verify(self) -> None:
        if self._verifier is None:
            return
        try:
            self._verifier.check()
        except IntegrityError as error:
            raise self._about(error) from None
        self.verified = self._verifier.name

    def _about(self, error: CDNError) -> CDNError:
        error.operation, error.bucket, error.key = "GET", self.info.bucket, self.info.key
        return error

    def close(self) -> None:
        """Give the connection back, or up where bytes are still to come."""
        if not self.closed:
            self._source.close()
        super().close()
