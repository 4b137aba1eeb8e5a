"""Damage is seen in both directions, whatever checksum the store offers, and asked for again once (traps 21, 25, 41).

One bit is flipped on the way, or in the store; the judge is what arrives, or what is stored. What checksums.py makes is
compared with zlib, hashlib and, for MinIO's own values, in test_minio.py.
"""

import base64
import hashlib
import random
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import BIG, BODY, client_of, judged, only
from kit_calls import md5_tag
from kit_files import content
from rawserver import Answer, RawServer, in_turn

from cdn_sigv4 import IntegrityError, Retry, S3Client, checksums
from cdn_sigv4.source import open_body

TWICE = Retry(attempts=3, budget=1000)
DAMAGED = BODY[:777] + bytes([BODY[777] ^ 1]) + BODY[778:]
same_each_run = settings(derandomize=True, database=None, deadline=None, max_examples=100)


def text_of(name, data):
    """A checksum as S3 writes it, by another way than the package's."""
    digest = zlib.crc32(data).to_bytes(4, "big") if name == "crc32" else hashlib.new(name, data).digest()
    return base64.b64encode(digest).decode()


def proof(name, data):
    """The headers by which a store offers this checksum of an object, and an entity tag that proves nothing."""
    return (
        {"ETag": md5_tag(data)} if name == "md5" else {"ETag": '"x-2"', f"x-amz-checksum-{name}": text_of(name, data)}
    )


# -- checksums themselves


@pytest.mark.parametrize("size", [0, 1, 5000, 9 << 20], ids=str)
@pytest.mark.parametrize("source", ["bytes", "file", "iterable"])
def test_checksums_of_a_body(size, source, tmp_path):
    """In one pass, with a thread for the second where the body is large, they are what zlib and hashlib say."""
    data = random.Random(size).getrandbits(8 * size + 8).to_bytes(size + 1, "big")[:size]
    (tmp_path / "file").write_bytes(data)
    with (tmp_path / "file").open("rb") as file:
        body = open_body({"bytes": data, "file": file, "iterable": iter([data[:3], data[3:]])}[source])
        found = body.digests("crc32", "sha256", "md5", "sha1")
        assert {name: checksums.base64(value) for name, value in found.items()} == {
            name: text_of(name, data) for name in ("crc32", "sha256", "md5", "sha1")
        }
        assert body.remaining == size
        body.close()


def test_each_checksum_is_computed_once():
    """What is known of a body already costs no further pass over it."""
    passes = []

    body = open_body(b"data")
    read, body._blocks = body._blocks, lambda: passes.append(1) or read()
    body.digests("sha256", "crc32")
    body.digests("crc32")
    assert body.sha256() == hashlib.sha256(b"data").hexdigest()
    assert len(passes) == 1
    body.digests("md5", "crc32")
    assert len(passes) == 2


