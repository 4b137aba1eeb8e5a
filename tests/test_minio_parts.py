"""Objects in parts, up and down, under the two users of least privilege, against a real MinIO.

What MinIO keeps of an upload's checksums, lists of its parts, and answers to HEAD with a part's number, is here taken
from MinIO itself; boto3 uploads the same bytes in its own way.
"""

import io
import os

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from kit_files import content
from kit_parts import MIB, made

from cdn_sigv4 import (
    AccessDenied,
    NotFound,
    OutcomeUnknown,
    PreconditionFailed,
    Retry,
    S3Client,
)

pytestmark = pytest.mark.minio
SIZE = 12 * MIB + 345
CHECKSUMS = ["crc32", "sha256", None]
MIB_5 = 5 * MIB


@pytest.fixture
def source(tmp_path):
    """A file that is worth three parts."""
    path = tmp_path / "source"
    path.write_bytes(made(12, SIZE))
    return path


@pytest.fixture
def client_of(server, users):
    """Make clients of the uploader's or the downloader's, with options."""
    made_here = []

    def make(user, **options):
        client = S3Client(server.endpoint, getattr(users, user), region=server.region, **options)
        made_here.append(client)
        return client

    yield make
    for client in made_here:
        client.close()


def uploads_left(server, bucket, key):
    """The uploads under way to this key."""
    found = peer(server).list_multipart_uploads(Bucket=bucket, Prefix=key)
    return [each for each in found.get("Uploads", []) if each["Key"] == key]


PEERS = {}  # kept: with old versions of urllib3 the sockets of one that is dropped warn of themselves


def peer(server, **options):
    """boto3 with the root credential."""
    name = str(options)
    if name not in PEERS:
        PEERS[name] = _peer(server, options)
    return PEERS[name]


def _peer(server, options):
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name=server.region,
        aws_access_key_id=server.root_access_key,
        aws_secret_access_key=server.root_secret_key,
        config=Config(s3={"addressing_style": "path"}, **options),
    )


