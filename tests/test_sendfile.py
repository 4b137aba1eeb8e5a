"""Proves that a file's parts, which the system itself sends (sendfile(2)), arrive exactly, and fail as others do.

`os.sendfile` is counted and disturbed: what it refuses is read and sent instead.
"""

import errno
import os
import socket
import threading

import pytest
from kit import BUCKET, LONG, SECRETS, within
from kit_calls import xml
from kit_parts import MIB, made
from kit_uploads import allow_small_parts, client_for, name_of, names
from rawserver import Answer, MemoryStore, RawServer, make_tls

from cdn_sigv4 import AccessDenied, SourceError, TransportError, body
from cdn_sigv4.connection import _ExactConnection

pytestmark = pytest.mark.skipif(not body._SENDFILE, reason="sendfile is used on Linux")

SIZE = 3 * MIB + 321  # bytes of a file: three parts and a little one, which goes out with its head
DATA = made(11, SIZE)
LARGE = 24 * MIB  # bytes of one part that no socket takes at once


@pytest.fixture
def path(tmp_path):
    """A file with the bytes."""
    path = tmp_path / "file"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def site(store, loopback, small_parts):
    """A client of a store that takes small parts."""
    with client_for(loopback) as client:
        yield client


class Calls:
    """`os.sendfile`, counted: `counts` has what each call moved, or the error that it raised."""

    def __init__(self, real):
        self.real, self.counts, self.blocked = real, [], threading.Event()
        self.before = lambda number: None  # called with the number of calls so far
        self.most = 1 << 30

    def __call__(self, out, source, offset, count):
        self.before(len(self.counts))
        try:
            moved = self.real(out, source, offset, min(count, self.most))
        except OSError as error:
            self.counts.append(error)
            if isinstance(error, BlockingIOError):
                self.blocked.set()
            raise
        self.counts.append(moved)
        return moved

    @property
    def moved(self):
        return sum(each for each in self.counts if isinstance(each, int))


@pytest.fixture
def calls(monkeypatch):
    """All calls of `os.sendfile`."""
    made_calls = Calls(os.sendfile)
    monkeypatch.setattr(os, "sendfile", made_calls)
    return made_calls


def upload(client, path, size=MIB, **options):
    """The file in parts, one after the other."""
    return client.upload_file(BUCKET, "key", path, part_size=size, max_workers=1, **options)


def stored(store):
    return store.objects[BUCKET, b"key"].body


# -- what arrives


def test_parts_go_out_by_sendfile(site, store, path, calls):
    """Each part but the little one is moved by the system, and all bytes are the file's."""
    result = upload(site, path)
    assert stored(store) == DATA
    assert (result.verified, result.bytes_moved) == ("crc32", SIZE)
    assert calls.moved == 3 * MIB  # not a byte of it was read in order to be sent


def test_one_put_is_read(site, store, path, calls):
    """A file that is sent in one request is read: of its one position nobody else may make use."""
    site.upload_file(BUCKET, "key", path, part_size=1 << 30)
    assert stored(store) == DATA
    assert calls.counts == []


def test_a_file_from_its_position_on(site, store, path, calls):
    """A file that stands somewhere is sent from there, and stands there or at its end, untouched by the sending."""
    with path.open("rb") as file:
        file.seek(12_345)
        site.put_object(BUCKET, "key", file, part_size=MIB, max_workers=1)
        assert not file.closed
    assert stored(store) == DATA[12_345:]
    assert calls.moved == 2 * MIB + (SIZE - 12_345) % MIB


def test_threads_share_the_file(site, store, path, calls):
    """Four threads send parts of the same open file, each its own bytes."""
    site.upload_file(BUCKET, "key", path, part_size=200_000, max_workers=4)
    assert stored(store) == DATA
    assert calls.moved == SIZE


@pytest.mark.parametrize("most", [1, 777, 65_537])
def test_partial_sends(site, store, path, calls, most):
    """Steps of any length: what a call did not take the next one sends, from where that one stopped."""
    path.write_bytes(DATA[:40_000])
    calls.most = most
    site.upload_file(BUCKET, "key", path, part_size=20_000, max_workers=1)
    assert stored(store) == DATA[:40_000]
    assert calls.moved == 40_000
    assert len([each for each in calls.counts if each]) >= 40_000 // most


def test_progress_goes_with_the_bytes(site, path, calls):
    """Who watches is told of each step, and of all bytes in the end."""
    calls.most = 100_000
    seen = []
    upload(site, path, progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1] == (SIZE, SIZE)
    assert len(seen) > 20


# -- where it cannot


ERRORS = [errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EIO]


@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("behind", [0, 1], ids=["at once", "after a step"])
def test_what_sendfile_refuses_is_read(site, store, path, calls, number, behind):
    """Where the system cannot send from this file, at once or later, the rest is read: it is tried once for a part."""
    calls.most = 10_000
    tried = []

    def refuse(_):
        tried.append(0)
        if (len(tried) - 1) % (behind + 1) == behind:
            raise OSError(number, os.strerror(number))

    calls.before = refuse
    upload(site, path)
    assert stored(store) == DATA
    assert len(tried) == 3 * (behind + 1)
    assert calls.moved == 3 * 10_000 * behind


