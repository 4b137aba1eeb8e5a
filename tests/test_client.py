"""`S3Client`, operation by operation, against the loopback MemoryStore, which verifies each signature.

What a store answers that MemoryStore does not know (versions, cycles in a list, an error in a 200) is answered here by
hand, after the judge has seen the request. Broken connections and hostile bytes are the wire's tests.
"""

from __future__ import annotations

import contextlib
import copy
import datetime as dt
import hashlib
import io
import itertools
import pathlib
import pickle
import re
from typing import Any, Callable, Iterator

import memorystore
import pytest
import requests
from rawserver import Answer, MemoryStore, RawRequest, RawServer, in_turn, make_tls
from sigcheck import Verified, verify

from cdn_sigv4 import (
    AccessDenied,
    CDNError,
    Credentials,
    InvalidResponse,
    ListedObject,
    NotFound,
    NotModified,
    ObjectInfo,
    ObjectReader,
    PreconditionFailed,
    RedirectRefused,
    ResponseError,
    S3Client,
    TransferResult,
    TransportError,
)

KEY, SECRET, TOKEN = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "FwoGZXIvYXdz//token=="
BUCKET = "bucket"
DATA = bytes(range(256)) * 4
AWKWARD = [
    "ü 1+2=3 %41~.onnx",
    "a//b",
    "a/../b",
    "../up",
    "./x",
    "..",
    "trail ",
    "%2F",
    "?x=1#y",
    "a\x01b",
    "日本/😀",
    "&<>\"'",
]


@pytest.fixture
def store() -> MemoryStore:
    """A store with one key and one empty bucket."""
    return MemoryStore({KEY: SECRET}, buckets=(BUCKET,))


@pytest.fixture
def server(store: MemoryStore) -> Iterator[RawServer]:
    """The store's server."""
    with RawServer(store) as started:
        yield started


@pytest.fixture
def client(server: RawServer) -> Iterator[S3Client]:
    """A client of that server."""
    with S3Client(server.endpoint, Credentials(KEY, SECRET)) as made:
        yield made


def etag_of(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'


def last(server: RawServer) -> RawRequest:
    return server.requests[-1]


def only(server: RawServer) -> RawRequest:
    (request,) = server.requests
    return request


def judged(request: RawRequest) -> Verified:
    return verify(request.head, request.body, {KEY: SECRET})


def answering(answer: Answer) -> Callable[[RawRequest], Answer]:
    """The same answer to every request that is signed well."""

    def answerer(request: RawRequest) -> Answer:
        judged(request)
        return answer

    return answerer


def xml(root: str, inner: str) -> bytes:
    return f'<?xml version="1.0"?><{root} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{inner}</{root}>'.encode()


# -- put


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(lambda: DATA, id="bytes"),
        pytest.param(lambda: memoryview(DATA).cast("I"), id="memoryview"),
        pytest.param(lambda: io.BytesIO(DATA), id="file"),
        pytest.param(lambda: iter([DATA[:100], bytearray(DATA[100:])]), id="iterator"),
        pytest.param(lambda: [DATA[:100], b"", DATA[100:]], id="list of bytes"),
    ],
)
def test_put(client: S3Client, store: MemoryStore, server: RawServer, body: Callable[[], Any]) -> None:
    """An object is stored byte for byte from any kind of body, under its length, and described as it is now."""
    info = client.put_object(BUCKET, "dir/key", body())
    assert store.objects[BUCKET, b"dir/key"].body == DATA
    assert isinstance(info, ObjectInfo)
    assert (info.bucket, info.key, info.size, info.etag) == (BUCKET, "dir/key", len(DATA), etag_of(DATA))
    assert last(server).header("content-length") == str(len(DATA))
    assert last(server).header("transfer-encoding") is None
    assert last(server).header("x-amz-content-sha256") == hashlib.sha256(DATA).hexdigest()


def test_put_file_from_its_position(client: S3Client, store: MemoryStore) -> None:
    """A file is stored from where it stands to its end, stays open, and stands at its end."""
    file = io.BytesIO(b"skip" + DATA)
    file.seek(4)
    client.put_object(BUCKET, "key", file)
    assert store.objects[BUCKET, b"key"].body == DATA
    assert file.tell() == 4 + len(DATA)


@pytest.mark.parametrize("body", [b"", io.BytesIO(), (), iter([])], ids=["bytes", "file", "tuple", "iterator"])
def test_put_empty(client: S3Client, store: MemoryStore, server: RawServer, body: Any) -> None:
    """An empty object goes out with Content-Length 0, not chunked, whatever it is made from."""
    assert client.put_object(BUCKET, "key", body).size == 0
    assert store.objects[BUCKET, b"key"].body == b""
    assert (last(server).header("content-length"), last(server).header("transfer-encoding")) == ("0", None)


def test_put_description(client: S3Client, store: MemoryStore, server: RawServer) -> None:
    """Content type, metadata and further headers are sent, signed, stored, and told again by put, head and get."""
    client.put_object(
        BUCKET,
        "key",
        DATA,
        content_type="model/onnx",
        metadata={"Trained-On": "a  b", "note": "x"},
        headers={"Cache-Control": "no-store", "Content-Encoding": "zstd", "x-amz-storage-class": "STANDARD"},
    )
    sent = last(server)
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


def test_put_tells_what_was_given(client: S3Client) -> None:
    """The description that a put returns has the type and metadata just given, and no length of the answer's."""
    info = client.put_object(BUCKET, "key", DATA, content_type="a/b", metadata={"n": "v"})
    assert (info.content_type, info.metadata, info.size) == ("a/b", {"n": "v"}, len(DATA))


def test_put_if_absent(client: S3Client, store: MemoryStore) -> None:
    """`if_none_match="*"` stores where nothing is, and is PreconditionFailed, without a change, where something is."""
    client.put_object(BUCKET, "key", b"first", if_none_match="*")
    with pytest.raises(PreconditionFailed) as caught:
        client.put_object(BUCKET, "key", b"second", if_none_match="*")
    assert (caught.value.status, caught.value.code) == (412, "PreconditionFailed")
    assert store.objects[BUCKET, b"key"].body == b"first"


