"""The main job, the policies and the awkward keys against the real thing: whatever server the harness has started.

Tests marked `minio` state what MinIO alone does; the others also hold on moto, which checks signatures and policies.
"""

import hashlib
import io
import os
from pathlib import Path

import pytest
import requests

from cdn_sigv4 import (
    AccessDenied,
    CDNCredentials,
    CDNManager,
    Credentials,
    IntegrityError,
    NotFound,
    NotModified,
    PreconditionFailed,
    ResponseError,
    S3Client,
    SigV4Auth,
)
from cdn_sigv4.multipart import MIN_PART

AWKWARD = [
    "models/ü 1+2=3 %41~.onnx",
    "a",
    "%2e%2e/x",
    "x\x01y",
    "tab\tand\nline",
    " outer blanks ",
    "+&=?#;,",
    "*'()!:@$[]{}|^`\"<>\\",
    "日本/😀/é",
    "e\u0301 is not é",
    "a/.hidden/..two",
    "K" * 255,
    "/".join(["long" * 60] * 4),
]


def facade(server, down, up, errors):
    """The façade under two of the server's users."""
    keys = (down.access_key, down.secret_key, up.access_key, up.secret_key)
    return CDNManager(CDNCredentials(server.endpoint, *keys, region=server.region), on_error=errors.append)


@pytest.fixture
def manager(server, users, tmp_path, monkeypatch):
    """The façade under the two least users, in an empty folder; an error fails the test with its text."""
    monkeypatch.chdir(tmp_path)
    errors = []
    with facade(server, users.downloader, users.uploader, errors) as manager:
        yield manager
    assert errors == []


@pytest.mark.parametrize("size", [0, 1, 1024, 64 << 20], ids=["empty", "1 byte", "1 KiB", "64 MiB"])
def test_main_job(manager, bucket, size):
    """What one credential has uploaded the other downloads, byte for byte, under the same name."""
    key = f"models/ü 1+2=3 %41~ {size}.onnx"
    content = os.urandom(size)
    assert manager.upload(bucket, key, bytearray(content))
    assert manager.download(bucket, key)
    assert hashlib.sha256(Path(key).read_bytes()).digest() == hashlib.sha256(content).digest()
    assert [path.name for path in Path("models").iterdir()] == [Path(key).name]


def test_each_is_refused_the_others_job(uploader, downloader, bucket):
    """The uploader may not read, list or delete; the downloader may not write, list or delete."""
    uploader.put_object(bucket, "mine", b"1")
    for attempt in (
        lambda: uploader.get_object(bucket, "mine"),
        lambda: uploader.head_object(bucket, "mine"),
        lambda: uploader.delete_object(bucket, "mine"),
        lambda: list(uploader.list_objects(bucket)),
        lambda: downloader.put_object(bucket, "mine", b"2"),
        lambda: downloader.delete_object(bucket, "mine"),
        lambda: list(downloader.list_objects(bucket)),
        lambda: downloader.copy_object(bucket, "mine", bucket, "yours"),
    ):
        with pytest.raises(AccessDenied) as caught:
            attempt()
        assert caught.value.status == 403
        assert caught.value.hint


def test_refused_download_leaves_the_old_file(server, users, bucket, uploader, tmp_path, monkeypatch):
    """Who may not read gets False, one line of text, and the old file."""
    monkeypatch.chdir(tmp_path)
    uploader.put_object(bucket, "refused/model", b"new")
    old = Path("refused/model")
    old.parent.mkdir()
    old.write_bytes(b"old")
    errors = []
    with facade(server, users.uploader, users.downloader, errors) as manager:
        assert not manager.download(bucket, "refused/model")
        assert not manager.download(bucket, "other/model")
        assert not manager.upload(bucket, "refused/model", b"x")
    assert old.read_bytes() == b"old"
    assert sorted(str(path) for path in Path().rglob("*")) == ["refused", "refused/model"]
    assert [type(error) for error in errors] == [AccessDenied] * 3


