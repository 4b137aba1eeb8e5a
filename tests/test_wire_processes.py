"""Proves that forked children and threads may share one warm client, and each gets its own bytes: trap 36.

Every body differs from every other, so one that goes to the wrong reader fails; every wait has a limit.
"""

import concurrent.futures
import hashlib
import multiprocessing
import threading

import pytest
import requests
from kit import KEY, LONG, SECRETS, TOKEN, client_of
from rawserver import MemoryStore, RawServer

from cdn_sigv4 import wire

CHILDREN = 4
THREADS = 8
REQUESTS = 25

# From Python 3.12 on a fork beside running threads warns; those here are the server's, which no child touches.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
    pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork"),
]


def body_of(key):
    """Some thousand bytes that belong to one key and no other."""
    return hashlib.sha256(key.encode("ascii")).digest() * (50 + len(key) * 7)


@pytest.fixture
def server():
    """A store that checks every signature, and holds one object of its own for each worker and request."""
    store = MemoryStore(SECRETS, tokens={KEY: TOKEN})
    for worker in range(max(CHILDREN, THREADS) + 1):
        for number in range(REQUESTS):
            store.put("bucket", f"{worker}/{number}", body_of(f"{worker}/{number}"))
    with RawServer(store) as server:
        yield server


def work(client, worker):
    """Read and write in turn; the number of answers that were right."""
    right = 0
    for number in range(REQUESTS):
        key = f"{worker}/{number}"
        with client.get_object("bucket", key) as reader:
            right += reader.read() == body_of(key) and reader.info.key == key
        if number % 5 == 0:
            info = client.put_object("bucket", f"new/{key}", body_of(key))
            right -= info.etag != f'"{hashlib.md5(body_of(key)).hexdigest()}"'
    return right


def in_children(task):
    """Run `task` in forked children at the same time; each must end well, and in time."""
    context = multiprocessing.get_context("fork")

    def body(worker):
        start.wait(LONG)
        assert task(worker) in (REQUESTS, None)

    start = context.Event()
    children = [context.Process(target=body, args=(worker,)) for worker in range(CHILDREN)]
    for child in children:
        child.start()
    start.set()
    for child in children:
        child.join(LONG)
    codes = [child.exitcode for child in children]
    for child in children:
        if child.exitcode is None:
            child.kill()
            child.join()
    assert codes == [0] * CHILDREN


@pytest.mark.parametrize("own_session", [False, True], ids=["", "session"])
@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
def test_forked_children(warm, own_session, server):
    """Four children and their parent share one client, and all of them get their own bodies."""
    with requests.Session() as session, client_of(
        server, timeout=(5, LONG), session=session if own_session else None
    ) as client:
        if warm:
            client.get_object("bucket", "8/0").read()
        in_children(lambda worker: work(client, worker))
        assert work(client, 8) == REQUESTS


def test_two_clients_of_one_session(server):
    """Two clients share the caller's session; a child that uses only the one which the parent did not has its own."""
    with requests.Session() as session, client_of(server, timeout=(5, LONG), session=session) as first:
        with client_of(server, timeout=(5, LONG), session=session) as second:
            first.get_object("bucket", "8/0").read()
            in_children(lambda worker: second.get_object("bucket", f"{worker}/0").read() and None)
            first.get_object("bucket", "8/1").read()
    used = {each.path: each.connection for each in server.requests}
    assert used[b"/bucket/8/0"] == used[b"/bucket/8/1"]
    assert len({used[b"/bucket/%d/0" % worker] for worker in range(CHILDREN)} | {used[b"/bucket/8/0"]}) == CHILDREN + 1


def test_children_leave_the_connection_alone(server):
    """A child opens a connection of its own, and closing its client closes nothing of its parent's."""

    def use_and_close(worker):
        assert client.get_object("bucket", f"{worker}/0").read() == body_of(f"{worker}/0")
        client.close()

    with client_of(server, timeout=(5, LONG)) as client:
        client.get_object("bucket", "8/0").read()
        in_children(use_and_close)
        client.get_object("bucket", "8/1").read()
    used = {each.path: each.connection for each in server.requests}
    assert used[b"/bucket/8/0"] == used[b"/bucket/8/1"] == 1
    assert sorted(used[b"/bucket/%d/0" % worker] for worker in range(CHILDREN)) == [2, 3, 4, 5]


def test_closing_a_warm_client_in_a_child_first(server):
    """A child that closes the client before it has used it does not end its parent's connection."""
    with client_of(server, timeout=(5, LONG)) as client:
        client.get_object("bucket", "8/0").read()
        in_children(lambda worker: client.close())
        client.get_object("bucket", "8/1").read()
    assert server.connections == 1


@pytest.mark.parametrize("own_session", [False, True], ids=["", "session"])
def test_threads(own_session, server):
    """Eight threads share one client for 200 reads and 40 writes: all right, with one request each."""
    begin = threading.Barrier(THREADS)

    def task(worker):
        begin.wait(LONG)
        return work(client, worker)

    with requests.Session() as session, client_of(
        server, timeout=(5, LONG), session=session if own_session else None
    ) as client:
        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            assert list(pool.map(task, range(THREADS), timeout=LONG)) == [REQUESTS] * THREADS
    assert len(server.requests) == THREADS * (REQUESTS + REQUESTS // 5)
    if not own_session:
        # Two threads that come first may make a session each, the loser's connection is not used again.
        assert server.connections <= 2 * THREADS


@pytest.mark.parametrize("name", ["Wire", "_Means"])
def test_first_requests_at_once(server, name, monkeypatch):
    """Threads that send the first requests at once share their connections, though each found that there were none."""
    made, meeting = getattr(wire, name).__init__, threading.Barrier(2)

    def meet(self, *args, **options):
        meeting.wait(LONG)
        made(self, *args, **options)

    monkeypatch.setattr(getattr(wire, name), "__init__", meet)
    with client_of(server) as client, concurrent.futures.ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(lambda: client._exchange._connected()._means()) for _ in range(2)]
        first, second = (each.result(LONG) for each in waiting)
    assert first is second
