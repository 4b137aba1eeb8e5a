"""Proves the small S3's multipart uploads: boto3 begins them, sends and lists parts, completes and aborts."""

import base64
import hashlib
import threading
import zlib

import pytest
from kit import BUCKET, KEY, SECRET
from rawserver import MemoryStore, RawServer
from test_memorystore import AWKWARD, boto, refusal, talking_to

ONE, TWO, THREE = b"a" * 100, b"b" * 70, b"c"
WHOLE = ONE + TWO + THREE
FULL = {"ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT"}
NOWHERE = {"Bucket": BUCKET, "Key": "k", "UploadId": "nowhere"}


def text(raw):
    return base64.b64encode(raw).decode("ascii")


def crc(*bodies):
    """Base64 of the CRC32 of the bodies, one behind the other."""
    return text(zlib.crc32(b"".join(bodies)).to_bytes(4, "big"))


def sha(body):
    return text(hashlib.sha256(body).digest())


def tag(body):
    """The entity tag of a single PUT, and of a part."""
    return f'"{hashlib.md5(body).hexdigest()}"'


def tags(*bodies):
    """The entity tag of an object in parts."""
    return f'{tag(b"".join(hashlib.md5(body).digest() for body in bodies))[:-1]}-{len(bodies)}"'


def lenient_store():
    """A store with one empty bucket, which takes parts of any size and forgives boto3 its unsorted queries."""
    store = MemoryStore({KEY: SECRET}, buckets=(BUCKET,), strict_query=False)
    store.least_part = 0
    return store


@pytest.fixture
def store():
    return lenient_store()


@pytest.fixture
def client(store):
    """boto3 talking to the store."""
    with talking_to(store) as client:
        yield client


def begun(client, key="k", **options):
    """Begin an upload; the arguments that its further calls share."""
    answer = client.create_multipart_upload(Bucket=BUCKET, Key=key, **options)
    assert (answer["Bucket"], answer["Key"]) == (BUCKET, key)
    return {"Bucket": BUCKET, "Key": key, "UploadId": answer["UploadId"]}


def sent(client, upload, *bodies, algorithm=None, numbers=None):
    """Send the parts; what completion is to be told of them."""
    value = {None: lambda body: {}, "CRC32": lambda body: {"ChecksumCRC32": crc(body)}}
    value["SHA256"] = lambda body: {"ChecksumSHA256": sha(body)}
    parts = []
    for number, body in zip(numbers or range(1, len(bodies) + 1), bodies):
        checksum = value[algorithm](body)
        answer = client.upload_part(**upload, PartNumber=number, Body=body, **checksum)
        assert (answer["ETag"], answer.get("ChecksumCRC32")) == (tag(body), checksum.get("ChecksumCRC32"))
        parts.append({"PartNumber": number, "ETag": answer["ETag"], **checksum})
    return parts


def finish(client, upload, parts, **options):
    return client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, **options)


def uploaded(client, *bodies, key="k", end=None, **options):
    """An object uploaded in parts; the answer to its completion."""
    upload = begun(client, key, **options)
    return finish(
        client, upload, sent(client, upload, *bodies, algorithm=options.get("ChecksumAlgorithm")), **end or {}
    )


@pytest.mark.parametrize("key", [key for key in AWKWARD if key.isprintable()])  # the others no XML can say
def test_awkward_keys(client, store, key):
    """An upload in parts keeps its key's bytes and its headers; its id needs encoding, its tag counts the parts."""
    upload = begun(client, key, Metadata={"note": "a  b"}, ContentType="text/x", CacheControl="no-cache")
    assert all(each in upload["UploadId"] for each in "+/=")
    assert list(store.uploads) == [upload["UploadId"]]
    assert not store.objects
    done = finish(client, upload, sent(client, upload, ONE, TWO, THREE))
    assert (done["Key"], done["ETag"], "ChecksumCRC32" in done) == (key, tags(ONE, TWO, THREE), False)
    assert (list(store.objects), store.uploads) == ([(BUCKET, key.encode())], {})
    got = client.get_object(Bucket=BUCKET, Key=key)
    assert (got["Body"].read(), got["ETag"], got["Metadata"]) == (WHOLE, done["ETag"], {"note": "a  b"})
    assert (got["ContentType"], got["CacheControl"]) == ("text/x", "no-cache")
    listed = client.list_objects_v2(Bucket=BUCKET, Prefix=key)
    assert [(each["Key"], each["Size"], each["ETag"]) for each in listed["Contents"]] == [(key, 171, done["ETag"])]


