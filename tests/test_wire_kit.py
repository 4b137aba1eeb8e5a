"""What the test_wire files share: one set of keys, a client for a server, and the judgement of what arrived.

The two tests here prove the kit itself: a judge who lets everything pass would make all of those files worthless.
"""

from __future__ import annotations

import contextlib
import socket
import time
import warnings
from typing import TYPE_CHECKING, Any, Iterator

import pytest
from rawserver import Answer, RawRequest, RawServer, make_tls
from sigcheck import SignatureError, Verified, verify

from cdn_sigv4 import Credentials, S3Client

if TYPE_CHECKING:
    import pathlib
    import ssl

ACCESS = "AKIAWIRETESTEXAMPLE"
SECRET = "wire/Secret+Key0EXAMPLE"
TOKEN = "FwoGZXIvYXdzEwireSESSIONtoken=="
CREDENTIALS = Credentials(ACCESS, SECRET, TOKEN)
SECRETS = {ACCESS: SECRET}
ETAG = {"ETag": '"0123456789abcdef0123456789abcdef"'}
BODY = bytes(range(256)) * 20
LONG = 30.0  # seconds: a limit that only a hanging test reaches


def client_of(server: RawServer | str, **options: Any) -> S3Client:
    """A client with the kit's keys, for a server or an endpoint."""
    endpoint = server if isinstance(server, str) else server.endpoint
    return S3Client(endpoint, CREDENTIALS, **{"timeout": (5, 5), **options})


def judged(request: RawRequest) -> Verified:
    """The independent judge's word on one request; SignatureError where a store would refuse it."""
    return verify(request.head, request.body, SECRETS, region="us-east-1")


def good(request: RawRequest) -> Answer:
    """What a healthy store says to a PUT, GET, HEAD or DELETE; the judge has its say first."""
    judged(request)
    if request.method == "DELETE":
        return Answer(204)
    return Answer(headers=ETAG, body=BODY if request.method in ("GET", "HEAD") else b"")


def still_works(client: S3Client, server: RawServer) -> None:
    """Whatever happened before: the same client's next GET and PUT are answered, signed and whole, one request each."""
    server.answer = good
    before = len(at_path(server, b"/bucket/next"))
    with client.get_object("bucket", "next") as reader:
        assert reader.read() == BODY
    client.put_object("bucket", "next", BODY)
    get, put = at_path(server, b"/bucket/next")[before:]
    assert (get.method, put.method, put.body) == ("GET", "PUT", BODY)
    judged(get)
    judged(put)


def at_path(server: RawServer, path: bytes) -> list[RawRequest]:
    """The requests for one path: one that was given up may be recorded after the next one."""
    return [each for each in server.requests if each.path == path]


def lead_to(monkeypatch: pytest.MonkeyPatch, server: RawServer, *names: str) -> None:
    """Make host names resolve to the server, whatever the port: Host and Authorization then are a real store's."""
    real = socket.getaddrinfo

    def resolve(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in names:
            return real(host, *args, **kwargs)
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", server.port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@contextlib.contextmanager
def within(seconds: float, least: float = 0.0) -> Iterator[None]:
    """The block takes at least `least` and at most `seconds`, whether it raises or not."""
    start = time.monotonic()
    try:
        yield
    finally:
        taken = time.monotonic() - start
    assert least <= taken <= seconds, f"{taken:.2f} s"


def tls_of(folder: pathlib.Path) -> tuple[ssl.SSLContext, str]:
    """Context and authority's file; the last cryptography for Python 3.8 warns that it is the last."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        context, path = make_tls(folder)
    return context, str(path)


@contextlib.contextmanager
def deaf() -> Iterator[str]:
    """The authority of a port that is taken, and refuses connections."""
    with contextlib.closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{sock.getsockname()[1]}"


def test_judge_refuses() -> None:
    """One changed byte in target, header or body of a genuine request, and the judge refuses it."""
    with RawServer(good) as server, client_of(server) as client:
        client.put_object("bucket", "key", b"body", content_type="text/plain")
    (request,) = server.requests
    for old, new in ((b"/bucket/key", b"/bucket/kez"), (b"text/plain", b"text/plein")):
        assert old in request.head
        with pytest.raises(SignatureError):
            verify(request.head.replace(old, new), request.body, SECRETS)
    with pytest.raises(SignatureError):
        verify(request.head, b"bodz", SECRETS)


def test_names_lead_to_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A patched name reaches the server and only that name does, so a virtual-host test cannot pass by chance."""
    with RawServer(good) as server:
        lead_to(monkeypatch, server, "bucket.store.test")
        with client_of("http://store.test:1234", addressing="virtual") as client:
            client.delete_object("bucket", "key")
        assert server.requests[0].header("host") == "bucket.store.test:1234"
        assert socket.getaddrinfo("127.0.0.1", 80)[0][4][0] == "127.0.0.1"
