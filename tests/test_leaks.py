"""Sockets, file handles, threads and memory do not leak over many requests with errors among them.

The client under test lives in a forked child, where the server's own sockets are not counted. Warnings of resources
that were not put away are errors there, also those that Python only prints.
"""

import dataclasses
import gc
import os
import sys
import threading
import warnings
from pathlib import Path

import pytest
from kit import BUCKET, KEY, SECRET
from kit_files import content
from kit_mixed import BadLink, body_of, mixture
from kit_parts import MIB, Room, forking, in_child, made
from rawserver import Answer
from urllib3 import connectionpool

from cdn_sigv4 import CDNError, CDNManager, Credentials, NotFound, Retry, S3Client, SourceError
from cdn_sigv4.manager import CDNCredentials

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="reads /proc")
PATIENT = Retry(budget=1e6)


@pytest.fixture
def room(tmp_path, loopback, store):
    """A folder, a store and an object that is worth a part."""
    (tmp_path / "room").mkdir()
    made_room = Room(tmp_path / "room", loopback, store)
    made_room.put(made(1, MIB))
    return made_room


def handles():
    """What the process has open: the number of each, and what it is."""
    found = {}
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - as strings
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:  # that of the listing itself
            continue
    return found


def without_leaks(room, task, kept=1):
    """Run `task(client)` in a child: it may leave so many connections open, and nothing when the client is closed."""
    assert in_child(counted, room, task, kept) == 0


def counted(room, task, kept):
    """Run it, and count. The first round warms up: imports, caches and connections are no leak."""
    unraised = []
    sys.unraisablehook = lambda unraisable: unraised.append(repr(unraisable))  # itself it would keep what is dropped
    warnings.simplefilter("error")
    gc.collect()
    before, threads = handles(), threading.active_count()
    with room.client() as client:
        for _ in range(2):
            task(client)
            gc.collect()
            more = {name: what for name, what in handles().items() if name not in before}
            assert all(what.startswith("socket:") for what in more.values()), more
            assert len(more) <= kept, more
            assert threading.active_count() == threads
    gc.collect()
    assert handles() == before
    assert unraised == []


@forking
def test_three_hundred_requests_over_a_bad_link(room):
    """All operations in turn, every fifth answer spoiled: in the end there is one connection, the one in hand."""
    room.server.answer = BadLink(room.store, every=5)
    without_leaks(room, lambda client: mixture(client, "w", room.folder, 150))
    assert len(room.server.requests) > 300


@forking
def test_readers_that_are_dropped(room):
    """A reader that nobody closes gives its connection up when it is collected, read or not, whole or in part."""

    def task(client):
        for number in range(30):
            reader = client.get_object(BUCKET, "key")
            if number % 3:
                reader.read(number * 1000)
            elif number % 2:
                next(reader)

    without_leaks(room, task)


@forking
def test_readers_in_a_cycle(room):
    """So does one that only the collector finds; of it Python warns, as the collector takes the socket first."""

    def task(client):
        warnings.simplefilter("ignore", ResourceWarning)
        for _ in range(20):
            cycle = [client.get_object(BUCKET, "key")]
            cycle.append(cycle)

    without_leaks(room, task)


def failing_calls(client, room):
    """Calls that fail for good, each in its own way, and what they fail with."""
    target = room.folder / "model"
    return [
        (NotFound, lambda: client.get_object(BUCKET, "missing")),
        (NotFound, lambda: client.download_file(BUCKET, "missing", target)),
        (NotFound, lambda: list(client.list_objects("nobucket"))),
        (CDNError, lambda: client.get_object(BUCKET, "key", if_match='"other"')),
        (CDNError, lambda: client.get_object(BUCKET, "key", start=2 * MIB)),
        (SourceError, lambda: client.put_object(BUCKET, "new", short_source())),
        (TypeError, lambda: client.put_object(BUCKET, "new", ["text"])),
        (IsADirectoryError, lambda: client.download_file(BUCKET, "key", room.folder)),
        (FileNotFoundError, lambda: client.upload_file(BUCKET, "key", target)),
    ]


def short_source():
    """A file that becomes shorter while it is sent."""

    class Short:
        at, passes = 0, 0

        def read(self, amount=-1):
            start, self.at = self.at, min(self.at + amount, MIB)
            return b"" if self.passes > 3 and start > MIB // 2 else bytes(self.at - start)

        def seek(self, offset, whence=0):
            self.at, self.passes = (offset if whence == 0 else MIB + offset), self.passes + 1
            return self.at

        def tell(self):
            return self.at

    return Short()


@forking
def test_calls_that_fail(room):
    """What fails for good leaves nothing open, whoever's mistake it is."""

    def task(client):
        for kind, call in failing_calls(client, room) * 5:
            with pytest.raises(kind):
                call()

    without_leaks(room, task)
    assert content(room.folder) == {}