def test_ids_are_the_same_in_every_run(store):
    """Upload ids depend on nothing but the number of uploads before, so that a failure can be repeated."""
    with RawServer(store) as one, RawServer(MemoryStore({KEY: SECRET}, buckets=(BUCKET,), strict_query=False)) as two:
        clients = boto(one.endpoint), boto(two.endpoint)
        first, second = ([begun(client)["UploadId"] for _ in range(3)] for client in clients)
        for client in clients:
            client.close()
    assert first == second
    assert len(set(first)) == 3


def test_a_part_is_replaced(client, store):
    """The last PUT of a part number counts, parts may come in any order and be left out, and numbers may have gaps."""
    upload = begun(client)
    parts = sent(client, upload, THREE, b"wrong", TWO, ONE, numbers=(10_000, 2, 7, 2))
    finish(client, upload, [parts[3], parts[2], parts[0]])
    assert store.objects[BUCKET, b"k"].body == WHOLE
    got = client.get_object(Bucket=BUCKET, Key="k", PartNumber=2)
    assert (got["Body"].read(), got["PartsCount"]) == (TWO, 3)


@pytest.mark.parametrize("number", [0, -1, 10_001])
def test_part_numbers(client, number):
    """A part number outside 1 to 10,000 is refused, for writing and for reading."""
    upload = begun(client)
    assert refusal(client.upload_part, **upload, PartNumber=number, Body=b"")[:2] == (400, "InvalidArgument")
    client.put_object(Bucket=BUCKET, Key="k", Body=b"x")
    assert refusal(client.get_object, Bucket=BUCKET, Key="k", PartNumber=number)[:2] == (400, "InvalidArgument")


@pytest.mark.parametrize("wrong", [{"ContentMD5": "1B2M2Y8AsgTpgAmY7PhCfg=="}, {"ChecksumCRC32": crc(b"y")}])
def test_damaged_parts_are_refused(client, store, wrong):
    """A part that does not fit the digest sent along is not kept, and does not replace the one that is."""
    upload = begun(client)
    sent(client, upload, ONE)
    assert refusal(client.upload_part, **upload, PartNumber=1, Body=b"x", **wrong)[:2] == (400, "BadDigest")
    assert store.uploads[upload["UploadId"]].parts[1].body == ONE


@pytest.mark.parametrize("checksum", [{}, {"ChecksumSHA256": sha(ONE)}])
def test_parts_need_the_checksum_of_their_upload(client, checksum):
    """Where the upload has an algorithm, a part without its checksum is refused."""
    upload = begun(client, **FULL)
    answer = refusal(client.upload_part, **upload, PartNumber=1, Body=ONE, **checksum)
    assert answer[:2] == (400, "InvalidRequest")


WRONG_BEGINNINGS = {
    "SHA-256 of the whole": ({"ChecksumAlgorithm": "SHA256", "ChecksumType": "FULL_OBJECT"}, (400, "InvalidRequest")),
    "unknown algorithm": ({"ChecksumAlgorithm": "SHA1"}, (400, "InvalidRequest")),
    "type alone": ({"ChecksumType": "FULL_OBJECT"}, (400, "InvalidRequest")),
    "no bucket": ({"Bucket": "other"}, (404, "NoSuchBucket")),
}


@pytest.mark.parametrize(("options", "expected"), WRONG_BEGINNINGS.values(), ids=WRONG_BEGINNINGS)
def test_wrong_beginnings(client, store, options, expected):
    """An upload that could not be completed is not begun."""
    assert refusal(client.create_multipart_upload, **{"Bucket": BUCKET, "Key": "k", **options})[:2] == expected
    assert not store.uploads


