"""Runs the table of faults: one case, its outcome, and what is wrong with it, whatever the row says.

Beside the outcome that the row demands, each case is looked at independently: what is said to be right is compared
with what the store holds; a file that could not be fetched is the old one, and alone in its folder; a write that is
said to have failed on its way has left nothing; what the store has decided is not asked for again; no wait is longer
than the client's limit; and the same client's next requests are answered right.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple

from fault_operations import CALLS, DOWNLOADS, KEYS, OLD, Scene, content
from fault_pieces import MEETS, PIECEWISE, small_pieces, stage, upload_problems
from fault_row import BIG, EMPTY, LARGE, RIGHT, SMALL, Row
from fault_table import TABLE
from kit import KEY, SECRET, still_time
from misbehaviour import ELSEWHERE, OBJECT, OTHER, HealthyStore, MeteredServer, Misbehaving
from rawhttp import RawRequest

from cdn_sigv4 import CDNError, Credentials, ResponseError, Retry, S3Client, TransportError

HANG = "HANG"
WRONG = "WRONG"  # silently: said to be right, and is not
WATCHDOG = 30.0  # seconds: a limit that only a hanging case reaches
MOST_REQUESTS = 40  # of one operation: ten attempts, begun anew as often as progress is made
CAP = 5.0  # seconds, the longest wait that the client may make
PART = ".cdn-"  # how the name begins of what a failed download leaves to go on with
NEXT = content(5000, "next")
SIZE_NAMES = {EMPTY: "empty", SMALL: "1 KiB", LARGE: "in pieces", BIG: "9 MiB"}
LIST_NAMES = {size: f"{len(keys)} keys" for size, keys in KEYS.items()}


class Case(NamedTuple):
    """One fault in one operation."""

    row: Row
    operation: str
    size: int
    lasting: bool
    required: str
    is_decided: bool  # whether it ends the same however long the fault lasts

    @property
    def how(self) -> str:
        return "lasts" if self.lasting else "passes"

    @property
    def size_name(self) -> str:
        return (LIST_NAMES if self.operation == "list" else SIZE_NAMES)[self.size]

    def call(self, client: S3Client, scene: Scene) -> Any:
        """Do what the fault is to meet."""
        return {**PIECEWISE, **CALLS}[self.operation](client, scene)

    def __str__(self) -> str:
        return f"{self.row.fault}, {self.operation} {self.size_name}, {self.how}"


class Result(NamedTuple):
    """What came of a case."""

    case: Case
    outcome: str
    problems: list[str]
    requests: int
    moved: int  # bytes of bodies that came, and of answers that went out
    seconds: float

    @property
    def as_required(self) -> bool:
        return self.outcome in self.case.required.split("|") and not self.problems


def cases() -> Iterator[Case]:
    """All cases of the table."""
    for row in TABLE:
        for operations, outcomes in row.outcomes.items():
            for operation in operations.split():
                for size in row.sizes_for(operation):
                    yield from pair(row, operation, size, *outcomes)


def pair(row: Row, operation: str, size: int, passing: str, lasting: str) -> Iterator[Case]:
    """A fault that passes, and the same that lasts; one of them where the same requests meet it.

    After the store's last word there is no request that a lasting fault could meet, and one that passes would show it
    if there were. What harms nobody harms nobody however long it lasts.
    """
    is_same, is_harmless = passing == lasting, passing == lasting == RIGHT
    is_one = is_same and (size in (LARGE, BIG) or "|" not in passing)  # of two classes each case may have its own
    if not is_one or not is_harmless:
        yield Case(row, operation, size, False, passing, is_same)
    if not is_one or is_harmless:
        yield Case(row, operation, size, True, lasting, is_same)


class Watched:
    """A call in a thread of its own, which is given up when it does not end."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.value: Any = None
        self.error: BaseException | None = None
        self._call = call
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        thread.join(WATCHDOG)
        self.hangs = thread.is_alive()

    def _run(self) -> None:
        try:
            self.value = self._call()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the outcome
            self.error = error


def run(case: Case, folder: Path) -> Result:
    """Run one case in an empty folder."""
    scene = Scene(HealthyStore(), case.size, folder)
    with small_pieces(scene.store) if case.operation in PIECEWISE else contextlib.nullcontext():
        return result(case, scene)


def result(case: Case, scene: Scene) -> Result:
    """What comes of a case."""
    scene.prepare(case.operation)
    before = scene.stored()
    answers = misbehaving(case, scene)
    with MeteredServer(answers, deaf=case.row.deaf) as server, client_of(case, server) as client:
        still = still_time(client)
        if not case.lasting:
            client._exchange.sleep = lambda seconds: (still.sleep(seconds), server.open())
        start = time.monotonic()
        done = Watched(lambda: case.call(client, scene))
        seconds = time.monotonic() - start
        requests, moved = server.requests, server.moved
        outcome, problems = judged(case, scene, done)
        if outcome != HANG:
            problems += decency(case, scene, done.error, before, requests)
            problems += [f"it waited for {max(still.slept):g} s"] if max(still.slept, default=0) > CAP else []
            answers.heal()
            server.open()
            problems += aftermath(case, client, scene)
    return Result(case, outcome, problems, len(requests), moved, seconds)