@pytest.mark.parametrize("how", ["file", "memory", "generator"])
@pytest.mark.parametrize("checksum", CHECKSUMS)
def test_up_and_down(server, client_of, bucket, source, tmp_path, checksum, how):
    """Three parts under the least privilege: proved on the way up, and on the way down by whatever is kept."""
    key, data = f"parts/{checksum}/{how}", source.read_bytes()
    writer, heard = client_of("uploader", checksum=checksum), []
    options = {"metadata": {"by": "job 7"}, "content_type": "a/b", "progress": lambda *done: heard.append(done)}
    if how == "file":
        result = writer.upload_file(bucket, key, source, **options)
        info = result.info
        assert result.verified == (checksum or "md5")
        assert result.bytes_moved == SIZE
    else:
        body = data if how == "memory" else (data[start : start + 777_777] for start in range(0, SIZE, 777_777))
        info = writer.put_object(bucket, key, body, **options)
    assert heard[-1] == (SIZE, SIZE)
    assert info.etag.endswith('-3"')
    assert uploads_left(server, bucket, key) == []
    result = client_of("downloader").download_file(bucket, key, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == data
    assert result.verified == checksum
    assert (result.info.etag, result.info.size, result.info.content_type) == (info.etag, SIZE, "a/b")
    assert result.info.metadata == {"by": "job 7"}
    kept = peer(server).head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    assert kept["ContentLength"] == SIZE
    if checksum is not None:
        assert kept["ChecksumType"] == {"crc32": "FULL_OBJECT", "sha256": "COMPOSITE"}[checksum]
        assert kept[f"Checksum{checksum.upper()}"] == info.headers[f"x-amz-checksum-{checksum}"]


@pytest.mark.parametrize("checksum", CHECKSUMS)
def test_resume(server, client_of, bucket, source, tmp_path, checksum):
    """An upload that broke behind its first part goes on with the second, as MinIO lists what it has."""
    key, state = f"resumed/{checksum}", tmp_path / "state"
    options = {"state_dir": state, "resume": True, "max_workers": 1, "part_size": MIB_5}

    def broken(done, total):
        if done > MIB_5:
            raise OSError("the link is down")

    with pytest.raises(OSError, match="link is down"):
        client_of("uploader", checksum=checksum).upload_file(bucket, key, source, progress=broken, **options)
    assert len(uploads_left(server, bucket, key)) == 1
    assert len(content(state)) == 2
    result = client_of("uploader", checksum=checksum).upload_file(bucket, key, source, **options)
    assert (result.bytes_moved, result.verified) == (SIZE - MIB_5, checksum or "md5")
    assert content(state) == {}
    assert uploads_left(server, bucket, key) == []
    client_of("downloader").download_file(bucket, key, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == source.read_bytes()


def test_resume_of_an_upload_that_is_gone(server, client_of, bucket, source, tmp_path):
    """One that MinIO has dropped meanwhile, as it does after a day, is begun anew."""
    key, options = "resumed/gone", {"state_dir": tmp_path / "state", "resume": True, "max_workers": 1}

    def broken(done, total):
        if done > MIB_5:
            raise OSError("the link is down")

    with pytest.raises(OSError, match="link is down"):
        client_of("uploader").upload_file(bucket, key, source, progress=broken, **options)
    (upload,) = uploads_left(server, bucket, key)
    peer(server).abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload["UploadId"])
    result = client_of("uploader").upload_file(bucket, key, source, **options)
    assert (result.bytes_moved, result.verified) == (SIZE, "crc32")
    assert uploads_left(server, bucket, key) == []


def test_what_fails_is_aborted(server, client_of, bucket):
    """An upload whose source fails in the middle leaves nothing in MinIO."""

    def failing():
        yield made(12, SIZE)[: 11 * MIB]
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        client_of("uploader").put_object(bucket, "aborted", failing())
    assert uploads_left(server, bucket, "aborted") == []
    with pytest.raises(NotFound):
        client_of("downloader").get_object(bucket, "aborted")


def test_who_may_not_upload(client_of, bucket, source):
    """The downloader is refused at once, with nothing begun."""
    with pytest.raises(AccessDenied):
        client_of("downloader").upload_file(bucket, "refused", source)


def test_conditions(server, client_of, root_client, bucket, source):
    """MinIO asks the conditions of an upload in parts at its end; what they forbid changes nothing and is aborted."""
    key, writer = "conditions", client_of("uploader")
    first = writer.upload_file(bucket, key, source, if_none_match="*").info
    for condition in ({"if_none_match": "*"}, {"if_match": '"0"'}):
        with pytest.raises(PreconditionFailed):
            writer.put_object(bucket, key, bytes(SIZE), **condition)
        assert uploads_left(server, bucket, key) == []
    assert root_client.head_object(bucket, key).etag == first.etag
    second = writer.put_object(bucket, key, bytes(SIZE), if_match=first.etag)
    assert root_client.head_object(bucket, key).etag == second.etag


@pytest.mark.parametrize("user", ["uploader", "root"])
@pytest.mark.parametrize("condition", [{}, {"if_none_match": "*"}], ids=["unconditional", "conditional"])
def test_a_completion_whose_answer_is_lost(
    server, client_of, root_client, bucket, source, monkeypatch, user, condition
):
    """The repetition finds no upload: root looks, the uploader may not, and does again what may be done again."""
    key = f"lost/{user}/{len(condition)}"
    client = client_of("uploader", retry=Retry(budget=1e6)) if user == "uploader" else root_client
    wire = client._exchange._connected()
    send, lost = wire.send, []

    def losing(request, signed, body):
        answer = send(request, signed, body)
        if request.method == "POST" and "uploadId" in request.query and not lost:
            lost.append(request)
            answer.read_all(1 << 20)
            error = OutcomeUnknown("the answer is lost")
            error.cause = "closed"
            raise error
        return answer

    monkeypatch.setattr(wire, "send", losing)
    if user == "uploader" and condition:
        with pytest.raises(OutcomeUnknown):
            client.upload_file(bucket, key, source, **condition)
    else:
        result = client.upload_file(bucket, key, source, **condition)
        assert result.bytes_moved == SIZE * (2 if user == "uploader" else 1)
    assert len(lost) == 1
    assert root_client.head_object(bucket, key).size == SIZE
    assert uploads_left(server, bucket, key) == []


# -- whether it has changed


def in_one(client_of, server, bucket, key, data):
    client_of("uploader").put_object(bucket, key, data[:MIB_5])
    return data[:MIB_5]


def in_one_without(client_of, server, bucket, key, data):
    client_of("uploader", checksum=None).put_object(bucket, key, data[:MIB_5])
    return data[:MIB_5]


def in_parts(checksum):
    def upload(client_of, server, bucket, key, data):
        client_of("uploader", checksum=checksum).put_object(bucket, key, data, part_size=MIB_5)
        return data

    return upload


def by_boto3(checksum):
    def upload(client_of, server, bucket, key, data):
        more = {} if checksum is None else {"ChecksumAlgorithm": checksum}
        config = TransferConfig(multipart_threshold=MIB_5, multipart_chunksize=6 * MIB)
        client = peer(server, request_checksum_calculation="when_required" if checksum is None else "when_supported")
        client.upload_fileobj(io.BytesIO(data), bucket, key, ExtraArgs=more, Config=config)
        return data

    return upload


def unevenly(client_of, server, bucket, key, data):
    """Parts of different sizes, as another program may make them."""
    client = peer(server, request_checksum_calculation="when_required")
    upload = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    ends, parts = [0, 5 * MIB, 11 * MIB, len(data)], []
    for number, (first, end) in enumerate(zip(ends, ends[1:]), 1):
        part = client.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=data[first:end])
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    client.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts})
    return data