@pytest.mark.parametrize("algorithm", [None, "CRC32", "SHA256"])
def test_listing_of_parts(client, store, algorithm):
    """Pages of any size name every part once, by rising numbers, with size, tag and the upload's checksum."""
    upload = begun(client, **({"ChecksumAlgorithm": algorithm} if algorithm else {}))
    bodies = {number: b"x" * number for number in (9, 1, 30, 2, 10_000)}
    told = sent(client, upload, *bodies.values(), algorithm=algorithm, numbers=bodies)
    wanted = sorted(({**part, "Size": part["PartNumber"]} for part in told), key=lambda part: part["PartNumber"])
    pages = client.get_paginator("list_parts")
    for size in (1, 2, 3, 5, 6):
        for store.parts_per_page, config in ((1000, {"PageSize": size}), (size, {})):
            got = list(pages.paginate(**upload, PaginationConfig=config))
            parts = [part for page in got for part in page.get("Parts", [])]
            assert all(part.pop("LastModified") for part in parts)
            assert parts == wanted
            assert [page["IsTruncated"] for page in got] == [True] * (-(-5 // size) - 1) + [False]
            assert {page.get("ChecksumAlgorithm") for page in got} == {algorithm}
    assert client.list_parts(**upload, MaxParts=0)["IsTruncated"] is False
    assert "Parts" not in client.list_parts(**upload, PartNumberMarker=10_000)
    assert client.list_parts(**upload, MaxParts=5000)["MaxParts"] == store.parts_per_page


def test_no_page_has_more_than_a_thousand_parts(client, store):
    """The default page ends at 1,000 parts, whatever is asked for."""
    upload = begun(client)
    (part,) = sent(client, upload, ONE)
    kept = store.uploads[upload["UploadId"]].parts
    kept.update(dict.fromkeys(range(2, 1002), kept[1]))
    first = client.list_parts(**upload, MaxParts=2000)
    assert (len(first["Parts"]), first["IsTruncated"], first["NextPartNumberMarker"]) == (1000, True, 1000)
    (last,) = client.list_parts(**upload, PartNumberMarker=1000)["Parts"]
    assert (last["PartNumber"], last["ETag"]) == (1001, part["ETag"])


PART_1, PART_2 = ({"PartNumber": n, "ETag": tag(body), "ChecksumCRC32": crc(body)} for n, body in ((1, ONE), (2, TWO)))
WHOLE_CRC = {"ChecksumCRC32": crc(ONE, TWO), "ChecksumType": "FULL_OBJECT"}
WRONG_COMPLETIONS = {
    "no part": ([], {}, (400, "MalformedXML")),
    "falling numbers": ([PART_2, PART_1], {}, (400, "InvalidPartOrder")),
    "a part twice": ([PART_1, PART_1], {}, (400, "InvalidPartOrder")),
    "a part that never came": ([PART_1, {**PART_2, "PartNumber": 3}], {}, (400, "InvalidPart")),
    "another tag": ([PART_1, {**PART_2, "ETag": PART_1["ETag"]}], {}, (400, "InvalidPart")),
    "another checksum": ([PART_1, {**PART_2, "ChecksumCRC32": crc(b"")}], {}, (400, "InvalidPart")),
    "no checksum": ([PART_1, {"PartNumber": 2, "ETag": tag(TWO)}], {}, (400, "InvalidPart")),
    "a checksum of another algorithm": ([PART_1, {**PART_2, "ChecksumSHA256": sha(TWO)}], {}, (400, "InvalidPart")),
    "a whole that differs": ([PART_1, PART_2], {**WHOLE_CRC, "ChecksumCRC32": crc(ONE)}, (400, "BadDigest")),
    "a part too few for the whole": ([PART_1], WHOLE_CRC, (400, "BadDigest")),
    "the other type": ([PART_1, PART_2], {**WHOLE_CRC, "ChecksumType": "COMPOSITE"}, (400, "InvalidRequest")),
    "no type": ([PART_1, PART_2], {"ChecksumCRC32": crc(ONE, TWO)}, (400, "InvalidRequest")),
    "another algorithm": ([PART_1, PART_2], {"ChecksumSHA256": sha(ONE + TWO)}, (400, "InvalidRequest")),
    "an object that is there": ([PART_1, PART_2], {"IfNoneMatch": "*"}, (412, "PreconditionFailed")),
    "an object that differs": ([PART_1, PART_2], {"IfMatch": tag(TWO)}, (412, "PreconditionFailed")),
}


@pytest.mark.parametrize(("parts", "options", "expected"), WRONG_COMPLETIONS.values(), ids=WRONG_COMPLETIONS)
def test_wrong_completions(client, store, parts, options, expected):
    """A completion that does not fit what was sent is refused, changes nothing, and may be put right."""
    client.put_object(Bucket=BUCKET, Key="k", Body=b"old")
    upload = begun(client, **FULL)
    sent(client, upload, ONE, TWO, algorithm="CRC32")
    assert refusal(finish, client=client, upload=upload, parts=parts, **options)[:2] == expected
    assert store.objects[BUCKET, b"k"].body == b"old"
    assert list(store.uploads) == [upload["UploadId"]]
    finish(client, upload, [PART_1, PART_2], **WHOLE_CRC, IfMatch=tag(b"old"))
    assert (store.objects[BUCKET, b"k"].body, store.uploads) == (ONE + TWO, {})


def test_conditions_without_an_object(client):
    """If-None-Match lets the first completion through; If-Match finds nothing to match."""
    upload = begun(client)
    parts = sent(client, upload, ONE)
    assert refusal(finish, client=client, upload=upload, parts=parts, IfMatch=tag(ONE))[:2] == (404, "NoSuchKey")
    finish(client, upload, parts, IfNoneMatch="*")


@pytest.mark.parametrize(("sizes", "allowed"), [((5 << 20, 1), True), (((5 << 20) - 1, 1), False), ((1,), True)])
def test_the_least_part(client, store, sizes, allowed):
    """Every part but the last has at least 5 MiB, unless a test says otherwise."""
    store.least_part = MemoryStore({}).least_part
    upload = begun(client)
    parts = sent(client, upload, *(b"x" * size for size in sizes))
    if allowed:
        finish(client, upload, parts)
    else:
        assert refusal(finish, client=client, upload=upload, parts=parts)[:2] == (400, "EntityTooSmall")
    assert len(store.uploads) == (not allowed)


def test_uploads_that_are_gone(client, store):
    """What is completed, aborted, unknown or of another key is NoSuchUpload to each call."""
    done, aborted, other = begun(client), begun(client), begun(client, "other")
    parts = sent(client, done, ONE)
    finish(client, done, parts)
    client.abort_multipart_upload(**aborted)
    assert list(store.uploads) == [other["UploadId"]]
    for upload in (done, aborted, NOWHERE, {**other, "Key": "k"}):
        for answer in (
            refusal(client.upload_part, **upload, PartNumber=1, Body=b""),
            refusal(client.list_parts, **upload),
            refusal(finish, client=client, upload=upload, parts=parts),
            refusal(client.abort_multipart_upload, **upload),
        ):
            assert answer[:2] == (404, "NoSuchUpload")
    assert refusal(finish, client=client, upload=done, parts=parts, IfNoneMatch="*")[0] == 412, "as on MinIO"


def test_what_it_does_not_know_is_501(client):
    """The list of uploads, a part that is a copy, and conditions on a beginning are refused loudly."""
    upload = begun(client)
    source = {"Bucket": BUCKET, "Key": "k"}
    client.put_object(Bucket=BUCKET, Key="k", Body=b"x")
    for answer in (
        refusal(client.list_multipart_uploads, Bucket=BUCKET),
        refusal(client.upload_part_copy, **upload, PartNumber=1, CopySource=source),
        refusal(client.get_object_attributes, **source, ObjectAttributes=["ObjectParts"]),
        refusal(client.get_object, **source, PartNumber=1, VersionId="1"),
    ):
        assert answer[:2] == (501, "NotImplemented")


MALFORMED = [
    b"",
    b"<CompleteMultipartUpload>",
    b"<Other><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></Other>",
    b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>",
    b"<CompleteMultipartUpload><Part><PartNumber>x</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>",
    b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag><X/></Part></CompleteMultipartUpload>",
]


@pytest.mark.parametrize("body", MALFORMED)
def test_malformed_completions(client, store, body):
    """A document that is not what S3 describes is refused, whoever wrote it, and the upload stays."""
    upload = begun(client)
    sent(client, upload, ONE)

    def replace(params, **rest):
        params["body"] = body

    client.meta.events.register("before-call.s3.CompleteMultipartUpload", replace)
    answer = refusal(finish, client=client, upload=upload, parts=[{"PartNumber": 1, "ETag": tag(ONE)}])
    assert answer[:2] == (400, "MalformedXML")
    assert len(store.uploads) == 1


def test_parts_at_once(client, store):
    """Parts that come over several connections at once are all kept."""
    upload = begun(client)
    bodies = {number: bytes([number]) * 10_000 for number in range(1, 9)}
    threads = [
        threading.Thread(target=sent, args=(client, upload, b), kwargs={"numbers": [n]}) for n, b in bodies.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    finish(client, upload, [{"PartNumber": number, "ETag": tag(body)} for number, body in bodies.items()])
    assert store.objects[BUCKET, b"k"].body == b"".join(bodies.values())