@pytest.mark.minio
@pytest.mark.parametrize("key", AWKWARD, ids=lambda key: ascii(key)[:24])
def test_awkward_keys(root_client, bucket, key):
    """An awkward key is stored, described, listed, copied, fetched by URL and deleted under its very name."""
    content = key.encode()
    stored = root_client.put_object(bucket, key, content)
    assert stored.etag == f'"{hashlib.md5(content).hexdigest()}"'
    with root_client.get_object(bucket, key) as body:
        assert body.read() == content
    assert root_client.head_object(bucket, key).etag == stored.etag
    assert key in [entry.key for entry in root_client.list_objects(bucket, key)]
    assert root_client.copy_object(bucket, key, bucket, "copy of it").etag == stored.etag
    root_client.delete_object(bucket, key)
    with pytest.raises(NotFound):
        root_client.head_object(bucket, key)


@pytest.mark.minio
@pytest.mark.parametrize("key", ["a/../b", "./x", "..", ".", "a//b", "seg" * 86], ids=lambda key: ascii(key)[:24])
def test_keys_that_minio_refuses(root_client, bucket, key):
    """A key that cannot be a path on MinIO's disk arrives as it is and is refused with a reason, never rewritten."""
    with pytest.raises(ResponseError) as caught:
        root_client.put_object(bucket, key, b"x")
    assert caught.value.status == 400
    assert caught.value.code in ("XMinioInvalidObjectName", "XMinioInvalidResourceName")
    assert caught.value.hint
    assert "x" not in [entry.key for entry in root_client.list_objects(bucket)]


def test_ranges_conditions_and_metadata(root_client, bucket):
    """Parts of an object, conditions on its entity tag, and what was stored beside it."""
    stored = root_client.put_object(
        bucket,
        "described",
        b"0123456789",
        content_type="text/plain",
        metadata={"Trained-By": "job  7"},
        headers={"Cache-Control": "no-cache"},
    )
    for options, expected in [
        ({"start": 2, "end": 5}, b"234"),
        ({"start": 7}, b"789"),
        ({"end": 3}, b"012"),
        ({"tail": 4}, b"6789"),
        ({"start": 8, "end": 100}, b"89"),
        ({"tail": 100}, b"0123456789"),
    ]:
        with root_client.get_object(bucket, "described", **options) as body:
            assert (body.read(), body.info.size) == (expected, 10), options
    info = root_client.head_object(bucket, "described")
    assert (info.size, info.etag, info.content_type) == (10, stored.etag, "text/plain")
    assert info.metadata == {"trained-by": "job  7"}
    assert info.headers["cache-control"] == "no-cache"
    assert info.last_modified is not None
    with pytest.raises(NotModified):
        root_client.get_object(bucket, "described", if_none_match=stored.etag)
    with pytest.raises(PreconditionFailed):
        root_client.get_object(bucket, "described", if_match='"0"')
    with pytest.raises(ResponseError) as caught:
        root_client.get_object(bucket, "described", start=10)
    assert (caught.value.status, caught.value.code) == (416, "InvalidRange")


@pytest.mark.minio
def test_conditional_put(root_client, bucket):
    """A PUT that must not replace anything, or only one version, is refused otherwise and changes nothing."""
    first = root_client.put_object(bucket, "once", b"first", if_none_match="*")
    with pytest.raises(PreconditionFailed):
        root_client.put_object(bucket, "once", b"second", if_none_match="*")
    with pytest.raises(PreconditionFailed):
        root_client.put_object(bucket, "once", b"second", if_match='"0"')
    assert root_client.head_object(bucket, "once").etag == first.etag
    assert root_client.put_object(bucket, "once", b"third", if_match=first.etag).etag != first.etag


def test_list_of_many_pages(root_client):
    """More keys than one page holds come all, once, in order; folders are summed up; a start is kept."""
    bucket = "many-pages"
    root_client.create_bucket(bucket)
    names = [f"{folder}/{number:04} +ü" for folder in ("a", "b") for number in range(520)]
    for name in names:
        root_client.put_object(bucket, name, b"")
    assert [entry.key for entry in root_client.list_objects(bucket)] == names
    assert [entry.key for entry in root_client.list_objects(bucket, "b/")] == names[520:]
    folders = list(root_client.list_objects(bucket, delimiter="/"))
    assert [(entry.key, entry.is_prefix) for entry in folders] == [("a/", True), ("b/", True)]
    assert next(root_client.list_objects(bucket, start_after=names[3])).key == names[4]