def test_put_if_unchanged(client: S3Client, store: MemoryStore) -> None:
    """`if_match` replaces just the object with this entity tag, which is taken as the library gives it, with quotes."""
    etag = client.put_object(BUCKET, "key", b"first").etag
    client.put_object(BUCKET, "key", b"second", if_match=etag)
    with pytest.raises(PreconditionFailed):
        client.put_object(BUCKET, "key", b"third", if_match=etag)
    assert store.objects[BUCKET, b"key"].body == b"second"


def test_put_answered_without_etag(client: S3Client, server: RawServer) -> None:
    """A 200 without an entity tag is no S3's answer, and so no success."""
    server.answer = answering(Answer(200))
    with pytest.raises(InvalidResponse) as caught:
        client.put_object(BUCKET, "key", DATA)
    assert (caught.value.operation, caught.value.bucket, caught.value.key) == ("PUT", BUCKET, "key")


@pytest.mark.parametrize("key", AWKWARD)
def test_awkward_keys(client: S3Client, store: MemoryStore, key: str) -> None:
    """A key that others change on its way is stored, read, listed, copied and deleted under its very bytes."""
    client.put_object(BUCKET, key, key.encode())
    assert list(store.objects) == [(BUCKET, key.encode())]
    with client.get_object(BUCKET, key) as reader:
        assert reader.read() == key.encode()
    assert client.head_object(BUCKET, key).key == key
    assert [entry.key for entry in client.list_objects(BUCKET, key)] == [key]
    client.copy_object(BUCKET, key, BUCKET, "copy")
    assert store.objects[BUCKET, b"copy"].body == key.encode()
    client.delete_object(BUCKET, key)
    assert list(store.objects) == [(BUCKET, b"copy")]


# -- get, head, delete


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        pytest.param({}, DATA, id="whole"),
        pytest.param({"start": 0}, DATA, id="from 0"),
        pytest.param({"start": 1000}, DATA[1000:], id="from"),
        pytest.param({"end": 10}, DATA[:10], id="up to"),
        pytest.param({"start": 10, "end": 20}, DATA[10:20], id="from, up to"),
        pytest.param({"start": 1023, "end": 1024}, DATA[1023:], id="last byte"),
        pytest.param({"start": 1000, "end": 5000}, DATA[1000:], id="beyond the end"),
        pytest.param({"tail": 10}, DATA[-10:], id="tail"),
        pytest.param({"tail": 5000}, DATA, id="longer tail"),
    ],
)
def test_get(client: S3Client, store: MemoryStore, part: dict[str, int], expected: bytes) -> None:
    """A whole object, or the part that slices would give; `length` is the part's, `info.size` the whole object's."""
    store.put(BUCKET, "key", DATA, {"content-type": "a/b"})
    with client.get_object(BUCKET, "key", **part) as reader:
        assert isinstance(reader, ObjectReader)
        assert reader.read() == expected
        assert reader.length == len(expected)
    info = reader.info
    assert (info.bucket, info.key, info.size, info.etag) == (BUCKET, "key", len(DATA), etag_of(DATA))
    assert info.content_type == "a/b"
    assert info.last_modified == store.objects[BUCKET, b"key"].modified.replace(microsecond=0)


def test_get_beyond_the_end(client: S3Client, store: MemoryStore) -> None:
    """A range in which the object has no byte is the store's InvalidRange, with a word on what it means."""
    store.put(BUCKET, "key", DATA)
    with pytest.raises(ResponseError) as caught:
        client.get_object(BUCKET, "key", start=len(DATA))
    assert (caught.value.status, caught.value.code) == (416, "InvalidRange")
    assert caught.value.hint


def test_get_if_changed(client: S3Client, store: MemoryStore) -> None:
    """`if_none_match` is NotModified while the entity tag is this one, and the new object once it is not."""
    etag = store.put(BUCKET, "key", b"old").etag
    with pytest.raises(NotModified) as caught:
        client.get_object(BUCKET, "key", if_none_match=etag)
    assert caught.value.status == 304
    store.put(BUCKET, "key", b"new")
    with client.get_object(BUCKET, "key", if_none_match=etag) as reader:
        assert reader.read() == b"new"


def test_get_if_unchanged(client: S3Client, store: MemoryStore) -> None:
    """`if_match` is the object while the entity tag is this one, and PreconditionFailed once it is not."""
    etag = store.put(BUCKET, "key", b"old").etag
    with client.get_object(BUCKET, "key", if_match=etag) as reader:
        assert reader.read() == b"old"
    store.put(BUCKET, "key", b"new")
    with pytest.raises(PreconditionFailed):
        client.get_object(BUCKET, "key", if_match=etag)


def test_connection_after_refusals(client: S3Client, store: MemoryStore, server: RawServer) -> None:
    """Refusals are read to their end, so that the next request goes over the same connection."""
    etag = store.put(BUCKET, "key", DATA).etag
    with contextlib.suppress(NotModified):
        client.get_object(BUCKET, "key", if_none_match=etag)
    with contextlib.suppress(NotFound):
        client.get_object(BUCKET, "missing")
    with contextlib.suppress(NotFound):
        client.head_object(BUCKET, "missing")
    with client.get_object(BUCKET, "key") as reader:
        assert reader.read() == DATA
    client.delete_object(BUCKET, "key")
    client.head_bucket(BUCKET)
    assert server.connections == 1


def test_head(client: S3Client, store: MemoryStore) -> None:
    """The description of an object, with its size, without its bytes."""
    store.put(BUCKET, "key", DATA, {"content-type": "a/b", "x-amz-meta-note": "x"})
    info = client.head_object(BUCKET, "key")
    assert (info.bucket, info.key, info.size, info.etag) == (BUCKET, "key", len(DATA), etag_of(DATA))
    assert (info.content_type, info.metadata, info.version_id) == ("a/b", {"note": "x"}, None)
    assert info.last_modified == store.objects[BUCKET, b"key"].modified.replace(microsecond=0)


