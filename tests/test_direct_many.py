"""Proves how many connections the short way keeps, for threads, for buckets' hosts and at the end: none is lost.

Which ones may be used again is test_direct_kept.py's.
"""

import concurrent.futures
import gc
import sys
import threading
import warnings

import pytest
from kit import BODY, BUCKET, ETAG, LONG, at_path, client_of, good, lead_to, still_works
from kit_calls import get
from kit_direct import idle, until
from rawserver import Answer, RawServer

from cdn_sigv4 import direct
from cdn_sigv4.direct import KEPT, Direct

# -- threads


def test_more_answers_at_a_time_than_are_kept():
    """Forty answers may be under way at once; of their connections as many are kept as may be, the others closed."""
    with RawServer(good) as server, client_of(server) as client:
        for connections in (KEPT + 8, KEPT + 16):
            readers = [client.get_object(BUCKET, "key") for _ in range(KEPT + 8)]
            assert [reader.read() for reader in readers] == [BODY] * (KEPT + 8)
            assert (server.connections, len(idle(client))) == (connections, KEPT)
            until(lambda: len(server._sockets) == KEPT)


def test_more_threads_than_connections_are_kept():
    """Forty threads share a client: each gets its own answers."""
    begin = threading.Barrier(KEPT + 8)

    def answer(request):
        return Answer(headers=ETAG, body=request.path * 9)

    def work(number):
        begin.wait(LONG)
        for turn in range(3):
            with client.get_object(BUCKET, f"{number}/{turn}") as reader:
                assert reader.read() == b"/bucket/%d/%d" % (number, turn) * 9
        return number

    with RawServer(answer) as server, client_of(server) as client:
        get(client)
        with concurrent.futures.ThreadPoolExecutor(KEPT + 8) as pool:
            assert list(pool.map(work, range(KEPT + 8), timeout=LONG)) == list(range(KEPT + 8))
        assert len(idle(client)) <= KEPT


def test_two_threads_that_come_first(monkeypatch):
    """Two threads whose requests are the first to a server keep both of their connections."""
    meeting = threading.Barrier(2)
    real = direct.parse_url

    def parse(url):
        meeting.wait(LONG)
        return real(url)

    with RawServer(good) as server, client_of(server) as client:
        client._exchange._connected()._means()
        monkeypatch.setattr(direct, "parse_url", parse)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            readers = list(pool.map(lambda key: client.get_object(BUCKET, key), "ab", timeout=LONG))
        assert [reader.read() for reader in readers] == [BODY] * 2
        kept = len(idle(client))
        del readers
        still_works(client, server)
        assert (kept, server.connections) == (2, 2)


BUCKETS = [f"bucket{number:02}" for number in range(KEPT + 8)]


@pytest.fixture
def virtual(monkeypatch):
    """A server to which the hosts of forty buckets lead, and a client for those."""
    with RawServer(good) as server:
        lead_to(monkeypatch, server, *(f"{name}.store.test" for name in BUCKETS))
        with client_of("http://store.test:81", addressing="virtual") as client:
            yield server, client


def test_a_host_for_each_bucket(virtual):
    """Forty buckets of which each has a host of its own are all reached, twice; what is kept for them is bounded."""
    server, client = virtual
    for name in BUCKETS * 2:
        with client.get_object(name, "key") as reader:
            assert reader.read() == BODY
        assert len(idle(client)) <= KEPT
    assert [each.header("host") for each in server.requests] == [f"{name}.store.test:81" for name in BUCKETS * 2]
    until(lambda: len(server._sockets) == len(idle(client)))


def test_buckets_hosts_keep_their_connections(virtual):
    """Few buckets in turn use one connection each, again and again."""
    server, client = virtual
    for name in BUCKETS[:5] * 4:
        client.put_object(name, "key", b"x")
    assert server.connections == 5


