"""`S3Client` and objects: put, get, head, delete, copy, against the loopback store, which verifies each signature.

What that store does not know (versions) is answered by hand, after the judge has seen the request. Broken connections
and hostile answers are the wire's tests; what may be asked for at all is test_client_arguments.py's.
"""

import hashlib

import pytest
from kit import BUCKET, answering, judged, only
from kit_calls import md5_tag
from rawserver import Answer

from cdn_sigv4 import NotModified, ObjectInfo, ObjectReader, PreconditionFailed

DATA = bytes(range(256)) * 4


def test_put(client, store, loopback):
    """An object is stored byte for byte, under its length and hash, and described as it is now."""
    info = client.put_object(BUCKET, "dir/key", DATA)
    assert store.objects[BUCKET, b"dir/key"].body == DATA
    assert isinstance(info, ObjectInfo)
    assert (info.bucket, info.key, info.size, info.etag) == (BUCKET, "dir/key", len(DATA), md5_tag(DATA))
    assert only(loopback).header("content-length") == str(len(DATA))
    assert only(loopback).header("x-amz-content-sha256") == hashlib.sha256(DATA).hexdigest()


def test_put_description(client, store, loopback):
    """Content type, metadata and further headers are sent, signed, stored, and told again by put, head and get."""
    client.put_object(
        BUCKET,
        "key",
        DATA,
        content_type="model/onnx",
        metadata={"Trained-On": "a  b", "note": "x"},
        headers={"Cache-Control": "no-store", "Content-Encoding": "zstd", "x-amz-storage-class": "STANDARD"},
    )
    sent = only(loopback)
    names = ["cache-control", "content-encoding", "content-type", "x-amz-meta-note", "x-amz-meta-trained-on"]
    assert {*names, "x-amz-storage-class"} <= set(judged(sent).signed_headers)
    described = {
        "content-type": "model/onnx",
        "cache-control": "no-store",
        "content-encoding": "zstd",
        "x-amz-meta-trained-on": "a  b",
        "x-amz-meta-note": "x",
    }
    assert {name: sent.header(name) for name in described} == described
    assert sent.header("x-amz-storage-class") == "STANDARD"
    info = client.head_object(BUCKET, "key")
    with client.get_object(BUCKET, "key") as reader:
        assert reader.read() == DATA  # not decoded, although it says that it is compressed
    for each in (info, reader.info):
        assert (each.content_type, each.metadata) == ("model/onnx", {"trained-on": "a  b", "note": "x"})
        assert each.headers["cache-control"] == "no-store"


def test_put_if_absent(client, store):
    """`if_none_match="*"` stores where nothing is, and is PreconditionFailed, without a change, where something is."""
    client.put_object(BUCKET, "key", b"first", if_none_match="*")
    with pytest.raises(PreconditionFailed) as caught:
        client.put_object(BUCKET, "key", b"second", if_none_match="*")
    assert (caught.value.status, caught.value.code) == (412, "PreconditionFailed")
    assert store.objects[BUCKET, b"key"].body == b"first"


def test_put_if_unchanged(client, store):
    """`if_match` replaces just the object with this entity tag, which is taken as the library gives it, with quotes."""
    etag = client.put_object(BUCKET, "key", b"first").etag
    client.put_object(BUCKET, "key", b"second", if_match=etag)
    with pytest.raises(PreconditionFailed):
        client.put_object(BUCKET, "key", b"third", if_match=etag)
    assert store.objects[BUCKET, b"key"].body == b"second"


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        pytest.param({}, DATA, id="whole"),
        pytest.param({"start": 10, "end": 20}, DATA[10:20], id="from, up to"),
        pytest.param({"start": 1000, "end": 5000}, DATA[1000:], id="beyond the end"),
        pytest.param({"tail": 10}, DATA[-10:], id="tail"),
    ],
)
def test_get(client, store, part, expected):
    """A whole object, or the part that slices would give; `length` is the part's, `info.size` the whole object's."""
    store.put(BUCKET, "key", DATA, {"content-type": "a/b"})
    with client.get_object(BUCKET, "key", **part) as reader:
        assert isinstance(reader, ObjectReader)
        assert reader.read() == expected
        assert reader.length == len(expected)
    info = reader.info
    assert (info.bucket, info.key, info.size, info.etag) == (BUCKET, "key", len(DATA), md5_tag(DATA))
    assert info.content_type == "a/b"
    assert info.last_modified == store.objects[BUCKET, b"key"].modified.replace(microsecond=0)