def test_delete(client: S3Client, store: MemoryStore) -> None:
    """Deleting takes the object away; doing so again is no error; nothing is returned either time."""
    store.put(BUCKET, "key", DATA)
    store.put(BUCKET, "other", DATA)
    results = [client.delete_object(BUCKET, "key") for _ in range(2)]  # type: ignore[func-returns-value]
    assert results == [None, None]
    assert list(store.objects) == [(BUCKET, b"other")]


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        pytest.param(lambda client: client.get_object(BUCKET, "key", version_id="v+1").close(), Answer(), id="get"),
        pytest.param(lambda client: client.head_object(BUCKET, "key", version_id="v+1"), Answer(), id="head"),
        pytest.param(lambda client: client.delete_object(BUCKET, "key", version_id="v+1"), Answer(204), id="delete"),
        pytest.param(
            lambda client: client.download_file(BUCKET, "key", "file", version_id="v+1"), Answer(), id="download_file"
        ),
    ],
)
def test_version(
    client: S3Client,
    server: RawServer,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    call: Callable[[S3Client], object],
    answer: Answer,
) -> None:
    """A version's name is passed on as the signed parameter `versionId`."""
    monkeypatch.chdir(tmp_path)
    server.answer = answering(answer)
    call(client)
    assert last(server).query == b"versionId=v%2B1"


def test_version_is_told(client: S3Client, server: RawServer) -> None:
    """The version that the store names is part of the description."""
    server.answer = answering(Answer(headers={"ETag": '"x"', "x-amz-version-id": "v2"}))
    assert client.put_object(BUCKET, "key", b"").version_id == "v2"
    assert client.head_object(BUCKET, "key").version_id == "v2"


# -- copy


def test_copy(client: S3Client, store: MemoryStore) -> None:
    """A copy has the source's bytes, type and metadata, also from another bucket."""
    store.put("source-bucket", "dir/ü 1", DATA, {"content-type": "a/b", "x-amz-meta-note": "x"})
    info = client.copy_object("source-bucket", "dir/ü 1", BUCKET, "copy")
    assert (info.bucket, info.key, info.etag, info.size) == (BUCKET, "copy", etag_of(DATA), None)
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
def test_copy_with_another_description(
    client: S3Client, store: MemoryStore, given: dict[str, Any], stored: dict[str, str]
) -> None:
    """Where type or metadata are given, the copy has just these instead of the source's."""
    store.put(BUCKET, "key", DATA, {"content-type": "a/b", "x-amz-meta-note": "x"})
    client.copy_object(BUCKET, "key", BUCKET, "copy", **given)
    headers = store.objects[BUCKET, b"copy"].headers
    assert {name: value for name, value in headers.items() if value} == stored


def test_copy_of_a_version(client: S3Client, server: RawServer) -> None:
    """The source's version is named in the signed x-amz-copy-source, encoded there as in a path."""
    server.answer = answering(Answer(body=xml("CopyObjectResult", '<ETag>"x"</ETag>')))
    client.copy_object("source-bucket", "a?b/ü", BUCKET, "copy", source_version_id="v+1")
    assert last(server).header("x-amz-copy-source") == "/source-bucket/a%3Fb/%C3%BC?versionId=v%2B1"
    assert last(server).header("x-amz-metadata-directive") is None


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        pytest.param(b"<Error><Code>InternalError</Code></Error>", ResponseError, id="error"),
        pytest.param(
            b'<?xml version="1.0"?>\n<Error><Code>InternalError</Code></Error>', ResponseError, id="with prolog"
        ),
        pytest.param(b"", InvalidResponse, id="nothing"),
        pytest.param(b"<html/>", InvalidResponse, id="web page"),
    ],
)
def test_copy_that_failed_with_200(client: S3Client, server: RawServer, body: bytes, kind: type[CDNError]) -> None:
    """A copy's 200 is sent before its outcome is known: only the success element counts."""
    server.answer = answering(Answer(200, body=body))
    with pytest.raises(kind) as caught:
        client.copy_object(BUCKET, "key", BUCKET, "copy")
    assert (caught.value.bucket, caught.value.key) == (BUCKET, "copy")
    if kind is ResponseError:
        assert caught.value.code == "InternalError"


# -- lists


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store whose list pages hold two entries."""
    monkeypatch.setattr(memorystore, "MAX_KEYS", 2)


def test_list(client: S3Client, store: MemoryStore) -> None:
    """Each entry has key, size, entity tag and time; another bucket's objects are not among them."""
    stored = store.put(BUCKET, "a b+ü/\x01", DATA)
    store.put("other-bucket", "key", b"")
    (entry,) = client.list_objects(BUCKET)
    assert isinstance(entry, ListedObject)
    assert (entry.key, entry.size, entry.etag, entry.is_prefix) == ("a b+ü/\x01", len(DATA), etag_of(DATA), False)
    assert entry.last_modified == stored.modified.replace(microsecond=0)