def test_an_answer_outlives_its_host(virtual):
    """An answer that is being read while its host is forgotten is read to its end, and its connection closed."""
    server, client = virtual
    with client.get_object(BUCKETS[0], "key") as reader:
        first = reader.read(10)
        for name in BUCKETS:
            client.head_object(name, "key")
        assert first + reader.read() == BODY
    until(lambda: len(server._sockets) == len(idle(client)) < len(BUCKETS))


def test_a_host_that_is_forgotten_at_the_same_time(virtual, monkeypatch):
    """A request whose host's connections are given up by another thread, just as it takes one, opens one anew."""
    server, client = virtual
    real = Direct._pool
    strikes = iter([False, True])

    def chosen(self, signed):
        pool = real(self, signed)
        if next(strikes, False):
            self.close()  # as forty buckets of other threads do
        return pool

    monkeypatch.setattr(Direct, "_pool", chosen)
    for _ in range(3):
        client.put_object(BUCKETS[0], "key", b"x")
    assert len(server.requests) == 3


# -- the end


def test_close_closes_what_is_idle():
    """Connections that nobody uses are closed with the client; a later request opens another."""
    with RawServer(good) as server, client_of(server) as client:
        readers = [client.get_object(BUCKET, "key") for _ in range(3)]
        assert [reader.read() for reader in readers] == [BODY] * 3
        assert len(server._sockets) == 3
        client.close()
        until(lambda: not server._sockets)
        still_works(client, server)
        assert server.connections == 4


def test_close_while_an_answer_is_read():
    """One that is in use is left alone until its answer is read, and then closed."""
    with RawServer(good) as server, client_of(server) as client:
        reader = client.get_object(BUCKET, "key")
        first = reader.read(10)
        client.close()
        assert first + reader.read() == BODY
        until(lambda: not server._sockets)
        still_works(client, server)
        assert server.connections == 2


class Stopped(BaseException):
    """Ctrl-C, at a place that a test can choose."""


def stop_while_sending(client):
    """Stop in the middle of a body that is sent."""
    blocks = iter([True])

    def progress(done, total):
        if not next(blocks, False):
            raise Stopped

    client.put_object(BUCKET, "key", bytes(1 << 20), progress=progress)


def stop_while_waiting(client):
    """Stop before the answer's head is read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cdn_sigv4.connection.WholeHead.begin", lambda self: (_ for _ in ()).throw(Stopped))
        client.get_object(BUCKET, "key")


def stop_while_reading(client):
    """Stop in the middle of a body that is read."""
    with client.get_object(BUCKET, "key") as reader:
        reader.read(10)
        raise Stopped


@pytest.mark.parametrize("call", [stop_while_sending, stop_while_waiting, stop_while_reading])
def test_stopped_in_the_middle(call):
    """Whatever stops a request half-way takes its connection with it, with no warning of a socket that is left."""
    unraised = []
    with RawServer(good) as server, client_of(server) as client:
        get(client)
        with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
            patch.setattr(sys, "unraisablehook", lambda unraisable: unraised.append(repr(unraisable)))
            warnings.simplefilter("error")
            with pytest.raises(Stopped):
                call(client)
            gc.collect()
        until(lambda: not server._sockets)
        still_works(client, server)
        assert (server.connections, unraised) == (2, [])


def test_an_answer_thrown_away_unread():
    """A reader that nobody closes, and that is read in part or not at all, leaves no warning and no connection."""
    unraised = []
    with RawServer(good) as server, client_of(server) as client:
        with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
            patch.setattr(sys, "unraisablehook", lambda unraisable: unraised.append(repr(unraisable)))
            warnings.simplefilter("error")
            for amount in (0, 100):
                client.get_object(BUCKET, "key").read(amount)
                gc.collect()
        until(lambda: not server._sockets)
        still_works(client, server)
        assert (len(at_path(server, b"/bucket/key")), server.connections, unraised) == (2, 3, [])
