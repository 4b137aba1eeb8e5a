"""Uploads in parts, against a store in memory that checks signatures, checksums and sizes: what is sent, and stored.

What may be uploaded is in test_multiupload_sources.py, what becomes of an upload that fails in
test_multiupload_failures.py and test_multiupload_interrupted.py, what a later run goes on with in test_unfinished.py.
"""

import base64
import binascii
import hashlib
import io
import threading
import tracemalloc

import pytest
from kit import BUCKET, judged, only
from kit_parts import MIB, forking
from kit_uploads import ALL, DATA, NUMBERS, PART, SIZE, client_for, name_of, names, put, sink, stored

from cdn_sigv4 import IntegrityError, multipart

HALF = PART // 2


pytestmark = pytest.mark.usefixtures("small_parts")


def text_of(value):
    return base64.b64encode(value).decode("ascii")


def crc32(data):
    return text_of(binascii.crc32(data).to_bytes(4, "big"))


def sha256(data):
    return text_of(hashlib.sha256(data).digest())


def blocks(size):
    return (DATA[start : start + size] for start in range(0, SIZE, size))


# -- what goes along


def by_name(loopback):
    return {name_of(each): each for each in loopback.requests}


def test_each_part_is_signed_and_summed(client, store, loopback):
    """Each part bears its own SHA-256 and CRC32, signed, and the completion the CRC32 of the whole."""
    info = put(client)
    assert names(loopback.requests) == ALL
    requests = by_name(loopback)
    for number in NUMBERS:
        part, sent = DATA[(number - 1) * PART :][:PART], requests[f"part {number}"]
        assert sent.header("x-amz-content-sha256") == hashlib.sha256(part).hexdigest()
        assert sent.header("x-amz-checksum-crc32") == crc32(part)
        assert {"x-amz-content-sha256", "x-amz-checksum-crc32"} <= set(judged(sent).signed_headers)
    create, complete = requests["create"], requests["complete"]
    assert create.header("x-amz-checksum-algorithm") == "CRC32"
    assert create.header("x-amz-checksum-type") == complete.header("x-amz-checksum-type") == "FULL_OBJECT"
    assert complete.header("x-amz-checksum-crc32") == crc32(DATA) == stored(store).sums["x-amz-checksum-crc32"]
    assert info.headers["x-amz-checksum-crc32"] == crc32(DATA)
    assert {each.header("content-length") for each in (create, requests["part 1"])} == {"0", str(PART)}


CHECKSUMS = {"crc32": "crc32", "sha256": "sha256", None: "md5"}


@pytest.mark.parametrize(("checksum", "verified"), CHECKSUMS.items(), ids=map(str, CHECKSUMS))
def test_what_proves_it(store, loopback, tmp_path, checksum, verified):
    """The answer proves the object: by the whole's CRC32, the SHA-256 of the parts' own, or else the MD5 of theirs."""
    (tmp_path / "file").write_bytes(DATA)
    with client_for(loopback, checksum=checksum) as client:
        result = client.upload_file(BUCKET, "key", tmp_path / "file", part_size=PART)
    assert (result.verified, result.bytes_moved, result.info.size) == (verified, SIZE, SIZE)
    requests, sums = by_name(loopback), stored(store).sums
    pieces = [DATA[start : start + PART] for start in range(0, SIZE, PART)]
    if checksum == "sha256":
        for number, piece in enumerate(pieces, 1):
            assert requests[f"part {number}"].header("x-amz-checksum-sha256") == sha256(piece)
        whole = sha256(b"".join(hashlib.sha256(piece).digest() for piece in pieces))
        assert sums == {"x-amz-checksum-type": "COMPOSITE", "x-amz-checksum-sha256": f"{whole}-6"}
    if checksum is None:
        assert sums == {}
        headers = {name.lower() for each in loopback.requests for name, _ in each.headers}
        assert not any(name.startswith("x-amz-checksum") for name in headers)


def test_a_tag_that_is_no_md5_proves_nothing(store, loopback, tmp_path):
    """With `etag_is_md5=False`, and without a checksum, nothing proves it, and that is no error."""
    (tmp_path / "file").write_bytes(DATA)
    with client_for(loopback, checksum=None, etag_is_md5=False) as client:
        assert client.upload_file(BUCKET, "key", tmp_path / "file", part_size=PART).verified is None
    assert stored(store).body == DATA


def test_descriptions_go_with_the_beginning(client, store, loopback):
    """Metadata, type and all else are of the upload's beginning; a customer's key goes with every part too."""
    secret = {"x-amz-server-side-encryption-customer-key": "a2V5"}
    headers = {"cache-control": "no-store", "x-amz-storage-class": "STANDARD", "x-amz-request-payer": "requester"}
    info = put(client, metadata={"note": "x"}, content_type="a/b", headers={**headers, **secret})
    with_all = {*secret, "x-amz-request-payer"}
    only_first = {"cache-control", "x-amz-storage-class", "x-amz-meta-note", "content-type"}
    for request in loopback.requests:
        sent = {name.lower() for name, _ in request.headers}
        assert with_all <= sent
        assert with_all <= set(judged(request).signed_headers)
        assert sent & only_first == (only_first if name_of(request) == "create" else set())
    assert stored(store).headers["x-amz-meta-note"] == "x"
    assert (info.metadata, info.content_type) == ({"note": "x"}, "a/b")