def spoiling(change):
    """Each answer of a store's, changed in the same way."""
    return lambda store: lambda request: change(store(request))


BROKEN = {
    "reset": lambda answer: Answer(reset=True),
    "cut": lambda answer: dataclasses.replace(answer, cut_after=len(answer.body) // 2),
    "turned": lambda answer: dataclasses.replace(answer, body=bytes(len(answer.body))),
    "no length": lambda answer: dataclasses.replace(answer, no_length=True),
    "stray": lambda answer: Answer(raw=b"".join([*answer.parts("GET"), b"HTTP/1.1 200 OK\r\n\r\n"])),
    "redirect": lambda answer: Answer(301, headers={"Location": "http://127.0.0.1:1/"}, body=bytes(MIB)),
    "web page": lambda answer: Answer(200, body=b"<html>Log in</html>", headers={"Content-Type": "text/html"}),
    "not http": lambda answer: Answer(raw=b"SSH-2.0-OpenSSH\r\n", cut_after=17),
    "long error": lambda answer: Answer(500, body=bytes(MIB)),  # sixteen times what is read of it
}


@forking
@pytest.mark.parametrize("kind", BROKEN)
def test_answers_that_are_broken_for_good(room, kind):
    """Attempts that all fail, three to a call, leave nothing open: neither the last connection nor those before."""
    room.server.answer = spoiling(BROKEN[kind])(room.store)

    def task(client):
        client._exchange._retry = Retry(attempts=3, budget=1e6)
        for _ in range(2):
            for call in (
                lambda: client.get_object(BUCKET, "key").read(),
                lambda: client.put_object(BUCKET, "new", made(1, MIB)),
                lambda: client.download_file(BUCKET, "key", room.target),
                lambda: list(client.list_objects(BUCKET)),
            ):
                try:
                    call()
                except CDNError:
                    continue

    without_leaks(room, task)
    assert set(content(room.folder)) <= {"model"}


@forking
def test_stalls(room):
    """Connections that were given up because nothing moved on them are closed, not forgotten."""
    room.server.answer = lambda request: dataclasses.replace(
        room.store(request), delay=threading.Event(), delay_after=1000
    )

    def run():
        with S3Client(
            room.server.endpoint, Credentials(KEY, SECRET), timeout=(5, 0.05), retry=Retry(attempts=2)
        ) as client:
            gc.collect()
            before = handles()
            for call in (
                lambda: client.get_object(BUCKET, "key").read(),
                lambda: client.download_file(BUCKET, "key", room.target),
            ):
                with pytest.raises(CDNError, match="moved no byte"):
                    call()
            gc.collect()
            assert handles() == before

    assert in_child(run) == 0
    assert content(room.folder) == {}


@forking
def test_interruptions(room):
    """Ctrl-C at every place where a download or an upload reads or writes leaves nothing open."""

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    class Source:
        def __iter__(self):
            yield bytes(MIB)
            raise KeyboardInterrupt

    def task(client):
        for _ in range(10):
            with pytest.raises(KeyboardInterrupt):
                client.put_object(BUCKET, "new", Source())
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("cdn_sigv4.filling.write_at", interrupted)
                with pytest.raises(KeyboardInterrupt):
                    client.download_file(BUCKET, "key", room.target)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("cdn_sigv4.diagnosis.diagnose", interrupted)
                with pytest.raises(KeyboardInterrupt):
                    client.get_object(BUCKET, "missing")

    without_leaks(room, task)
    assert content(room.folder) == {}


@forking
@pytest.mark.skipif(not hasattr(connectionpool, "_close_pool_connections"), reason="this urllib3 leaves it to sockets")
def test_clients_that_are_dropped(room):
    """A client, or a manager, that is neither closed nor kept takes its connections with it."""

    def run():
        credentials = CDNCredentials(room.server.endpoint, KEY, SECRET, KEY, SECRET)
        room.client().head_object(BUCKET, "key")
        gc.collect()
        before = handles()
        for _ in range(20):
            room.client().get_object(BUCKET, "key").read()
            assert CDNManager(credentials, on_error=pytest.fail).upload(BUCKET, "new", body_of("new"))
        gc.collect()
        assert handles() == before

    assert in_child(run) == 0


@forking
def test_threads_that_end(room):
    """Threads that used the client and are gone leave at most the connections that its pool keeps, and no locals."""

    def task(client):
        threads = [threading.Thread(target=lambda: client.get_object(BUCKET, "key").read()) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    without_leaks(room, task, kept=8)


@forking
def test_memory(room):
    """After many requests and errors the process holds no more objects than after a few."""
    room.server.answer = BadLink(room.store, every=4)

    def run():
        with room.client(retry=PATIENT) as client:
            counts = []
            for rounds in (40, 40, 40):
                mixture(client, "w", room.folder, rounds)
                gc.collect()
                counts.append(len(gc.get_objects()))
        assert counts[2] - counts[1] < 100, counts

    assert in_child(run) == 0
