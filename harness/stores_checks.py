"""The operations that `scripts/stores` tries on a store, each with what S3 promises of it.

A check is given a client and a place of its own in the bucket. It returns what else there is to know (by which checksum
the store's answers proved the bytes), raises `Wrong` where an outcome is not the promised one, and lets the errors of
cdn_sigv4 pass. What S3 promises: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html.
"""

from __future__ import annotations

import hashlib
from typing import Callable

import requests

from cdn_sigv4 import (
    AccessDenied,
    Credentials,
    IntegrityError,
    NotFound,
    NotModified,
    PreconditionFailed,
    ResponseError,
    S3Client,
)

from . import stores_parts
from .stores_place import Place, content, must, refused, there_and_back

KEYS = ["ü 1+2=3 %41~", "a//b", "a/../b", "a\x01b", "ends with a blank ", "/begins with a slash", "*'()!:@$&?#"]
MANY = 1005  # keys: more than one page


def bucket_head(client: S3Client, place: Place) -> str:
    """The bucket is there; another is not."""
    client.head_bucket(place.bucket)
    with refused(NotFound, "a bucket was found that is not there"):
        client.head_bucket(f"{place.bucket}-none")
    return ""


def small(client: S3Client, place: Place) -> str:
    """A file of one request, up and down."""
    return there_and_back(client, place)


def with_sha256(_: S3Client, place: Place) -> str:
    """The same, with SHA-256 as the stored checksum."""
    return there_and_back(place.client(checksum="sha256"), place)


def without_checksum(_: S3Client, place: Place) -> str:
    """The same, without one."""
    return there_and_back(place.client(checksum=None), place)


def empty(client: S3Client, place: Place) -> str:
    """An object without bytes."""
    return there_and_back(client, place, 0)


def wrong_checksum(client: S3Client, place: Place) -> str:
    """Bytes that are not those of the checksum beside them: S3 refuses them, and says so before they are kept."""
    with refused((ResponseError, IntegrityError), "the store took bytes whose CRC32 was another one", 400):
        client.put_object(place.bucket, place.key(), b"123456789", headers={"x-amz-checksum-crc32": "AAAAAA=="})
    return ""


def described(client: S3Client, place: Place) -> str:
    """Media type, metadata and headers are kept; an encoded object comes as it is stored."""
    client.put_object(
        place.bucket,
        place.key(),
        b"not gzip",
        content_type="text/plain",
        metadata={"trained-by": "job 7"},
        headers={"content-encoding": "gzip", "cache-control": "no-cache"},
    )
    info = client.head_object(place.bucket, place.key())
    kept = (info.content_type, info.metadata, info.headers.get("content-encoding"), info.headers.get("cache-control"))
    must(kept == ("text/plain", {"trained-by": "job 7"}, "gzip", "no-cache"), f"what was kept is {kept}")
    must(content(client, place, place.key()) == b"not gzip", "other bytes came back")
    return ""


def awkward(key: str) -> Callable[[S3Client, Place], str]:
    """An object of that key is put, got, described, listed and deleted under this very name, and no other."""

    def check(client: S3Client, place: Place) -> str:
        name = f"/{place.key(key[1:])}" if key.startswith("/") else place.key(key)
        client.put_object(place.bucket, name, b"1")
        must(content(client, place, name) == b"1", "other bytes came back")
        must(client.head_object(place.bucket, name).size == 1, "another size")
        prefixes = {place.prefix, f"/{place.prefix}"} if key.startswith("/") else {place.prefix}
        listed = {entry.key for prefix in prefixes for entry in client.list_objects(place.bucket, prefix)}
        must(listed == {name}, f"{name!r} is listed as {sorted(listed)!r}")
        client.delete_object(place.bucket, name)
        with refused(NotFound, "it is there after it was deleted"):
            client.head_object(place.bucket, name)
        return ""

    return check


def ranges(client: S3Client, place: Place) -> str:
    """Parts of an object; none behind its end."""
    client.put_object(place.bucket, place.key(), b"0123456789")
    for options, expected in (({"start": 2, "end": 5}, b"234"), ({"start": 7}, b"789"), ({"tail": 4}, b"6789")):
        must(content(client, place, place.key(), **options) == expected, f"{options} brought other bytes")
    with refused(ResponseError, "a range behind the end brought something", 416):
        content(client, place, place.key(), start=10)
    return ""


def conditional_get(client: S3Client, place: Place) -> str:
    """A GET by entity tag."""
    etag = client.put_object(place.bucket, place.key(), b"1").etag
    with refused(NotModified, "if_none_match with its own entity tag brought the object"):
        content(client, place, place.key(), if_none_match=etag)
    must(content(client, place, place.key(), if_match=etag) == b"1", "other bytes came back")
    with refused(PreconditionFailed, "if_match with another entity tag brought the object"):
        content(client, place, place.key(), if_match='"0123456789abcdef0123456789abcdef"')
    is_md5 = etag == f'"{hashlib.md5(b"1").hexdigest()}"'  # noqa: S324 - that is what it would be
    return "the entity tag is the MD5" if is_md5 else f"the entity tag is no MD5: {etag}"


def put_if_absent(client: S3Client, place: Place) -> str:
    """A PUT where nothing is may not take the place of what is."""
    client.put_object(place.bucket, place.key(), b"1", if_none_match="*")
    with refused(PreconditionFailed, 'if_none_match="*" was ignored: the object was overwritten'):
        client.put_object(place.bucket, place.key(), b"2", if_none_match="*")
    must(content(client, place, place.key()) == b"1", "the object was overwritten")
    return ""


