"""Proves what happens when the connection stalls or breaks: traps 18, 24, 30 and 37.

Stalls are bounded by the stall timeout and nothing else is; a lost answer to a write is OutcomeUnknown and to a read
TransportError; and the server saw each failed request exactly once.
"""

import contextlib
import socket
import threading

import pytest
from kit import BIG, BODY, ETAG, client_of, deaf, still_works, within
from kit_calls import delete, get, listed, put, put_big, xml
from rawserver import Answer, RawServer

from cdn_sigv4 import AccessDenied, CDNError, OutcomeUnknown, TransportError

HEAD = b"HTTP/1.1 200 OK\r\nETag: x\r\nContent-Length: 5\r\n"

pytestmark = pytest.mark.usefixtures("one_put")


def never():
    """An event that nobody sets but the server's end."""
    return threading.Event()


# Each call, and the error for a lost answer: whether the server may have acted on it.
LOST = [(get, TransportError), (put, OutcomeUnknown), (put_big, OutcomeUnknown), (delete, OutcomeUnknown)]
WAYS = {
    "closed-before": lambda: Answer(raw=b"", cut_after=0),
    "closed-in-status": lambda: Answer(raw=b"HTTP/1.1 2", cut_after=99),
    "closed-in-headers": lambda: Answer(raw=HEAD[:30], cut_after=99),
    "closed-between-headers": lambda: Answer(raw=HEAD, cut_after=99),
    "closed-in-length": lambda: Answer(raw=HEAD[:-2], cut_after=99),
    "reset-before": lambda: Answer(reset=True),
    "reset-in-headers": lambda: Answer(raw=HEAD[:30], cut_after=99, reset=True),
    "stall-before": lambda: Answer(delay=never()),
    "stall-in-status": lambda: Answer(raw=HEAD, delay=never(), delay_after=10),
    "stall-in-headers": lambda: Answer(raw=HEAD, delay=never(), delay_after=30),
}


@pytest.mark.parametrize("way", list(WAYS))
@pytest.mark.parametrize(("call", "kind"), LOST, ids=[call.__name__ for call, _ in LOST])
def test_lost_answers(call, kind, way):
    """Where the answer is lost, be it in its head, a read is a TransportError and a write OutcomeUnknown."""
    answer = WAYS[way]()
    with RawServer(lambda request: answer) as server, client_of(server, timeout=(5, 0.3)) as client:
        with within(4, 0.3 if way.startswith("stall") else 0), pytest.raises(CDNError) as caught:
            call(client)
        assert type(caught.value) is kind
        if way.startswith("stall"):
            assert "moved no byte for 0.3 s" in str(caught.value)
        assert caught.value.bucket == "bucket"
        assert len(server.requests) == 1
        still_works(client, server)


@pytest.mark.parametrize("call", [get, listed])
def test_stall_in_a_body(call):
    """A server that stops in the middle of a body is a TransportError within about the stall timeout."""
    body = BODY if call is get else b"<ListBucketResult></ListBucketResult>"
    answer = Answer(headers=ETAG, body=body, delay=never(), delay_after=10)
    with RawServer(lambda request: answer) as server, client_of(server, timeout=(5, 0.3)) as client:
        with within(3, 0.3), pytest.raises(TransportError, match=r"moved no byte for 0\.3 s"):
            call(client)
        assert len(server.requests) == 1
        still_works(client, server)


@pytest.mark.parametrize("call", [get, put])
def test_stall_in_an_error_body(call):
    """The status has said the main thing: an error whose body stalls is that error, after the stall timeout."""
    answer = Answer(403, body=xml("NoWay"), delay=never(), delay_after=10)
    with RawServer(lambda request: answer) as server, client_of(server, timeout=(5, 0.3)) as client:
        with within(3), pytest.raises(AccessDenied):
            call(client)
        still_works(client, server)


