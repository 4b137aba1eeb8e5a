"""What S3 asks and answers about an upload in parts: requests and documents, the hostile ones refused. All of it pure.

Sizes are in test_multipart_sizes.py.
"""

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit import BUCKET

from cdn_sigv4 import InvalidResponse, multipart
from cdn_sigv4.answers import ObjectInfo
from cdn_sigv4.multipart import Part

ID = "an+id/of=some&sort"
SENT = {
    "content-type": "a/b",
    "x-amz-meta-note": "x",
    "cache-control": "no-store",
    "x-amz-server-side-encryption-customer-algorithm": "AES256",
    "x-amz-server-side-encryption-customer-key": "a2V5",
    "x-amz-server-side-encryption-customer-key-md5": "bWQ1",
    "x-amz-expected-bucket-owner": "111122223333",
    "x-amz-request-payer": "requester",
}
ALONG = {name: value for name, value in SENT.items() if name.startswith("x-amz-") and "meta" not in name}


# -- requests


@pytest.mark.parametrize(
    ("checksum", "extra"),
    [
        ("crc32", {"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "FULL_OBJECT"}),
        ("sha256", {"x-amz-checksum-algorithm": "SHA256"}),
        (None, {}),
    ],
)
def test_a_beginning(checksum, extra):
    """All that describes the object belongs here, with the kind of checksum that it is to have."""
    request = multipart.create_request(BUCKET, "a/b", SENT, checksum)
    assert (request.method, request.bucket, request.key, request.query) == ("POST", BUCKET, "a/b", {"uploads": ""})
    assert request.headers == {**SENT, **extra}


def test_the_other_requests():
    """Each names the upload; with it go a customer's key, who pays, and whose bucket it must be, where S3 asks."""
    checksum = {"x-amz-checksum-crc32": "AAAAAA=="}
    part = multipart.part_request(BUCKET, "key", ID, 7, SENT, checksum)
    assert (part.method, part.query) == ("PUT", {"partNumber": "7", "uploadId": ID})
    assert part.headers == {**ALONG, **checksum}
    listed = multipart.list_request(BUCKET, "key", ID, SENT, None)
    assert (listed.method, listed.query) == ("GET", {"uploadId": ID})
    assert listed.headers == ALONG
    following = multipart.list_request(BUCKET, "key", ID, SENT, "1000")
    assert following.query == {"uploadId": ID, "part-number-marker": "1000"}
    abort = multipart.abort_request(BUCKET, "key", ID, SENT)
    assert (abort.method, abort.query) == ("DELETE", {"uploadId": ID})
    assert abort.headers == {name: value for name, value in ALONG.items() if "customer" not in name}
    complete = multipart.complete_request(BUCKET, "key", ID, {"if-match": '"x"'}, checksum)
    assert (complete.method, complete.query) == ("POST", {"uploadId": ID})
    assert complete.headers == {"if-match": '"x"', **checksum, "x-amz-checksum-type": "FULL_OBJECT"}
    assert multipart.complete_request(BUCKET, "key", ID, {"if-match": None}, {}).headers == {}
    assert complete.is_write
    assert not any(each.is_write for each in (part, listed, abort)), "until the completion there is no object"


# -- documents


XML_TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=0xD7FF), max_size=20)


@given(
    tags=st.lists(XML_TEXT, min_size=1, max_size=5),
    checksum=st.sampled_from(["crc32", "sha256", None]),
    first=st.integers(1, 9995),
)
def test_a_completion_is_read_as_it_was_meant(tags, checksum, first):
    """Whatever an entity tag contains (&, <, >, quotes), a parser finds it again, with number and checksum."""
    value = None if checksum is None else "ab+/=="
    parts = [Part(number, 5, tag, value) for number, tag in enumerate(tags, first)]
    root = ET.fromstring(multipart.complete_body(parts, checksum).decode("utf-8"))
    space = "{http://s3.amazonaws.com/doc/2006-03-01/}"
    assert root.tag == space + "CompleteMultipartUpload"
    found = [{field.tag.replace(space, ""): field.text or "" for field in part} for part in root]
    more = {} if checksum is None else {f"Checksum{checksum.upper()}": value}
    assert found == [{"PartNumber": str(part.number), "ETag": part.etag, **more} for part in parts]


