"""Proves what becomes of the small S3's multipart uploads: boto3 reads them back, whole, by range and by part."""

import hashlib
import io
import zlib

import boto3.s3.transfer
import botocore.config
import pytest
from kit import BUCKET, KEY, SECRET
from rawserver import MemoryStore, RawServer
from test_memorystore import REGION, refusal, talking_to
from test_memorystore_multipart import FULL, ONE, THREE, TWO, WHOLE, crc, lenient_store, sha, tag, tags, uploaded


def composite(*bodies):
    """The CRC32 of CRC32s, as S3 writes it."""
    return f"{crc(b''.join(zlib.crc32(body).to_bytes(4, 'big') for body in bodies))}-{len(bodies)}"


@pytest.fixture
def store():
    return lenient_store()


@pytest.fixture
def client(store):
    """boto3 talking to the store."""
    with talking_to(store) as client:
        yield client


READ_BACK = {  # checksum and type of the whole, and of one part: as it is, and with MinIO's generosity
    "none": ({}, (None, None), (None, None)),
    "composite": ({"ChecksumAlgorithm": "CRC32"}, (composite(ONE, TWO, THREE), "COMPOSITE"), (crc(TWO), crc(TWO))),
    "full": (FULL, (crc(WHOLE), "FULL_OBJECT"), (None, crc(TWO))),
}


@pytest.mark.parametrize(("options", "whole", "part"), READ_BACK.values(), ids=READ_BACK)
def test_checksums_read_back(client, store, options, whole, part):
    """The whole tells its checksum and type, a part its own, and a range or a read without the mode none."""
    done = uploaded(client, ONE, TWO, THREE, **options)
    assert (done.get("ChecksumCRC32"), done.get("ChecksumType")) == whole
    for call in (client.get_object, client.head_object):
        got = call(Bucket=BUCKET, Key="k", ChecksumMode="ENABLED")
        assert (got.get("ChecksumCRC32"), got.get("ChecksumType"), got["ETag"]) == (*whole, tags(ONE, TWO, THREE))
        assert "ChecksumCRC32" not in call(Bucket=BUCKET, Key="k")
        for store.full_object_part_checksums, expected in zip((False, True), part):
            got = call(Bucket=BUCKET, Key="k", PartNumber=2, ChecksumMode="ENABLED")
            assert (got.get("ChecksumCRC32"), got["PartsCount"], got["ContentLength"]) == (expected, 3, 70)
            assert (got["ResponseMetadata"]["HTTPStatusCode"], got["ContentRange"]) == (206, "bytes 100-169/171")
            assert "ChecksumCRC32" not in call(Bucket=BUCKET, Key="k", PartNumber=2)
        assert refusal(call, Bucket=BUCKET, Key="k", PartNumber=4)[0] == 416
    got = client.get_object(Bucket=BUCKET, Key="k", Range="bytes=0-", ChecksumMode="ENABLED")
    assert ("ChecksumCRC32" in got, got["Body"].read()) == (False, WHOLE)
    assert refusal(client.get_object, Bucket=BUCKET, Key="k", PartNumber=4)[1] == "InvalidPartNumber"
    answer = refusal(client.get_object, Bucket=BUCKET, Key="k", PartNumber=1, Range="bytes=0-1")
    assert answer[:2] == (400, "InvalidRequest")


def test_sha256_in_parts(client):
    """SHA-256 is composite: of the parts' values, with their number."""
    done = uploaded(client, ONE, TWO, ChecksumAlgorithm="SHA256")
    raw = b"".join(hashlib.sha256(body).digest() for body in (ONE, TWO))
    assert (done["ChecksumSHA256"], done["ChecksumType"]) == (sha(raw) + "-2", "COMPOSITE")
    got = client.get_object(Bucket=BUCKET, Key="k", PartNumber=1, ChecksumMode="ENABLED")
    assert (got["ChecksumSHA256"], got["Body"].read()) == (sha(ONE), ONE)


