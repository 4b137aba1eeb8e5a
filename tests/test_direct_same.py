"""Proves that the short way and the one through `requests` send the same: request line, headers and body.

Whoever puts something of their own in the place of what `requests` sends with gets no other requests than a server.
"""

import contextlib
from http.client import HTTPConnection

import pytest
import requests
from kit import BUCKET, CREDENTIALS, KEY, SECRETS, TOKEN, lead_to
from kit_parts import made
from kit_uploads import allow_small_parts, names
from rawserver import MemoryStore, RawServer
from requests.adapters import HTTPAdapter

from cdn_sigv4 import CDNError, S3Client
from cdn_sigv4.direct import Direct

MOMENT = 1767323045.0  # 2026-01-02T03:04:05Z, when the clients' clocks stand
TOGETHER = 16 << 10  # bytes of a body that go out with its head
THERE = made(3, 5000)


def put(size, **options):
    """An object of so many bytes."""
    return lambda client, path: client.put_object(BUCKET, "key", made(5, size), **options)


def file(client, path):
    """A file in one request."""
    path.write_bytes(made(6, 70_000))
    client.upload_file(BUCKET, "key", path, content_type="model/onnx")


def parts(client, path):
    """A file in parts, one after the other."""
    path.write_bytes(made(6, 70_000))
    client.upload_file(BUCKET, "key", path, part_size=20_000, max_workers=1, metadata={"a": "b"})


def download(client, path):
    """An object into a file."""
    client.download_file(BUCKET, "there", path)
    assert path.read_bytes() == THERE


def missing(client, path):
    """An object that is not there."""
    with contextlib.suppress(CDNError):
        client.get_object(BUCKET, "missing")


OPERATIONS = {
    "get": lambda client, path: client.get_object(BUCKET, "there").read(),
    "get a range": lambda client, path: client.get_object(BUCKET, "there", start=7, end=99).read(),
    "get the end": lambda client, path: client.get_object(BUCKET, "there", tail=9).read(),
    "get if not": lambda client, path: client.get_object(BUCKET, "there", if_none_match='"other"').read(),
    "get nothing": missing,
    "download": download,
    "put small": put(10),
    "put described": put(10, content_type="text/plain", metadata={"one": "1", "two": "a  b"}, if_none_match="*"),
    "put empty": put(0),
    "put 16 KiB - 1": put(TOGETHER - 1),
    "put 16 KiB": put(TOGETHER),
    "put 16 KiB + 1": put(TOGETHER + 1),
    "put 1 MiB": put(1 << 20),
    "put iterable": lambda client, path: client.put_object(BUCKET, "key", iter([b"one", b"", b"two"])),
    "put file": file,
    "put parts": parts,
    "delete": lambda client, path: client.delete_object(BUCKET, "there"),
    "head": lambda client, path: client.head_object(BUCKET, "there"),
    "list": lambda client, path: list(client.list_objects(BUCKET, "\u00fc a+/", delimiter="/")),
    "copy": lambda client, path: client.copy_object(BUCKET, "there", BUCKET, "to"),
    "bucket": lambda client, path: client.create_bucket("another"),
    "awkward key": lambda client, path: client.put_object(BUCKET, "a/../b \u00fc?%41//", b"x"),
}


def told(request):
    """All that a request says, but for the order of its headers."""
    lines = request.head.split(b"\r\n")
    fields = sorted((name.lower(), value) for name, value in request.headers)
    return lines[0], fields, request.body


def sent(monkeypatch, operation, path, session=None):
    """What an operation sends to a store of its own."""
    store = MemoryStore(SECRETS, tokens={KEY: TOKEN})
    store.put(BUCKET, "there", THERE)
    with monkeypatch.context() as patch, RawServer(store) as server:
        allow_small_parts(patch, store)
        lead_to(patch, server, "store.test")
        with S3Client("http://store.test", CREDENTIALS, timeout=(5, 5), session=session) as client:
            client._exchange.clock = lambda: MOMENT
            operation(client, path)
        assert server.connections == 1
        return [told(each) for each in server.requests], names(server.requests)


@pytest.mark.parametrize("way", ["given session", "replaced method"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_both_ways_send_the_same(name, way, monkeypatch, tmp_path):
    """Line, headers and body of every request are the same on the short way and on each of the ordinary ones."""
    seen, asked = [], []
    real, real_direct = HTTPAdapter.send, Direct.send
    monkeypatch.setattr(Direct, "send", lambda *args: asked.append(args) or real_direct(*args))
    short, kinds = sent(monkeypatch, OPERATIONS[name], tmp_path / "file")
    count = len(asked)
    assert count == len(short) > 0
    if way == "replaced method":
        monkeypatch.setattr(HTTPAdapter, "send", lambda *args, **more: seen.append(args) or real(*args, **more))
    with requests.Session() as session:
        given = session if way == "given session" else None
        ordinary, same_kinds = sent(monkeypatch, OPERATIONS[name], tmp_path / "file", given)
    assert len(asked) == count  # the short way was not taken
    assert len(seen) == (len(ordinary) if way == "replaced method" else 0)
    assert kinds == same_kinds
    assert ordinary == short


def test_a_small_body_goes_out_with_its_head(loopback, client, monkeypatch):
    """Head and body of 16 KiB at most are given to the system in one step, one byte more in two."""
    steps = []
    real = HTTPConnection.send
    monkeypatch.setattr(HTTPConnection, "send", lambda self, data: steps.append(len(data)) or real(self, data))
    for size in (0, 1, TOGETHER, TOGETHER + 1):
        steps.clear()
        client.put_object(BUCKET, "key", bytes(size))
        head = len(loopback.requests[-1].head)
        # What lies behind the head goes past http.client where the socket is a plain one.
        assert steps == [head + (size if size <= TOGETHER else 0)]
        assert loopback.requests[-1].body == bytes(size)