def test_a_completion_in_its_words():
    """The document is the one in AWS's reference."""
    body = multipart.complete_body([Part(1, 5, '"a&b<c>"', "AAAAAA==")], "crc32")
    assert body == (
        b'<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Part><PartNumber>1</PartNumber>'
        b'<ETag>"a&amp;b&lt;c&gt;"</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part></CompleteMultipartUpload>'
    )


def listed(inner, root="ListPartsResult"):
    return f'<?xml version="1.0"?><{root} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{inner}</{root}>'.encode()


ONE = "<Part><PartNumber>{}</PartNumber><Size>{}</Size><ETag>{}</ETag></Part>"
ENTITY = b'<!DOCTYPE x [<!ENTITY a "b">]><ListPartsResult>&a;</ListPartsResult>'


def fields(parts):
    return [(part.number, part.size, part.etag, part.checksum) for part in parts]


def test_a_list_of_parts():
    """Numbers, sizes, tags with their quotes, the checksum that the upload has, and where the next page begins."""
    inner = (
        "<IsTruncated>true</IsTruncated><NextPartNumberMarker>12</NextPartNumberMarker>"
        "<Part><PartNumber>3</PartNumber><Size>5242880</Size><ETag>&quot;e3&quot;</ETag>"
        "<ChecksumCRC32>AAAAAA==</ChecksumCRC32><ChecksumSHA256>x</ChecksumSHA256><LastModified/></Part>"
        "<Part><Size>0</Size><ETag/><PartNumber>12</PartNumber></Part>"
    )
    parts, after = multipart.parse_parts(listed(inner), "crc32")
    assert fields(parts) == [(3, 5242880, '"e3"', "AAAAAA=="), (12, 0, "", None)]
    assert after == "12"
    assert fields(multipart.parse_parts(listed(inner), "sha256")[0])[0][3] == "x"
    assert fields(multipart.parse_parts(listed(inner), None)[0])[0][3] is None


@pytest.mark.parametrize(
    "inner",
    [
        "",
        "<IsTruncated>false</IsTruncated><NextPartNumberMarker>12</NextPartNumberMarker>",
        "<IsTruncated/>",
        "<NextPartNumberMarker>12</NextPartNumberMarker>",
    ],
)
def test_the_last_page(inner):
    """Only a list that says that it is cut goes on; on the last page AWS names a marker too."""
    assert multipart.parse_parts(listed(inner), "crc32") == ([], None)


CUT = "<IsTruncated>true</IsTruncated><NextPartNumberMarker>{}</NextPartNumberMarker>"
HOSTILE_LISTS = {
    "nothing": b"",
    "a page": b"<html><body>please log in</body></html>",
    "another document": listed("", "ListBucketResult"),
    "an error": listed("<Code>x</Code>", "Error"),
    "entities": ENTITY,
    "no end": listed("")[:-3],
    "two": listed("") * 2,
    "no number": listed("<Part><Size>1</Size></Part>"),
    "no size": listed("<Part><PartNumber>1</PartNumber></Part>"),
    "a negative number": listed(ONE.format(-1, 5, "x")),
    "a number with a fraction": listed(ONE.format("1.0", 5, "x")),
    "a number in other digits": listed(ONE.format("\u0661", 5, "x")),
    "a number beyond all": listed(ONE.format("9" * 5000, 5, "x")),
    "a size in words": listed(ONE.format(1, "much", "x")),
    "goes on nowhere": listed("<IsTruncated>true</IsTruncated>"),
    "goes on in words": listed(CUT.format("next")),
    "goes on with a query": listed(CUT.format("1&amp;x=y")),
    "goes on below": listed(CUT.format("-1")),
    "goes on in other digits": listed(CUT.format("\u0661")),
}


