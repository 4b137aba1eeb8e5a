"""Proves that what stands in for the network in a test of the caller's, or traces it, sees every request.

`responses` replaces HTTPAdapter.send, requests-mock Session.get_adapter, tracers Session.send or urllib3's urlopen.
While one of them does, nothing goes past it; when it is gone the next request is real again.
"""

import functools
import subprocess
import sys
from pathlib import Path

import pytest
import requests
import requests_mock
import responses
from kit import BODY, BUCKET, ETAG, client_of, good, only, still_works
from kit_calls import get, md5_tag, put, xml
from rawserver import RawServer
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool

from cdn_sigv4 import NotFound, ResponseError, TransportError

LISTED = b"<ListBucketResult><Contents><Key>key</Key><Size>4</Size></Contents></ListBucketResult>"
LENGTH = {**ETAG, "Content-Length": str(len(BODY))}
RANGE = {**ETAG, "Content-Length": "4", "Content-Range": f"bytes 2-5/{len(BODY)}"}


class Responses:
    """`responses`, with one method for both libraries; `count` tells how many requests it has seen."""

    def __init__(self):
        self.mock = responses.RequestsMock(assert_all_requests_are_fired=False)

    def __enter__(self):
        self.mock.start()
        return self

    def __exit__(self, *_):
        self.mock.stop(allow_assert=False)
        self.mock.reset()

    def add(self, method, url, status=200, body=b"", headers=ETAG, error=None):
        self.mock.add(method, url, body=error or body, status=status, headers=dict(headers))

    @property
    def count(self):
        return len(self.mock.calls)


class RequestsMock:
    """requests-mock, with one method for both libraries; `count` tells how many requests it has seen."""

    def __init__(self):
        self.mock = requests_mock.Mocker()

    def __enter__(self):
        self.mock.start()
        return self

    def __exit__(self, *_):
        self.mock.stop()

    def add(self, method, url, status=200, body=b"", headers=ETAG, error=None):
        options = {"exc": error} if error else {"content": body, "status_code": status, "headers": dict(headers)}
        self.mock.register_uri(method, url, **options)

    @property
    def count(self):
        return self.mock.call_count


BOTH = [Responses, RequestsMock]


@pytest.fixture(params=BOTH)
def mock(request):
    """Each of the libraries, while it replaces the network."""
    with request.param() as made:
        yield made


@pytest.fixture
def real():
    """A server that must not be asked while the network is replaced."""
    with RawServer(good) as server:
        yield server


def url_of(server, key="key"):
    return f"{server.endpoint}/{BUCKET}/{key}"


@pytest.fixture(params=["cold", "warm"])
def client(request, real):
    """A client without a session, that has had a request answered for real, or none."""
    with client_of(real) as made:
        if request.param == "warm":
            get(made)
        yield made


# -- what the libraries answer


def nothing_real(mock, real, client, before, count=1):
    """Demand that the mock saw all that was sent, and the server nothing."""
    assert mock.count == count
    assert (len(real.requests), real.connections) == before


def so_far(real):
    return len(real.requests), real.connections


def test_get_object(client, real, mock):
    """An object, and a range of it, are what the mock says."""
    before = so_far(real)
    mock.add("GET", url_of(real), body=b"mock" * 1280, headers=LENGTH)
    assert get(client) == b"mock" * 1280
    mock.add("GET", url_of(real, "part"), status=206, body=b"2345", headers=RANGE)
    with client.get_object(BUCKET, "part", start=2, end=6) as reader:
        assert reader.read() == b"2345"
    nothing_real(mock, real, client, before, 2)


def test_get_object_without_length(client, real, mock):
    """Both libraries answer without Content-Length unless they are told one: the mock's bytes are all there are."""
    mock.add("GET", url_of(real), body=b"mock")
    assert get(client) == b"mock"


def test_download_file(client, real, mock, tmp_path):
    """A file is saved, and verified by the entity tag that the mock gives."""
    before = so_far(real)
    mock.add("GET", url_of(real), body=BODY[::-1], headers={**LENGTH, "ETag": md5_tag(BODY[::-1])})
    assert client.download_file(BUCKET, "key", tmp_path / "file").verified == "md5"
    assert (tmp_path / "file").read_bytes() == BODY[::-1]
    nothing_real(mock, real, client, before)