def put_if_same(client: S3Client, place: Place) -> str:
    """A PUT in place of one version may not take the place of another."""
    etag = client.put_object(place.bucket, place.key(), b"1").etag
    etag = client.put_object(place.bucket, place.key(), b"2", if_match=etag).etag
    client.put_object(place.bucket, place.key(), b"3")
    with refused(PreconditionFailed, "if_match was ignored: another version was overwritten"):
        client.put_object(place.bucket, place.key(), b"4", if_match=etag)
    return ""


def missing(client: S3Client, place: Place) -> str:
    """What is not there is NotFound; to delete it is no error."""
    with refused(NotFound, "a HEAD found what is not there"):
        client.head_object(place.bucket, place.key())
    with refused(NotFound, "a GET found what is not there"):
        content(client, place, place.key())
    with refused(NotFound, "a bucket that is not there was listed"):
        list(client.list_objects(f"{place.bucket}-none"))
    client.delete_object(place.bucket, place.key())
    return ""


def folders(client: S3Client, place: Place) -> str:
    """A list with a delimiter: in order, folders summed up."""
    for name in ("b/2", "a", "b/1", "c/d/e", "ö"):
        client.put_object(place.bucket, place.key(name), b"1")
    found = [entry.key[len(place.prefix) :] for entry in client.list_objects(place.bucket, place.prefix, delimiter="/")]
    must(found == ["a", "b/", "c/", "ö"], f"listed are {found}")
    after = client.list_objects(place.bucket, place.prefix, start_after=place.key("b/1"))
    found = [entry.key[len(place.prefix) :] for entry in after]
    must(found == ["b/2", "c/d/e", "ö"], f"behind b/1 are listed {found}")
    return ""


def many(client: S3Client, place: Place) -> str:
    """A list of several pages."""
    names = [place.key(f"{number:04}") for number in range(MANY)]
    for name in names:
        client.put_object(place.bucket, name, b"")
    found = [entry.key for entry in client.list_objects(place.bucket, place.prefix)]
    must(found == names, f"{len(found)} of {MANY} keys are listed")
    return ""


def copied(client: S3Client, place: Place) -> str:
    """A copy keeps what describes the source, unless it is given anew."""
    source = place.key("ü 1+2=3 %41~")
    client.put_object(place.bucket, source, b"1", metadata={"of": "source"})
    client.copy_object(place.bucket, source, place.bucket, place.key("copy"))
    client.copy_object(place.bucket, source, place.bucket, place.key("other"), metadata={"of": "copy"})
    for name, metadata in (("copy", {"of": "source"}), ("other", {"of": "copy"})):
        must(content(client, place, place.key(name)) == b"1", "other bytes")
        found = client.head_object(place.bucket, place.key(name)).metadata
        must(found == metadata, f"the metadata is {found}, not {metadata}")
    with refused(NotFound, "what is not there was copied"):
        client.copy_object(place.bucket, place.key("none"), place.bucket, place.key("copy"))
    return ""


def presigned(client: S3Client, place: Place) -> str:
    """A URL that anybody may put to, and one to get from."""
    key = place.key("ü 1+2=3 %41~")
    put = requests.put(client.presigned_url("PUT", place.bucket, key, expires_in=60), data=b"1", timeout=30)
    must(put.status_code == requests.codes.ok, f"PUT was answered {put.status_code}")
    got = requests.get(client.presigned_url("GET", place.bucket, key, expires_in=60), timeout=30)
    must((got.status_code, got.content) == (requests.codes.ok, b"1"), f"GET was answered {got.status_code}")
    return ""


def anonymous(client: S3Client, place: Place) -> str:
    """Without a key nothing is to be had of a bucket that was opened to nobody."""
    client.put_object(place.bucket, place.key(), b"1")
    with refused(AccessDenied, "anybody may read"):
        content(place.client(credentials=None), place, place.key())
    return ""


def wrong_keys(client: S3Client, place: Place) -> str:
    """A wrong secret and an unknown key are refused."""
    client.put_object(place.bucket, place.key(), b"1")
    right = place.credentials.access_key
    for credentials in (Credentials(right, "a-wrong-secret-key"), Credentials("nobodys-key", "a-wrong-secret-key")):
        with refused(AccessDenied, f"the wrong {'secret' if credentials.access_key == right else 'key'} may read"):
            content(place.client(credentials=credentials), place, place.key())
    return ""


def wrong_region(client: S3Client, place: Place) -> str:
    """A client that signs for another region learns the right one, or nobody asks."""
    client.put_object(place.bucket, place.key(), b"1")
    must(content(place.client(region="eu-west-7"), place, place.key()) == b"1", "other bytes came back")
    return ""


CHECKS: dict[str, Callable[[S3Client, Place], str]] = {
    "HEAD of a bucket": bucket_head,
    "small file": small,
    "checksum='sha256'": with_sha256,
    "checksum=None": without_checksum,
    "empty object": empty,
    "wrong checksum": wrong_checksum,
    "metadata, headers": described,
    **{f"key {key!r}": awkward(key) for key in KEYS},
    "ranges": ranges,
    "GET if_match, if_none_match": conditional_get,
    "PUT if_none_match='*'": put_if_absent,
    "PUT if_match": put_if_same,
    "what is not there": missing,
    "list with folders": folders,
    "list of 1,005": many,
    "copy": copied,
    **stores_parts.CHECKS,
    "presigned GET and PUT": presigned,
    "without a key": anonymous,
    "wrong key or secret": wrong_keys,
    "another region": wrong_region,
}