def test_list_nothing(client: S3Client) -> None:
    """An empty bucket is an empty list."""
    assert list(client.list_objects(BUCKET)) == []


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_list_pages(client: S3Client, store: MemoryStore, server: RawServer, count: int) -> None:
    """All keys of all pages, each once, in order, with one request a page and none beyond the last."""
    keys = [f"key {number}+" for number in range(count)]
    for key in keys:
        store.put(BUCKET, key, b"")
    assert [entry.key for entry in client.list_objects(BUCKET)] == keys
    assert len(server.requests) == -(-count // 2)


@pytest.mark.usefixtures("small_pages")
def test_list_is_lazy(client: S3Client, store: MemoryStore, server: RawServer) -> None:
    """No request before the first entry is wanted, and a second page only when the first one's entries are used up."""
    for number in range(5):
        store.put(BUCKET, f"key{number}", b"")
    entries = client.list_objects(BUCKET)
    assert server.requests == []
    seen = []
    for _ in range(5):
        next(entries)
        seen.append(len(server.requests))
    assert seen == [1, 1, 2, 2, 3]


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param({}, ["a/1", "a/2", "a/b/3", "c", "d/4"], id="all"),
        pytest.param({"prefix": "a/"}, ["a/1", "a/2", "a/b/3"], id="prefix"),
        pytest.param({"prefix": "none"}, [], id="prefix of nothing"),
        pytest.param({"delimiter": "/"}, ["a/*", "c", "d/*"], id="delimiter"),
        pytest.param({"prefix": "a/", "delimiter": "/"}, ["a/1", "a/2", "a/b/*"], id="prefix and delimiter"),
        pytest.param({"start_after": "a/2"}, ["a/b/3", "c", "d/4"], id="start after"),
        pytest.param({"start_after": "a/2", "prefix": "a/"}, ["a/b/3"], id="start after, prefix"),
    ],
)
def test_list_selection(client: S3Client, store: MemoryStore, arguments: dict[str, str], expected: list[str]) -> None:
    """Prefix, delimiter and start select on every page; a sum of keys (here with `*`) is an entry with `is_prefix`."""
    for key in ("a/1", "a/2", "a/b/3", "c", "d/4"):
        store.put(BUCKET, key, b"")
    entries = list(client.list_objects(BUCKET, **arguments))
    assert [entry.key + "*" * entry.is_prefix for entry in entries] == expected
    assert all((entry.size, entry.etag) == (None, None) for entry in entries if entry.is_prefix)


def list_page(key: str, token: str) -> Answer:
    inner = f"<Contents><Key>{key}</Key><Size>1</Size></Contents><IsTruncated>true</IsTruncated>"
    inner += f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    return Answer(body=xml("ListBucketResult", inner))


@pytest.mark.parametrize("cycle", [["t"], ["t", "u"], ["t", "u", "v"]], ids=["one page", "two pages", "three pages"])
def test_list_in_a_circle(client: S3Client, server: RawServer, cycle: list[str]) -> None:
    """A store whose pages lead back to an earlier one is refused, not followed for ever."""
    tokens = itertools.cycle(cycle)
    server.answer = lambda request: list_page("key", next(tokens))
    with pytest.raises(InvalidResponse) as caught:
        list(itertools.islice(client.list_objects(BUCKET), 20))
    assert caught.value.bucket == BUCKET
    assert len(server.requests) <= len(cycle) + 1


def test_list_that_breaks_off(client: S3Client, server: RawServer) -> None:
    """A page that is not the last and names no next one is an error behind its entries, never a shorter list."""
    server.answer = in_turn(list_page("key", "t"), list_page("key2", ""))
    with pytest.raises(InvalidResponse):
        list(client.list_objects(BUCKET))


# -- buckets


def test_create_bucket(client: S3Client, store: MemoryStore, server: RawServer) -> None:
    """A bucket is made; in us-east-1, which must not be named, with an empty body."""
    client.create_bucket("new-bucket")
    assert "new-bucket" in store.buckets
    assert last(server).body == b""
    assert last(server).header("content-length") == "0"


def test_create_bucket_elsewhere() -> None:
    """In any other region the body names it, as it is signed for it."""
    store = MemoryStore({KEY: SECRET}, region="eu-west-1")
    credentials = Credentials(KEY, SECRET)
    with RawServer(store) as server, S3Client(server.endpoint, credentials, region="eu-west-1") as client:
        client.create_bucket("new-bucket")
        assert b"<LocationConstraint>eu-west-1</LocationConstraint>" in only(server).body
    assert store.buckets == {"new-bucket"}


def test_head_bucket(client: S3Client) -> None:
    """A bucket that is there is None; one that is not is NotFound, with the status that a HEAD has."""
    assert client.head_bucket(BUCKET) is None  # type: ignore[func-returns-value]
    with pytest.raises(NotFound) as caught:
        client.head_bucket("no-bucket")
    assert (caught.value.status, caught.value.operation, caught.value.bucket) == (404, "HEAD", "no-bucket")


# -- files


