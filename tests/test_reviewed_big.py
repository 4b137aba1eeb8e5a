"""What a review of large transfers has found: downloads over several connections, and what is left for the next call.

Each was a wrong result, an error of nobody's making, a wait without end, or bytes thrown away.
"""

import dataclasses
import os
import threading

import pytest
from kit import BUCKET, LONG, client_of, within
from kit_calls import xml
from kit_parts import MIB, OLD, SIZE, made
from kit_uploads import DATA, PART, allow_small_parts, client_for, put
from rawserver import Answer, RawServer
from test_kills_parallel import small_ranges
from test_parts_record import crc_of

from cdn_sigv4 import NotFound, ResponseError, Retry, TransportError, crew, filling, multipart, parts

LARGE = 24 * MIB  # bytes: three connections with the ranges of every day
FEW = 6 * MIB + 77  # bytes: four with small ones
REFUSED = Answer(412, headers={"x-amz-request-id": "1"}, body=xml("PreconditionFailed"))
NO_KEY = Answer(404, headers={"x-amz-request-id": "1"}, body=xml("NoSuchKey"))


def put_large(room, size=LARGE):
    """Put an object with its CRC32; its bytes."""
    return room.put(made(1, size), **crc_of(made(1, size)))


class FirstWaits:
    """The store, whose whole bodies wait behind a MiB until a range has been asked for, or no one comes.

    `ranged` gives the answer to a range, by the request and the store's answer.
    """

    def __init__(self, room, ranged):
        self.store, self.ranged = room.store, ranged
        self.is_asked = threading.Event()

    def __call__(self, request):
        found = self.store(request)
        if request.header("range") is not None:
            found = self.ranged(request, found)
            self.is_asked.set()
            return found
        self.is_asked = threading.Event()
        nobody = threading.Timer(0.5, self.is_asked.set)
        nobody.daemon = True
        nobody.start()
        return dataclasses.replace(found, delay=self.is_asked, delay_after=MIB)


# -- stores, and connections, that are worth only one


def refused(request, found):
    """What a gateway says that does not know the entity tags it gives."""
    return REFUSED if request.header("if-match") else found


def tagged(request, found):
    """What a gateway says whose ranges have an entity tag of their own."""
    return dataclasses.replace(found, headers={**found.headers, "ETag": '"of-the-range"'})


@pytest.mark.parametrize("ranged", [refused, tagged])
def test_a_store_that_mistakes_ranges(room, ranged):
    """Where each range is refused as another version's, or has another tag, all of it comes over one connection."""
    body = put_large(room)
    room.server.answer = FirstWaits(room, ranged)
    result = room.download()
    assert result.verified == "crc32"
    room.check(body)
    asked = room.ranges()
    assert asked.count(None) == 2
    assert asked[0] is None
    assert len(asked) > 2


def test_a_connection_into_a_black_hole(room, monkeypatch):
    """What a helper's connection never brings is fetched by the first one, long before the timeout of the helper's."""
    monkeypatch.setattr(filling, "PATIENCE", 0.05)
    monkeypatch.setattr(crew, "GRACE", 0.1)
    body = put_large(room)
    never, lost = threading.Event(), []

    def swallowed(request, found):
        if lost:
            return found
        lost.append(request.header("range"))
        return dataclasses.replace(found, delay=never)

    room.server.answer = FirstWaits(room, swallowed)
    try:
        with within(LONG / 5):
            result = room.download(max_workers=2)
        assert lost
        assert result.verified == "crc32"
        room.check(body)
    finally:
        never.set()


# -- what is left for the next call


