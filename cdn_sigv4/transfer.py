"""A file from an object: fetched from where an earlier run stopped, verified, and only then put in its place.

What makes the file visible is in files.py, what fetches the bytes in retrieval.py; here is what the two have to do with
each other: which bytes of an earlier run may be trusted, when the disk is waited for, and what is kept after a failure.
"""

from __future__ import annotations

from . import s3
from .answers import ObjectInfo
from .body import BLOCK
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
from .retrieval import Retrieval

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

    from .exchange import Exchange
    from .files import Replacement
    from .s3 import Request

RESUME_LEAST = 8 << 20  # bytes of an object from which on a part of it is worth a record
SYNC_EVERY = 32 << 20  # bytes after which the disk is waited for, so that a power cut costs no more than these
_NO_RANGES = (400, 405, 501)  # from a gateway that knows neither Range nor If-Match: all of it may come all the same
# What of an answer's headers describes the object, beside x-amz-*: a proxy's cookies have no business on the disk.
_RECORDED = frozenset(
    [
        "etag",
        "last-modified",
        "content-type",
        "content-encoding",
        "content-language",
        "cache-control",
        "content-disposition",
        "expires",
    ]
)


def _is_spoilt(error: CDNError) -> bool:
    """Whether what is here of the object is of no use to a later run; what a stranger answers says nothing of that."""
    if isinstance(error, NotFound):
        return error.request_id is not None
    return isinstance(error, (IntegrityError, ObjectChanged)) or (
        isinstance(error, InvalidResponse) and not error.is_strange
    )


class TransferResult(s3.Value):
    """What a transfer of a file came to.

    `info`: the object. `verified`: by which checksum the bytes were proved to be the object's ("crc32", "sha256",
    "sha1", "md5"), None where the store offered none and only their number was compared. `bytes_moved`: bytes of the
    object that went over the wire; fewer than its size where an earlier run had begun, more where some came twice.
    """

    def __init__(self, info: ObjectInfo, verified: str | None, bytes_moved: int) -> None:
        self.info = info
        self.verified = verified
        self.bytes_moved = bytes_moved