MD5 = md5_tag(BODY)
CRC = text_of("crc32", BODY)


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        pytest.param({}, None, id="nothing"),
        pytest.param({"etag": MD5}, "md5", id="MD5"),
        pytest.param({"etag": MD5.upper()}, "md5", id="MD5 in capitals"),
        pytest.param({"etag": MD5.strip('"')}, None, id="no quotes"),
        pytest.param({"etag": f"W/{MD5}"}, None, id="weak"),
        pytest.param({"etag": f'{MD5[:-1]}-2"'}, None, id="multipart"),
        pytest.param({"etag": '"' + "g" * 32 + '"'}, None, id="no hex"),
        pytest.param({"etag": '"' + "\u0661" * 32 + '"'}, None, id="digits of another script"),
        pytest.param({"etag": MD5, "x-amz-server-side-encryption": "aws:kms"}, None, id="SSE-KMS"),
        pytest.param({"etag": MD5, "x-amz-server-side-encryption": "aws:kms:dsse"}, None, id="SSE-KMS, twice"),
        pytest.param({"etag": MD5, "x-amz-server-side-encryption": "AES256"}, "md5", id="SSE-S3"),
        pytest.param(
            {"etag": MD5, "x-amz-server-side-encryption-customer-algorithm": "AES256"}, None, id="customer's key"
        ),
        pytest.param({"etag": MD5, "x-amz-checksum-crc32": CRC}, "crc32", id="the cheaper one first"),
        pytest.param({"x-amz-checksum-crc32": CRC, "x-amz-checksum-type": "COMPOSITE"}, None, id="of the parts"),
        pytest.param({"x-amz-checksum-crc32": CRC, "x-amz-checksum-type": "FULL_OBJECT"}, "crc32", id="full object"),
        pytest.param({"x-amz-checksum-crc32": f"{CRC}-2"}, None, id="of two parts"),
        pytest.param({"x-amz-checksum-crc32": CRC[:-1]}, None, id="no base64"),
        pytest.param({"x-amz-checksum-crc32": CRC + "\n"}, None, id="base64 and more"),
        pytest.param({"x-amz-checksum-crc32": "AAAA"}, None, id="too few bytes"),
        pytest.param({"x-amz-checksum-crc32": "ä"}, None, id="no ASCII"),
        pytest.param({"x-amz-checksum-crc32": "!", "etag": MD5}, "md5", id="the next best"),
        pytest.param({"x-amz-checksum-sha1": text_of("sha1", BODY)}, "sha1", id="SHA-1"),
        pytest.param({"x-amz-checksum-sha256": text_of("sha256", BODY)}, "sha256", id="SHA-256"),
        pytest.param({"x-amz-checksum-crc32c": CRC}, None, id="CRC32C, which Python has not"),
    ],
)
def test_what_proves_an_object(headers, name):
    """Only a checksum of the whole object in its exact form proves it; nothing else is an error."""
    found = checksums.stored(headers)
    assert (None if found is None else found[0]) == name
    if name == "md5":
        assert checksums.stored(headers, etag_is_md5=False) is None
    if found is not None:
        checksums.compare(name, open_body(BODY).digests(name)[name], found[1])


@same_each_run
@given(data=st.binary(max_size=100), cuts=st.lists(st.integers(0, 100)), name=st.sampled_from(list(checksums._SIZES)))
def test_a_verifier_takes_blocks_of_any_size(data, cuts, name):
    """However the bytes come, they are proved; one byte more, and they are not."""
    verifier = checksums.Verifier(name, open_body(data).digests(name)[name])
    ends = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    for begin, end in zip(ends, ends[1:]):
        verifier.update(data[begin:end])
    verifier.check()
    verifier.update(b"more")
    with pytest.raises(IntegrityError):
        verifier.check()


# -- downloads

NAMES = ["crc32", "sha256", "sha1", "md5"]


def read_all(client, folder):
    with client.get_object("bucket", "key") as reader:
        data = reader.read()
        return data, reader.verified


def read_blocks(client, folder):
    with client.get_object("bucket", "key") as reader:
        return b"".join(reader), reader.verified


def save(client, folder):
    result = client.download_file("bucket", "key", folder / "file")
    return (folder / "file").read_bytes(), result.verified


WAYS = {"read": read_all, "blocks": read_blocks, "file": save}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("body", [BODY, b""], ids=["5 KiB", "empty"])
@pytest.mark.parametrize("name", NAMES)
def test_downloads_are_verified(name, body, way, tmp_path):
    """Whatever the store offers is checked, and the result says which it was."""
    with RawServer(lambda request: Answer(headers=proof(name, body), body=body)) as server:
        with client_of(server) as client:
            assert way(client, tmp_path) == (body, name)
        assert only(server).header("x-amz-checksum-mode") == "ENABLED"
        assert "x-amz-checksum-mode" in judged(only(server)).signed_headers


