"""Proves the small S3: boto3, signed for real and checked by the judge, finds in it what it knows from a store."""

import contextlib
import datetime as dt
import hashlib

import boto3
import botocore.config
import botocore.exceptions
import pytest
import requests
from kit import BUCKET, KEY, SECRET
from rawserver import MemoryStore, RawServer, make_tls

REGION = "us-east-1"
AWKWARD = [
    "ü 1+2=3 %41~.onnx",
    "/lead",
    "a//b",
    "a/../b",
    "trail ",
    "%2F",
    "?x=1#y",
    "a\x01b",
    "日本/😀",
    "&<>\"'",
    "+",
]


def boto(endpoint, secret=SECRET, **more):
    """A boto3 client, path style, one attempt, without checksums that nobody asked for."""
    config = botocore.config.Config(
        s3={"addressing_style": "path"},
        signature_version="s3v4",  # its presigned URLs would be of version 2 otherwise
        retries={"total_max_attempts": 1},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=KEY,
        aws_secret_access_key=secret,
        region_name=REGION,
        config=config,
        **more,
    )


def refusal(call, **arguments):
    """Status, code and message with which a boto3 call is refused."""
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"], answer["Error"].get("Message", "")


@pytest.fixture
def store():
    """A store with one empty bucket, forgiving boto3 its unsorted queries."""
    return MemoryStore({KEY: SECRET}, buckets=(BUCKET,), strict_query=False)


@contextlib.contextmanager
def talking_to(store):
    """boto3 talking to a store."""
    with RawServer(store) as server, contextlib.closing(boto(server.endpoint)) as client:
        yield client


@pytest.fixture
def client(store):
    """boto3 talking to the store."""
    with talking_to(store) as client:
        yield client