class Download:
    """One object on its way into the file of a `Replacement`.

    `verified`: by which checksum its bytes were proved; `moved`: bytes that came over the wire.
    """

    def __init__(self, exchange: Exchange, request: Request, replacement: Replacement, *, etag_is_md5: bool) -> None:
        self._exchange = exchange
        self._request = request
        self._replacement = replacement
        self._retrieval = Retrieval(exchange, request, exchange.patience(), etag_is_md5=etag_is_md5)
        self.verified: str | None = None
        self.moved = 0

    def run(self) -> ObjectInfo:
        """The object that the file now is."""
        with self._replacement as file:
            try:
                info = self._fetched(file)
            except BaseException as error:
                is_ctrl_c = not isinstance(error, Exception)
                if is_ctrl_c or (isinstance(error, CDNError) and not _is_spoilt(error)):
                    self._keep(file, error)
                raise
            self._replacement.commit()
        return info

    def _keep(self, file: BinaryIO, error: BaseException) -> None:
        """Leave what is here to the next run, if it may trust it: with a checksum, or when the disk was waited for."""
        here = file.tell()
        retrieval = self._retrieval
        if not (self._replacement.is_durable or retrieval.verifier is not None) or not self._replacement.keep():
            return
        if retrieval.verifier is None:
            try:
                self._replacement.note(self._record(retrieval.info), synced=here)
            except OSError:  # what was noted before is true still
                return
        if isinstance(error, CDNError):
            kept = f"{here} bytes are kept beside the target: the next call goes on with them."
            error.hint = f"{error.hint} {kept}" if error.hint else kept

    def _fetched(self, file: BinaryIO) -> ObjectInfo:
        """The object whose bytes are in the file; what is damaged or was replaced meanwhile begins again, once."""
        retrieval = self._retrieval
        while True:
            is_leftover = self._replacement.record is not None
            is_open = False
            try:
                self._open(file, retrieval)
                is_open = True
                self._save(file, retrieval)
            except CDNError as error:
                if not self._may_begin_again(error, is_leftover=is_leftover, is_open=is_open):
                    raise
                failure = error
            else:
                return retrieval.info
            finally:
                retrieval.close()
                self.moved = retrieval.moved
            if is_leftover:  # what an earlier run has left was of no use: that is no failure of this one
                retrieval.tries = self._exchange.patience()
                retrieval.forget()
            elif not self._exchange.again("restart", failure, retrieval.tries):
                raise failure.with_traceback(None) from None
            self._replacement.restart()

    def _may_begin_again(self, error: CDNError, *, is_leftover: bool, is_open: bool) -> bool:
        """Whether the object may be fetched from its beginning after this error; nobody has seen what is here of it."""
        if isinstance(error, (IntegrityError, ObjectChanged)):
            return True
        if is_leftover:  # it does not fit, or nobody there knows how to go on with it
            return (isinstance(error, InvalidResponse) and not error.is_strange) or (
                isinstance(error, ResponseError) and error.status in _NO_RANGES
            )
        # A first request has had its attempts, and so has a body that could be gone on with.
        return is_open and isinstance(error, TransportError) and not self._retrieval.can_resume

    def _open(self, file: BinaryIO, retrieval: Retrieval) -> None:
        """Send the first request: for what an earlier run has not fetched, or for all of it."""
        record = self._replacement.record
        info = None if record is None else self._recorded(record)
        if record is not None and info is not None:
            retrieval.take(info, 0, info.size or 0)
            done = self._trusted(file, record, retrieval) if retrieval.can_resume else 0
            if done > 0:
                retrieval.go_on(done)
                return
        if record is not None:
            self._replacement.restart()
        retrieval.begin()
        if (retrieval.info.size or 0) >= RESUME_LEAST and retrieval.can_resume:
            self._replacement.note(self._record(retrieval.info))

    def _record(self, info: ObjectInfo) -> dict[str, Any]:
        kept = {name: value for name, value in info.headers.items() if name in _RECORDED or name.startswith("x-amz-")}
        return {"size": info.size, "headers": kept}

    def _recorded(self, record: dict[str, Any]) -> ObjectInfo | None:
        """The object of a record, None where it is not of the form that `_record` gives it."""
        size, headers = record.get("size"), record.get("headers")
        if not isinstance(size, int) or size < RESUME_LEAST or not isinstance(headers, dict):
            return None
        if not all(isinstance(value, str) for value in headers.values()):
            return None
        return ObjectInfo(self._request.bucket, self._request.key or "", size, headers)

    def _trusted(self, file: BinaryIO, record: dict[str, Any], retrieval: Retrieval) -> int:
        """How many bytes of an earlier run are gone on from; the file then stands behind them.

        With a checksum to prove the whole at the end, all that are here; else those that were seen to be on the disk.
        One byte at least is fetched: the answer shows that the object still is the same.
        """
        done, synced = file.seek(0, 2), record.get("synced")
        if retrieval.verifier is None:
            done = min(done, synced) if isinstance(synced, int) else 0
        done = min(done, retrieval.length - 1)
        file.seek(0)
        left = max(done, 0)
        while retrieval.verifier is not None and left:
            block = file.read(min(left, BLOCK))
            if not block:  # somebody makes it shorter: nothing of it is to be trusted
                done = 0
                break
            retrieval.verifier.update(block)
            left -= len(block)
        file.seek(max(done, 0))
        file.truncate()
        return done

    def _save(self, file: BinaryIO, retrieval: Retrieval) -> None:
        verifier = retrieval.verifier
        unsynced = 0
        while True:
            block = retrieval.read(BLOCK)
            if not block:
                break
            if verifier is not None:
                verifier.update(block)
            file.write(block)
            unsynced += len(block)
            if unsynced >= SYNC_EVERY:
                self._replacement.note(self._record(retrieval.info), synced=file.tell())
                unsynced = 0
        if verifier is not None:
            try:
                verifier.check()
            except IntegrityError as error:
                raise about(self._request, error) from None
            self.verified = verifier.name