@pytest.mark.parametrize("way", ["read", "file"])
@pytest.mark.parametrize("name", NAMES)
def test_damage_on_the_way_down_is_fetched_again(name, way, tmp_path):
    """A flipped bit costs a second request, and what comes out is right."""
    events = []
    answers = in_turn(Answer(headers=proof(name, BODY), body=DAMAGED), Answer(headers=proof(name, BODY), body=BODY))
    with RawServer(answers) as server, client_of(server, retry=TWICE, on_event=events.append) as client:
        assert WAYS[way](client, tmp_path) == (BODY, name)
        assert len(server.requests) == 2
    assert [(event.kind, type(event.error)) for event in events] == [("restart", IntegrityError)]


@pytest.mark.parametrize("attempts", [1, 10])
@pytest.mark.parametrize("way", ["read", "file"])
@pytest.mark.parametrize("name", NAMES)
def test_damage_in_the_store_is_an_error(name, way, attempts, tmp_path):
    """What is damaged twice is an IntegrityError that names both values; the old file stays, and nothing beside it."""
    (tmp_path / "file").write_bytes(b"old")
    with RawServer(lambda request: Answer(headers=proof(name, BODY), body=DAMAGED)) as server:
        with client_of(server, retry=Retry(attempts=attempts)) as client:
            with pytest.raises(IntegrityError) as caught:
                WAYS[way](client, tmp_path)
        assert len(server.requests) == min(attempts, 2)
    error = caught.value
    assert (error.operation, error.bucket, error.key) == ("GET", "bucket", "key")
    expected = hashlib.md5(BODY).hexdigest() if name == "md5" else text_of(name, BODY)
    assert expected in error.message
    assert ("etag_is_md5=False" in error.hint) == (name == "md5")
    assert content(tmp_path) == {"file": b"old"}


def test_another_version_in_the_second_attempt():
    """When the object is replaced between the two attempts of one read, what comes is the new one, and is called so."""
    new = b"a newer and shorter one"
    answers = in_turn(Answer(headers=proof("crc32", BODY), body=DAMAGED), Answer(headers=proof("md5", new), body=new))
    with RawServer(answers) as server, client_of(server, retry=TWICE) as client:
        with client.get_object("bucket", "key") as reader:
            assert (reader.read(), reader.verified) == (new, "md5")
            assert (reader.info.size, reader.info.etag, reader.length) == (len(new), md5_tag(new), len(new))
            assert reader.read() == b""


