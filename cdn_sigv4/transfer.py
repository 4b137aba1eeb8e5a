"""A file from an object: fetched from where an earlier run stopped, verified, and only then put in its place.

What makes the file visible is in files.py, what fetches the bytes in filling.py; here is what the two have to do with
each other: which bytes of an earlier run may be trusted, when the disk is waited for, and what is kept after a failure.
"""

from __future__ import annotations

import os

from . import checksums, ranges
from .errors import (
    CDNError,
    IntegrityError,
    InvalidResponse,
    NotFound,
    ObjectChanged,
    ResponseError,
    TransportError,
)
from .exchange import about
from .files import FEW, read_at, write_at
from .notes import from_notes, noted
from .progress import Raised
from .retrieval import Retrieval

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

    from .answers import ObjectInfo
    from .exchange import Exchange
    from .files import Replacement
    from .filling import Filling
    from .progress import Meter
    from .ranges import Ranges
    from .s3 import Request

RESUME_LEAST = 8 << 20  # bytes of an object from which on a part of it is worth a record
SYNC_EVERY = 32 << 20  # bytes after which the disk is waited for, so that a power cut costs no more than these
_NO_RANGES = (400, 405, 501)  # from a gateway that knows neither Range nor If-Match: all of it may come all the same


class Download:
    """One object on its way into the file of a `Replacement`.

    `workers`, `range_size`: requests at a time, and bytes of one, see filling.py. `verified`: by which checksum its
    bytes were proved; `moved`: bytes that came over the wire.
    """

    def __init__(
        self,
        exchange: Exchange,
        request: Request,
        replacement: Replacement,
        *,
        etag_is_md5: bool,
        workers: int,
        range_size: int | None,
        meter: Meter,
    ) -> None:
        from threading import Lock

        self._exchange = exchange
        self._request = request
        self._replacement = replacement
        self._etag_is_md5 = etag_is_md5
        self._workers = workers
        self._range_size = range_size
        self._meter = meter
        self._retrieval = Retrieval(exchange, request, exchange.patience(), etag_is_md5=etag_is_md5)
        self._filling: Filling | None = None
        self._verifier: checksums.Verifier | None = None
        self._noting = Lock()
        self._is_syncing = False
        self._synced = 0  # bytes that were here when the disk was last waited for
        self._helped = 0  # bytes that others than the first connection have brought
        self.verified: str | None = None

    @property
    def moved(self) -> int:
        """Bytes that came over the wire."""
        return self._retrieval.moved + self._helped

    def run(self) -> ObjectInfo:
        """The object that the file now is."""
        try:
            return self._run()
        except Raised as raised:
            failure = raised.error
        raise failure

    def _run(self) -> ObjectInfo:
        with self._replacement as file:
            try:
                info = self._fetched(file)
            except BaseException as error:
                if not isinstance(error, OSError) and not self._is_spoilt(error):
                    self._keep(error)
                raise
            self._replacement.commit()
        self._meter.end(info.size or 0)
        return info

    def _is_spoilt(self, error: BaseException) -> bool:
        """Whether what is here of the object is of no use to a later run; a stranger's answer says nothing of that.

        Nor does "no such key" where some of it has just come: so says a node that was restarted, for a while.
        """
        if self._filling is not None and self._filling.is_abandoned:  # what comes too late could be written to it
            return True
        if isinstance(error, NotFound):
            return error.request_id is not None and not self.moved
        return isinstance(error, (IntegrityError, ObjectChanged)) or (
            isinstance(error, InvalidResponse) and not error.is_strange
        )

    def _keep(self, error: BaseException) -> None:
        """Leave what is here to the next run."""
        if self._filling is None and self._replacement.record is not None:
            self._replacement.keep()  # nothing has come of it yet
            return
        here = [] if self._filling is None else self._filling.here()
        if not here or not self._replacement.keep():
            return
        try:
            self._replacement.sync()
            self._replacement.note(noted(self._retrieval.info), here, here)
        except OSError:  # what was noted before is true still
            return
        if isinstance(error, CDNError) and self._replacement.keep():
            error.add_hint(f"{ranges.total(here)} bytes are kept beside the target: the next call goes on with them.")

    def _fetched(self, file: BinaryIO) -> ObjectInfo:
        """The object whose bytes are in the file; what is damaged or was replaced meanwhile begins again, once."""
        retrieval = self._retrieval
        while True:
            is_leftover = self._replacement.record is not None
            is_open = False
            try:
                filling = self._open(file)
                is_open = True
                self._fill(file, filling)
            except CDNError as error:
                if not self._may_begin_again(error, is_leftover=is_leftover, is_open=is_open):
                    raise
                failure = error
            else:
                return retrieval.info
            finally:
                retrieval.close()
            is_apart = self._is_apart(failure)
            self._workers = 1
            if is_leftover or is_apart:  # what an earlier run has left was of no use: that is no failure of this one
                retrieval.tries = self._exchange.patience()
                retrieval.forget()
            elif not self._exchange.again("restart", failure, retrieval.tries):
                raise failure.with_traceback(None) from None
            self._restart()

    def _restart(self) -> None:
        self._replacement.restart()
        self._filling = None
        self._synced = 0

    def _may_begin_again(self, error: CDNError, *, is_leftover: bool, is_open: bool) -> bool:
        """Whether the object may be fetched from its beginning after this error; nobody has seen what is here of it."""
        if self._filling is not None and self._filling.is_abandoned:
            return False
        if isinstance(error, (IntegrityError, ObjectChanged)):
            return True
        if is_leftover:  # it does not fit, or nobody there knows how to go on with it
            return (isinstance(error, InvalidResponse) and not error.is_strange) or (
                isinstance(error, ResponseError) and error.status in _NO_RANGES
            )
        if self._is_apart(error):
            return True
        # A first request has had its attempts, and so has a body that could be gone on with.
        return is_open and isinstance(error, TransportError) and not self._retrieval.can_resume

    def _is_apart(self, error: CDNError) -> bool:
        """Whether ranges are refused, or contradict the first answer, that may come whole over its one connection."""
        is_no_range = isinstance(error, ResponseError) and error.status in _NO_RANGES
        is_shared = self._filling is not None and self._filling.is_shared
        return is_shared and (is_no_range or isinstance(error, InvalidResponse))

    def _open(self, file: BinaryIO) -> Filling | None:
        """Send the first request: for what an earlier run has not fetched, or for all of it; None for a few bytes."""
        retrieval, record = self._retrieval, self._replacement.record
        info = None if record is None else from_notes(self._request, record, RESUME_LEAST)
        if record is not None and info is not None:
            retrieval.take(info, 0, info.size or 0)
            here = self._trusted(file, record) if retrieval.can_resume else []
            if here:
                filling = self._made(file, info)
                if filling.take_over(here):
                    self._filling = filling
                    if os.fstat(file.fileno()).st_size > (info.size or 0):  # what nobody writes nobody would take away
                        file.truncate(info.size)
                    self._replacement.reserve(info.size or 0)
                    synced = ranges.cut(ranges.read(record.get("synced")), here[-1][1])
                    self._replacement.note(noted(info), synced, here)  # from here on it is noted by this run
                    retrieval.ask_for(*ranges.missing(here, info.size or 0)[0], may_skip=True)
                    return filling
        if record is not None:
            self._restart()
        retrieval.begin()
        size = retrieval.info.size or 0
        self._replacement.reserve(size)
        if size <= FEW:  # nobody is to help, and nothing of it is worth keeping
            self._meter.again(size)
            self._verifier = retrieval.verifier
            return None
        if size >= RESUME_LEAST and retrieval.can_resume:
            self._replacement.note(noted(retrieval.info), [], [])
        self._filling = filling = self._made(file, retrieval.info)
        return filling

    def _made(self, file: BinaryIO, info: ObjectInfo) -> Filling:
        from .filling import Filling

        proof, size = self._retrieval.proof, info.size or 0
        self._meter.again(size)
        self._verifier = checksums.Verifier(*proof) if proof is not None and self._is_in_order else None
        return Filling(
            file,
            size,
            in_order=self._verifier,
            with_crc=proof is not None and not self._is_in_order,
            note=self._note if size >= RESUME_LEAST and self._retrieval.can_resume else lambda: None,
            meter=self._meter,
            clock=lambda: self._exchange.monotonic(),  # noqa: PLW0108 - as it is then: it may be replaced
        )

    def _trusted(self, file: BinaryIO, record: dict[str, Any]) -> Ranges:
        """The bytes of an earlier run that are gone on with: those that were on the disk, or are in its memory still.

        One byte at least is fetched: the answer shows that the object still is the same.
        """
        jotted = record.get("jotted") or {}
        known = [*ranges.read(record.get("synced")), *ranges.read(jotted.get("here"))]
        size = self._retrieval.length
        here = ranges.cut(known, min(os.fstat(file.fileno()).st_size, size))
        if ranges.total(here) == size:
            here = ranges.cut(here, size - 1)
        if self._is_in_order and here:  # what comes later must come later
            return here[:1] if here[0][0] == 0 else []
        return here

    @property
    def _is_in_order(self) -> bool:
        """Whether what proves the object is made of its bytes in their order; a CRC32 is combined from any pieces'."""
        return self._retrieval.proof is not None and self._retrieval.proof[0] != "crc32"

    def _note(self) -> None:
        """Note what is here. Now and then one thread waits for the disk, while the others go on."""
        filling, replacement = self._filling, self._replacement
        if filling is None:
            return
        with self._noting:
            here = filling.here()
            is_due = replacement.is_durable and not self._is_syncing
            if not is_due or ranges.total(here) - self._synced < SYNC_EVERY:
                replacement.jot(here)
                return
            self._is_syncing = True
        try:
            replacement.sync()
            with self._noting:
                replacement.note(noted(self._retrieval.info), here, filling.here())
                self._synced = ranges.total(here)
        finally:
            self._is_syncing = False

    def _fill(self, file: BinaryIO, filling: Filling | None) -> None:
        """Fetch all of it, and prove it."""
        first = self._retrieval
        if filling is None:
            self._fill_at_once(file)
        else:
            self._fill_with_help(filling)
        try:
            if first.proof is None:
                from .comparison import check_parts

                read = lambda amount, place: read_at(file, amount, place)  # noqa: E731
                self.verified = check_parts(self._exchange, self._request, first.info, read)
            elif filling is not None and self._verifier is None:
                checksums.compare("crc32", filling.crc32(), first.proof[1])
                self.verified = "crc32"
            elif self._verifier is not None:
                self._verifier.check()
                self.verified = self._verifier.name
        except IntegrityError as error:
            raise about(self._request, error) from None

    def _fill_at_once(self, file: BinaryIO) -> None:
        content = bytearray()
        for block in iter(lambda: self._retrieval.read(FEW), b""):
            content += block
            self._meter.add(len(block))
        if self._verifier is not None:
            self._verifier.update(content)
        with memoryview(content) as view:
            write_at(file, view, 0)

    def _fill_with_help(self, filling: Filling) -> None:
        first = self._retrieval

        def helper() -> Retrieval:
            made = Retrieval(self._exchange, self._request, self._exchange.patience(), etag_is_md5=self._etag_is_md5)
            made.take(first.info, 0, 0)
            return made

        try:
            filling.run(
                first,
                workers=self._workers if first.can_resume and hasattr(os, "pwrite") else 1,
                range_size=self._range_size,
                is_open=True,
                helper=helper,
            )
        finally:
            self._helped += filling.moved