@pytest.mark.parametrize("kind", [str, pathlib.Path], ids=["str", "path-like"])
def test_files(client: S3Client, store: MemoryStore, tmp_path: pathlib.Path, kind: Callable[..., Any]) -> None:
    """A file goes up and comes down byte for byte, each time with a result that says which object and how much."""
    (tmp_path / "up").write_bytes(DATA)
    up = client.upload_file(BUCKET, "key", kind(tmp_path / "up"), content_type="a/b", metadata={"n": "v"})
    down = client.download_file(BUCKET, "key", kind(tmp_path / "down"))
    assert (tmp_path / "down").read_bytes() == store.objects[BUCKET, b"key"].body == DATA
    for result in (up, down):
        assert isinstance(result, TransferResult)
        assert (result.bytes_moved, result.verified) == (len(DATA), None)
        info = result.info
        assert (info.bucket, info.key, info.size, info.etag) == (BUCKET, "key", len(DATA), etag_of(DATA))
        assert (info.content_type, info.metadata) == ("a/b", {"n": "v"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["down", "up"]


def test_file_conditions(client: S3Client, store: MemoryStore, tmp_path: pathlib.Path) -> None:
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


def test_upload_file_headers(client: S3Client, server: RawServer, tmp_path: pathlib.Path) -> None:
    """Further headers reach the store with a file as well, signed."""
    (tmp_path / "file").write_bytes(DATA)
    client.upload_file(BUCKET, "key", tmp_path / "file", headers={"Cache-Control": "no-store"})
    assert last(server).header("cache-control") == "no-store"
    assert "cache-control" in judged(last(server)).signed_headers


def test_missing_local_places(client: S3Client, server: RawServer, tmp_path: pathlib.Path) -> None:
    """A file that is not there, a folder that is not there, and a folder in the file's place are OSErrors, unsent."""
    with pytest.raises(FileNotFoundError):
        client.upload_file(BUCKET, "key", tmp_path / "missing")
    with pytest.raises(FileNotFoundError):
        client.download_file(BUCKET, "key", tmp_path / "missing" / "file")
    with pytest.raises(IsADirectoryError):
        client.download_file(BUCKET, "key", tmp_path)
    assert list(tmp_path.iterdir()) == []
    check_nothing_sent(client, server)


def test_download_makes_folders_on_request(client: S3Client, store: MemoryStore, tmp_path: pathlib.Path) -> None:
    """`make_folders=True` makes those above the file."""
    store.put(BUCKET, "key", DATA)
    client.download_file(BUCKET, "key", tmp_path / "a" / "b" / "file", make_folders=True)
    assert (tmp_path / "a" / "b" / "file").read_bytes() == DATA


# -- URLs for others


@pytest.mark.parametrize("key", ["key", "dir/ü 1+2=3 %41~(x)!*'.onnx", "日本?x#y&z", "a\x01b"])
@pytest.mark.parametrize("token", [None, TOKEN], ids=["static", "temporary"])
def test_presigned_url(key: str, token: str | None) -> None:
    """A presigned URL works in the hands of plain `requests`, for all four methods, without a header."""
    store = MemoryStore({KEY: SECRET}, buckets=(BUCKET,), tokens={KEY: token} if token else {})
    with RawServer(store) as server, S3Client(server.endpoint, Credentials(KEY, SECRET, token)) as client:

        def url(method: str) -> str:
            return client.presigned_url(method, BUCKET, key, expires_in=60)

        assert requests.put(url("PUT"), data=DATA, timeout=10).status_code == 200
        assert store.objects[BUCKET, key.encode()].body == DATA
        assert requests.head(url("HEAD"), timeout=10).headers["Content-Length"] == str(len(DATA))
        assert requests.get(url("GET"), timeout=10).content == DATA
        assert requests.delete(url("DELETE"), timeout=10).status_code == 204
        assert store.objects == {}
        assert [request.method for request in server.requests] == ["PUT", "HEAD", "GET", "DELETE"]
        assert all(request.header("authorization") is None for request in server.requests)
        assert all(request.header("x-amz-security-token") is None for request in server.requests)
        assert SECRET not in url("GET")


def test_presigned_url_is_for_one_thing(client: S3Client, store: MemoryStore) -> None:
    """A URL for GET is refused for PUT, for another key, and with a longer life than was signed."""
    store.put(BUCKET, "key", DATA)
    store.put(BUCKET, "other", DATA)
    url = client.presigned_url("GET", BUCKET, "key", expires_in=60)
    assert requests.get(url, timeout=10).status_code == 200
    assert requests.put(url, data=b"evil", timeout=10).status_code == 403
    assert requests.get(url.replace("/key?", "/other?"), timeout=10).status_code == 403
    assert requests.get(url.replace("X-Amz-Expires=60", "X-Amz-Expires=61"), timeout=10).status_code == 403


@pytest.mark.parametrize(("later", "status"), [(50, 200), (70, 403)], ids=["before", "after"])
def test_presigned_url_expires(later: int, status: int) -> None:
    """It lives for as long as it says, counted from now by a store that looks at its clock."""

    def clock() -> dt.datetime:
        return dt.datetime.now(dt.timezone.utc) + dt.timedelta(seconds=later)

    store = MemoryStore({KEY: SECRET}, clock=clock)
    store.put(BUCKET, "key", DATA)
    with RawServer(store) as server:
        url = S3Client(server.endpoint, Credentials(KEY, SECRET)).presigned_url("GET", BUCKET, "key", expires_in=60)
        assert requests.get(url, timeout=10).status_code == status


@pytest.mark.parametrize("seconds", [1, 604_800])
def test_presigned_bounds(client: S3Client, store: MemoryStore, seconds: int) -> None:
    """From one second to seven days is allowed, and said in the URL."""
    store.put(BUCKET, "key", DATA)
    url = client.presigned_url("GET", BUCKET, "key", expires_in=seconds)
    assert f"&X-Amz-Expires={seconds}&" in url
    assert requests.get(url, timeout=10).status_code == 200


def test_presigned_url_of_virtual_addressing() -> None:
    """With virtual addressing the bucket is part of the host, and with a base path that stands before the key."""
    client = S3Client("https://store.example/base", Credentials(KEY, SECRET), addressing="virtual", region="eu-west-1")
    url = client.presigned_url("GET", BUCKET, "key", expires_in=60)
    assert url.startswith(f"https://{BUCKET}.store.example/base/key?X-Amz-Algorithm=AWS4-HMAC-SHA256&")
    assert "%2Feu-west-1%2Fs3%2Faws4_request&" in url
    client.close()


def test_presigned_url_of_an_anonymous_client() -> None:
    """Who has no key cannot sign for others."""
    with pytest.raises(ValueError, match="anonymous"):
        S3Client("https://store.example", None).presigned_url("GET", BUCKET, "key", expires_in=60)


# -- wrong arguments

PUT_OPTIONS: list[dict[str, Any]] = [
    {"content_type": "a\r\nb"},
    {"content_type": "ü/x"},
    {"content_type": 5},
    {"metadata": {"ü": "x"}},
    {"metadata": {"a b": "x"}},
    {"metadata": {"name": "grün"}},
    {"metadata": {"name": "line\nx-amz-acl: public-read"}},
    {"metadata": {"name": " outer "}},
    {"metadata": {"name": 5}},
    {"metadata": {"name": None}},
    {"metadata": {"": "x"}},
    {"metadata": {"Name": "x", "name": "y"}},
    {"metadata": {"name": "x" * 2045}},
    {"headers": {"Authorization": "x"}},
    {"headers": {"Host": "x"}},
    {"headers": {"Content-Length": "5"}},
    {"headers": {"Transfer-Encoding": "chunked"}},
    {"headers": {"x-amz-date": "x"}},
    {"headers": {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}},
    {"headers": {"x-amz-security-token": "x"}},
    {"headers": {"x-amz-meta-name": "x"}},
    {"headers": {"Expect": "100-continue"}},
    {"headers": {"cache-control": "a\r\nb: c"}},
    {"headers": {"cache-control": "x\0"}},
    {"headers": {"cache-control": None}},
    {"headers": {"Cache-Control": "x", "cache-control": "y"}},
    {"headers": {"a:b": "x"}},
    {"headers": {"Content-Type": "a/b"}, "content_type": "a/b"},
]
WRONG_BUCKETS = [
    "",
    "ab",
    "a" * 64,
    "Bucket",
    "a_b",
    "a/b",
    "-ab",
    "ab-",
    ".ab",
    "a..b",
    "bücket",
    "10.0.0.1",
    "..",
    None,
    5,
    b"bucket",
]
WRONG_KEYS = ["", "a\0b", "k" * 1025, "ü" * 513, "\ud800", None, 5, b"key"]
WRONG_TAGS: list[Any] = ["ü", "line\r\nX: y", " x", 5, b"x"]


def each_operation(bucket: Any, key: Any) -> list[tuple[str, Callable[[S3Client], object]]]:
    """All operations on that object, by name; what they read lazily is read."""
    return [
        ("put_object", lambda client: client.put_object(bucket, key, b"")),
        ("get_object", lambda client: client.get_object(bucket, key)),
        ("head_object", lambda client: client.head_object(bucket, key)),
        ("delete_object", lambda client: client.delete_object(bucket, key)),
        ("copy_object from", lambda client: client.copy_object(bucket, key, BUCKET, "copy")),
        ("copy_object to", lambda client: client.copy_object(BUCKET, "key", bucket, key)),
        ("upload_file", lambda client: client.upload_file(bucket, key, __file__)),
        ("download_file", lambda client: client.download_file(bucket, key, "no-file-is-made")),
        ("presigned_url", lambda client: client.presigned_url("GET", bucket, key, expires_in=60)),
    ]


def on_the_bucket(bucket: Any) -> list[tuple[str, Callable[[S3Client], object]]]:
    return [
        ("list_objects", lambda client: client.list_objects(bucket)),
        ("create_bucket", lambda client: client.create_bucket(bucket)),
        ("head_bucket", lambda client: client.head_bucket(bucket)),
    ]


def wrong_calls() -> Iterator[Any]:
    for bucket in WRONG_BUCKETS:
        for name, call in each_operation(bucket, "key") + on_the_bucket(bucket):
            yield pytest.param(call, id=f"{name}: bucket {bucket!a:.20}")
    for key in WRONG_KEYS:
        for name, call in each_operation(BUCKET, key):
            yield pytest.param(call, id=f"{name}: key {key!a:.20}")


def check_nothing_sent(client: S3Client, server: RawServer) -> None:
    """The request that is made now is the first one, on the first connection."""
    client.head_bucket(BUCKET)
    assert [(request.method, request.connection) for request in server.requests] == [("HEAD", 1)]


@pytest.mark.parametrize("call", list(wrong_calls()))
def test_wrong_names(
    client: S3Client,
    server: RawServer,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    call: Callable[[S3Client], object],
) -> None:
    """A bucket or key that cannot be is a ValueError or TypeError of every operation, and nothing is sent or made."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ValueError, TypeError)):
        call(client)
    assert list(tmp_path.iterdir()) == []
    check_nothing_sent(client, server)


@pytest.mark.parametrize("options", PUT_OPTIONS, ids=lambda options: ascii(options)[:60])
@pytest.mark.parametrize("operation", ["put_object", "copy_object", "upload_file"])
def test_wrong_descriptions(client: S3Client, server: RawServer, operation: str, options: dict[str, Any]) -> None:
    """A header that could not arrive as it was signed, or would contradict another, is refused by all that send it."""
    rest = {"put_object": ("key", DATA), "copy_object": ("key", BUCKET, "copy"), "upload_file": ("key", __file__)}
    with pytest.raises((ValueError, TypeError)):
        getattr(client, operation)(BUCKET, *rest[operation], **options)
    check_nothing_sent(client, server)


@pytest.mark.parametrize("tag", WRONG_TAGS, ids=ascii)
@pytest.mark.parametrize("condition", ["if_match", "if_none_match"])
@pytest.mark.parametrize("operation", ["put_object", "get_object", "upload_file", "download_file"])
def test_wrong_conditions(
    client: S3Client, server: RawServer, tmp_path: pathlib.Path, operation: str, condition: str, tag: Any
) -> None:
    """An entity tag that could not arrive as it stands is refused, unsent."""
    rest = {"put_object": (DATA,), "get_object": (), "upload_file": (__file__,), "download_file": (tmp_path / "f",)}
    with pytest.raises((ValueError, TypeError)):
        getattr(client, operation)(BUCKET, "key", *rest[operation], **{condition: tag})
    check_nothing_sent(client, server)


@pytest.mark.parametrize(
    "part",
    [
        {"start": -1},
        {"end": 0},
        {"end": -1},
        {"tail": 0},
        {"tail": -5},
        {"start": 5, "end": 5},
        {"start": 6, "end": 5},
        {"start": 0, "tail": 5},
        {"end": 5, "tail": 5},
        {"start": 1.0},
        {"start": "1"},
        {"end": True},
        {"version_id": 5},
        {"version_id": b"x"},
    ],
    ids=str,
)
def test_wrong_parts(client: S3Client, server: RawServer, part: dict[str, Any]) -> None:
    """A range or a version that cannot be asked for is refused, unsent: an empty range is no whole object."""
    with pytest.raises((ValueError, TypeError)):
        client.get_object(BUCKET, "key", **part)
    check_nothing_sent(client, server)


def type_name(value: object) -> str:
    return type(value).__name__


@pytest.mark.parametrize(
    "body", ["text", io.StringIO("text"), None, 5, {"a": b"b"}, [1], ["text"], pathlib.Path("p")], ids=type_name
)
def test_wrong_bodies(client: S3Client, server: RawServer, body: Any) -> None:
    """A body that is not bytes is a TypeError, unsent."""
    with pytest.raises(TypeError):
        client.put_object(BUCKET, "key", body)
    check_nothing_sent(client, server)


@pytest.mark.parametrize(
    ("method", "seconds"),
    [
        *(("GET", seconds) for seconds in (0, -1, 604_801, 60.0, "60", None, True)),
        *((method, 60) for method in ("POST", "get", "PATCH", "", None)),
    ],
)
def test_wrong_presigned_urls(client: S3Client, method: Any, seconds: Any) -> None:
    """A life outside one second to seven days, and a method that makes no sense for an object, are refused."""
    with pytest.raises((ValueError, TypeError)):
        client.presigned_url(method, BUCKET, "key", expires_in=seconds)


@pytest.mark.parametrize(
    "arguments",
    [{"prefix": 5}, {"prefix": "\ud800"}, {"delimiter": 5}, {"start_after": 5}, {"start_after": b"x"}],
    ids=ascii,
)
def test_wrong_lists(client: S3Client, server: RawServer, arguments: dict[str, Any]) -> None:
    """A prefix, delimiter or start that is no text is refused, at the latest with the first entry, unsent."""
    with pytest.raises((ValueError, TypeError)):
        list(client.list_objects(BUCKET, **arguments))
    check_nothing_sent(client, server)


@pytest.mark.parametrize(
    ("endpoint", "credentials", "options"),
    [
        pytest.param("", Credentials(KEY, SECRET), {}, id="no endpoint"),
        pytest.param("ftp://x", Credentials(KEY, SECRET), {}, id="scheme"),
        pytest.param("https://x", (KEY, SECRET), {}, id="credentials as a tuple"),
        pytest.param("https://x", Credentials(KEY, SECRET), {"region": "x y"}, id="region"),
        pytest.param("https://x", Credentials(KEY, SECRET), {"addressing": "x"}, id="addressing"),
        pytest.param("https://x", Credentials(KEY, SECRET), {"timeout": 5}, id="timeout"),
        pytest.param("https://x", Credentials(KEY, SECRET), {"verify": "/no/such/file"}, id="CA file"),
        pytest.param("http://x", Credentials(KEY, SECRET), {"sign_payload": False}, id="unsigned over http"),
    ],
)
def test_wrong_settings(endpoint: str, credentials: Any, options: dict[str, Any]) -> None:
    """A setting that cannot work is refused when the client is made, and the text shows no secret."""
    with pytest.raises((ValueError, TypeError)) as caught:
        S3Client(endpoint, credentials, **options)
    assert SECRET not in str(caught.value)


# -- who asks


def test_anonymous(server: RawServer) -> None:
    """Without credentials nothing of a signature is sent, and public objects can be read."""
    server.answer = lambda request: Answer(headers={"ETag": '"x"'}, body=DATA)
    with S3Client(server.endpoint, None) as client, client.get_object(BUCKET, "a/../b") as reader:
        assert reader.read() == DATA
    request = only(server)
    assert request.target == b"/bucket/a/../b"
    names = {name.lower() for name, _ in request.headers}
    assert "authorization" not in names
    assert not {name for name in names if name.startswith("x-amz-")}


def test_session_token() -> None:
    """The token of temporary credentials is sent and signed, and what a store demands of them is fulfilled."""
    store = MemoryStore({KEY: SECRET}, buckets=(BUCKET,), tokens={KEY: TOKEN})
    with RawServer(store) as server, S3Client(server.endpoint, Credentials(KEY, SECRET, TOKEN)) as client:
        client.put_object(BUCKET, "key", DATA)
        proof = judged(only(server))
    assert proof.session_token == TOKEN
    assert "x-amz-security-token" in proof.signed_headers


@pytest.mark.parametrize("sign", [True, False], ids=["signed", "unsigned"])
def test_unsigned_payload_over_https(tmp_path: pathlib.Path, sign: bool) -> None:
    """Over https `sign_payload=False` leaves the body, and only that, out of the signature; the default does not."""
    tls, authority = make_tls(tmp_path)
    store = MemoryStore({KEY: SECRET}, buckets=(BUCKET,), allow_unsigned_payload=True)
    options: dict[str, Any] = {} if sign else {"sign_payload": False}
    with RawServer(store, tls=tls) as server:
        with S3Client(server.endpoint, Credentials(KEY, SECRET), verify=authority, **options) as client:
            client.put_object(BUCKET, "key", DATA)
            client.head_object(BUCKET, "key")
        put, head = server.requests
    expected = hashlib.sha256(DATA).hexdigest() if sign else "UNSIGNED-PAYLOAD"
    assert put.header("x-amz-content-sha256") == expected
    assert put.body == DATA
    assert head.header("x-amz-content-sha256") == hashlib.sha256(b"").hexdigest()


def test_region() -> None:
    """The region is the one in the credential scope; MinIO's us-east-1 by default."""
    with RawServer(answering(Answer())) as server:
        for options in ({}, {"region": "eu-west-1"}):
            with S3Client(server.endpoint, Credentials(KEY, SECRET), **options) as client:
                client.head_bucket(BUCKET)
        assert [judged(request).region for request in server.requests] == ["us-east-1", "eu-west-1"]


def test_repr(client: S3Client, server: RawServer) -> None:
    """A client's `repr` tells endpoint, key and region, and neither secret nor token; an anonymous one says None."""
    temporary = S3Client(server.endpoint, Credentials(KEY, SECRET, TOKEN), region="eu-west-1")
    for part in (server.endpoint, f"access_key={KEY!r}", "eu-west-1"):
        assert part in repr(temporary)
    for hidden in (SECRET, TOKEN):
        assert hidden not in repr(temporary) + repr(vars(temporary)) + repr(client)
    assert "access_key=None" in repr(S3Client(server.endpoint, None))


@pytest.mark.parametrize(
    "act",
    [
        *(pytest.param(lambda made, n=n: pickle.dumps(made, n), id=f"pickle {n}") for n in range(6)),
        pytest.param(copy.deepcopy, id="deepcopy"),
        pytest.param(copy.copy, id="copy"),
    ],
)
def test_no_pickling(act: Callable[[object], object]) -> None:
    """A client is not pickled or copied, with a word on what to do and none of its secrets."""
    with pytest.raises(TypeError, match="S3Client") as caught:
        act(S3Client("https://store.example", Credentials(KEY, SECRET, TOKEN)))
    assert SECRET not in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_values_are_equal_by_content(client: S3Client, store: MemoryStore) -> None:
    """What operations return is plain data: equal to what is equal, and told apart from what is not."""
    store.put(BUCKET, "key", DATA)
    assert ListedObject("key", 1, '"x"') == ListedObject("key", 1, '"x"')
    assert ListedObject("key", 1, '"x"') != ListedObject("key", 2, '"x"')
    assert client.head_object(BUCKET, "key").etag == client.head_object(BUCKET, "key").etag
    info = ObjectInfo(BUCKET, "key", 1, {"etag": '"x"'})
    assert TransferResult(info, None, 1) == TransferResult(info, None, 1)
    assert TransferResult(info, None, 1) != TransferResult(info, None, 2)


# -- connections


def test_close_and_use_again(client: S3Client, server: RawServer) -> None:
    """Requests share a connection; after `close` the next one opens a new one; closing twice is no error."""
    client.head_bucket(BUCKET)
    client.head_bucket(BUCKET)
    assert server.connections == 1
    client.close()
    client.close()
    client.head_bucket(BUCKET)
    assert [request.connection for request in server.requests] == [1, 1, 2]


def test_close_unused() -> None:
    """A client that never sent anything can be closed, and is a context manager that gives itself."""
    client = S3Client("https://store.example", None)
    with client as entered:
        assert entered is client
    client.close()


# -- errors


def error_body(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>words</Message><RequestId>in-xml</RequestId></Error>".encode()


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (301, "PermanentRedirect", RedirectRefused),
        (307, "TemporaryRedirect", RedirectRefused),
        (400, "InvalidRequest", ResponseError),
        (401, "Unauthorized", AccessDenied),
        (403, "AccessDenied", AccessDenied),
        (403, "SignatureDoesNotMatch", AccessDenied),
        (404, "NoSuchKey", NotFound),
        (404, "NoSuchBucket", NotFound),
        (409, "BucketAlreadyOwnedByYou", ResponseError),
        (412, "PreconditionFailed", PreconditionFailed),
        (500, "InternalError", ResponseError),
        (503, "SlowDown", ResponseError),
    ],
)
@pytest.mark.parametrize(
    ("operation", "arguments", "method"),
    [
        ("put_object", ("key", DATA), "PUT"),
        ("get_object", ("key",), "GET"),
        ("delete_object", ("key",), "DELETE"),
        ("list_objects", (), "GET"),
        ("create_bucket", (), "PUT"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_evidence(
    client: S3Client,
    server: RawServer,
    operation: str,
    arguments: tuple[Any, ...],
    method: str,
    status: int,
    code: str,
    kind: type[ResponseError],
) -> None:
    """An error answer is an exception of its class, with method, bucket, key, status, code and the request's id."""
    server.answer = answering(Answer(status, headers={"x-amz-request-id": "REQ1"}, body=error_body(code)))
    with pytest.raises(ResponseError) as caught:
        list(getattr(client, operation)(BUCKET, *arguments))  # a list is not asked for before it is read
    error = caught.value
    assert type(error) is kind
    assert (error.operation, error.bucket, error.key) == (method, BUCKET, arguments[0] if arguments else None)
    assert (error.status, error.code, error.request_id, error.message) == (status, code, "REQ1", "words")
    assert all(part in str(error) for part in (BUCKET, str(status), code, "REQ1", "words"))
    assert SECRET not in str(error)


def test_request_id_from_the_body(client: S3Client, server: RawServer) -> None:
    """Where no header names the request, the error's own document does."""
    server.answer = answering(Answer(500, body=error_body("InternalError")))
    with pytest.raises(ResponseError) as caught:
        client.get_object(BUCKET, "key")
    assert caught.value.request_id == "in-xml"


def test_evidence_of_head(client: S3Client, server: RawServer) -> None:
    """A HEAD's error has no body: MinIO's headers say what it would have said."""
    headers = {"x-minio-error-code": "NoSuchKey", "x-minio-error-desc": '"words"', "x-amz-request-id": "REQ1"}
    server.answer = answering(Answer(404, headers=headers))
    with pytest.raises(NotFound) as caught:
        client.head_object(BUCKET, "key")
    error = caught.value
    assert (error.operation, error.bucket, error.key) == ("HEAD", BUCKET, "key")
    assert (error.status, error.code, error.message, error.request_id) == (404, "NoSuchKey", "words", "REQ1")


def test_wrong_secret(server: RawServer) -> None:
    """A wrong secret is AccessDenied, with a hint at the secret, which it does not show."""
    with S3Client(server.endpoint, Credentials(KEY, "wrong-secret")) as client:
        with pytest.raises(AccessDenied) as caught:
            client.put_object(BUCKET, "key", DATA)
    assert caught.value.code == "SignatureDoesNotMatch"
    assert "secret" in (caught.value.hint or "")
    assert "wrong-secret" not in str(caught.value)


def test_redirects_are_not_followed(client: S3Client, server: RawServer) -> None:
    """A redirect is reported with where it points, query left out, and nobody is asked there."""
    with RawServer() as foreign:
        location = f"{foreign.endpoint}/elsewhere?X-Amz-Signature=abc"
        server.answer = answering(Answer(307, headers={"Location": location}))
        with pytest.raises(RedirectRefused) as caught:
            client.put_object(BUCKET, "key", DATA)
        assert foreign.endpoint in (caught.value.hint or "")
        assert "Signature=abc" not in str(caught.value)
        assert foreign.connections == 0
    assert len(server.requests) == 1


def test_evidence_without_an_answer() -> None:
    """Where there is no answer at all, the error says which request it was, and neither status nor code."""
    with RawServer() as gone:
        pass
    with S3Client(gone.endpoint, Credentials(KEY, SECRET)) as client, pytest.raises(TransportError) as caught:
        client.get_object(BUCKET, "key")
    error = caught.value
    assert (error.operation, error.bucket, error.key) == ("GET", BUCKET, "key")
    assert (error.status, error.code, error.request_id) == (None, None, None)
    assert gone.authority in str(error)
    assert re.search("Signature|Credential=", str(error)) is None