def test_blocks_that_were_handed_out_are_not_fetched_again():
    """Who reads block by block gets the error in place of the last bytes, and then a closed reader."""
    with RawServer(lambda request: Answer(headers=proof("crc32", BODY), body=DAMAGED)) as server:
        with client_of(server, retry=TWICE) as client, client.get_object("bucket", "key") as reader:
            got = [reader.read(1000) for _ in range(len(BODY) // 1000)]
            with pytest.raises(IntegrityError):
                reader.read(1000)
            assert reader.closed
            assert reader.verified is None
            with pytest.raises(ValueError, match="closed"):
                reader.read()
        assert len(b"".join(got)) == 5000
        assert len(server.requests) == 1


def test_what_cannot_be_proved_is_no_error(tmp_path):
    """An opaque entity tag proves nothing: the download is right as far as is known, and the result says None."""
    with RawServer(lambda request: Answer(headers={"ETag": '"x-2"'}, body=BODY)) as server, client_of(server) as client:
        for way in WAYS.values():
            assert way(client, tmp_path) == (BODY, None)


def test_a_store_whose_tags_are_no_md5s(tmp_path):
    """`etag_is_md5=False` takes tags that look like MD5s for opaque ones, up and down."""
    headers = {"ETag": md5_tag(b"something else")}
    with RawServer(lambda request: Answer(headers=headers, body=b"" if request.method == "PUT" else BODY)) as server:
        with client_of(server, etag_is_md5=False) as client:
            assert read_all(client, tmp_path) == (BODY, None)
            (tmp_path / "up").write_bytes(BODY)
            assert client.upload_file("bucket", "key", tmp_path / "up").verified is None
        with client_of(server) as client, pytest.raises(IntegrityError, match="entity tag is"):
            client.put_object("bucket", "key", BODY)


def test_ranges_are_not_verified():
    """A checksum of the whole says nothing of a part; it is not asked for."""
    answer = Answer(206, headers={"ETag": md5_tag(BODY), "Content-Range": f"bytes 2-5/{len(BODY)}"}, body=b"oops")
    with RawServer(lambda request: answer) as server, client_of(server) as client:
        with client.get_object("bucket", "key", start=2, end=6) as reader:
            assert (reader.read(), reader.verified) == (b"oops", None)
        assert only(server).header("x-amz-checksum-mode") is None


# -- uploads


def put(client, tmp_path, body=BODY):
    (tmp_path / "up").write_bytes(body)
    return client.upload_file("bucket", "key", tmp_path / "up")


@pytest.mark.parametrize("body", [BODY, b"", BIG[: 5 << 20]], ids=["5 KiB", "empty", "5 MiB"])
@pytest.mark.parametrize("name", ["crc32", "sha256", None])
def test_the_checksum_goes_along(name, body, store, loopback, tmp_path):
    """An upload bears the checksum that the client was told to store, signed, and no other."""
    from kit import KEY, SECRET

    from cdn_sigv4 import Credentials

    with S3Client(loopback.endpoint, Credentials(KEY, SECRET), checksum=name) as client:
        assert put(client, tmp_path, body).verified == "md5", "all that this store says in its answer"
    request = only(loopback)
    sent = {each: value for each, value in request.headers if each.startswith("x-amz-checksum")}
    assert sent == ({} if name is None else {f"x-amz-checksum-{name}": text_of(name, body)})
    assert set(sent) <= set(judged(request).signed_headers)
    assert store.objects["bucket", b"key"].body == body


@pytest.mark.parametrize("name", ["crc32", "md5"])
def test_the_answer_to_an_upload_is_compared(name, tmp_path):
    """A store that says what it has is taken at its word, which names the checksum that has proved it."""
    with RawServer(lambda request: Answer(headers=proof(name, request.body))) as server, client_of(server) as client:
        assert put(client, tmp_path).verified == name


@pytest.mark.parametrize("name", ["crc32", "md5"])
def test_damage_on_the_way_up_is_sent_again(name, tmp_path):
    """A careless store that took a damaged body for good is found out by its answer, and sent the body again."""
    kept = []

    def careless(request):
        kept.append(DAMAGED if not kept else request.body)
        return Answer(headers=proof(name, kept[-1]))

    with RawServer(careless) as server, client_of(server, retry=TWICE) as client:
        assert put(client, tmp_path).verified == name
    assert kept == [DAMAGED, BODY]


@pytest.mark.parametrize("name", ["crc32", "md5"])
def test_damage_that_stays_is_an_error(name, tmp_path):
    """A store that damages what it is given, each time, is an IntegrityError after two requests."""
    with RawServer(lambda request: Answer(headers=proof(name, DAMAGED))) as server:
        with client_of(server, retry=TWICE) as client, pytest.raises(IntegrityError) as caught:
            put(client, tmp_path)
        assert len(server.requests) == 2
    assert caught.value.operation == "PUT"


def test_a_checksum_of_the_callers_is_the_only_one():
    """S3 takes one checksum: one that is given among the headers is sent in place of the client's own."""
    given_one = {"x-amz-checksum-sha256": text_of("sha256", BODY)}
    with RawServer(lambda request: Answer(headers=proof("crc32", BODY))) as server, client_of(server) as client:
        client.put_object("bucket", "key", BODY, headers=given_one)
        assert only(server).header("x-amz-checksum-crc32") is None
        assert only(server).header("x-amz-checksum-sha256") == given_one["x-amz-checksum-sha256"]


def test_without_checksum_nothing_asks_for_one(tmp_path):
    """`checksum=None` is for stores that refuse the headers: none is sent, and the entity tag proves what it can."""
    with RawServer(lambda request: Answer(headers=proof("md5", BODY), body=BODY)) as server:
        with client_of(server, checksum=None) as client:
            assert read_all(client, tmp_path) == (BODY, "md5")
        assert only(server).header("x-amz-checksum-mode") is None
