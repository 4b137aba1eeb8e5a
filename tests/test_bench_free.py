"""The benchmark's nearly free server: what it answers, and that real clients are content with that."""

import base64
import hashlib
import http.client
import io
import threading
import zlib

import boto3
import pytest
from minio import Minio

from cdn_sigv4 import Credentials, NotFound, S3Client
from harness.bench_child_small import SMALL, SMALL_KEY
from harness.bench_free_server import RANGE, FreeServer, spanned

LARGE = 3 << 20  # bytes: more than the server holds ready


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small object and a large one."""
    folder = tmp_path_factory.mktemp("free")
    (folder / "bench").mkdir()
    (folder / SMALL_KEY).write_bytes(SMALL)
    (folder / "large").write_bytes(bytes(range(256)) * (LARGE // 256))
    return folder


@pytest.fixture(scope="module")
def free(folder):
    """The server."""
    server = FreeServer(folder)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    yield server
    server.close()
    thread.join(10)
    assert not thread.is_alive()


@pytest.fixture
def connection(free):
    """A plain connection to it."""
    connection = http.client.HTTPConnection("127.0.0.1", free.port, timeout=10)
    yield connection
    connection.close()


@pytest.fixture
def ours(free):
    """This package."""
    with S3Client(f"http://127.0.0.1:{free.port}", Credentials("a", "b"), retry=None) as client:
        yield client


@pytest.fixture
def peers(free):
    """boto3 and minio-py."""
    s3 = boto3.client(
        "s3",
        "us-east-1",
        endpoint_url=f"http://127.0.0.1:{free.port}",
        aws_access_key_id="aaa",
        aws_secret_access_key="bbbbbbbb",
    )
    return s3, Minio(
        f"127.0.0.1:{free.port}", access_key="aaa", secret_key="bbbbbbbb", secure=False, region="us-east-1"
    )


def asked(connection, method, target, headers=None, body=None):
    """Status, headers and body of an answer."""
    connection.request(method, target, body, headers or {})
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


def test_small_object(connection):
    """A small object has its MD5 as entity tag, and its CRC32 for who asks."""
    for _ in range(2):  # made, and made already
        status, headers, body = asked(connection, "GET", f"/b/{SMALL_KEY}", {"x-amz-checksum-mode": "ENABLED"})
        assert (status, body) == (200, SMALL)
        assert headers["ETag"] == f'"{hashlib.md5(SMALL).hexdigest()}"'
        assert headers["x-amz-checksum-crc32"] == base64.b64encode(zlib.crc32(SMALL).to_bytes(4, "big")).decode()
        assert "x-amz-checksum-crc32" not in asked(connection, "GET", f"/b/{SMALL_KEY}")[1]
    status, headers, body = asked(connection, "HEAD", f"/b/{SMALL_KEY}")
    assert (status, headers["Content-Length"], body) == (200, "1024", b"")


def test_range(connection, folder):
    """A range is answered with 206 and where it lies."""
    status, headers, body = asked(connection, "GET", "/b/large", {"Range": "bytes=1000000-2999999"})
    assert (status, headers["Content-Range"]) == (206, f"bytes 1000000-2999999/{LARGE}")
    assert body == (folder / "large").read_bytes()[1000000:3000000]


@pytest.mark.parametrize(
    ("text", "expected"),
    [(b"2-5", (2, 5)), (b"2-", (2, 99)), (b"-10", (90, 99)), (b"-500", (0, 99)), (b"9-500", (9, 99))],
)
def test_spans(text, expected):
    """The three forms of a range, within the object."""
    assert spanned(RANGE.search(b"\r\nRange: bytes=" + text + b"\r\n"), 100) == expected


@pytest.mark.parametrize("target", ["/b/none", "/b", "/b/../large", "/b/x/../../large"])
def test_missing(connection, target):
    """What is not below the folder is not there."""
    status, _, body = asked(connection, "GET", target)
    assert status == 404
    assert b"<Code>NoSuchKey</Code>" in body


def test_uploads_are_counted(connection, free):
    """A body is dropped and counted, without its framing; the connection goes on."""
    before = free.tally()
    for size, headers in ((0, {}), (5, {}), (LARGE, {}), (1100, {"x-amz-decoded-content-length": "1024"})):
        status, answered, _ = asked(connection, "PUT", "/b/up", headers, b"x" * size)
        assert (status, answered["ETag"]) == (200, '"free-1"')
    after = free.tally()
    assert (after["puts"] - before["puts"], after["bytes"] - before["bytes"]) == (4, 5 + LARGE + 1024)


def test_chunked_is_refused(connection):
    """A body of unknown length is not counted, and so not taken."""
    connection.putrequest("PUT", "/b/up")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    assert connection.getresponse().status == 501


def test_this_package(ours, folder, tmp_path, free):
    """This package is content: downloads are verified, uploads have nothing to be compared with."""
    with ours.get_object("bench", SMALL_KEY) as reader:
        assert reader.read() == SMALL
    assert ours.download_file("bench", "large", tmp_path / "large").verified == "crc32"
    assert (tmp_path / "large").read_bytes() == (folder / "large").read_bytes()
    before = free.tally()["bytes"]
    assert ours.put_object("bench", "up", SMALL).etag == '"free-1"'
    assert ours.upload_file("bench", "up", folder / "large").verified is None
    parts = io.BytesIO(bytes(12 << 20))
    ours.put_object("bench", "up", parts)
    assert free.tally()["bytes"] - before == 1024 + LARGE + (12 << 20)
    with pytest.raises(NotFound):
        ours.head_object("bench", "none")


def test_peers(peers, folder, tmp_path, free):
    """So are boto3 and minio-py, with what they ask: HEAD, Expect, parts of their own."""
    s3, minio = peers
    large = (folder / "large").read_bytes()
    before = free.tally()["bytes"]
    s3.upload_fileobj(io.BytesIO(SMALL), "bench", "up")
    s3.upload_fileobj(io.BytesIO(large * 4), "bench", "up")
    minio.put_object("bench", "up", io.BytesIO(large * 4), len(large) * 4)
    assert free.tally()["bytes"] - before == 1024 + 8 * LARGE
    s3.download_file("bench", "large", str(tmp_path / "boto3"))
    minio.fget_object("bench", "large", str(tmp_path / "minio"))
    assert (tmp_path / "boto3").read_bytes() == (tmp_path / "minio").read_bytes() == large