OWN = {
    "crc32": ({"x-amz-checksum-crc32": crc32(DATA)}, {"x-amz-checksum-crc32"}),
    "sha256": ({"x-amz-checksum-sha256": sha256(DATA)}, {"x-amz-checksum-sha256"}),
    "md5": ({"content-md5": text_of(hashlib.md5(DATA).digest())}, {"content-md5", "x-amz-checksum-crc32"}),
}


@pytest.mark.parametrize("how", ["memory", "generator"])
@pytest.mark.parametrize(("headers", "sent"), OWN.values(), ids=OWN)
def test_a_checksum_of_the_callers_is_of_the_whole(client, store, loopback, headers, sent, how):
    """A checksum that the caller gives is that of the whole object, which therefore goes in one PUT, parts or not."""
    put(client, DATA if how == "memory" else blocks(HALF), headers=headers)
    assert stored(store).body == DATA
    request = only(loopback)
    assert request.method == "PUT"
    found = {name.lower() for name, _ in request.headers}
    assert {name for name in found if "md5" in name or "checksum" in name} == sent


def test_a_wrong_checksum_of_the_callers(client, store):
    """One that is wrong is refused by the store, and nothing is stored."""
    with pytest.raises(IntegrityError):
        put(client, headers={"content-md5": text_of(b"0" * 16)})
    assert store.objects == {}


# -- memory and threads


def test_a_bytearray_is_given_back(client, store):
    """After an upload the caller's bytearray can be resized, whatever the number of parts that looked into it."""
    data = bytearray(DATA)
    put(client, data)
    data.append(1)
    assert stored(store).body == DATA


@forking
@pytest.mark.parametrize("how", ["bytearray", "file", "BytesIO"])
def test_nothing_is_copied(tmp_path, how):
    """Memory and files are sent in blocks: no thread holds a copy of its part."""
    part, size = 4 * MIB, 16 * MIB
    (tmp_path / "file").write_bytes(bytes(size))
    sent = []
    with (tmp_path / "file").open("rb") as file, sink() as endpoint, client_for(endpoint) as client:
        source = {"bytearray": bytearray(size), "file": file, "BytesIO": io.BytesIO(bytes(size))}[how]
        client.put_object(BUCKET, "warm", b"")
        tracemalloc.start()
        try:
            client.put_object(BUCKET, "key", source, part_size=part, progress=lambda done, _: sent.append(done))
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert sent[-1] == size
    assert most < (10 * MIB if how != "bytearray" else 2 * MIB), "four threads, with two blocks of 1 MiB each"


@forking
@pytest.mark.parametrize("workers", [1, 3])
def test_an_iterable_is_held_part_by_part(workers):
    """Of an iterable no more parts are in memory than there are threads, and the one that comes next."""
    part, block = 4 * MIB, bytes(MIB)
    with pytest.MonkeyPatch.context() as patch, sink() as endpoint, client_for(endpoint) as client:
        patch.setattr(multipart, "MIN_PART", part)
        client.put_object(BUCKET, "warm", b"")
        tracemalloc.start()
        try:
            client.put_object(BUCKET, "key", (block for _ in range(40)), part_size=part, max_workers=workers)
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert most < (workers + 1) * part + MIB


class Crowd:
    """A store that counts how many parts are sent at the same time, and waits with its answers until all are there."""

    def __init__(self, store, most):
        self.store, self.most, self.now, self.highest = store, most, 0, 0
        self.changed = threading.Condition()

    def __call__(self, request):
        if not name_of(request).startswith("part"):
            return self.store(request)
        with self.changed:
            self.now += 1
            self.highest = max(self.highest, self.now)
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.highest >= self.most, 5)
        answer = self.store(request)
        with self.changed:
            self.now -= 1
        return answer


@pytest.mark.parametrize("how", ["memory", "generator"])
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_no_more_at_a_time_than_allowed(client, store, loopback, workers, how):
    """`max_workers` parts are on their way at once, and never more; no thread is left afterwards."""
    loopback.answer = crowd = Crowd(store, workers)
    before = threading.active_count()
    put(client, DATA if how == "memory" else blocks(HALF), max_workers=workers)
    assert stored(store).body == DATA
    assert crowd.highest == workers
    assert loopback.connections <= workers + 1
    assert threading.active_count() - before <= loopback.connections, "but for the server's own"


# -- progress


@pytest.mark.parametrize("how", ["memory", "file", "generator", "small"])
def test_progress_of_an_upload(client, loopback, tmp_path, how):
    """What `progress` hears rises, names the whole size where that is known, and ends with all bytes."""
    heard = []
    data = DATA if how != "small" else DATA[:999]
    (tmp_path / "file").write_bytes(data)
    with (tmp_path / "file").open("rb") as file:
        source = {"file": file, "generator": blocks(HALF)}.get(how, data)
        put(client, source, progress=lambda done, total: heard.append((done, total)))
    done = [each for each, _ in heard]
    assert done[:-1] == sorted(set(done[:-1]))
    assert done[-2:] == sorted(done[-2:])
    assert heard[-1] == (len(data), len(data))
    assert {total for _, total in heard[:-1]} <= {None if how == "generator" else len(data)}
