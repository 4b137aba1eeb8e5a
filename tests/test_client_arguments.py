"""What no `S3Client` sends: arguments that cannot be, refused by every operation before there is a connection.

The rules themselves are proved where they stand (test_s3.py, test_endpoint.py, test_body.py, test_sigv4.py); here each
operation shows with a sample that it asks them.
"""

import pathlib

import pytest
from kit import BUCKET, KEY, SECRET, within

from cdn_sigv4 import Credentials, S3Client


def each_operation(bucket, key):
    """All operations on that object, by name."""
    return {
        "put_object": lambda client: client.put_object(bucket, key, b""),
        "get_object": lambda client: client.get_object(bucket, key),
        "head_object": lambda client: client.head_object(bucket, key),
        "delete_object": lambda client: client.delete_object(bucket, key),
        "copy_object from": lambda client: client.copy_object(bucket, key, BUCKET, "copy"),
        "copy_object to": lambda client: client.copy_object(BUCKET, "key", bucket, key),
        "upload_file": lambda client: client.upload_file(bucket, key, __file__),
        "download_file": lambda client: client.download_file(bucket, key, "no-file-is-made"),
        "presigned_url": lambda client: client.presigned_url("GET", bucket, key, expires_in=60),
    }


def on_the_bucket(bucket):
    """All operations on that bucket, by name."""
    return {
        "list_objects": lambda client: client.list_objects(bucket),
        "create_bucket": lambda client: client.create_bucket(bucket),
        "head_bucket": lambda client: client.head_bucket(bucket),
    }


@pytest.mark.parametrize("operation", each_operation("", ""))
@pytest.mark.parametrize(
    ("bucket", "key"),
    [("Bucket", "key"), ("a/b", "key"), (None, "key"), (BUCKET, ""), (BUCKET, None), (BUCKET, "\ud800")],
    ids=ascii,
)
def test_wrong_names(client, loopback, tmp_path, monkeypatch, operation, bucket, key):
    """A bucket or key that cannot be is a ValueError or TypeError of every operation, and nothing is sent or made."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ValueError, TypeError)):
        each_operation(bucket, key)[operation](client)
    assert list(tmp_path.iterdir()) == []
    assert loopback.connections == 0


@pytest.mark.parametrize("operation", on_the_bucket(""))
@pytest.mark.parametrize("bucket", ["Bucket", "", None])
def test_wrong_buckets(client, loopback, operation, bucket):
    """The same for operations on the bucket itself; a list is refused when it is asked for, not when it is read."""
    with pytest.raises((ValueError, TypeError)):
        on_the_bucket(bucket)[operation](client)
    assert loopback.connections == 0


@pytest.mark.parametrize(
    "options",
    [{"content_type": "a\r\nb"}, {"metadata": {"name": "grün"}}, {"headers": {"Host": "x"}}, {"headers": {"a": None}}],
    ids=ascii,
)
@pytest.mark.parametrize("operation", ["put_object", "copy_object", "upload_file"])
def test_wrong_descriptions(client, loopback, operation, options):
    """A header that could not arrive as it was signed, or would contradict another, is refused by all that send it."""
    rest = {"put_object": ("key", b""), "copy_object": ("key", BUCKET, "copy"), "upload_file": ("key", __file__)}
    with pytest.raises((ValueError, TypeError)):
        getattr(client, operation)(BUCKET, *rest[operation], **options)
    assert loopback.connections == 0


@pytest.mark.parametrize("tag", ["line\r\nX: y", 5], ids=ascii)
@pytest.mark.parametrize("condition", ["if_match", "if_none_match"])
@pytest.mark.parametrize("operation", ["put_object", "get_object", "upload_file", "download_file"])
def test_wrong_conditions(client, loopback, tmp_path, operation, condition, tag):
    """An entity tag that could not arrive as it stands is refused, unsent."""
    rest = {"put_object": (b"",), "get_object": (), "upload_file": (__file__,), "download_file": (tmp_path / "f",)}
    with pytest.raises((ValueError, TypeError)):
        getattr(client, operation)(BUCKET, "key", *rest[operation], **{condition: tag})
    assert loopback.connections == 0


@pytest.mark.parametrize("part", [{"start": -1}, {"start": 5, "end": 5}, {"end": True}, {"version_id": 5}], ids=str)
def test_wrong_parts(client, loopback, part):
    """A range or a version that cannot be asked for is refused, unsent: an empty range is no whole object."""
    with pytest.raises((ValueError, TypeError)):
        client.get_object(BUCKET, "key", **part)
    assert loopback.connections == 0


@pytest.mark.parametrize(
    ("size", "headers", "words"),
    [
        pytest.param((5 << 30) + 1, {"x-amz-checksum-sha256": "of the whole"}, "5 GiB", id="one request"),
        pytest.param((5 << 40) + 1, None, "5 TiB", id="an object"),
    ],
)
def test_more_than_fits(client, loopback, tmp_path, size, headers, words):
    """A body over 5 TiB, or over 5 GiB where it must be one request, is refused before it is hashed, so at once."""
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(size)
    with within(5), pytest.raises(ValueError, match=words):
        client.upload_file(BUCKET, "key", tmp_path / "sparse", headers=headers)
    assert loopback.connections == 0


@pytest.mark.parametrize("method", ["POST", "get", "", None])
def test_wrong_presigned_methods(client, method):
    """A method that makes no sense for an object is refused."""
    with pytest.raises(ValueError, match="presigned for GET"):
        client.presigned_url(method, BUCKET, "key", expires_in=60)


@pytest.mark.parametrize(
    "arguments", [{"prefix": 5}, {"prefix": "\ud800"}, {"delimiter": 5}, {"start_after": b"x"}], ids=ascii
)
def test_wrong_lists(client, loopback, arguments):
    """A prefix, delimiter or start that is no text is refused, at the latest with the first entry, unsent."""
    with pytest.raises((ValueError, TypeError)):
        list(client.list_objects(BUCKET, **arguments))
    assert loopback.connections == 0


TIMEOUTS = [5, (5,), (0, 5), (5, -1), (5, None), (5, float("inf")), (float("nan"), 5), "55"]


@pytest.mark.parametrize(
    ("endpoint", "credentials", "options"),
    [
        pytest.param("", Credentials(KEY, SECRET), {}, id="no endpoint"),
        pytest.param("https://user:pass@x", Credentials(KEY, SECRET), {}, id="password in the endpoint"),
        pytest.param("https://x", (KEY, SECRET), {}, id="credentials as a tuple"),
        pytest.param("https://x", Credentials(KEY, SECRET), {"region": "x y"}, id="region"),
        pytest.param("https://x", Credentials(KEY, SECRET), {"addressing": "x"}, id="addressing"),
        pytest.param("http://x", Credentials(KEY, SECRET), {"sign_payload": False}, id="unsigned over http"),
        *[pytest.param("https://x", None, {"timeout": value}, id=f"timeout {value}") for value in TIMEOUTS],
        *[pytest.param("https://x", None, {"verify": value}, id=f"CA file {value!r}") for value in ("/no/such", "", 5)],
        pytest.param("https://x", None, {"verify": pathlib.Path("/no/such")}, id="CA file as a path"),
    ],
)
def test_wrong_settings(endpoint, credentials, options):
    """A setting that cannot work is refused when the client is made, and the text shows no secret."""
    with pytest.raises((ValueError, TypeError)) as caught:
        S3Client(endpoint, credentials, **options)
    assert SECRET not in str(caught.value)