@pytest.mark.parametrize("sums", [True, False], ids=["crc32", "md5"])
def test_interrupted_while_what_is_here_is_read(room, monkeypatch, sums):
    """Ctrl-C while an earlier call's bytes are read again costs none of them."""
    body = room.put(made(1), **(crc_of(made(1)) if sums else {}))
    room.break_at(6 * MIB, max_workers=1)
    here = room.trusted()
    read, count = filling.read_at, []

    def interrupted(*where):
        count.append(where)
        if len(count) == 2:
            raise KeyboardInterrupt
        return read(*where)

    with monkeypatch.context() as patched:
        patched.setattr(filling, "read_at", interrupted)
        with pytest.raises(KeyboardInterrupt):
            room.download()
    assert room.trusted() == here == 6 * MIB
    assert room.download().bytes_moved == SIZE - here
    room.check(body)


ERRORS = [ValueError("mine"), OSError(28, "mine"), TransportError("mine"), NotFound("mine")]


def ended_by_progress(room, error, is_mine, **options):
    """Run a download whose `progress` raises this error in a thread that is to; how often it did."""
    raised = []

    def progress(done, total):
        if is_mine(done):
            raised.append(done)
            raise error

    with pytest.raises(type(error)) as caught:
        room.download(progress=progress, **options)
    assert caught.value is error
    return len(raised)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_progress_that_raises(room, error):
    """An exception of `progress` ends a download as it is, also one that looks like ours; what came is kept."""
    room.target.write_bytes(OLD)
    assert ended_by_progress(room, error, lambda done: done > 4 * MIB, max_workers=1) == 1
    assert len(room.ranges()) == 1
    room.check_target(OLD)
    here = room.trusted()
    assert here >= 3 * MIB
    assert room.download().bytes_moved == SIZE - here
    room.check(made(1))


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_progress_that_raises_in_a_helpers_thread(room, error, monkeypatch):
    """The same where the bytes came over another connection than the first: nothing goes on without the caller."""
    small_ranges(monkeypatch)
    body = put_large(room, FEW)
    room.server.answer = FirstWaits(room, lambda request, found: found)
    main = threading.current_thread()
    helps = lambda done: done > 2 * MIB and threading.current_thread() is not main  # noqa: E731
    assert ended_by_progress(room, error, helps, max_workers=2) == 1
    room.check_noted(body)
    here = room.trusted()
    assert here >= MIB
    room.server.answer = room.store
    assert room.download().bytes_moved == FEW - here
    room.check(body)


def test_not_found_in_the_middle(room):
    """A node that was restarted says of what it has just given that there is no such key: what came is kept."""
    in_the_middle = []

    def answer(request):
        in_the_middle.append(request)
        return NO_KEY if len(in_the_middle) > 1 else dataclasses.replace(room.store(request), cut_after=4 * MIB)

    room.server.answer = answer
    with pytest.raises(NotFound, match=f"{4 * MIB} bytes are kept beside the target"):
        room.download(max_workers=1)
    assert len(in_the_middle) == 10  # as often as the default says
    room.server.answer = room.store
    assert room.download().bytes_moved == SIZE - 4 * MIB
    room.check(made(1))


def test_an_old_part_in_the_folder_of_an_uploads_records(room, tmp_path, monkeypatch):
    """An upload removes old records of uploads; a download's part and record, however old, are none."""
    allow_small_parts(monkeypatch, room.store)
    room.break_at(6 * MIB, max_workers=1)
    for path in (room.part, room.record):
        os.utime(path, (1000, 1000))
    (tmp_path / "file").write_bytes(DATA)
    with client_for(room.server) as client:
        client.upload_file(BUCKET, "sent", tmp_path / "file", resume=True, state_dir=room.folder, part_size=PART)
    assert set(room.left()) == {room.part.name, room.record.name}
    assert room.download().bytes_moved == SIZE - 6 * MIB
    room.check(made(1))