@pytest.mark.parametrize("body", HOSTILE_LISTS.values(), ids=HOSTILE_LISTS)
def test_hostile_lists(body):
    """What is no list of parts is refused, whatever it is instead."""
    with pytest.raises(InvalidResponse):
        multipart.parse_parts(body, "crc32")


@given(body=st.binary(max_size=200) | st.text(max_size=200).map(listed))
def test_any_list(body):
    """Whatever comes, it is a list or refused, never another error."""
    try:
        parts, after = multipart.parse_parts(body, "crc32")
    except InvalidResponse:
        return
    assert all(part.number >= 0 and part.size >= 0 for part in parts)
    assert after is None or after.isdigit()


@pytest.mark.parametrize("text", ["x", "+/+/WwgfB6hYNiKRRV5f7ezUErYW0E4=", "a.b~c_-", "x" * 2048])
def test_a_beginnings_answer(text):
    """An upload's id is whatever the store says, up to a length."""
    assert multipart.created(listed(f"<UploadId>{text}</UploadId>", "InitiateMultipartUploadResult")) == text


HOSTILE_BEGINNINGS = {
    "nothing": b"",
    "a page": b"<html/>",
    "no id": listed("", "InitiateMultipartUploadResult"),
    "an empty id": listed("<UploadId/>", "InitiateMultipartUploadResult"),
    "an endless id": listed(f"<UploadId>{'x' * 2049}</UploadId>", "InitiateMultipartUploadResult"),
    "an id somewhere else": listed("<X><UploadId>x</UploadId></X>", "InitiateMultipartUploadResult"),
}


@pytest.mark.parametrize("body", HOSTILE_BEGINNINGS.values(), ids=HOSTILE_BEGINNINGS)
def test_hostile_beginnings(body):
    """Without an id there is no upload."""
    with pytest.raises(InvalidResponse):
        multipart.created(body)


REQUEST = multipart.complete_request(BUCKET, "key", ID, {}, {})


def completed(inner, headers=None, root="CompleteMultipartUploadResult"):
    return multipart.completed(REQUEST, SENT, headers or {}, listed(inner, root), 12)


@pytest.mark.parametrize(
    ("inner", "kept"),
    [
        (
            "<ChecksumCRC32>AAAAAA==</ChecksumCRC32>",
            {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-type": "FULL_OBJECT"},
        ),
        ("<ChecksumSHA256>x-3</ChecksumSHA256>", {"x-amz-checksum-sha256": "x-3", "x-amz-checksum-type": "COMPOSITE"}),
        ("<ChecksumCRC64NVME>x</ChecksumCRC64NVME>", {}),
        ("", {}),
    ],
)
def test_a_completions_answer(inner, kept):
    """The object that it describes: with tag, size, checksums, version, and what was sent along, but no secrets."""
    info = completed(
        f"<Location>x</Location><ETag>&quot;e-2&quot;</ETag>{inner}", {"x-amz-version-id": "v", "server": "x"}
    )
    assert isinstance(info, ObjectInfo)
    assert (info.bucket, info.key, info.size, info.etag, info.version_id) == (BUCKET, "key", 12, '"e-2"', "v")
    assert (info.content_type, info.metadata) == ("a/b", {"note": "x"})
    headers = {name: value for name, value in info.headers.items() if "checksum" in name}
    assert headers == kept
    assert not {"x-amz-server-side-encryption-customer-key", "server"} & set(info.headers)


@pytest.mark.parametrize(
    ("inner", "root"),
    [("", "CompleteMultipartUploadResult"), ("<ETag/>", "CompleteMultipartUploadResult"), ("<ETag>x</ETag>", "Error")],
)
def test_hostile_completions(inner, root):
    """Without an entity tag nothing was stored."""
    with pytest.raises(InvalidResponse):
        completed(inner, root=root)