@pytest.mark.parametrize("key", AWKWARD)
def test_awkward_keys(client, store, key):
    """boto3 puts, reads, lists and deletes a key that others would change, and it is kept under exactly its bytes."""
    body = key.encode() * 3
    put = client.put_object(Bucket=BUCKET, Key=key, Body=body, Metadata={"note": "a  b"}, ContentType="text/x")
    assert put["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    assert list(store.objects) == [(BUCKET, key.encode())]
    got = client.get_object(Bucket=BUCKET, Key=key)
    assert (got["Body"].read(), got["Metadata"], got["ContentType"]) == (body, {"note": "a  b"}, "text/x")
    listed = client.list_objects_v2(Bucket=BUCKET, Prefix=key)
    assert [(each["Key"], each["Size"], each["ETag"]) for each in listed["Contents"]] == [(key, len(body), put["ETag"])]
    assert listed["Prefix"] == key
    copied = client.copy_object(Bucket=BUCKET, Key="copy of " + key, CopySource={"Bucket": BUCKET, "Key": key})
    assert copied["CopyObjectResult"]["ETag"] == put["ETag"]
    assert client.head_object(Bucket=BUCKET, Key="copy of " + key)["Metadata"] == {"note": "a  b"}
    client.delete_object(Bucket=BUCKET, Key=key)
    assert refusal(client.get_object, Bucket=BUCKET, Key=key)[:2] == (404, "NoSuchKey")
    assert list(store.objects) == [(BUCKET, b"copy of " + key.encode())]


def test_listing_in_pages(client, store):
    """Pages of any size give every key and every common prefix once, in the order of their bytes."""
    keys = sorted(["a", "a/1", "a/2", "b/", "b/c/d", "ü/x", "z", "a b/+", "a\x01"], key=str.encode)
    for key in keys:
        store.put(BUCKET, key, b"")
    pages = client.get_paginator("list_objects_v2")
    for size in range(1, 11):
        flat = list(pages.paginate(Bucket=BUCKET, PaginationConfig={"PageSize": size}))
        assert [each["Key"] for page in flat for each in page.get("Contents", [])] == keys
        assert len(flat) == -(-len(keys) // size)
        deep = list(pages.paginate(Bucket=BUCKET, Delimiter="/", PaginationConfig={"PageSize": size}))
        assert [each["Key"] for page in deep for each in page.get("Contents", [])] == ["a", "a\x01", "z"]
        prefixes = [each["Prefix"] for page in deep for each in page.get("CommonPrefixes", [])]
        assert prefixes == ["a b/", "a/", "b/", "ü/"]
    after = client.list_objects_v2(Bucket=BUCKET, StartAfter="b/", Prefix="b", Delimiter="/")
    assert after["KeyCount"] == 0
    assert client.list_objects_v2(Bucket=BUCKET, MaxKeys=0)["IsTruncated"] is False


def test_ranges(client, store):
    """A range is answered 206 with its place and no checksum of the whole, an impossible one 416 with the size."""
    client.put_object(Bucket=BUCKET, Key="k", Body=b"0123456789", ChecksumAlgorithm="SHA256")
    expected = {"bytes=0-3": b"0123", "bytes=7-": b"789", "bytes=-2": b"89", "bytes=5-99": b"56789"}
    for value, body in expected.items():
        got = client.get_object(Bucket=BUCKET, Key="k", Range=value, ChecksumMode="ENABLED")
        start = b"0123456789".index(body)
        place = f"bytes {start}-{start + len(body) - 1}/10"
        assert (got["ContentRange"], "ChecksumSHA256" in got, got["Body"].read()) == (place, False, body)
    assert "ChecksumSHA256" in client.head_object(Bucket=BUCKET, Key="k", ChecksumMode="ENABLED")
    assert refusal(client.get_object, Bucket=BUCKET, Key="k", Range="bytes=10-")[:2] == (416, "InvalidRange")
    store.put(BUCKET, "empty", b"")
    assert refusal(client.get_object, Bucket=BUCKET, Key="empty", Range="bytes=0-")[:2] == (416, "InvalidRange")


def test_conditions(client, store):
    """Entity tags guard reading (304, 412) and writing (412, and 404 where nothing is there to be matched)."""
    assert refusal(client.put_object, Bucket=BUCKET, Key="k", IfMatch='"0"')[:2] == (404, "NoSuchKey")
    tag = client.put_object(Bucket=BUCKET, Key="k", Body=b"1", IfNoneMatch="*")["ETag"]
    assert refusal(client.put_object, Bucket=BUCKET, Key="k", Body=b"2", IfNoneMatch="*")[0] == 412
    assert refusal(client.put_object, Bucket=BUCKET, Key="k", Body=b"2", IfMatch='"0"')[0] == 412
    assert refusal(client.get_object, Bucket=BUCKET, Key="k", IfMatch='"0"')[0] == 412
    assert refusal(client.get_object, Bucket=BUCKET, Key="k", IfNoneMatch=tag)[0] == 304
    assert client.get_object(Bucket=BUCKET, Key="k", IfMatch=tag, IfNoneMatch='"0"')["Body"].read() == b"1"
    client.put_object(Bucket=BUCKET, Key="k", Body=b"2", IfMatch=tag)
    assert store.objects[BUCKET, b"k"].body == b"2"


def test_buckets(client, store):
    """Buckets are made and looked for, and nothing is found in one that does not exist."""
    client.create_bucket(Bucket="second")
    client.head_bucket(Bucket="second")
    assert store.buckets == {BUCKET, "second"}
    assert refusal(client.head_bucket, Bucket="third")[0] == 404
    assert refusal(client.put_object, Bucket="third", Key="k")[:2] == (404, "NoSuchBucket")


def test_what_it_does_not_know_is_501(client):
    """An operation outside its range is refused loudly instead of being taken for another."""
    assert refusal(client.list_buckets)[0] >= 400
    assert refusal(client.get_object_tagging, Bucket=BUCKET, Key="k")[:2] == (501, "NotImplemented")
    assert refusal(client.get_bucket_location, Bucket=BUCKET)[:2] == (501, "NotImplemented")


def test_damaged_upload_is_refused(client, store):
    """A body that does not fit the digest sent along is not stored."""
    wrong = {"ContentMD5": "1B2M2Y8AsgTpgAmY7PhCfg=="}, {"ChecksumCRC32": "AAAAAA=="}
    for digest in wrong:
        assert refusal(client.put_object, Bucket=BUCKET, Key="k", Body=b"x", **digest)[:2] == (400, "BadDigest")
    assert not store.objects


def test_wrong_secret(store):
    """A signature made with another secret is 403 SignatureDoesNotMatch, with the reason and without the secret."""
    with RawServer(store) as server:
        client = boto(server.endpoint, "other")
        answer = refusal(client.get_object, Bucket=BUCKET, Key="k")
        client.close()
    assert answer == (403, "SignatureDoesNotMatch", "signature differs")
    assert SECRET not in repr(vars(store)["objects"])


@pytest.mark.parametrize(("sent", "wanted"), [(None, "t/+="), ("t/+=", None), ("other", "t/+=")])
def test_session_token(sent, wanted):
    """A session token is demanded where one belongs to the key, refused where none does, and compared."""
    store = MemoryStore({KEY: SECRET}, buckets=(BUCKET,), tokens={KEY: wanted} if wanted else {}, strict_query=False)
    with RawServer(store) as server:
        bad, good = boto(server.endpoint, aws_session_token=sent), boto(server.endpoint, aws_session_token=wanted)
        assert refusal(bad.put_object, Bucket=BUCKET, Key="k", Body=b"")[:2] == (403, "InvalidTokenId")
        good.put_object(Bucket=BUCKET, Key="k", Body=b"")
        bad.close()
        good.close()


def test_clock(store):
    """A store whose clock is an hour off says so in its code and shows its own time in Date."""
    moment = dt.datetime.now(dt.timezone.utc) + dt.timedelta(hours=1)
    store = MemoryStore({KEY: SECRET}, buckets=(BUCKET,), clock=lambda: moment)
    with RawServer(store) as server:
        client = boto(server.endpoint)
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            client.get_object(Bucket=BUCKET, Key="k")
        client.close()
    assert caught.value.response["Error"]["Code"] == "RequestTimeTooSkewed"
    assert caught.value.response["ResponseMetadata"]["HTTPHeaders"]["date"] == moment.strftime(
        "%a, %d %b %Y %H:%M:%S GMT"
    )


def test_presigned_over_tls(store, tmp_path):
    """A URL that boto3 presigned is served over TLS to a client without any key, and to nobody once changed."""
    context, authority = make_tls(tmp_path)
    store.put(BUCKET, "a/ü 1", b"content")
    with RawServer(store, tls=context) as server:
        client = boto(server.endpoint, verify=str(authority))
        url = client.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "a/ü 1"}, ExpiresIn=60)
        client.close()
        assert requests.get(url, verify=str(authority), timeout=5).content == b"content"
        changed = requests.get(url.replace("Expires=60", "Expires=61"), verify=str(authority), timeout=5)
        assert (changed.status_code, b"signature differs" in changed.content) == (403, True)


def test_strict_query_is_the_default():
    """Unless told otherwise, a query that is not sent in its canonical order is refused, boto3's own among them."""
    with RawServer(MemoryStore({KEY: SECRET}, buckets=(BUCKET,))) as server:
        client = boto(server.endpoint)
        answer = refusal(client.list_objects_v2, Bucket=BUCKET)
        client.close()
    assert answer == (403, "SignatureDoesNotMatch", "query not sorted on the wire")
