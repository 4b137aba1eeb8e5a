"""Proves that 64 MiB come right, up and down, while a node of a MinIO of four is killed and comes back.

It is killed by the transfer's own progress, and the one that the client talks to is started again by the client's own
second failure: no clock decides anything here, but all waiting is real. What is in the store in the end is read back
without this package, through another node.

Each node has one job, and those tests come last in which the client's own node restarts. For 15 seconds or more after a
start a node of MinIO's may know two or three drives only: it refuses writes then (503), and an object that one of the
two has missed is not there for it (404 NoSuchKey). Here all have it by then.
"""

import contextlib
import hashlib
import itertools
import threading
import time
import zlib
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from cdn_sigv4 import Credentials, ResponseError, Retry, S3Client, exchange
from harness import minio_cluster
from harness.minio_server import ask

MIB = 1 << 20
SIZE = 64 * MIB
BUCKET = "bucket"
LASTING, OTHER, OWN, WITNESS = minio_cluster.NODES
# MinIO has refused writes for more than 30 seconds after a restart of a node, which is the default's budget; short
# waits, because it is back much sooner most often.
PATIENT = Retry(attempts=100, budget=90.0, cap=1.0)


@pytest.fixture(scope="module")
def content():
    """64 MiB, the same in every run, of which no two blocks are the same."""
    return hashlib.shake_256(b"64 MiB").digest(SIZE)


@pytest.fixture(scope="module")
def cluster(own_cluster):
    """Return the cluster of all tests, with an empty bucket; skip where there can be none."""
    with contextlib.ExitStack() as stack:
        try:
            made = stack.enter_context(own_cluster())
        except minio_cluster.NoClusterHereError as error:
            pytest.skip(f"no cluster here: {error}")
        with client_at(made, OWN) as client:
            try:
                client.create_bucket(BUCKET)
            except ResponseError as error:  # nodes that have just come up say 503 to what they do all the same
                if error.code != "BucketAlreadyOwnedByYou":
                    raise
        yield made


class Outage:
    """A client of one node, and a node that is killed when a quarter of a transfer has passed."""

    def __init__(self, cluster, key, *, asked, killed):
        self.cluster, self.key = cluster, key
        self.client = client_at(cluster, asked, on_event=self._hear, retry=PATIENT)
        self.events = []  # since the node was killed
        self.killed_at = None
        self._is_own, self._killed = asked == killed, killed
        self._lock = threading.Lock()

    def progress(self, done, _total):
        with self._lock:
            if self.killed_at is None and done >= SIZE // 4:
                self.killed_at = done
                self.cluster.kill(self._killed)

    def _hear(self, event):
        with self._lock:
            if self.killed_at is not None:  # what came before is the business of a store that finds its feet
                self.events.append(event)
            # The first failure is the broken transfer; the second one says that nobody is there.
            if self._is_own and len(self.events) == 2:
                self.cluster.start(self._killed)

    @property
    def was_in_the_middle(self):
        return self.killed_at is not None and self.killed_at < SIZE


def client_at(cluster, node, **options):
    """A client which may do everything, at one node."""
    keys = Credentials(cluster.root.access_key, cluster.root.secret_key)
    return S3Client(cluster.endpoints[node], keys, **options)


@contextlib.contextmanager
def outage_in(request, **nodes):
    # Asked for here and not as an argument: where the server is no MinIO, the test has been skipped by now.
    cluster = request.getfixturevalue("cluster")
    made = Outage(cluster, key_for(request.node.name), **nodes)
    with made.client:
        yield made
    cluster.make_whole()


@pytest.fixture
def outage_behind(request, real_time):
    """A client, and a node behind the one that it talks to, which dies; afterwards the cluster is made whole again."""
    with outage_in(request, asked=LASTING, killed=OTHER) as made:
        yield made


@pytest.fixture
def outage_ahead(request, real_time):
    """A client, and the node that it talks to, which dies and comes back."""
    with outage_in(request, asked=OWN, killed=OWN) as made:
        yield made


@pytest.fixture
def real_time(monkeypatch):
    """Let the clients of this test wait for real."""
    monkeypatch.setattr(exchange, "time", time)


def key_for(name):
    """A key whose data, not its parity, is on the drives of LASTING and OTHER: the former's reads need the latter.

    MinIO's hashOrder: CRC32 of bucket and key, modulo the number of drives, says on which drive it begins.
    """
    keys = (f"models/{name}/{number}" for number in itertools.count())
    return next(key for key in keys if zlib.crc32(f"{BUCKET}/{key}".encode()) % 4 == 3)