@pytest.mark.parametrize("body", [b"0123456789", b""])
def test_a_single_put_is_one_part(client, store, body):
    """Part 1 of an object from one PUT is all of it, uncounted; its checksum is one of the whole."""
    put = client.put_object(Bucket=BUCKET, Key="k", Body=body, ChecksumCRC32=crc(body))
    assert "ChecksumCRC32" not in put, "unless asked for"
    got = client.get_object(Bucket=BUCKET, Key="k", PartNumber=1, ChecksumMode="ENABLED")
    assert (got["Body"].read(), got["ETag"], "PartsCount" in got) == (body, put["ETag"], False)
    assert refusal(client.get_object, Bucket=BUCKET, Key="k", PartNumber=2)[:2] == (416, "InvalidPartNumber")
    assert client.head_object(Bucket=BUCKET, Key="k", ChecksumMode="ENABLED")["ChecksumType"] == "FULL_OBJECT"
    store.put_echoes_checksum = True
    put = client.put_object(Bucket=BUCKET, Key="k", Body=body, ChecksumCRC32=crc(body))
    assert (put["ChecksumCRC32"], put["ChecksumType"]) == (crc(body), "FULL_OBJECT")


def test_an_empty_upload(client):
    """One empty part makes an empty object with a tag that counts it."""
    assert uploaded(client, b"")["ETag"] == tags(b"")
    assert client.get_object(Bucket=BUCKET, Key="k")["Body"].read() == b""
    got = client.get_object(Bucket=BUCKET, Key="k", PartNumber=1)
    assert (got["Body"].read(), got["PartsCount"]) == (b"", 1)


@pytest.mark.parametrize("options", [FULL, {"ChecksumAlgorithm": "CRC32"}])
def test_a_copy_is_one_piece(client, store, options):
    """A copy of an object in parts has an MD5 for a tag, one part, and the checksum of the whole."""
    uploaded(client, ONE, TWO, THREE, **options)
    client.copy_object(Bucket=BUCKET, Key="copy", CopySource={"Bucket": BUCKET, "Key": "k"})
    got = client.get_object(Bucket=BUCKET, Key="copy", ChecksumMode="ENABLED")
    assert (got["Body"].read(), got["ETag"], got["ChecksumType"]) == (WHOLE, tag(WHOLE), "FULL_OBJECT")
    assert got["ChecksumCRC32"] == crc(WHOLE)
    assert refusal(client.get_object, Bucket=BUCKET, Key="copy", PartNumber=2)[0] == 416


def test_boto3_as_it_comes(store):
    """boto3's own upload in parts, with its default checksums, is read back and verified by boto3's own download."""
    body = bytes(range(256)) * (11 << 12)  # 11 MiB
    store.least_part = MemoryStore({}).least_part
    with RawServer(store) as server:
        config = botocore.config.Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
        client = boto3.client(
            "s3",
            endpoint_url=server.endpoint,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            region_name=REGION,
            config=config,
        )
        transfer = boto3.s3.transfer.TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
        client.upload_fileobj(io.BytesIO(body), BUCKET, "k", Config=transfer)
        stored = store.objects[BUCKET, b"k"]
        assert [size for size, _ in stored.parts] == [5 << 20, 5 << 20, 1 << 20]
        assert stored.etag == tags(body[: 5 << 20], body[5 << 20 : 10 << 20], body[10 << 20 :])
        assert stored.sums["x-amz-checksum-crc32"].endswith("-3")
        assert (stored.body == body, store.uploads) == (True, {})
        saved = io.BytesIO()
        client.download_fileobj(BUCKET, "k", saved, Config=transfer)
        assert saved.getvalue() == body
        assert client.get_object(Bucket=BUCKET, Key="k")["Body"].read() == body
        for number in (1, 2, 3):
            got = client.get_object(Bucket=BUCKET, Key="k", PartNumber=number)
            assert got["Body"].read() == body[(number - 1) * (5 << 20) :][: 5 << 20]
            assert "ChecksumCRC32" in got
        store.objects[BUCKET, b"k"] = stored._replace(body=b"!" + body[1:])
        with pytest.raises(botocore.exceptions.FlexibleChecksumError):
            client.get_object(Bucket=BUCKET, Key="k", PartNumber=1)["Body"].read()
        client.close()
