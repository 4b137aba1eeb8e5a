"""Many at once: threads and processes that save one target, a client that was warm when it was forked, 32 threads.

Whom a connection belongs to after a fork is in test_wire_processes.py.
"""

import concurrent.futures
import hashlib
import os
import threading

import pytest
from kit import BUCKET, LONG
from kit_files import content
from kit_mixed import BadLink, body_of, mixture
from kit_parts import MIB, OLD, SIZE, ended, forking, made, start_child

from cdn_sigv4 import Retry, TransferResult, TransportError

FOR_EVER = Retry(budget=1e6)  # the clock of many threads goes on with each one's waits


def in_threads(count, task):
    """What `task` gives in each of so many threads that begin at once; plain ones, which may fork."""
    begin = threading.Barrier(count)
    results = [None] * count

    def run(number):
        try:
            begin.wait(LONG)
            results[number] = task(number)
        except BaseException as error:  # noqa: BLE001 - all of them belong to the test
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * LONG)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


# -- one target


@forking
@pytest.mark.parametrize("before", ["nothing", "an old file", "a part"])
def test_one_target_for_threads_and_processes(room, before):
    """Eight threads and two processes that save one object as one file all succeed, and leave that file alone."""
    if before == "an old file":
        room.target.write_bytes(OLD)
    if before == "a part":
        room.break_at(5 * MIB)
    begin = os.pipe()

    def child():
        os.read(begin[0], 1)
        in_threads(2, lambda _: room.download())

    children = [start_child(child) for _ in range(2)]
    with room.client() as client:

        def thread(number):
            if number == 0:
                os.write(begin[1], b"..")
            return client.download_file(BUCKET, "key", room.target)

        results = in_threads(8, thread)
    assert [ended(each) for each in children] == [0, 0]
    os.close(begin[0])
    os.close(begin[1])
    assert all(isinstance(result, TransferResult) and result.verified == "md5" for result in results)
    room.check(made(1))
    moved = sorted(result.bytes_moved for result in results)
    assert moved[1:] == [SIZE] * 7
    assert moved[0] == SIZE or before == "a part"


def test_two_objects_for_one_target(room):
    """Where two objects race for one file, it is one of them in the end, and whole whenever it is looked at."""
    room.put(made(2), "other")
    room.target.write_bytes(OLD)
    is_over = threading.Event()

    def looking():
        while not is_over.is_set():
            room.check_target(OLD, made(1), made(2))
        return True

    with room.client() as client, concurrent.futures.ThreadPoolExecutor(1) as pool:
        whole = pool.submit(looking)
        try:
            in_threads(4, lambda number: client.download_file(BUCKET, ("key", "other")[number % 2], room.target))
        finally:
            is_over.set()
        assert whole.result(LONG)
    room.check(made(1), made(2))


def test_a_link_that_breaks_for_all(room):
    """Eight threads whose bodies break go on each with its own part; where they cannot, only the first one's stays."""
    room.target.write_bytes(OLD)
    room.server.answer = room.cutting(5 * MIB)
    with room.client(retry=None) as client:

        def thread(_):
            with pytest.raises(TransportError):
                client.download_file(BUCKET, "key", room.target)

        in_threads(8, thread)
    room.check_target(OLD)
    assert set(room.left()) <= {room.part.name, room.record.name}
    room.server.answer = room.store
    room.download()
    room.check(made(1))


# -- after a fork


def work(client, worker, rounds):
    """Gets of distinct objects, and puts between them; all must be right."""
    for number in range(rounds):
        key = f"{worker}/{number}"
        with client.get_object(BUCKET, key) as reader:
            assert (reader.read(), reader.info.key) == (body_of(key), key)
        if number % 5 == 0:
            info = client.put_object(BUCKET, f"new/{key}", body_of(f"new/{key}"))
            assert info.etag == f'"{hashlib.md5(body_of(f"new/{key}")).hexdigest()}"'


@forking
def test_forked_with_a_warm_client_and_an_open_body(room, store):
    """Four children and their parent make fifty gets each, and puts, while the parent's half-read body stays its own.

    A child that closes the reader, or drops it, takes nothing away from its parent.
    """
    for worker in range(5):
        for number in range(50):
            store.put(BUCKET, f"{worker}/{number}", body_of(f"{worker}/{number}"))
    with room.client() as client:
        client.head_object(BUCKET, "key")
        reader = client.get_object(BUCKET, "key")
        start = reader.read(MIB)

        def child(worker):
            reader.close()
            work(client, worker, 50)

        children = [start_child(child, worker) for worker in range(4)]
        work(client, 4, 50)
        assert [ended(each) for each in children] == [0] * 4
        with reader:
            assert start + reader.read() == made(1)
        assert reader.verified == "md5"
    for worker in range(5):
        for number in range(0, 50, 5):
            assert store.objects[BUCKET, f"new/{worker}/{number}".encode()].body == body_of(f"new/{worker}/{number}")


@forking
def test_forked_in_the_middle_of_requests(room, store):
    """A fork while other threads send and read leaves the child a client that works, and the threads theirs."""
    for worker in range(7):
        for number in range(20):
            store.put(BUCKET, f"{worker}/{number}", body_of(f"{worker}/{number}"))
    with room.client() as client:
        client.head_object(BUCKET, "key")  # Python itself hangs in a child that was forked while a module is imported

        def task(worker):
            if worker < 4:
                work(client, worker, 20)
                return 0
            return ended(start_child(work, client, worker, 20))

        assert in_threads(7, task) == [0] * 7


# -- 32 threads


def test_32_threads_over_a_bad_link(tmp_path, room, store):
    """32 threads share one client for all operations: over 503s, resets, cuts and turned bits, all is right."""
    room.server.answer = link = BadLink(store, every=9)
    with room.client(retry=FOR_EVER) as client:
        in_threads(32, lambda number: mixture(client, f"w{number}", room.folder, 20))
    assert all(count > 5 for count in link.seen.values()), link.seen
    assert all(name.startswith("w") for name in content(room.folder))