def by_bytes(outage, content, tmp_path, **options):
    return outage.client.put_object(BUCKET, outage.key, content, progress=outage.progress, **options)


def by_file(outage, content, tmp_path, **options):
    path = tmp_path / "source"
    path.write_bytes(content)
    return outage.client.upload_file(BUCKET, outage.key, path, progress=outage.progress, **options).info


def stored(outage):
    """The SHA-256 of what another node gives, fetched by URL."""
    with client_at(outage.cluster, WITNESS) as client:
        url = client.presigned_url("GET", BUCKET, outage.key, expires_in=60)
    found = hashlib.sha256()
    with requests.get(url, stream=True, timeout=10) as answer:
        answer.raise_for_status()
        for block in answer.iter_content(MIB):
            found.update(block)
    return found.hexdigest()


def check_download(outage, content, tmp_path):
    """Store the content, and download it with the outage in the middle, into a folder of its own."""
    outage.client.put_object(BUCKET, outage.key, content)
    target = tmp_path / "folder" / "target"
    target.parent.mkdir()
    result = outage.client.download_file(BUCKET, outage.key, target, progress=outage.progress)
    assert outage.was_in_the_middle
    assert (result.info.size, result.verified) == (SIZE, "crc32")
    assert hashlib.sha256(target.read_bytes()).digest() == hashlib.sha256(content).digest()
    assert [path.name for path in target.parent.iterdir()] == [target.name]


@pytest.mark.minio
def test_download_while_another_node_dies(outage_behind, content, tmp_path):
    """A download is whole, and proved to be, although a node that half of it comes from dies."""
    check_download(outage_behind, content, tmp_path)


def check_upload(upload, outage, content, tmp_path, **options):
    """Upload the content with the outage in the middle, and ask another node for it."""
    info = upload(outage, content, tmp_path, **options)
    assert outage.was_in_the_middle
    assert info.size == SIZE
    assert stored(outage) == hashlib.sha256(content).hexdigest()


@pytest.mark.minio
@pytest.mark.parametrize("upload", [by_bytes, by_file])
def test_upload_while_another_node_dies(upload, outage_behind, content, tmp_path):
    """An upload is whole, by the word of a node that is left, although one that takes a part of it dies."""
    check_upload(upload, outage_behind, content, tmp_path)


@pytest.mark.minio
def test_download_while_its_own_node_restarts(outage_ahead, content, tmp_path):
    """A download waits for the node that it talks to, and is then proved to be whole."""
    check_download(outage_ahead, content, tmp_path)
    assert len(outage_ahead.events) >= 2


@pytest.mark.minio
@pytest.mark.parametrize("upload", [by_file])
def test_upload_while_its_own_node_restarts(upload, outage_ahead, content, tmp_path):
    """An upload in one request waits for the node that it talks to, and is whole by another one's word."""
    # In parts it comes right too, but only after a minute or two: so long the other nodes keep the dead one's locks
    # (MinIO's cmd/lock-rest-server.go, lockValidityDuration).
    check_upload(upload, outage_ahead, content, tmp_path, part_size=SIZE)
    assert len(outage_ahead.events) >= 2


@pytest.mark.minio
def test_an_interrupted_start_leaves_nothing(own_cluster, monkeypatch):
    """Ctrl-C while the nodes start ends them all, and takes away what was to hold their data."""
    seen = []

    def interrupted(cluster):
        for node in minio_cluster.NODES:
            cluster.start(node)
        seen.append((cluster, [child.process for child, _ in cluster._running.values()]))
        raise KeyboardInterrupt

    monkeypatch.setattr(minio_cluster.Cluster, "make_whole", interrupted)
    with pytest.raises(KeyboardInterrupt), own_cluster():
        pytest.fail("it went on")
    [(cluster, processes)] = seen
    assert len(processes) == 4
    assert all(process.returncode is not None for process in processes)
    for endpoint in cluster.endpoints:
        with pytest.raises(requests.ConnectionError):
            requests.get(endpoint, timeout=5)
    assert not [left for process in processes for left in left_of(process.args, cluster._places[0].environ)]


def left_of(command, environ):
    """What there still is of a node's container and volume, or of the folder with its drive."""
    if "--name" not in command:
        return [folder for folder in [Path(urlsplit(command[-1]).path).parent] if folder.exists()]
    named = ["--quiet", "--filter", f"name={command[command.index('--name') + 1]}"]
    asked = [ask(command[0], environ, *what, *named) for what in (["ps", "--all"], ["volume", "ls"])]
    return [answer for answer in asked if answer != ""]