def test_download_file_without_length(client, real, mock, tmp_path):
    """So it is where the mock's answer has no Content-Length."""
    mock.add("GET", url_of(real), body=b"mock")
    client.download_file(BUCKET, "key", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"mock"


def put_all(client, real, mock, tmp_path):
    before = so_far(real)
    mock.add("PUT", url_of(real))
    (tmp_path / "file").write_bytes(BODY)
    assert client.put_object(BUCKET, "key", b"body").etag == ETAG["ETag"]
    assert client.upload_file(BUCKET, "key", tmp_path / "file").bytes_moved == len(BODY)
    nothing_real(mock, real, client, before, 2)


@pytest.mark.parametrize("kind", [Responses, RequestsMock])
def test_put_object_and_upload_file(client, real, kind, tmp_path):
    """Bytes and files are stored where the mock says so, whether it has read them or not."""
    with kind() as mock:
        put_all(client, real, mock, tmp_path)


def test_put_object_of_no_bytes(client, real, mock):
    """An empty object is stored."""
    mock.add("PUT", url_of(real))
    assert client.put_object(BUCKET, "key", b"").size == 0


def test_list_head_and_delete(client, real, mock):
    """A list, a description and a deletion, none of which has a Content-Length."""
    before = so_far(real)
    mock.add("GET", f"{real.endpoint}/{BUCKET}", body=LISTED)
    mock.add("HEAD", url_of(real))
    mock.add("DELETE", url_of(real), status=204)
    assert [each.key for each in client.list_objects(BUCKET)] == ["key"]
    assert client.head_object(BUCKET, "key").etag == ETAG["ETag"]
    client.delete_object(BUCKET, "key")
    nothing_real(mock, real, client, before, 3)


def test_error(client, real, mock):
    """A 404 of the mock's is a NotFound, a 403 on a PUT whose body nobody has read a ResponseError."""
    mock.add("GET", url_of(real), status=404, body=xml("NoSuchKey"))
    mock.add("PUT", url_of(real), status=403, body=xml("AccessDenied"))
    with pytest.raises(NotFound) as caught:
        get(client)
    assert caught.value.code == "NoSuchKey"
    with pytest.raises(ResponseError) as refused:
        put(client)
    assert refused.value.code == "AccessDenied"


@pytest.mark.parametrize("call", [get, put])
@pytest.mark.parametrize("error", [requests.ConnectionError("it is down"), requests.ReadTimeout("it is slow")], ids=str)
def test_connection_error(client, real, mock, call, error):
    """What the mock raises is a TransportError, with its words or those for a timeout."""
    before = so_far(real)
    mock.add("GET", url_of(real), error=error)
    mock.add("PUT", url_of(real), error=error)
    with pytest.raises(TransportError, match="it is"):
        call(client)
    nothing_real(mock, real, client, before)


# -- before, behind, and in a fresh process


@pytest.mark.parametrize("kind", BOTH)
def test_the_next_request_is_real(kind, client, real):
    """A warm client and a cold one: the mock gets what is asked while it is there, and nothing else."""
    for _ in range(2):
        seen = so_far(real)[0]
        with kind() as mock:
            mock.add("GET", url_of(real), body=b"mock" * 1280, headers=LENGTH)
            assert get(client) == b"mock" * 1280
            assert mock.count == 1
        assert so_far(real)[0] == seen
        still_works(client, real)
        assert so_far(real)[0] == seen + 2
    assert real.connections == 1  # the one that was kept meanwhile, or opened behind the first mock


def test_what_the_mock_does_not_know(client, real, mock):
    """A request that nobody told the mock of fails in the mock, in its own way, and is not sent."""
    before = so_far(real)
    with pytest.raises((TransportError, requests_mock.NoMockAddress)):
        get(client)
    assert so_far(real) == before


FIRST_USE = """
import sys
sys.path[:0] = {path!r}
from test_mocking import {kind}, LENGTH, BODY
from cdn_sigv4 import Credentials, S3Client
assert "cdn_sigv4.wire" not in sys.modules
client = S3Client({endpoint!r}, Credentials("key", "secret"), timeout=(5, 5))
with {kind}() as mock:
    mock.add("GET", {url!r}, body=BODY[::-1], headers=LENGTH)
    assert client.get_object("bucket", "key").read() == BODY[::-1]
    assert mock.count == 1
    assert "cdn_sigv4.wire" in sys.modules
assert client.get_object("bucket", "key").read() == BODY
client.close()
"""


@pytest.mark.parametrize("kind", BOTH)
def test_first_use_within_the_mock(kind, plain):
    """Where the package first meets `requests` while that is replaced, the mock is asked, and the network later."""
    from rawserver import Answer

    plain.answer = lambda request: Answer(headers=ETAG, body=BODY)
    here = Path(__file__).parent
    script = FIRST_USE.format(
        path=[str(here.parent), str(here)], kind=kind.__name__, endpoint=plain.endpoint, url=url_of(plain)
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert only(plain).path == b"/bucket/key"


# -- tracers


class Tracer:
    """A callable object in the place of a method, as tracing libraries leave it."""

    def __init__(self, method, seen):
        self.method, self.seen = method, seen

    def __call__(self, *args, **more):
        self.seen.append(self.method.__name__)
        return self.method(*args, **more)

    def __get__(self, owner, kind=None):
        return functools.partial(self, owner)


def wrapped(method, seen):
    """A function that passes for the method it wraps."""

    @functools.wraps(method)
    def tracing(*args, **more):
        seen.append(method.__name__)
        return method(*args, **more)

    return tracing


@pytest.mark.parametrize("tracer", [wrapped, Tracer])
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (requests.Session, "send"),
        (requests.Session, "get_adapter"),
        (HTTPAdapter, "send"),
        (HTTPConnectionPool, "urlopen"),
    ],
    ids=["Session.send", "Session.get_adapter", "HTTPAdapter.send", "urlopen"],
)
def test_tracers_see_every_request(client, real, monkeypatch, owner, name, tracer):
    """A wrapper around what `requests` and urllib3 send with is called for each request, and not when it is gone."""
    seen = []
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, tracer(getattr(owner, name), seen))
        for count in (1, 2, 3):
            assert get(client) == BODY
            put(client)
            # `requests` itself asks for the adapter once more, to see whether it would change the target
            assert len(seen) == 2 * count * (2 if name == "get_adapter" else 1)
    count = len(seen)
    still_works(client, real)
    assert len(seen) == count
