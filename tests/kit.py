"""What the tests over the loopback server share: keys, clients, the judge's word on what arrived, and time limits."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import TYPE_CHECKING, Any, Callable, Iterator

from rawserver import Answer, RawRequest, RawServer
from sigcheck import Verified, verify

from cdn_sigv4 import Credentials, Retry, S3Client

if TYPE_CHECKING:
    import pytest

KEY, SECRET, TOKEN = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "FwoGZXIvYXdzEXAMPLE//token=="
READ_KEY, READ_SECRET = "READERKEY", "reader+secret/0123456789"
WRITE_KEY, WRITE_SECRET = "WRITERKEY", "writer+secret/9876543210"
FOUR = (READ_KEY, READ_SECRET, WRITE_KEY, WRITE_SECRET)
SECRETS = {KEY: SECRET, READ_KEY: READ_SECRET, WRITE_KEY: WRITE_SECRET}
CREDENTIALS = Credentials(KEY, SECRET, TOKEN)

BUCKET = "bucket"
BODY = bytes(range(256)) * 20
BIG = b"0123456789abcdef" * (20 << 16)  # 20 MiB: more than the sockets between client and server hold
ETAG = {"ETag": '"of-no-form-that-proves-anything"'}
LONG = 30.0  # seconds: a limit that only a hanging test reaches


class StillTime:
    """A clock that nothing moves but the waits of the client that was given it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def still_time(client: S3Client, random: float = 0.5) -> StillTime:
    """Let the client wait without any time going by, and draw the same number always."""
    time = StillTime()
    client._exchange.monotonic, client._exchange.sleep = time.monotonic, time.sleep
    client._exchange.random = lambda: random
    return time


def client_of(server: RawServer | str, **options: Any) -> S3Client:
    """A client with temporary credentials, for a server or an endpoint. It tries once unless `retry` says otherwise."""
    endpoint = server if isinstance(server, str) else server.endpoint
    client = S3Client(endpoint, CREDENTIALS, **{"timeout": (5, 5), "retry": Retry(attempts=1), **options})
    still_time(client)
    return client


def judged(request: RawRequest) -> Verified:
    """The independent judge's word on one request; SignatureError where a store would refuse it."""
    return verify(request.head, request.body, SECRETS)


def good(request: RawRequest) -> Answer:
    """What a healthy store says to a PUT, GET, HEAD or DELETE; the judge has its say first."""
    judged(request)
    if request.method == "DELETE":
        return Answer(204)
    return Answer(headers=ETAG, body=BODY if request.method in ("GET", "HEAD") else b"")


def answering(answer: Answer) -> Callable[[RawRequest], Answer]:
    """The same answer to every request that is signed well."""

    def answerer(request: RawRequest) -> Answer:
        judged(request)
        return answer

    return answerer


def only(server: RawServer) -> RawRequest:
    """The one request that came."""
    (request,) = server.requests
    return request


def at_path(server: RawServer, path: bytes) -> list[RawRequest]:
    """The requests for one path: one that was given up may be recorded after the next one."""
    return [each for each in server.requests if each.path == path]


def still_works(client: S3Client, server: RawServer) -> None:
    """Whatever happened before: the same client's next GET and PUT are answered, signed and whole, one request each."""
    server.answer = good
    before = len(at_path(server, b"/bucket/next"))
    with client.get_object(BUCKET, "next") as reader:
        assert reader.read() == BODY
    client.put_object(BUCKET, "next", BODY)
    get, put = at_path(server, b"/bucket/next")[before:]
    assert (get.method, put.method, put.body) == ("GET", "PUT", BODY)
    judged(get)
    judged(put)


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


@contextlib.contextmanager
def deaf() -> Iterator[str]:
    """The authority of a port that is taken, and refuses connections."""
    with contextlib.closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{sock.getsockname()[1]}"