def test_buckets(root_client, bucket):
    """A bucket is there or it is not."""
    root_client.head_bucket(bucket)
    with pytest.raises(NotFound):
        root_client.head_bucket("no-such-bucket-here")


@pytest.mark.minio
def test_bucket_is_made_once(root_client, bucket):
    """To make a bucket that is there is an error; in us-east-1 AWS, and so moto, lets it pass."""
    with pytest.raises(ResponseError) as caught:
        root_client.create_bucket(bucket)
    assert caught.value.code in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists")


@pytest.mark.minio
def test_wrong_secret_unknown_key_and_wrong_clock(server, users, bucket):
    """Each of the usual reasons for a 403 is named, with what to do."""
    good = users.downloader

    def hint(credentials, minutes=0):
        with S3Client(server.endpoint, credentials, retry=None) as client:
            real = client._exchange.clock
            client._exchange.clock = lambda: real() + 60 * minutes
            with pytest.raises(AccessDenied) as caught:
                client.get_object(bucket, "x")
        return f"{caught.value.code}: {caught.value.hint}"

    assert hint(Credentials(good.access_key, "wrong")).startswith("SignatureDoesNotMatch: The secret key is wrong")
    assert hint(Credentials("nobody", "wrong")).startswith("InvalidAccessKeyId: This server does not know")
    assert "clock is 15 minutes" not in hint(good, 30)
    assert "30 minutes ahead of" in hint(good, 30)
    assert "1440 minutes behind" in hint(good, -24 * 60)
    assert "session token" in hint(Credentials(good.access_key, good.secret_key, "token"))


DAY = 24 * 3600
OFFSETS = {"16 minutes fast": 960, "16 minutes slow": -960, "a day": DAY, "a year slow": -365 * DAY, "1970": None}


@pytest.mark.minio
@pytest.mark.parametrize("seconds", OFFSETS.values(), ids=OFFSETS)
def test_a_wrong_clock_is_learnt(server, users, bucket, seconds):
    """A client whose clock is off works at its second request, and at the first from then on; so do its URLs."""
    events = []
    with S3Client(server.endpoint, users.uploader, on_event=events.append) as client:
        real = client._exchange.clock
        client._exchange.clock = (lambda: 60.0) if seconds is None else (lambda: real() + seconds)
        client.put_object(bucket, "clock", b"data")
        client.put_object(bucket, "clock", b"data")
        url = client.presigned_url("PUT", bucket, "clock", expires_in=60)
        assert requests.put(url, data=b"by url", timeout=10).status_code == 200
    assert [event.kind for event in events] == ["clock"]


@pytest.mark.minio
@pytest.mark.parametrize("name", ["crc32", "sha256"])
@pytest.mark.parametrize("size", [0, 1, 9 << 20])
def test_checksums_are_stored_and_proved(server, users, bucket, tmp_path, name, size):
    """MinIO takes the checksum, says it in its answer, and gives it back with the object, which it proves."""
    (tmp_path / "up").write_bytes(os.urandom(size))
    with S3Client(server.endpoint, users.uploader, checksum=name) as client:
        assert client.upload_file(bucket, "proved", tmp_path / "up").verified == name
    with S3Client(server.endpoint, users.downloader) as client:
        assert client.download_file(bucket, "proved", tmp_path / "down").verified == name
        with client.get_object(bucket, "proved") as reader:
            assert reader.read() == (tmp_path / "up").read_bytes()
            # Of an object in parts the SHA-256 is that of their SHA-256s, which a stream that comes once cannot prove.
            assert reader.verified == (None if name == "sha256" and size > MIN_PART else name)
    assert (tmp_path / "down").read_bytes() == (tmp_path / "up").read_bytes()


@pytest.mark.minio
def test_a_wrong_checksum_is_refused(uploader, bucket):
    """A checksum that is not that of the bytes is refused by MinIO: nothing is stored, and the error is the damage."""
    with pytest.raises(IntegrityError) as caught:
        uploader.put_object(bucket, "wrong-checksum", b"data", headers={"x-amz-checksum-crc32": "AAAAAA=="})
    assert caught.value.code == "XAmzContentChecksumMismatch"


