"""Proves that 200 MiB come right, up and down, when MinIO is killed in the middle and started again.

It is killed when half of the bytes have passed this process's sockets, and started again by the client's own first
wait: no clock decides anything here. What the store has in the end is read back without this package.
"""

import hashlib
import os
import socket
import time

import pytest
import requests

from cdn_sigv4 import Credentials, S3Client

MIB = 1 << 20
SIZE = 200 * MIB
BUCKET, KEY = "bucket", "models/200 MiB"
NEARLY_NOTHING = 4 * MIB  # heads and answers, and what was on its way when the connection broke


@pytest.fixture(scope="module")
def content():
    """200 MiB of which no two blocks are the same, so that none can stand in another's place."""
    block = os.urandom(MIB - 8)
    return b"".join(number.to_bytes(8, "big") + block for number in range(SIZE // MIB))


class Meter:
    """Counts the bytes which this process sends and receives, and acts once when a number of them has passed."""

    def __init__(self, monkeypatch):
        self.sent = self.received = 0
        self._mark, self._act = None, None
        real_sendall, real_recv_into = socket.socket.sendall, socket.socket.recv_into

        def sendall(sock, data, *flags):
            real_sendall(sock, data, *flags)
            self.sent += memoryview(data).nbytes
            self._look()

        def recv_into(sock, *args):
            count = real_recv_into(sock, *args)
            self.received += count
            self._look()
            return count

        monkeypatch.setattr(socket.socket, "sendall", sendall)
        monkeypatch.setattr(socket.socket, "recv_into", recv_into)

    def at(self, mark, act):
        """Count from zero on, and act when `mark` bytes have passed, one way or the other."""
        self.sent = self.received = 0
        self._mark, self._act = mark, act

    def _look(self):
        if self._act is not None and max(self.sent, self.received) >= self._mark:
            act, self._act = self._act, None
            act()


class Restart:
    """A client of a MinIO which is killed at the mark, and started again when the client first waits."""

    def __init__(self, minio, meter):
        self.minio, self.meter = minio, meter
        self.events = []
        keys = Credentials(minio.server.root_access_key, minio.server.root_secret_key)
        self.client = S3Client(minio.server.endpoint, keys, on_event=self.events.append)
        self.client._exchange.sleep = self._sleep
        self.client.create_bucket(BUCKET)

    def _sleep(self, seconds):
        if not self.minio.is_running:
            self.minio.start()
        else:  # it answers, and may still have to find its feet
            time.sleep(min(seconds, 1.0))

    def half_way(self):
        """Let it be killed when half of the bytes have passed."""
        self.meter.at(SIZE // 2, self.minio.stop)

    @property
    def kinds(self):
        return [event.kind for event in self.events]


@pytest.fixture
def restart(restartable, monkeypatch):
    """Such a client, with an empty bucket."""
    made = Restart(restartable, Meter(monkeypatch))
    with made.client:
        yield made


def by_bytes(client, content, tmp_path):
    return client.put_object(BUCKET, KEY, content)


def by_file(client, content, tmp_path):
    path = tmp_path / "source"
    path.write_bytes(content)
    return client.upload_file(BUCKET, KEY, path).info


@pytest.mark.minio
@pytest.mark.parametrize("upload", [by_bytes, by_file])
def test_upload(upload, restart, content, tmp_path):
    """An upload that was cut in half is made again, and the store has the object, once and as it was."""
    restart.half_way()
    info = upload(restart.client, content, tmp_path)
    assert restart.kinds
    assert set(restart.kinds) == {"retry"}
    assert restart.meter.sent >= SIZE + SIZE // 2
    assert info.size == SIZE
    assert [(entry.key, entry.size) for entry in restart.client.list_objects(BUCKET)] == [(KEY, SIZE)]
    assert stored(restart.client) == hashlib.sha256(content).hexdigest()


def stored(client):
    """The SHA-256 of what the store has, fetched by URL."""
    url = client.presigned_url("GET", BUCKET, KEY, expires_in=60)
    found = hashlib.sha256()
    with requests.get(url, stream=True, timeout=10) as answer:
        for block in answer.iter_content(MIB):
            found.update(block)
    return found.hexdigest()


def to_file(client, tmp_path):
    target = tmp_path / "folder" / "target"
    target.parent.mkdir()
    result = client.download_file(BUCKET, KEY, target)
    assert (result.info.size, result.bytes_moved) == (SIZE, SIZE)
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    return hashlib.sha256(target.read_bytes()).hexdigest(), result.verified


def to_memory(client, tmp_path):
    found = hashlib.sha256()
    with client.get_object(BUCKET, KEY) as reader:
        for block in reader:
            found.update(block)
    return found.hexdigest(), reader.verified


@pytest.mark.minio
@pytest.mark.parametrize("download", [to_file, to_memory])
def test_download(download, restart, content, tmp_path):
    """A download that was cut in half goes on from where it was: no byte comes twice, and all are the object's."""
    restart.client.put_object(BUCKET, KEY, content)
    assert restart.events == []
    restart.half_way()
    found, verified = download(restart.client, tmp_path)
    assert found == hashlib.sha256(content).hexdigest()
    assert verified is not None
    assert restart.kinds[0] == "resume"
    assert set(restart.kinds) <= {"resume", "retry"}
    assert SIZE <= restart.meter.received < SIZE + NEARLY_NOTHING