def misbehaving(case: Case, scene: Scene) -> Misbehaving:
    """The store as the case wants it."""
    times = 0 if case.row.deaf else case.row.times  # a port that refuses spoils no request: none comes
    times = sys.maxsize if case.lasting else times
    return Misbehaving(scene.store, case.row.spoil, MEETS[case.operation], times, stage(case.operation))


def client_of(case: Case, server: MeteredServer) -> S3Client:
    """A client with its own number of tries; with fewer where a fault lasts and each try takes its time."""
    few = min(case.row.attempts, 4) if case.size in (LARGE, BIG) else case.row.attempts
    retry = Retry(attempts=few, cap=CAP) if case.lasting else Retry(cap=CAP)
    return S3Client(server.endpoint, Credentials(KEY, SECRET), timeout=(5, case.row.stall), retry=retry)


def judged(case: Case, scene: Scene, done: Watched) -> tuple[str, list[str]]:
    """The outcome, and what is wrong with it."""
    if done.hangs:
        return HANG, [f"not done within {WATCHDOG:g} s"]
    if done.error is not None:
        is_ours = isinstance(done.error, CDNError)
        return type(done.error).__name__, [] if is_ours else [f"{type(done.error).__name__}: {done.error}"]
    ended, right = scene.ended(case.operation, done.value), scene.right(case.operation)
    return (RIGHT, []) if ended == right else (WRONG, [f"ended with {str(ended)[:200]}, not {str(right)[:200]}"])


def decency(
    case: Case, scene: Scene, error: BaseException | None, before: bytes | None, requests: list[RawRequest]
) -> Iterator[str]:
    """What must hold however it ends."""
    if case.operation in DOWNLOADS:
        yield from folder_problems(scene, error, may_keep_part=case.size in (LARGE, BIG))
    if type(error) is TransportError and scene.stored() != before:
        yield "it says that nothing has come to the store, which has changed"
    if any(request.path.startswith(f"/{ELSEWHERE}".encode("ascii")) for request in requests):
        yield "it followed a redirect"
    if len(requests) > MOST_REQUESTS:
        yield f"it made {len(requests)} requests"
    yield from count_problems(case, error, requests)
    if case.operation in PIECEWISE:
        yield from upload_problems(scene, error, may_stray=case.row.strays and case.operation in ("create", "parts"))


def count_problems(case: Case, error: BaseException | None, requests: list[RawRequest]) -> Iterator[str]:
    """What is wrong with how often the fault was met, and with what the error says of that."""
    method = getattr(error, "operation", None)
    met = sum(1 for each in requests if MEETS[case.operation](each) and each.method == method)
    is_shared = case.operation in ("range", "bare")  # several ask at once
    if isinstance(error, ResponseError) and case.is_decided and met > case.row.times and not is_shared:
        yield f"what the store had decided was asked for {met} times"
    if case.operation in DOWNLOADS:  # what breaks at one request goes on with others
        met = sum(1 for each in requests if MEETS["download"](each))
    counted = error.attempts if isinstance(error, CDNError) and not case.row.deaf else None
    may_be_fewer = case.operation in ("list", *PIECEWISE)  # others of its requests were met before, or beside
    if counted is not None and counted != met and not (may_be_fewer and (counted < met or not met)):
        yield f"it counts {counted} attempts, the store {met}"


def folder_problems(scene: Scene, error: BaseException | None, *, may_keep_part: bool) -> Iterator[str]:
    """What is wrong with the folder that was downloaded into; a part that can be gone on with may stay."""
    others = [path.name for path in scene.folder.iterdir() if path != scene.file]
    if others and not (may_keep_part and error is not None and all(name.startswith(PART) for name in others)):
        yield f"beside the file there is {others}"
    if error is not None and scene.file.read_bytes() != OLD:
        yield "it failed, and the old file is gone"


def go_on_with_upload(case: Case, client: S3Client, scene: Scene) -> None:
    """The same upload again: it succeeds, and leaves nothing more behind."""
    left = set(scene.store.uploads)
    case.call(client, scene)
    assert scene.stored() == scene.content
    assert set(scene.store.uploads) <= left


def aftermath(case: Case, client: S3Client, scene: Scene) -> Iterator[str]:
    """What is wrong with the same client's next requests, to a store that is well again."""
    scene.store.put(OTHER, OBJECT, NEXT)

    def go_on() -> None:
        with client.get_object(OTHER, OBJECT) as reader:
            assert reader.read() == NEXT
        client.put_object(OTHER, "put", NEXT)
        assert scene.store.objects[OTHER, b"put"].body == NEXT
        if case.operation in DOWNLOADS and scene.stored() is not None and scene.file.read_bytes() == OLD:
            CALLS["download"](client, scene)
            assert scene.file.read_bytes() == scene.stored()
            assert list(scene.folder.iterdir()) == [scene.file]
        if case.operation in PIECEWISE and case.operation not in DOWNLOADS and scene.stored() is None:
            go_on_with_upload(case, client, scene)

    done = Watched(go_on)
    if done.hangs:
        yield "the next requests hang"
    elif done.error is not None:
        yield f"of the next requests one fails: {type(done.error).__name__} {done.error}"
