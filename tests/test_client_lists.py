"""`S3Client` and buckets: lists of any number of pages, and making and looking for a bucket."""

import itertools

import memorystore
import pytest
from kit import BUCKET, KEY, SECRET, only
from kit_calls import md5_tag
from rawserver import Answer, MemoryStore, RawServer

from cdn_sigv4 import Credentials, InvalidResponse, ListedObject, NotFound, S3Client

DATA = bytes(range(256)) * 4


@pytest.fixture
def small_pages(monkeypatch):
    """A store whose list pages hold two entries."""
    monkeypatch.setattr(memorystore, "MAX_KEYS", 2)


def test_list(client, store):
    """Each entry has key, size, entity tag and time; another bucket's objects are not among them."""
    stored = store.put(BUCKET, "a b+ü/\x01", DATA)
    store.put("other-bucket", "key", b"")
    (entry,) = client.list_objects(BUCKET)
    assert isinstance(entry, ListedObject)
    assert (entry.key, entry.size, entry.etag, entry.is_prefix) == ("a b+ü/\x01", len(DATA), md5_tag(DATA), False)
    assert entry.last_modified == stored.modified.replace(microsecond=0)


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_list_pages(client, store, loopback, count):
    """All keys of all pages, each once, in order, with one request a page and none beyond the last."""
    keys = [f"key {number}+" for number in range(count)]
    for key in keys:
        store.put(BUCKET, key, b"")
    assert [entry.key for entry in client.list_objects(BUCKET)] == keys
    assert len(loopback.requests) == -(-count // 2)


@pytest.mark.usefixtures("small_pages")
def test_list_is_lazy(client, store, loopback):
    """No request before the first entry is wanted, and a second page only when the first one's entries are used up."""
    for number in range(5):
        store.put(BUCKET, f"key{number}", b"")
    entries = client.list_objects(BUCKET)
    assert loopback.requests == []
    seen = []
    for _ in range(5):
        next(entries)
        seen.append(len(loopback.requests))
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
def test_list_selection(client, store, arguments, expected):
    """Prefix, delimiter and start select on every page; a sum of keys (here with `*`) is an entry with `is_prefix`."""
    for key in ("a/1", "a/2", "a/b/3", "c", "d/4"):
        store.put(BUCKET, key, b"")
    entries = list(client.list_objects(BUCKET, **arguments))
    assert [entry.key + "*" * entry.is_prefix for entry in entries] == expected
    assert all((entry.size, entry.etag) == (None, None) for entry in entries if entry.is_prefix)


def endless_page(token):
    """A page with one key, and the token of the next."""
    inner = "<Contents><Key>key</Key><Size>1</Size></Contents><IsTruncated>true</IsTruncated>"
    inner += f"<NextContinuationToken>{token}</NextContinuationToken>"
    return Answer(body=f"<ListBucketResult>{inner}</ListBucketResult>".encode())


@pytest.mark.parametrize("cycle", [["t"], ["t", "u"], ["t", "u", "v"]], ids=["one page", "two pages", "three pages"])
def test_list_in_a_circle(client, loopback, cycle):
    """A store whose pages lead back to an earlier one is refused, not followed for ever."""
    tokens = itertools.cycle(cycle)
    loopback.answer = lambda request: endless_page(next(tokens))
    with pytest.raises(InvalidResponse) as caught:
        list(itertools.islice(client.list_objects(BUCKET), 20))
    assert caught.value.bucket == BUCKET
    assert len(loopback.requests) <= len(cycle) + 1


def test_create_bucket(client, store, loopback):
    """A bucket is made; in us-east-1, which must not be named, with an empty body."""
    client.create_bucket("new-bucket")
    assert "new-bucket" in store.buckets
    assert only(loopback).body == b""
    assert only(loopback).header("content-length") == "0"


def test_create_bucket_elsewhere():
    """In any other region the body names it, as it is signed for it."""
    store = MemoryStore({KEY: SECRET}, region="eu-west-1")
    credentials = Credentials(KEY, SECRET)
    with RawServer(store) as loopback, S3Client(loopback.endpoint, credentials, region="eu-west-1") as client:
        client.create_bucket("new-bucket")
        assert b"<LocationConstraint>eu-west-1</LocationConstraint>" in only(loopback).body
    assert store.buckets == {"new-bucket"}


def test_head_bucket(client):
    """A bucket that is there is None; one that is not is NotFound, with the status that a HEAD has."""
    assert client.head_bucket(BUCKET) is None
    with pytest.raises(NotFound) as caught:
        client.head_bucket("no-bucket")
    assert (caught.value.status, caught.value.operation, caught.value.bucket) == (404, "HEAD", "no-bucket")
