"""`S3Client` and what others use: files up and down, URLs that are signed beforehand."""

import pathlib

import pytest
import requests
from kit import BUCKET, KEY, SECRET, TOKEN, judged, only
from kit_calls import md5_tag
from rawserver import MemoryStore, RawServer

from cdn_sigv4 import Credentials, NotModified, PreconditionFailed, S3Client, TransferResult

DATA = bytes(range(256)) * 4


@pytest.mark.parametrize("kind", [str, pathlib.Path], ids=["str", "path-like"])
def test_files(client, store, tmp_path, kind):
    """A file goes up and comes down byte for byte, each time with a result that says which object and how much."""
    (tmp_path / "up").write_bytes(DATA)
    up = client.upload_file(BUCKET, "key", kind(tmp_path / "up"), content_type="a/b", metadata={"n": "v"})
    down = client.download_file(BUCKET, "key", kind(tmp_path / "down"))
    assert (tmp_path / "down").read_bytes() == store.objects[BUCKET, b"key"].body == DATA
    for result in (up, down):
        assert isinstance(result, TransferResult)
        assert (result.bytes_moved, result.verified) == (len(DATA), "md5" if result is up else "crc32")
        info = result.info
        assert (info.bucket, info.key, info.size, info.etag) == (BUCKET, "key", len(DATA), md5_tag(DATA))
        assert (info.content_type, info.metadata) == ("a/b", {"n": "v"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["down", "up"]


def test_file_conditions(client, store, tmp_path):
    """Conditions hold for files too, and a download that is not made leaves the file as it was."""
    path = tmp_path / "file"
    path.write_bytes(b"local")
    etag = store.put(BUCKET, "key", b"remote").etag
    with pytest.raises(PreconditionFailed):
        client.upload_file(BUCKET, "key", path, if_none_match="*")
    with pytest.raises(PreconditionFailed):
        client.upload_file(BUCKET, "key", path, if_match='"other"')
    with pytest.raises(NotModified):
        client.download_file(BUCKET, "key", path, if_none_match=etag)
    with pytest.raises(PreconditionFailed):
        client.download_file(BUCKET, "key", path, if_match='"other"')
    assert path.read_bytes() == b"local"
    assert store.objects[BUCKET, b"key"].body == b"remote"


def test_upload_file_headers(client, loopback, tmp_path):
    """Further headers reach the store with a file as well, signed."""
    (tmp_path / "file").write_bytes(DATA)
    client.upload_file(BUCKET, "key", tmp_path / "file", headers={"Cache-Control": "no-store"})
    assert only(loopback).header("cache-control") == "no-store"
    assert "cache-control" in judged(only(loopback)).signed_headers


def test_missing_local_places(client, loopback, tmp_path):
    """A file that is not there, a folder that is not there, and a folder in the file's place are OSErrors, unsent."""
    with pytest.raises(FileNotFoundError):
        client.upload_file(BUCKET, "key", tmp_path / "missing")
    with pytest.raises(FileNotFoundError):
        client.download_file(BUCKET, "key", tmp_path / "missing" / "file")
    with pytest.raises(IsADirectoryError):
        client.download_file(BUCKET, "key", tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert loopback.connections == 0


def test_download_makes_folders_on_request(client, store, tmp_path):
    """`make_folders=True` makes those above the file."""
    store.put(BUCKET, "key", DATA)
    client.download_file(BUCKET, "key", tmp_path / "a" / "b" / "file", make_folders=True)
    assert (tmp_path / "a" / "b" / "file").read_bytes() == DATA


@pytest.mark.parametrize("key", ["dir/ü 1+2=3 %41~(x)!*'.onnx", "日本?x#y&z"], ids=ascii)
@pytest.mark.parametrize("token", [None, TOKEN], ids=["static", "temporary"])
def test_presigned_url(key, token):
    """A presigned URL works in the hands of plain `requests`, for all four methods, without a header."""
    store = MemoryStore({KEY: SECRET}, buckets=(BUCKET,), tokens={KEY: token} if token else {})
    with RawServer(store) as loopback, S3Client(loopback.endpoint, Credentials(KEY, SECRET, token)) as client:

        def url(method):
            return client.presigned_url(method, BUCKET, key, expires_in=60)

        assert requests.put(url("PUT"), data=DATA, timeout=10).status_code == 200
        assert store.objects[BUCKET, key.encode()].body == DATA
        assert requests.head(url("HEAD"), timeout=10).headers["Content-Length"] == str(len(DATA))
        assert requests.get(url("GET"), timeout=10).content == DATA
        assert requests.delete(url("DELETE"), timeout=10).status_code == 204
        assert store.objects == {}
        assert [request.method for request in loopback.requests] == ["PUT", "HEAD", "GET", "DELETE"]
        assert all(request.header("authorization") is None for request in loopback.requests)
        assert all(request.header("x-amz-security-token") is None for request in loopback.requests)
        assert SECRET not in url("GET")


def test_presigned_url_is_for_one_thing(client, store):
    """A URL for GET is refused for PUT, for another key, and with a longer life than was signed."""
    store.put(BUCKET, "key", DATA)
    store.put(BUCKET, "other", DATA)
    url = client.presigned_url("GET", BUCKET, "key", expires_in=60)
    assert requests.get(url, timeout=10).status_code == 200
    assert requests.put(url, data=b"evil", timeout=10).status_code == 403
    assert requests.get(url.replace("/key?", "/other?"), timeout=10).status_code == 403
    assert requests.get(url.replace("X-Amz-Expires=60", "X-Amz-Expires=61"), timeout=10).status_code == 403


def test_presigned_url_of_an_anonymous_client():
    """Who has no key cannot sign for others."""
    with pytest.raises(ValueError, match="anonymous"):
        S3Client("https://store.example", None).presigned_url("GET", BUCKET, "key", expires_in=60)
