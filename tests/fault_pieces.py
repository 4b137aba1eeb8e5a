"""The operations of many requests that the faults meet at one of them: uploads in parts, downloads by several at once.

    create    an upload in parts, at its first request          complete  at its last, and at looks for the object
    part      at its second part                                new       the same where no such object may be yet
    last      at its last part                                  stream    the same of a body that comes only once
    abort     an upload whose completion is refused, at what then takes it back
    parts     an upload that goes on with an earlier one's, at the list of what is there
    range     a download over several connections, at what the helpers ask for
    bare      the same of an object that has no checksum
    front     at the first connection's request, while the helpers are at work

Pieces are small here, so that a case takes no time: 64 KiB of an object of 300 kB.
"""

from __future__ import annotations

import contextlib
import threading
from typing import Any, Callable, Iterator
from unittest import mock

from fault_operations import CALLS, Scene
from fault_store import XML
from kit import BUCKET
from kit_calls import xml
from memorystore import MemoryStore
from misbehaviour import METHODS, OBJECT, Meets, Stage
from rawhttp import Answer, RawRequest

from cdn_sigv4 import AccessDenied, S3Client, filling, multipart, ranges, transfer

PART = 64 << 10  # bytes of any part but the last
LAST = 5  # its number
AHEAD = 32 << 10  # bytes that the first connection brings before a helper has asked for something
RESUMED = 4  # the part at which the upload broke that is gone on with
AT_ONCE = {"HELP_AFTER": 0.0, "_FAST": float("inf")}  # for the helpers: no time goes by here
SMALL_PIECES = [
    (multipart, {"MIN_PART": PART, "STREAM_PART": PART, "_AIM": 1, "_MIB": 4 << 10}),
    (ranges, {"_MIB": 4 << 10}),
    (filling, {"_LEAST": PART // 2, "BLOCK": 8 << 10, "NOTE_EVERY": 16 << 10, **AT_ONCE}),
    (transfer, {"RESUME_LEAST": PART}),
]


@contextlib.contextmanager
def small_pieces(store: MemoryStore) -> Iterator[None]:
    """Everything that is said of sizes for 300 kB instead of 20 MiB."""
    store.least_part, store.parts_per_page = PART, 2
    with contextlib.ExitStack() as stack:
        for module, values in SMALL_PIECES:
            stack.enter_context(mock.patch.multiple(module, **values))
        yield


# -- what a client does


def upload(client: S3Client, scene: Scene) -> None:
    client.put_object(BUCKET, OBJECT, scene.content)


def upload_new(client: S3Client, scene: Scene) -> None:
    client.put_object(BUCKET, OBJECT, scene.content, if_none_match="*")


def stream(client: S3Client, scene: Scene) -> None:
    blocks = (scene.content[at : at + 10_000] for at in range(0, len(scene.content), 10_000))
    client.put_object(BUCKET, OBJECT, blocks)


def resumed(client: S3Client, scene: Scene) -> None:
    """The first of these breaks off (see `break_off`), unless it has done so before."""
    with contextlib.suppress(AccessDenied):
        upload_file(client, scene, 1)
        return
    upload_file(client, scene, 4)


def upload_file(client: S3Client, scene: Scene, workers: int) -> None:
    state = scene.folder / "state"
    client.upload_file(BUCKET, OBJECT, scene.source, resume=True, state_dir=state, max_workers=workers)


PIECEWISE: dict[str, Callable[[S3Client, Scene], Any]] = {
    **dict.fromkeys(("create", "part", "last", "complete", "abort"), upload),
    "new": upload_new,
    "stream": stream,
    "parts": resumed,
    **dict.fromkeys(("range", "bare", "front"), CALLS["download"]),
}

# -- at which of its requests the fault is


def is_part(number: int) -> Meets:
    return lambda request: request.method == "PUT" and b"partNumber=%d&" % number in request.query


def is_end(request: RawRequest) -> bool:
    return request.method == "HEAD" or (request.method == "POST" and b"uploadId=" in request.query)


def is_range(request: RawRequest) -> bool:
    return request.method == "GET" and request.header("range") is not None


MEETS: dict[str, Meets] = {
    **{operation: lambda request, method=method: request.method == method for operation, method in METHODS.items()},
    "create": lambda request: request.method == "POST" and request.query.startswith(b"uploads"),
    "part": is_part(2),
    "last": is_part(LAST),
    **dict.fromkeys(("complete", "new", "stream"), is_end),
    "abort": lambda request: request.method == "DELETE",
    "parts": lambda request: request.method == "GET",
    **dict.fromkeys(("range", "bare"), is_range),
    "front": lambda request: request.method == "GET" and request.header("range") is None,
}

# -- what must happen beside it, for the request to be made


def refused() -> Answer:
    return Answer(403, headers=XML, body=xml("AccessDenied"))


def refuse_end(request: RawRequest, answered: Callable[[], Answer]) -> Answer:
    """The completion is not allowed, so that the upload must be aborted."""
    if request.method == "POST" and is_end(request):
        return refused()
    return answered()


class BreakOff:
    """An upload is refused at one of its parts, once."""

    def __init__(self) -> None:
        self._is_done = False

    def __call__(self, request: RawRequest, answered: Callable[[], Answer]) -> Answer:
        if not self._is_done and is_part(RESUMED)(request):
            self._is_done = True
            return refused()
        return answered()


class Moment(threading.Event):
    """An event that is waited for no longer than so many seconds: a round may be one without helpers."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def wait(self, timeout: float | None = None) -> bool:
        super().wait(self._seconds)
        return True


class Gate:
    """The whole object is held back until a range was asked for: else it were here before the helpers are."""

    def __init__(self) -> None:
        self._open: threading.Event | None = None

    def __call__(self, request: RawRequest, answered: Callable[[], Answer]) -> Answer:
        asks_for_range = is_range(request)  # not every store looks at it
        answer = answered()
        if asks_for_range and self._open is not None:
            self._open.set()
        elif self._may_be_helped(answer):
            self._open = answer.delay = Moment(1.0 if self._open is None else 0.1)  # helpers come within milliseconds
            answer.delay_after = AHEAD
        return answer

    def _may_be_helped(self, answer: Answer) -> bool:
        is_odd = answer.raw is not None or answer.no_length or answer.delay is not None or answer.reset
        is_cut = answer.cut_after is not None and answer.cut_after <= AHEAD
        headers = {name.lower(): value for name, value in dict(answer.headers).items()}
        tag = headers.get("etag", "")
        is_proved = "x-amz-checksum-crc32" in headers or "-" in tag  # MD5 and SHA-256 are made in order, by one
        is_whole = answer.status == 200 and len(answer.body) > 2 * AHEAD and "transfer-encoding" not in headers
        return is_whole and not is_odd and not is_cut and is_proved and tag.startswith('"')


def stage(operation: str) -> Stage | None:
    """What answers before the fault does, or changes its answer."""
    if operation in ("range", "bare", "front"):
        return Gate()
    return {"abort": refuse_end, "parts": BreakOff()}.get(operation)


# -- what must hold of the uploads that are open


def upload_problems(scene: Scene, error: BaseException | None, *, may_stray: bool) -> Iterator[str]:
    """An upload that stays open costs money: only where nobody could help it, and then the error says so."""
    left, hint = scene.store.uploads, getattr(error, "hint", None) or ""
    if error is None and left and not may_stray:
        yield f"{len(left)} uploads are open"
    if error is not None and any(name not in hint for name in left) and "in the store" not in hint:
        yield f"{len(left)} uploads are open, and the hint is {hint!r}"
    notes = [path.name for path in (scene.folder / "state").glob("*")]
    if error is None and notes:
        yield f"it is done, and there are notes: {notes}"
