"""`SigV4Auth` and bodies: all kinds arrive under the hash that was signed; what has no hash is refused before."""

import hashlib
import io
import os

import pytest
import requests
from kit import only
from kit_auth import both_services, check, check_with_botocore, judged_there, signer
from rawserver import RawServer, make_tls


@pytest.mark.parametrize(
    ("options", "body"),
    [
        pytest.param({"data": b"\x00\xffbytes"}, b"\x00\xffbytes", id="bytes"),
        pytest.param({"data": bytearray(b"\x00\xffbytes")}, b"\x00\xffbytes", id="bytearray"),
        pytest.param({"data": "text"}, b"text", id="text"),
        pytest.param({"data": "grün"}, "grün".encode(), id="text, not ASCII"),
        pytest.param({"data": "日本"}, "日本".encode(), id="text beyond Latin-1"),
        pytest.param({"data": {"a": "1 2", "b": "ü"}}, b"a=1+2&b=%C3%BC", id="form"),
        pytest.param({"data": [("a", "2"), ("a", "1")]}, b"a=2&a=1", id="form of pairs"),
        pytest.param({"data": b""}, b"", id="empty bytes"),
        pytest.param({"data": io.BytesIO(b"from memory")}, b"from memory", id="file object"),
        pytest.param({}, b"", id="none"),
    ],
)
@both_services
def test_body(plain, service, options, body):
    """Every kind of body arrives whole, with its length, under the hash that was signed."""
    if isinstance(options.get("data"), io.BytesIO):
        options["data"].seek(0)
    requests.put(plain.endpoint + "/bucket/key", auth=signer(service), timeout=10, **options)
    request = only(plain)
    assert request.body == body
    assert request.header("content-length") == str(len(body))
    check(request, service)


def test_file(plain, tmp_path):
    """A file of more than one hashing block is hashed, then sent from where it stood, to its end."""
    data = bytes(range(256)) * 5000  # 1.28 MB
    path = tmp_path / "file"
    path.write_bytes(b"skipped" + data)
    with path.open("rb") as file:
        file.seek(7)
        requests.put(plain.endpoint + "/bucket/key", data=file, auth=signer(), timeout=10)
    assert only(plain).body == data
    judged_there(only(plain))


@pytest.mark.parametrize("at_end", [False, True], ids=["empty", "read to its end"])
def test_empty_file(plain, tmp_path, at_end):
    """A file without a byte left is an empty body of length 0, not a chunked one, which S3 refuses."""
    path = tmp_path / "file"
    path.write_bytes(b"seen" if at_end else b"")
    with path.open("rb") as file:
        file.read()
        requests.put(plain.endpoint + "/bucket/key", data=file, auth=signer(), timeout=10)
    request = only(plain)
    assert (request.header("content-length"), request.header("transfer-encoding"), request.body) == ("0", None, b"")
    judged_there(request)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(lambda: (block for block in [b"a", b"b"]), id="generator"),
        pytest.param(lambda: iter([b"a"]), id="iterator"),
    ],
)
def test_stream_refused(plain, data):
    """A stream, whose hash nobody knows, is a ValueError that says so, before any connection is made."""
    with pytest.raises(ValueError, match=r"stream.*x-amz-content-sha256"):
        requests.put(plain.endpoint + "/bucket/key", data=data(), auth=signer(), timeout=10)
    requests.get(plain.endpoint + "/control", timeout=10)
    assert [request.path for request in plain.requests] == [b"/control"]
    assert plain.connections == 1


def test_pipe_refused(plain):
    """A pipe has `seek` and cannot: it is refused as the stream that it is, not with the system's "Illegal seek"."""
    reading, writing = os.pipe()
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe, pytest.raises(ValueError, match=r"stream.*x-amz-content-sha256"):
        requests.put(plain.endpoint + "/bucket/key", data=pipe, auth=signer(), timeout=10)
    assert plain.requests == []


@pytest.mark.filterwarnings("ignore::requests.exceptions.FileModeWarning")
def test_text_file_refused(plain, tmp_path):
    """A file opened as text has no bytes of its own: which ones are sent depends on the versions, so it is refused."""
    path = tmp_path / "file"
    path.write_bytes("grün\r\n".encode())
    with path.open(encoding="utf-8") as file, pytest.raises((TypeError, ValueError), match=r"text|'rb'"):
        requests.put(plain.endpoint + "/bucket/key", data=file, auth=signer(), timeout=10)
    assert plain.requests == []


def test_payload_hash_of_ones_own(plain):
    """A stream goes out under the hash that the caller gives for it, and arrives under that signature."""
    digest = hashlib.sha256(b"ab").hexdigest()
    headers = {"X-Amz-Content-SHA256": digest}
    data = (block for block in [b"a", b"b"])
    requests.put(plain.endpoint + "/bucket/key", data=data, headers=headers, auth=signer(), timeout=10)
    request = only(plain)
    assert request.body == b"ab"
    judged_there(request)


@pytest.fixture
def secure(tmp_path):
    """A server behind TLS, and the file of its authority."""
    context, authority = make_tls(tmp_path)
    with RawServer(tls=context) as server:
        yield server, authority


@pytest.mark.parametrize("as_bytes", [False, True], ids=["str", "bytes"])
def test_unsigned_payload(secure, as_bytes):
    """`UNSIGNED-PAYLOAD` given by the caller is what is signed in place of the hash, whichever type it has."""
    server, authority = secure
    headers = {"x-amz-content-sha256": b"UNSIGNED-PAYLOAD" if as_bytes else "UNSIGNED-PAYLOAD"}
    url = server.endpoint + "/bucket/key"
    requests.put(url, data=b"body", headers=headers, auth=signer(), verify=authority, timeout=10)
    assert judged_there(only(server), allow_unsigned_payload=True).canonical_request.endswith("\nUNSIGNED-PAYLOAD")


@pytest.mark.parametrize("body", [None, b"body"], ids=["no body", "body"])
def test_payload_hash_of_ones_own_elsewhere(secure, body):
    """For another service too, the x-amz-content-sha256 that the caller gives is what is signed, as botocore has it."""
    server, authority = secure
    headers = {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
    auth = signer("execute-api")
    requests.post(server.endpoint + "/path", data=body, headers=headers, auth=auth, verify=authority, timeout=10)
    assert only(server).header("x-amz-content-sha256") == "UNSIGNED-PAYLOAD"
    check_with_botocore(only(server), "execute-api")


def test_unsigned_payload_needs_tls(plain):
    """Over plain HTTP nothing but the signature protects a body, so it is not left out of it: refused, unsent."""
    headers = {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
    with pytest.raises(ValueError, match="needs https"):
        requests.put(plain.endpoint + "/bucket/key", data=b"body", headers=headers, auth=signer(), timeout=10)
    assert plain.connections == 0
