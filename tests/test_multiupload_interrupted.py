"""Uploads in parts that end on this side: sources that change or fail, Ctrl-C, and what `progress` raises.

After each there is no upload left in the store to be paid for.
"""

import hashlib
import os
import signal
import threading

import pytest
from kit import BUCKET
from kit_files import raiser
from kit_parts import MIB, made
from kit_uploads import (
    DATA,
    PART,
    SIZE,
    Link,
    blocks,
    names,
    nothing_left,
    put,
)
from rawserver import Answer

from cdn_sigv4 import (
    SourceError,
    multipart,
)

pytestmark = pytest.mark.usefixtures("small_parts")


class Careful(Link):
    """The store as MinIO and AWS are: of a body that is not the one that was signed they say just that."""

    def __call__(self, request):
        signed = request.header("x-amz-content-sha256")
        if signed in (None, hashlib.sha256(request.body).hexdigest()):
            return super().__call__(request)
        return Answer(400, body=b"<Error><Code>XAmzContentSHA256Mismatch</Code></Error>")


# -- the source


CHANGES = {
    "grows": lambda path: path.open("ab").write(b"more"),
    "shrinks": lambda path: os.truncate(str(path), SIZE - 200),
    "is touched": lambda path: os.utime(str(path), (1, 1)),
    "is written to": lambda path: path.write_bytes(DATA[::-1]),
    "is emptied": lambda path: os.truncate(str(path), 0),
}


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("at", ["create", "part 3", "part 6"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_file_that_changes_meanwhile(client, store, loopback, tmp_path, change, at, workers):
    """A file that is changed while it is read is no object: the error is the source's, and nothing is completed."""
    path = tmp_path / "file"
    path.write_bytes(DATA)
    os.utime(str(path), (2, 2))

    def changing(request, through):
        change(path)
        return through(request)

    loopback.answer = link = Careful(store, at, changing)
    with pytest.raises(SourceError) as caught:
        client.upload_file(BUCKET, "key", path, part_size=PART, max_workers=workers)
    assert (caught.value.bucket, caught.value.key) == (BUCKET, "key")
    assert "complete" not in link.seen
    nothing_left(store)


def test_a_file_that_changes_between_hash_and_sending(client, store, loopback, tmp_path):
    """Where the store refuses the bytes since they are not those that were signed, it is the file that has changed."""
    path = tmp_path / "file"
    path.write_bytes(made(1, 4 * MIB))
    loopback.answer = link = Careful(store, "", Answer())

    def change(done, total):
        if done <= MIB:
            path.write_bytes(made(2, 4 * MIB))

    with pytest.raises(SourceError, match="was changed while it was read"):
        client.upload_file(BUCKET, "key", path, part_size=2 * MIB, max_workers=1, progress=change)
    assert link.seen == ["create", "abort"], "the part was refused before it was counted"
    nothing_left(store)


FAILURES = {
    "own error": (LookupError("mine"), LookupError),
    "disk": (OSError(5, "disk"), SourceError),
    "Ctrl-C": (KeyboardInterrupt(), KeyboardInterrupt),
    "exit": (SystemExit(3), SystemExit),
}


@pytest.mark.parametrize("behind", [0, 1, 3])
@pytest.mark.parametrize(("error", "seen"), FAILURES.values(), ids=FAILURES)
def test_an_iterable_that_fails(client, store, loopback, error, seen, behind):
    """What an iterable raises is seen, whichever part it was at; the upload, if one had begun, is aborted."""

    def failing():
        yield DATA[: behind * PART + 10]
        raise error

    with pytest.raises(seen) as caught:
        put(client, failing())
    assert error in (caught.value, caught.value.__cause__)
    came = names([each for each in loopback.requests if each.complete])  # one that was given up may come later
    assert came[-1:] == (["abort"] if behind else [])
    nothing_left(store)


def test_more_than_all_parts_can_hold(client, store, monkeypatch):
    """An iterable that goes on behind the last part there can be is an error with the way out, and is aborted."""
    monkeypatch.setattr(multipart, "MAX_PARTS", 5)
    with pytest.raises(SourceError) as caught:
        put(client, blocks())
    assert "larger part_size" in caught.value.hint
    nothing_left(store)
    put(client, blocks(), part_size=PART + 100)
    assert store.objects[BUCKET, b"key"].body == DATA


# -- the caller


@pytest.fixture
def _ctrl_c():
    """Let Ctrl-C be what it is: the server that the tests run on is stopped by the first, and ignores all others."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_ctrl_c")
@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("at", ["part 2", "complete"])
def test_ctrl_c(client, store, loopback, at, workers):
    """Ctrl-C in the middle passes through, after the upload was aborted; no thread goes on sending."""

    def interrupting(request, through):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        return through(request)

    loopback.answer = Link(store, at, interrupting, times=1)
    data = bytearray(DATA)
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - the signal may come when all is done
        put(client, data, max_workers=workers)
        threading.Event().wait(5)
    data.append(1)
    assert store.uploads == {}
    assert store.objects == {} or at == "complete"


RAISED = [
    LookupError("mine"),
    OSError(28, "mine"),
    BrokenPipeError(32, "mine"),
    ValueError("mine"),
    TimeoutError("mine"),
]


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("size", [100, SIZE], ids=["one PUT", "parts"])
@pytest.mark.parametrize("how", ["memory", "generator"])
def test_progress_that_raises(client, store, loopback, error, size, how):
    """What `progress` raises is raised to the caller, never taken for the network's; the upload is aborted."""
    with pytest.raises(type(error)) as caught:
        put(client, DATA[:size] if how == "memory" else iter([DATA[:size]]), progress=raiser(error))
    assert caught.value is error
    assert len(loopback.requests) <= 1 + 4 + 1, "nothing was tried again"
    nothing_left(store)
