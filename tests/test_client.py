"""`S3Client` itself: who signs for which region, what is shown, connections, and the evidence in its errors."""

import copy
import hashlib
import pathlib
import pickle

import pytest
from kit import BUCKET, KEY, SECRET, TOKEN, answering, judged
from kit_calls import xml
from rawserver import Answer, MemoryStore, RawServer, make_tls

from cdn_sigv4 import AccessDenied, Credentials, NotFound, S3Client

DATA = bytes(range(256)) * 4


@pytest.mark.parametrize("sign", [True, False], ids=["signed", "unsigned"])
def test_unsigned_payload_over_https(tmp_path, sign):
    """Over https `sign_payload=False` leaves the body, and only that, out of the signature; the default does not."""
    tls, authority = make_tls(tmp_path)
    store = MemoryStore({KEY: SECRET}, buckets=(BUCKET,), allow_unsigned_payload=True)
    options = {} if sign else {"sign_payload": False}
    with RawServer(store, tls=tls) as loopback:
        with S3Client(loopback.endpoint, Credentials(KEY, SECRET), verify=pathlib.Path(authority), **options) as client:
            client.put_object(BUCKET, "key", DATA)
            client.head_object(BUCKET, "key")
        put, head = loopback.requests
    expected = hashlib.sha256(DATA).hexdigest() if sign else "UNSIGNED-PAYLOAD"
    assert put.header("x-amz-content-sha256") == expected
    assert put.body == DATA
    assert head.header("x-amz-content-sha256") == hashlib.sha256(b"").hexdigest()


def test_region():
    """The region is the one in the credential scope; MinIO's us-east-1 by default."""
    with RawServer(answering(Answer(headers={"x-amz-request-id": "1"}))) as loopback:
        for options in ({}, {"region": "eu-west-1"}):
            with S3Client(loopback.endpoint, Credentials(KEY, SECRET), **options) as client:
                client.head_bucket(BUCKET)
        assert [judged(request).region for request in loopback.requests] == ["us-east-1", "eu-west-1"]


def test_repr(client, loopback):
    """A client's `repr` tells endpoint, key and region, and neither secret nor token; an anonymous one says None."""
    temporary = S3Client(loopback.endpoint, Credentials(KEY, SECRET, TOKEN), region="eu-west-1")
    for part in (loopback.endpoint, f"access_key={KEY!r}", "eu-west-1"):
        assert part in repr(temporary)
    for hidden in (SECRET, TOKEN):
        assert hidden not in repr(temporary) + repr(vars(temporary)) + repr(client)
    assert "access_key=None" in repr(S3Client(loopback.endpoint, None))


@pytest.mark.parametrize("act", [pickle.dumps, copy.deepcopy, copy.copy], ids=lambda act: act.__name__)
def test_no_pickling(act):
    """A client is not pickled or copied, with a word on what to do and none of its secrets."""
    with pytest.raises(TypeError, match="S3Client") as caught:
        act(S3Client("https://store.example", Credentials(KEY, SECRET, TOKEN)))
    assert SECRET not in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_close_and_use_again(client, loopback):
    """Requests share a connection; after `close` the next one opens a new one; closing twice is no error."""
    client.head_bucket(BUCKET)
    client.head_bucket(BUCKET)
    assert loopback.connections == 1
    client.close()
    client.close()
    client.head_bucket(BUCKET)
    assert [request.connection for request in loopback.requests] == [1, 1, 2]


def test_close_unused():
    """A client that never sent anything can be closed, and is a context manager that gives itself."""
    client = S3Client("https://store.example", None)
    with client as entered:
        assert entered is client
    client.close()


@pytest.mark.parametrize(
    ("operation", "arguments", "method"),
    [
        ("put_object", ("key", DATA), "PUT"),
        ("get_object", ("key",), "GET"),
        ("delete_object", ("key",), "DELETE"),
        ("list_objects", (), "GET"),
        ("create_bucket", (), "PUT"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_evidence(client, loopback, operation, arguments, method):
    """An error answer is an exception of its class, with method, bucket, key, status, code and the request's id."""
    loopback.answer = answering(
        Answer(404, headers={"x-amz-request-id": "REQ1"}, body=xml("NoSuchKey", Message="words"))
    )
    with pytest.raises(NotFound) as caught:
        list(getattr(client, operation)(BUCKET, *arguments))  # a list is not asked for before it is read
    error = caught.value
    assert (error.operation, error.bucket, error.key) == (method, BUCKET, arguments[0] if arguments else None)
    assert (error.status, error.code, error.request_id, error.message) == (404, "NoSuchKey", "REQ1", "words")
    assert all(part in str(error) for part in (BUCKET, "404", "NoSuchKey", "REQ1", "words"))


def test_wrong_secret(loopback):
    """A wrong secret is AccessDenied, with a hint at the secret, which it does not show."""
    with S3Client(loopback.endpoint, Credentials(KEY, "wrong-secret")) as client:
        with pytest.raises(AccessDenied) as caught:
            client.put_object(BUCKET, "key", DATA)
    assert caught.value.code == "SignatureDoesNotMatch"
    assert "secret" in (caught.value.hint or "")
    assert "wrong-secret" not in str(caught.value)
