"""Proves that 200 MiB come right, up and down, when MinIO is killed in the middle and started again.

It is killed when half of the bytes have passed this process's sockets, and started again by the client's own first
wait: no clock decides anything here. What the store has in the end is read back without this package.
"""

import hashlib
import os
import socket
import threading
import time

import pytest
import requests

from cdn_sigv4 import Credentials, S3Client
from cdn_sigv4.crew import DEFAULT_WORKERS
from cdn_sigv4.multipart import part_size

MIB = 1 << 20
SIZE = 200 * MIB
BUCKET, KEY = "bucket", "models/200 MiB"
IN_FLIGHT = DEFAULT_WORKERS * part_size(SIZE)  # bytes: what is lost of an upload each time
ATTEMPTS = 3  # that a MinIO refuses until it has found its feet
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
        self._lock = threading.Lock()
        real_sendall, real_send, real_recv_into = (
            socket.socket.sendall,
            socket.socket.send,
            socket.socket.recv_into,
        )

        def sendall(sock, data, *flags):
            real_sendall(sock, data, *flags)
            with self._lock:
                self.sent += memoryview(data).nbytes
            self._look()

        def send(sock, data, *flags):
            count = real_send(sock, data, *flags)
            with self._lock:
                self.sent += count
            self._look()
            return count

        real_sendfile = os.sendfile

        def sendfile(*args):
            count = real_sendfile(*args)
            with self._lock:
                self.sent += count
            self._look()
            return count

        def recv_into(sock, *args):
            count = real_recv_into(sock, *args)
            with self._lock:
                self.received += count
            self._look()
            return count

        monkeypatch.setattr(os, "sendfile", sendfile)
        monkeypatch.setattr(socket.socket, "sendall", sendall)
        monkeypatch.setattr(socket.socket, "send", send)
        monkeypatch.setattr(socket.socket, "recv_into", recv_into)

    def at(self, mark, act):
        """Count from zero on, and act when `mark` bytes have passed, one way or the other."""
        self.sent = self.received = 0
        self._mark, self._act = mark, act

    def _look(self):
        with self._lock:
            is_due = self._act is not None and max(self.sent, self.received) >= self._mark
            act, self._act = (self._act, None) if is_due else (None, self._act)
        if act is not None:
            act()


class Restart:
    """A client of a MinIO which is killed at the mark, and started again when the client first waits."""

    def __init__(self, minio, meter):
        self.minio, self.meter = minio, meter
        self.events = []
        self._lock = threading.Lock()
        keys = Credentials(minio.server.root_access_key, minio.server.root_secret_key)
        self.client = S3Client(minio.server.endpoint, keys, on_event=self.events.append)
        self.client._exchange.sleep = self._sleep
        self.client.create_bucket(BUCKET)

    def _sleep(self, seconds):
        with self._lock:  # by several threads: the first one starts it
            is_down = not self.minio.is_running
            if is_down:
                self.minio.start()
        if not is_down:  # it answers, and may still have to find its feet
            time.sleep(min(seconds, 1.0))

    def half_way(self):
        """Let it be killed when half of the bytes have passed."""
        self.meter.at(SIZE // 2, self._stop)

    def _stop(self):
        with self._lock:
            self.minio.stop()

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
    """Of an upload that was cut in half the parts under way are sent again, and the store has the object as it was."""
    restart.half_way()
    info = upload(restart.client, content, tmp_path)
    assert restart.kinds
    assert set(restart.kinds) == {"retry"}
    assert SIZE < restart.meter.sent < SIZE + ATTEMPTS * IN_FLIGHT
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
    assert "resume" in restart.kinds
    assert set(restart.kinds) <= {"resume", "retry"}
    assert SIZE <= restart.meter.received < SIZE + NEARLY_NOTHING
