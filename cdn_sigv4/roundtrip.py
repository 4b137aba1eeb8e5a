"""A real round trip, for `doctor --write KEY`: the uploader stores an object, the downloader fetches it.

Neither of the two may delete, so what is written stays, and is named. What is there already is not replaced: the upload
is conditional (If-None-Match: *, RFC 9110, 13.1.2), and the downloader looks before.
"""

from __future__ import annotations

import os
from time import perf_counter

from .errors import NotFound, PreconditionFailed, ResponseError
from .findings import FAILED, OK, WARNING, Finding
from .ground import longest, within
from .rights import insight
from .storefront import FAILURES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .rights import User

_TAKEN, _OTHER = "there is an object of this name already", "Give --write a key that nobody has."
SIZE = 1 << 20  # bytes: one request, and long enough to see a rate


def round_trip(uploader: User, downloader: User, bucket: str, key: str) -> Iterator[Finding]:
    """The findings. `bucket` and `key` say where; afterwards the object is there, unless a finding says otherwise."""
    tried, place = f"upload {SIZE >> 20} MiB as {bucket}/{key}", f"{bucket}/{key}"
    obstacle = _what_is_there(downloader, bucket, key)
    if obstacle is not None:
        advice: str | None = _OTHER if obstacle is _TAKEN else "Try again; the server's log may say more."
        yield Finding(FAILED, "round trip", tried, f"{obstacle}: nothing was written", advice)
        return
    data, begun = os.urandom(SIZE), perf_counter()
    look = f"{place} may be there all the same: look, and delete it with a key that may."
    uploader.untold = Finding(WARNING, "round trip", tried, "interrupted", look)
    try:
        uploader.operations.put_object(bucket, key, data, if_none_match="*")
    except PreconditionFailed:
        uploader.untold = None
        text = f"{_TAKEN}: nothing was written"
        yield Finding(FAILED, "round trip", tried, text, _OTHER)
        return
    except FAILURES as error:
        uploader.untold = None
        advice = None
        if not isinstance(error, ResponseError):
            advice = look
        elif error.status == 501:
            advice = "The store knows no conditional writes: if_none_match= cannot be used here."
        yield Finding(FAILED, "round trip", tried, str(error), advice)
        return
    yield Finding(OK, "round trip", tried, _pace(begun))
    yield _fetched(downloader, bucket, key, data)
    yield _guarded(uploader, bucket, key, data)
    advice = "Delete it with a key that may: neither the uploader nor the downloader should."
    yield Finding(OK, "round trip", "what is left", f"{place}, {SIZE >> 20} MiB of random bytes", advice)
    uploader.untold = None


def _what_is_there(downloader: User, bucket: str, key: str) -> str | None:
    """Why nothing may be written: an object, or an answer that does not tell. None: nobody sees one."""
    try:
        downloader.operations.get_object(bucket, key, start=0, end=1).close()
    except FAILURES as error:
        if isinstance(error, ResponseError) and error.status == 416:  # an empty one
            return _TAKEN
        return None if insight(error) else f"whether it is there already cannot be told ({error})"
    return _TAKEN


def _fetched(downloader: User, bucket: str, key: str, data: bytes) -> Finding:
    tried, begun = f"download {bucket}/{key}", perf_counter()

    def fetch() -> bytes:
        with downloader.operations.get_object(bucket, key) as reader:
            return reader.read()

    try:
        received = within(longest(SIZE), fetch)
    except FAILURES as error:
        is_missing = isinstance(error, NotFound)
        advice = "The uploader and the downloader do not see the same bucket." if is_missing else None
        return Finding(FAILED, "round trip", tried, str(error), advice)
    if received != data:
        return Finding(
            FAILED, "round trip", tried, "other bytes than were sent", "Do not trust this store, or this way."
        )
    return Finding(OK, "round trip", tried, f"the same bytes, {_pace(begun)}")


def _guarded(uploader: User, bucket: str, key: str, data: bytes) -> Finding:
    """Whether a second conditional upload is refused. It has the same bytes: nothing is lost where it is not."""
    tried = "upload it again with If-None-Match"
    try:
        uploader.operations.put_object(bucket, key, data, if_none_match="*")
    except PreconditionFailed:
        return Finding(OK, "round trip", tried, "refused, as it should be")
    except FAILURES as error:
        return Finding(WARNING, "round trip", tried, str(error))
    advice = "The store ignores conditions: if_none_match= and if_match= protect nothing here."
    return Finding(WARNING, "round trip", tried, "it was replaced", advice)


def _pace(begun: float) -> str:
    seconds = perf_counter() - begun
    return f"{seconds * 1000:.0f} ms, {SIZE / 1e6 / max(seconds, 1e-6):.1f} MB/s"