def test_get_if_changed(client, store):
    """`if_none_match` is NotModified while the entity tag is this one, and the new object once it is not."""
    etag = store.put(BUCKET, "key", b"old").etag
    with pytest.raises(NotModified) as caught:
        client.get_object(BUCKET, "key", if_none_match=etag)
    assert caught.value.status == 304
    store.put(BUCKET, "key", b"new")
    with client.get_object(BUCKET, "key", if_none_match=etag) as reader:
        assert reader.read() == b"new"


def test_get_if_unchanged(client, store):
    """`if_match` is the object while the entity tag is this one, and PreconditionFailed once it is not."""
    etag = store.put(BUCKET, "key", b"old").etag
    with client.get_object(BUCKET, "key", if_match=etag) as reader:
        assert reader.read() == b"old"
    store.put(BUCKET, "key", b"new")
    with pytest.raises(PreconditionFailed):
        client.get_object(BUCKET, "key", if_match=etag)


def test_head(client, store):
    """The description of an object, with its size, without its bytes."""
    store.put(BUCKET, "key", DATA, {"content-type": "a/b", "x-amz-meta-note": "x"})
    info = client.head_object(BUCKET, "key")
    assert (info.bucket, info.key, info.size, info.etag) == (BUCKET, "key", len(DATA), md5_tag(DATA))
    assert (info.content_type, info.metadata, info.version_id) == ("a/b", {"note": "x"}, None)
    assert info.last_modified == store.objects[BUCKET, b"key"].modified.replace(microsecond=0)


def test_delete(client, store):
    """Deleting takes the object away; doing so again is no error; nothing is returned either time."""
    store.put(BUCKET, "key", DATA)
    store.put(BUCKET, "other", DATA)
    results = [client.delete_object(BUCKET, "key") for _ in range(2)]
    assert results == [None, None]
    assert list(store.objects) == [(BUCKET, b"other")]


TAGGED = Answer(headers={"ETag": '"e"'})


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        pytest.param(lambda client: client.get_object(BUCKET, "key", version_id="v+1").close(), TAGGED, id="get"),
        pytest.param(lambda client: client.head_object(BUCKET, "key", version_id="v+1"), TAGGED, id="head"),
        pytest.param(lambda client: client.delete_object(BUCKET, "key", version_id="v+1"), Answer(204), id="delete"),
        pytest.param(
            lambda client: client.download_file(BUCKET, "key", "file", version_id="v+1"), TAGGED, id="download_file"
        ),
    ],
)
def test_version(client, loopback, tmp_path, monkeypatch, call, answer):
    """A version's name is passed on as the signed parameter `versionId`."""
    monkeypatch.chdir(tmp_path)
    loopback.answer = answering(answer)
    call(client)
    assert only(loopback).query == b"versionId=v%2B1"


def test_copy(client, store):
    """A copy has the source's bytes, type and metadata, also from another bucket."""
    store.put("source-bucket", "dir/ü 1", DATA, {"content-type": "a/b", "x-amz-meta-note": "x"})
    info = client.copy_object("source-bucket", "dir/ü 1", BUCKET, "copy")
    assert (info.bucket, info.key, info.etag, info.size) == (BUCKET, "copy", md5_tag(DATA), None)
    assert info.last_modified is not None
    copied = store.objects[BUCKET, b"copy"]
    assert (copied.body, copied.headers) == (DATA, {"content-type": "a/b", "x-amz-meta-note": "x"})


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        pytest.param({"content_type": "c/d"}, {"content-type": "c/d"}, id="content type"),
        pytest.param({"metadata": {"new": "y"}}, {"x-amz-meta-new": "y"}, id="metadata"),
        pytest.param({"metadata": {}}, {}, id="no metadata"),
    ],
)
def test_copy_with_another_description(client, store, given, stored):
    """Where type or metadata are given, the copy has just these instead of the source's."""
    store.put(BUCKET, "key", DATA, {"content-type": "a/b", "x-amz-meta-note": "x"})
    client.copy_object(BUCKET, "key", BUCKET, "copy", **given)
    headers = store.objects[BUCKET, b"copy"].headers
    assert {name: value for name, value in headers.items() if value} == stored


def test_copy_of_a_version(client, loopback):
    """The source's version is named in the signed x-amz-copy-source, encoded there as in a path."""
    loopback.answer = answering(Answer(body=b"<CopyObjectResult/>"))
    client.copy_object("source-bucket", "a?b/ü", BUCKET, "copy", source_version_id="v+1")
    assert only(loopback).header("x-amz-copy-source") == "/source-bucket/a%3Fb/%C3%BC?versionId=v%2B1"
    assert only(loopback).header("x-amz-metadata-directive") is None