@pytest.mark.minio
def test_anonymous_requests_are_told_so(server, bucket):
    """Who gives no credentials is told that, and not that a key may not do it."""
    with S3Client(server.endpoint, None) as client, pytest.raises(AccessDenied) as caught:
        client.get_object(bucket, "x")
    assert "The request was anonymous: give credentials" in caught.value.hint


@pytest.mark.minio
def test_damaged_body_is_refused(root_client, bucket):
    """A body that is not the one that was signed is refused by the server and not stored."""

    class Changing(io.BytesIO):
        """A file whose second reading gives other bytes."""

        passes = 0

        def read(self, amount=-1):
            if amount > 0 and self.tell() == 0:
                self.passes += 1
            block = super().read(amount)
            return block if self.passes == 1 else block.upper()

    with pytest.raises(IntegrityError) as caught:
        root_client.put_object(bucket, "damaged", Changing(b"the bytes"))
    assert caught.value.code == "XAmzContentSHA256Mismatch"
    assert "source changed" in caught.value.hint
    with pytest.raises(NotFound):
        root_client.head_object(bucket, "damaged")


@pytest.mark.minio  # moto answers 500 to a presigned PUT while its IAM checks are on
def test_presigned_urls(uploader, downloader, bucket):
    """A presigned URL does its one job for somebody without a key, until it has expired or is changed."""
    key = "presigned/ü 1+2=3 %41~"
    put = uploader.presigned_url("PUT", bucket, key, expires_in=60)
    assert requests.put(put, data=b"by url", timeout=10).status_code == 200
    get = downloader.presigned_url("GET", bucket, key, expires_in=60)
    assert requests.get(get, timeout=10).content == b"by url"
    assert requests.get(get.replace("presigned/", "presigned2/"), timeout=10).status_code == 403
    assert requests.get(downloader.presigned_url("GET", bucket, "other", expires_in=60), timeout=10).status_code == 404
    downloader._exchange.clock, real = (lambda: real() - 120), downloader._exchange.clock
    try:
        expired = downloader.presigned_url("GET", bucket, key, expires_in=60)
    finally:
        downloader._exchange.clock = real
    assert requests.get(expired, timeout=10).status_code == 403


def test_auth_object(server, users, bucket, uploader):
    """`SigV4Auth` lets plain `requests` in, with keys and queries as `requests` writes them."""
    uploader.put_object(bucket, "auth/a (b) ü+1", b"signed")
    auth = SigV4Auth(users.downloader, server.region, "s3")
    url = f"{server.endpoint}/{bucket}/auth/a (b) ü+1"
    assert requests.get(url, auth=auth, timeout=10).content == b"signed"
    answer = requests.get(url, params={"response-content-type": "text/x y+z"}, auth=auth, timeout=10)
    assert (answer.status_code, answer.content) == (200, b"signed")
    if server.is_minio:  # moto before 5.2 signs the parameter but does not obey it
        assert answer.headers["content-type"] == "text/x y+z"
    assert requests.put(url, data=b"x", auth=auth, timeout=10).status_code == 403


def test_files_up_and_down(uploader, downloader, bucket, tmp_path):
    """A file goes up and comes down as it was, and the results say how many bytes moved."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(3_000_001))
    up = uploader.upload_file(bucket, "file", source, content_type="application/x-model")
    down = downloader.download_file(bucket, "file", target)
    assert target.read_bytes() == source.read_bytes()
    assert (up.bytes_moved, down.bytes_moved, down.info.etag) == (3_000_001, 3_000_001, up.info.etag)
    assert down.info.content_type == "application/x-model"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]


@pytest.mark.minio
def test_early_refusal_of_a_large_upload(server, downloader, bucket):
    """A refusal that comes while 64 MiB still go out is reported as that refusal, and the client goes on working."""
    for _ in range(3):
        with pytest.raises(AccessDenied):
            downloader.put_object(bucket, "large", bytes(64 << 20))
    with pytest.raises(NotFound):
        downloader.get_object(bucket, "not there")