def test_stall_in_an_upload():
    """A server that stops taking the body is a TransportError, and has no object: not OutcomeUnknown."""
    with RawServer(lambda request: Answer(before_body=True, delay=never())) as server:
        with client_of(server, timeout=(5, 0.3)) as client:
            with within(4, 0.3), pytest.raises(TransportError, match=r"moved no byte for 0\.3 s") as caught:
                put_big(client)
            assert type(caught.value) is TransportError
            still_works(client, server)


def test_a_pause_on_a_kept_connection():
    """On a kept connection too a server may pause for longer than the connect timeout while it takes a body."""
    pause = threading.Event()

    def answer(request):
        if request.method == "PUT":
            pause.wait(0.5)
            assert len(request.body) == len(BIG)
        return Answer(headers=ETAG)

    with RawServer(answer) as server, client_of(server, timeout=(0.2, 10)) as client:
        client.head_object("bucket", "key")
        put_big(client)
        assert [request.connection for request in server.requests] == [1, 1]


def test_a_slow_download_is_not_cut():
    """A body that takes longer than the stall timeout, but moves within each, is whole."""
    more = threading.Event()
    answer = Answer(headers=ETAG, body=BODY, delay=more, delay_after=1000)
    with RawServer(lambda request: answer) as server, client_of(server, timeout=(5, 0.5)) as client:
        with within(5, 0.6), client.get_object("bucket", "key") as reader:
            first = reader.read(1000)
            threading.Event().wait(0.6)  # the reader's own time: longer than the stall timeout since the request began
            more.set()
            assert first + reader.read() == BODY


def test_a_slow_upload_is_not_cut():
    """A body that takes longer to send than the stall timeout arrives whole: no sendall's timeout is a total."""
    received = []

    def slowly():
        with contextlib.closing(listening.accept()[0]) as sock:
            sock.settimeout(10)
            head = b""
            while b"\r\n\r\n" not in head:
                head += sock.recv(65536)
            received.append(len(head.partition(b"\r\n\r\n")[2]))
            pace = threading.Event()
            while received[-1] < len(BIG):
                pace.wait(0.02)
                for _ in range(6):
                    if received[-1] < len(BIG):
                        received.append(received[-1] + len(sock.recv(65536)))
            sock.sendall(b"HTTP/1.1 200 OK\r\nETag: x\r\nContent-Length: 0\r\n\r\n")

    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    listening.bind(("127.0.0.1", 0))
    listening.listen(1)
    thread = threading.Thread(target=slowly)
    thread.start()
    with contextlib.closing(listening):
        with client_of(f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=(5, 0.5)) as client:
            with within(30, 0.6):
                put_big(client)
        thread.join(10)
    assert received[-1] == len(BIG)


@pytest.mark.parametrize("call", [get, put, delete], ids=lambda call: call.__name__)
def test_refused_connection(call):
    """Where nobody listens, the error says so, and nothing can have happened."""
    with deaf() as authority, client_of(f"http://{authority}") as client:
        with within(3), pytest.raises(TransportError, match=f"{authority} refuses the connection") as caught:
            call(client)
    assert type(caught.value) is TransportError
    assert (caught.value.bucket, caught.value.key, caught.value.status) == ("bucket", "key", None)
    assert "port" in (caught.value.hint or "")


def test_name_that_does_not_resolve(monkeypatch):
    """A name without an address is named, once."""

    def unknown(*args, **kwargs):
        asked.append(args[0])
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    asked = []
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with client_of("http://store.test") as client:
        with pytest.raises(TransportError, match=r"store\.test does not resolve") as caught:
            put(client)
    assert type(caught.value) is TransportError
    assert asked == ["store.test"]


def test_connect_that_takes_too_long(monkeypatch):
    """A connection that is not made in time is a TransportError with the time that was given for it."""
    seen = []

    def connect(sock, address):
        seen.append(sock.gettimeout())
        raise socket.timeout("timed out")

    monkeypatch.setattr(socket.socket, "connect", connect)
    with client_of("http://127.0.0.1:9", timeout=(1, 0.3)) as client:
        with pytest.raises(TransportError, match=r"no connection to 127\.0\.0\.1:9 within 1 s") as caught:
            put(client)
    assert type(caught.value) is TransportError
    assert seen == [1.0]
