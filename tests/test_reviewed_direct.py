"""Proves what a review of the short way found wrong: heads whose framing lies, torn records, digests that fail."""

import contextlib
import errno
import os
import resource
import shutil
import time

import pytest
from kit import ETAG, KEY, SECRET, TOKEN, client_of, good, still_works
from kit_calls import get, put
from kit_direct import idle
from kit_tls import Certified
from memorystore import MemoryStore
from rawserver import Answer, RawServer, in_turn, make_tls

from cdn_sigv4 import CDNError, TransportError
from cdn_sigv4.checksums import Beside
from cdn_sigv4.record import Record, read_record

LIES = [
    ("two codings and a length", b"Transfer-Encoding: gzip, chunked\r\nContent-Length: 0\r\n"),
    (
        "chunked twice and a length",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n",
    ),
    ("a blank that is none", b"\xa0Content-Length: 0\r\n"),
    ("a blank in the name", b"Content-Length : 0\r\n"),
    ("a control character before the name", b"\x1cContent-Length: 0\r\n"),
    ("a line within a line", b"X: a\rContent-Length: 9\r\nContent-Length: 0\r\n"),
    ("NUL", b"X: a\0b\r\nContent-Length: 0\r\n"),
]


@pytest.mark.parametrize("lines", [each[1] for each in LIES], ids=[each[0] for each in LIES])
def test_a_length_that_others_would_read_otherwise(lines):
    """Such an answer is none to rely on: whatever comes of it, what comes next on its connection is no answer."""
    answer = Answer(raw=b"HTTP/1.1 200 OK\r\nETag: x\r\n" + lines + b"\r\n")
    with RawServer(in_turn(answer, good)) as server, client_of(server, timeout=(5, 1)) as client:
        with contextlib.suppress(CDNError):  # some have a body, which does not come
            put(client)
        assert idle(client) == []
        still_works(client, server)
        assert server.connections == 2


def test_metadata_keep_their_last_letter():
    """UTF-8 in metadata comes as it is: the bytes of some letters are blanks in Latin-1, and only there."""
    headers = {**ETAG, "x-amz-meta-a": "voil\xc3\xa0", "x-amz-meta-b": "\xc3\x85"}
    with RawServer(lambda request: Answer(headers=headers, body=b"x")) as server, client_of(server) as client:
        with client.get_object("bucket", "key") as reader:
            assert reader.info.metadata == {"a": "voil\xc3\xa0", "b": "\xc3\x85"}


def test_a_record_that_finds_no_room(tmp_path):
    """A record of which only the beginning finds room is none, and says so: nobody is promised to go on with it."""
    path = str(tmp_path / "record.json")
    record = Record(path, is_kept=True)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30, limits[1]))
    try:
        record.write({"source": "s", "text": "x" * 100}, {}, durable=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not record.is_written
    assert read_record(path, "s") is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_digest_that_fails_in_its_thread(at):
    """What fails beside fails where it is waited for: nobody waits for ever, and no digest lacks a block."""
    taken = []

    class Failing:
        def update(self, block):
            taken.append(block)
            if len(taken) == at:
                raise MemoryError("no room")

    beside = Beside(Failing())
    for number in range(3):
        beside.update(bytes([number]))
    with pytest.raises(MemoryError, match="no room"):
        beside.end()


def test_authorities_that_change(tmp_path):
    """A new file of authorities in the old one's place counts from the next connection on, for good and for bad."""
    first, authority = make_tls(tmp_path)
    path = tmp_path / "ca.pem"
    shutil.copy(authority, path)
    close = Answer(headers=ETAG, body=b"x", close=True)
    with RawServer(lambda request: close, tls=first) as server, client_of(server, verify=str(path)) as client:
        assert get(client) == b"x"
        path.write_bytes(Certified(time.time() - 3600, time.time() + 3600, is_authority=True).pem)
        with pytest.raises(TransportError, match="certificate"):
            get(client)
        shutil.copy(authority, path)
        assert get(client) == b"x"


@pytest.mark.skipif(not hasattr(os, "sendfile"), reason="there is none")
@pytest.mark.parametrize("error", [errno.EAGAIN, errno.EINVAL, errno.EIO])
def test_a_file_that_sendfile_cannot_read(error, tmp_path, monkeypatch):
    """Whatever sendfile says of the file, also that it has nothing now, the bytes are read and sent, once each."""
    calls = []

    def sendfile(*_):
        calls.append(1)
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "sendfile", sendfile)
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * (24 << 10))
    store = MemoryStore({KEY: SECRET}, buckets=("bucket",), tokens={KEY: TOKEN})
    with RawServer(store) as server, client_of(server) as client:
        client.upload_file("bucket", "key", path)
        assert store.objects["bucket", b"key"].body == path.read_bytes()
    assert calls