def test_an_old_record_of_an_upload_is_swept(room, tmp_path, monkeypatch):
    """That of another object, which is as old, goes."""
    allow_small_parts(monkeypatch, room.store)
    (tmp_path / "file").write_bytes(DATA)
    options = {"resume": True, "state_dir": tmp_path / "state", "part_size": PART, "max_workers": 1}
    room.server.answer = lambda request: Answer(reset=True) if b"partNumber=4" in request.query else room.store(request)
    with client_for(room.server) as client, pytest.raises(TransportError):
        client.upload_file(BUCKET, "other", tmp_path / "file", **options)
    room.server.answer = room.store
    (record,) = (tmp_path / "state").glob("*.json")
    os.utime(record, (1000, 1000))
    with client_for(room.server) as client:
        client.upload_file(BUCKET, "sent", tmp_path / "file", **options)
    assert list((tmp_path / "state").iterdir()) == []


def test_unchanged_leaves_nothing_beside_it(room):
    """Where the file is the object already, what an earlier call has left of it is removed."""
    room.break_at(6 * MIB, max_workers=1)
    room.target.write_bytes(made(1))
    assert room.download(if_changed=True).bytes_moved == 0
    room.check(made(1))


def test_a_thread_that_is_late_notes_nothing(room):
    """When the lock was let go of, the record beside the part may be somebody else's: nothing is written to it."""
    claimed = parts.claim(str(room.target), 0o600, "source")
    claimed.notes.write({"source": "source"}, {"here": []}, durable=False)
    claimed.notes.jot({"here": [[0, 9]]})
    before = room.record.read_bytes()
    assert b"[0, 9]" in before
    claimed.file.close()
    claimed.release()
    claimed.notes.jot({"here": [[0, 5]]})
    claimed.notes.write({"source": "another"}, {"here": []}, durable=False)
    assert room.record.read_bytes() == before
    assert set(room.left()) == {room.part.name, room.record.name}
    room.record.unlink()  # the next one is done
    claimed.notes.write({"source": "another"}, {"here": []}, durable=False)
    assert not room.record.exists()


# -- comparing by parts


def test_a_changed_file_is_not_compared_part_by_part(room, monkeypatch):
    """Of a file of the same size whose parts are even two tell as much as a thousand, and then it is fetched."""
    allow_small_parts(monkeypatch, room.store)
    with client_for(room.server, checksum=None) as client:
        put(client)
    room.target.write_bytes(DATA[:-1] + bytes([DATA[-1] ^ 1]))
    before = len(room.server.requests)
    assert room.download(if_changed=True).bytes_moved == len(DATA)
    methods = [each.method for each in room.server.requests[before:]]
    assert methods[-1] == "GET"
    assert methods[:-1] == ["HEAD"] * len(methods[:-1])
    assert len(methods) <= 4
    room.check(DATA)


def test_an_unchanged_file_of_uneven_parts(room, monkeypatch):
    """Where the number of parts would fit even ones, but they are none, the file is found to be the same."""
    allow_small_parts(monkeypatch, room.store)
    sizes = [PART, PART // 2, PART]
    monkeypatch.setattr(multipart, "stream_part_size", lambda number, wanted=None: sizes[number - 1])
    body = DATA[: 2 * PART + 2000]
    with client_for(room.server, checksum=None) as client:
        assert client.put_object(BUCKET, "key", iter([body])).etag.endswith('-3"')
    room.target.write_bytes(body)
    assert room.download(if_changed=True).bytes_moved == 0
    room.check(body)


# -- listeners


def test_an_event_that_calls_back():
    """`on_event` may ask the same client for something, also when that fails and is tried again: nothing hangs."""
    heard = []

    def hear(event):
        heard.append(event.kind)
        if len(heard) == 1:
            with pytest.raises(ResponseError):
                client.head_object(BUCKET, "status")

    def ask():
        with pytest.raises(ResponseError):
            client.head_object(BUCKET, "key")
        heard.append("ended")

    with RawServer(lambda request: Answer(503)) as server:
        with client_of(server, retry=Retry(attempts=2, budget=1000), on_event=hear) as client:
            asking = threading.Thread(target=ask, daemon=True)
            asking.start()
            asking.join(LONG / 3)
    assert heard == ["retry", "retry", "ended"]