def test_where_there_is_none(site, store, path, calls, monkeypatch):
    """Elsewhere than on Linux everything is read."""
    monkeypatch.setattr(body, "_SENDFILE", False)
    upload(site, path)
    assert stored(store) == DATA
    assert calls.counts == []


def test_over_tls(path, calls, tmp_path, monkeypatch):
    """Over TLS everything is read: what sendfile sends would not be encrypted."""
    context, authority = make_tls(tmp_path)
    store = MemoryStore(SECRETS, buckets=(BUCKET,))
    allow_small_parts(monkeypatch, store)
    with RawServer(store, tls=context) as server, client_for(server, verify=authority) as client:
        upload(client, path)
    assert stored(store) == DATA
    assert calls.counts == []


# -- slow, stalled, refused, broken


@pytest.fixture
def large(tmp_path, monkeypatch, store):
    """A file of two parts, of which the first is larger than what sockets take; the system keeps little of it."""
    allow_small_parts(monkeypatch, store)
    real = _ExactConnection.connect

    def connect(self):
        real(self)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 << 10)

    monkeypatch.setattr(_ExactConnection, "connect", connect)
    path = tmp_path / "large"
    path.write_bytes(made(12, LARGE + 5000))
    return path


def first_part(store, happens):
    """The store, but for the first time that the first part is sent."""
    left = iter([True])

    def answer(request):
        return happens(request) if name_of(request) == "part 1" and next(left, False) else store(request)

    return answer


def test_a_slow_reader(store, loopback, large, calls):
    """A server that does not read for a while is waited for, and gets every byte in its place."""

    def slow(request):
        assert calls.blocked.wait(LONG)  # nothing more goes into the socket
        return store(request)

    loopback.answer = first_part(store, slow)
    with client_for(loopback) as client:
        upload(client, large, LARGE)
    assert stored(store) == large.read_bytes()
    assert calls.moved == LARGE
    assert calls.blocked.is_set()
    assert names(loopback.requests).count("part 1") == 1


def test_a_stall(store, loopback, large, calls):
    """A server that reads no more is given up after the stall timeout, in the words for it."""
    end = threading.Event()

    def stall(request):
        end.wait(LONG)
        return Answer(reset=True)

    loopback.answer = first_part(store, stall)
    with client_for(loopback, timeout=(5, 0.3), retry=None) as client:
        with within(5, least=0.3), pytest.raises(TransportError, match=r"moved no byte for 0\.3 s") as caught:
            upload(client, large, LARGE)
        end.set()
    assert type(caught.value) is TransportError  # and not OutcomeUnknown: not all of it was sent
    assert calls.blocked.is_set()
    assert store.objects == {}


@pytest.mark.parametrize("options", [{"drain": 0}, {"drain": 1 << 30}, {"drain": 1 << 20, "close": True}], ids=str)
def test_an_early_refusal(store, loopback, large, calls, options):
    """A refusal while the file goes out is that refusal, and what is left of the file is not sent."""
    refusal = Answer(403, body=xml("AccessDenied"), before_body=True, **options)

    def refuse(request):
        assert calls.blocked.wait(LONG)  # the file is under way
        return refusal

    loopback.answer = first_part(store, refuse)
    with client_for(loopback) as client:
        with pytest.raises(AccessDenied) as caught:
            upload(client, large, LARGE)
        assert caught.value.code == "AccessDenied"
        assert 0 < calls.moved < LARGE
        loopback.answer = store
        upload(client, large, LARGE)
    assert stored(store) == large.read_bytes()


def test_a_reset(store, loopback, large, calls):
    """A connection that breaks while the file goes out costs another attempt, from the part's first byte on."""

    def reset(request):
        assert calls.blocked.wait(LONG)
        return Answer(before_body=True, reset=True)

    events = []
    loopback.answer = first_part(store, reset)
    with client_for(loopback, on_event=events.append) as client:
        upload(client, large, LARGE)
    assert stored(store) == large.read_bytes()
    assert [event.kind for event in events] == ["retry"]
    assert names(loopback.requests).count("part 1") == 2


def test_a_truncated_file(site, store, path, calls):
    """A file that becomes shorter while it is sent is a SourceError, not a body that hangs, and nothing is stored."""

    def cut(number):
        if number == 1:
            os.truncate(path, 100_000)

    calls.most, calls.before = 200_000, cut
    with within(5), pytest.raises(SourceError, match="ended"):
        upload(site, path)
    assert calls.counts[:2] == [200_000, 0]
    assert store.objects == {}


def test_an_interrupted_call(site, store, path, calls):
    """A call that is interrupted or finds the socket full moved nothing: it is made again."""
    kinds = [BlockingIOError, BlockingIOError]

    def interrupt(number):
        if kinds:
            raise kinds.pop()

    calls.before = interrupt
    upload(site, path)
    assert stored(store) == DATA
    assert calls.moved == 3 * MIB
