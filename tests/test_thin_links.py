"""Proves what a link costs that breaks once in 4 MiB: of 40 MiB a download takes 5 % twice, an upload a part per break.

The relay (kit_link.py) stands before the real server and counts what it hands on; the bounds are the project's, not
what the code happens to do. Slow is only the client's clock; scripts/soak --slow does it in real time.
"""

import contextlib
import os
import socket
import threading

import pytest
from kit_link import MEGABIT, MIB, TEN_GIGABIT, WINDOW, thin_link

from harness.soak_link import THIN_BLOCK, THIN_BUFFER, Link, Windows

SIZE = 40 * MIB
PART = 5 * MIB  # bytes of a part of such an upload
TWICE = 0.05  # the share of a download that may come twice
HEADS = 64 << 10  # bytes of all requests without a body, and of the others' heads

# Every two of these settings meet: how it breaks, how fast the link is, what the client was told. Each its own seed.
LINKS = [
    pytest.param(11, "cut", MEGABIT, {}, id="cut-1Mbit"),
    pytest.param(12, "cut", TEN_GIGABIT, {"max_workers": 1}, id="cut-10Gbit-alone"),
    pytest.param(13, "reset", MEGABIT, {"max_workers": 1}, id="reset-1Mbit-alone"),
    pytest.param(14, "reset", TEN_GIGABIT, {}, id="reset-10Gbit"),
]
each_link = pytest.mark.parametrize(("seed", "fate", "rate", "options"), LINKS)


def breaks(seed, fate, count):
    """Behind which bytes of an endless answer a link breaks, and what its client has had each time."""
    places, had = [], []
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as store:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    with store.accept()[0] as answer, contextlib.suppress(OSError):
                        while True:
                            answer.sendall(bytes(MIB))

        server = threading.Thread(target=serve)
        server.start()
        with Link(store.getsockname()[1], Windows(seed, WINDOW, "down", (fate,)), is_thin=True) as link:
            for _ in range(count):
                with socket.create_connection(("127.0.0.1", int(link.endpoint.rpartition(":")[2])), 10) as client:
                    had.append(0)
                    try:
                        for block in iter(lambda client=client: client.recv(MIB), b""):
                            had[-1] += len(block)
                        assert fate == "cut"
                    except ConnectionResetError:
                        assert fate == "reset"
                places.append(link.down)
            assert link.broken[fate] == count
        store.shutdown(socket.SHUT_RDWR)
        server.join(10)
    return places, had


@pytest.mark.parametrize("fate", ["cut", "reset"])
def test_the_link_itself(fate):
    """It breaks once in each 4 MiB, behind the same bytes for the same seed; little is lost by a reset, else none."""
    places, had = breaks(7, fate, 4)
    assert [(place - 1) // WINDOW for place in places] == [0, 1, 2, 3]
    assert places == breaks(7, fate, 4)[0] != breaks(8, fate, 4)[0]
    lost = [end - begin - count for begin, end, count in zip([0, *places], places, had)]
    assert all(0 <= each <= (2 * THIN_BUFFER + THIN_BLOCK if fate == "reset" else 0) for each in lost)


@pytest.fixture(scope="module")
def content():
    """40 MiB of which no two blocks are the same, so that none can stand in another's place."""
    block = os.urandom(MIB - 8)
    return b"".join(number.to_bytes(8, "big") + block for number in range(SIZE // MIB))


@pytest.fixture(scope="module")
def stored(root_client, bucket, content):
    """The key under which the server has them, put there without the link."""
    root_client.put_object(bucket, "thin/stored", content)
    return "thin/stored"


def broken(thin, fate):
    """How often the link has broken: once in each 4 MiB that it handed on, and never in another way."""
    count = thin.link.broken[fate]
    assert sum(thin.link.broken.values()) == count
    assert count >= SIZE // WINDOW
    return count


@each_link
def test_download(seed, fate, rate, options, server, bucket, users, stored, content, tmp_path):
    """A download that breaks ten times is whole and verified, and hardly any of its bytes came twice."""
    with thin_link(server, users.downloader, "down", seed=seed, fate=fate, rate=rate, is_shared=not options) as thin:
        result = thin.client.download_file(bucket, stored, tmp_path / "target", **options)
        assert broken(thin, fate) <= thin.link.down // WINDOW + 1
        assert thin.link.down <= SIZE * (1 + TWICE)
    assert (tmp_path / "target").read_bytes() == content
    assert result.verified == "crc32"
    assert SIZE <= result.bytes_moved <= thin.link.down
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    assert thin.kinds <= {"resume", "retry"}
    assert thin.time.now - 1000 >= SIZE / rate  # the clock went by the link, and no budget was in the way


def by_file(client, bucket, key, content, path, options):
    path.write_bytes(content)
    return client.upload_file(bucket, key, path, **options).info


def by_bytes(client, bucket, key, content, path, options):
    return client.put_object(bucket, key, bytearray(content), **options)


@pytest.mark.parametrize("upload", [by_file, by_bytes])
@each_link
def test_upload(upload, seed, fate, rate, options, server, bucket, users, downloader, content, tmp_path):
    """An upload sends no more than one part again for each time that the link broke, and the store has it whole."""
    key = f"thin/{upload.__name__}-{seed}"
    with thin_link(server, users.uploader, "up", seed=seed, fate=fate, rate=rate, is_shared=not options) as thin:
        info = upload(thin.client, bucket, key, content, tmp_path / "source", options)
        count = broken(thin, fate)
        assert thin.link.up <= SIZE + count * PART + HEADS
    assert info.size == SIZE
    with downloader.get_object(bucket, key) as reader:
        assert reader.read() == content
    assert reader.verified == "crc32"
    assert thin.kinds == {"retry"}
    assert thin.time.now - 1000 >= SIZE / rate


# More breaks than the client makes attempts at one body.
UNLUCKY = [
    pytest.param(9, SIZE, {"max_workers": 1}, id="a part that is alone"),
    pytest.param(0, 12 * MIB, {}, id="two parts and a bit"),
]


@pytest.mark.parametrize(("seed", "size", "options"), UNLUCKY)
def test_unlucky_upload(seed, size, options, server, bucket, users, content):
    """An upload ends well, within the same bound, however often one body breaks while it moves."""
    with thin_link(server, users.uploader, "up", seed=seed, fate="cut", rate=MEGABIT, is_shared=not options) as thin:
        info = thin.client.put_object(bucket, "thin/unlucky", content[:size], **options)
        assert thin.link.up <= size + thin.link.broken["cut"] * PART + HEADS
    assert info.size == size