WAYS = {
    "CRC32, one PUT": (in_one, "crc32"),
    "MD5, one PUT": (in_one_without, "md5"),
    "CRC32 of the whole": (in_parts("crc32"), "crc32"),
    "SHA-256 of the parts": (in_parts("sha256"), "sha256"),
    "MD5 of the parts": (in_parts(None), "md5"),
    "boto3's CRC32": (by_boto3("CRC32"), "crc32"),
    "boto3's SHA-256": (by_boto3("SHA256"), "sha256"),
    "boto3's SHA-1": (by_boto3("SHA1"), "sha1"),
    "boto3 without": (by_boto3(None), "md5"),
    "uneven parts": (unevenly, "md5"),
}


@pytest.mark.parametrize(("upload", "verified"), WAYS.values(), ids=WAYS)
def test_only_if_changed(client_of, server, bucket, tmp_path, upload, verified):
    """A second download moves nothing while the file has the object's bytes; a byte that differs is fetched again."""
    target, key, reader = tmp_path / "target", f"changed/{os.urandom(4).hex()}", client_of("downloader")
    data = upload(client_of, server, bucket, key, made(13, SIZE))
    first = reader.download_file(bucket, key, target, if_changed=True)
    assert (target.read_bytes() == data, first.bytes_moved) == (True, len(data))
    second = reader.download_file(bucket, key, target, if_changed=True)
    assert (second.bytes_moved, second.verified, second.info.etag) == (0, verified, first.info.etag)
    for place in (0, len(data) - 1):
        damaged = bytearray(data)
        damaged[place] ^= 1
        target.write_bytes(damaged)
        assert reader.download_file(bucket, key, target, if_changed=True).bytes_moved == len(data)
        assert target.read_bytes() == data
    target.write_bytes(data[:-1])
    assert reader.download_file(bucket, key, target, if_changed=True).bytes_moved == len(data)
    assert target.read_bytes() == data
