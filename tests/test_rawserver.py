"""Proves the loopback server: it keeps exactly what was sent, and each misbehaviour is the one that was asked for."""

import contextlib
import socket
import threading

import pytest
import requests
from rawserver import Answer, BadRequest, RawServer, chunked, in_turn, make_tls

PLAIN = b"GET /a/../b%2f?x=%zz HTTP/1.1\r\nhost:h\r\nX-Two:  1 \r\nx-two: 2\r\n\r\n"


@contextlib.contextmanager
def connected(server):
    with socket.create_connection(("127.0.0.1", server.port), 5) as sock:
        yield sock


def everything(sock):
    """All that comes until the server ends the connection."""
    pieces = []
    while True:
        piece = sock.recv(65536)
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)


def post(body, *lines):
    return b"\r\n".join([b"POST /x HTTP/1.1", b"Host: h", b"Content-Length: %d" % len(body), *lines, b"", body])


def test_keeps_bytes_and_connection():
    """Head and target stay byte for byte as sent, and three requests share a connection that a fourth does not."""
    with RawServer() as server:
        with connected(server) as sock:
            sock.sendall(PLAIN + post(b"abc") + PLAIN)
            server.wait_for(3)
        with connected(server) as sock:
            sock.sendall(PLAIN)
            server.wait_for(4)
    first, second, third, fourth = server.requests
    assert first.head == PLAIN
    assert (first.method, first.target, first.path, first.query) == (
        "GET",
        b"/a/../b%2f?x=%zz",
        b"/a/../b%2f",
        b"x=%zz",
    )
    assert first.headers == [("host", "h"), ("X-Two", "1"), ("x-two", "2")]
    assert (first.header("X-TWO"), first.header("absent")) == ("1, 2", None)
    assert second.body == b"abc"
    assert [each.connection for each in server.requests] == [1, 1, 1, 2]
    assert all(each.complete for each in server.requests)
    assert (third.body, fourth.body, server.connections) == (b"", b"", 2)


def test_chunked_and_absolute_form():
    """A chunked body is joined, and a proxy's absolute form is kept as sent while path and query leave it out."""
    with RawServer() as server:
        done = requests.put(server.endpoint + "/x", data=iter([b"ab", b"c" * 70000]), timeout=5)
        proxies = {"http": server.endpoint}
        requests.get("http://far.test:81/p?q=1", proxies=proxies, timeout=5)
    put, get = server.requests
    assert (done.status_code, put.body, put.header("transfer-encoding")) == (200, b"ab" + b"c" * 70000, "chunked")
    assert (get.target, get.path, get.query) == (b"http://far.test:81/p?q=1", b"/p", b"q=1")


MALFORMED = {
    "empty line before": b"\r\n" + PLAIN,
    "two blanks": b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
    "folded line": b"GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n",
    "blank before the colon": b"GET / HTTP/1.1\r\nHost : h\r\n\r\n",
    "signed length": b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\nx",
    "two lengths": b"PUT / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    "length and chunks": b"PUT / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunk size": b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\n\r\n",
    "bytes left over": post(b"abc") + b"left over",
}


@pytest.mark.parametrize("stray", MALFORMED.values(), ids=MALFORMED)
def test_malformed_requests_fail_the_test(stray):
    """Whatever is no HTTP/1.1, bytes left over behind a body among them, is raised where the server is used."""
    server = RawServer().__enter__()
    with connected(server) as sock:
        sock.sendall(stray)
        sock.shutdown(socket.SHUT_WR)
        everything(sock)
    with pytest.raises(BadRequest):
        server.__exit__(None, None, None)


def test_error_in_the_answer_is_raised():
    """An exception in the answer callable is not lost in its thread."""

    def wrong(request):
        raise ZeroDivisionError

    server = RawServer(wrong).__enter__()
    with pytest.raises(requests.ConnectionError):
        requests.get(server.endpoint, timeout=5)
    with pytest.raises(ZeroDivisionError):
        server.__exit__(None, None, None)


SENT = [
    (Answer(), b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
    (Answer(204), b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"),
    (
        Answer(599, "Odd", {"A": "1"}, b"x"),
        b"HTTP/1.1 599 Odd\r\nA: 1\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
    ),
    (Answer(body=b"abc", length=9), b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nabc"),
    (Answer(body=b"abc", no_length=True), b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc"),
    (Answer(body=b"abc", cut_after=1), b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\na"),
    (Answer(body=b"a", extra=b"EXTRA"), b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\naEXTRA"),
    (Answer(raw=b"anything\n"), b"anything\n"),
    (Answer(raw=b"anything\n", cut_after=3), b"any"),
    (
        Answer(headers=[("Transfer-Encoding", "chunked")], body=chunked(b"abc", 2)),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
    ),
]


@pytest.mark.parametrize(("answer", "expected"), SENT, ids=range(len(SENT)))
def test_answers_byte_for_byte(answer, expected):
    """Each kind of answer is on the wire exactly as described, and then the connection ends."""
    answer.close = True
    with RawServer(lambda request: answer) as server, connected(server) as sock:
        sock.sendall(PLAIN)
        assert everything(sock) == expected


def test_head_has_a_length_but_no_body():
    """A HEAD request is told the length of the body that it does not get, and the connection stays usable."""
    with RawServer(lambda request: Answer(body=b"abc")) as server, requests.Session() as session:
        assert session.head(server.endpoint, timeout=5).headers["Content-Length"] == "3"
        assert session.get(server.endpoint, timeout=5).content == b"abc"
        assert server.connections == 1


@pytest.mark.parametrize("cut_after", [None, 2])
def test_reset(cut_after):
    """The connection is reset, before anything or after some of the body."""
    answer = Answer(body=b"abc", reset=True, cut_after=cut_after)
    with RawServer(lambda request: answer) as server, connected(server) as sock:
        sock.sendall(PLAIN)
        got = b""
        while cut_after is not None and not got.endswith(b"\r\n\r\nab"):
            got += sock.recv(1000)
        with pytest.raises(ConnectionResetError):
            sock.recv(1000)


def test_early_answer_is_drained_within_bounds():
    """An answer before the body keeps the connection when the rest fits the bound, and ends it when it does not."""
    early = Answer(403, before_body=True, drain=1000)
    with RawServer(lambda request: early) as server:
        with connected(server) as sock:
            sock.sendall(post(bytes(1000))[:-1000])
            assert sock.recv(1000).startswith(b"HTTP/1.1 403 ")
            sock.sendall(bytes(1000) + PLAIN)
            assert sock.recv(1000).startswith(b"HTTP/1.1 403 ")
        with connected(server) as sock:
            sock.sendall(post(bytes(1001)))
            with contextlib.suppress(ConnectionResetError):
                assert everything(sock).startswith(b"HTTP/1.1 403 ")
    drained, _, refused = server.requests
    assert (len(drained.body), drained.complete) == (1000, True)
    assert (len(refused.body), refused.complete) == (1000, False)


def test_continue_is_sent_only_where_the_body_is_read():
    """A client that expects 100-continue gets it when its body is wanted, and only the refusal when it is not."""
    head = post(b"abc", b"Expect: 100-continue")[:-3]
    with RawServer(in_turn(Answer(), Answer(403, before_body=True, drain=0))) as server, connected(server) as sock:
        sock.sendall(head)
        assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"abc")
        assert sock.recv(1000).startswith(b"HTTP/1.1 200 ")
        sock.sendall(head)
        assert everything(sock).startswith(b"HTTP/1.1 403 ")


def test_broken_off_body_is_recorded():
    """A request whose body broke off is recorded as incomplete, with what came."""
    with RawServer() as server, connected(server) as sock:
        sock.sendall(post(b"abcdef")[:-2])
        sock.shutdown(socket.SHUT_WR)
        assert everything(sock) == b""
    assert [(each.body, each.complete) for each in server.requests] == [(b"abcd", False)]


@pytest.mark.parametrize("after", [None, 2])
def test_delay(after):
    """An answer waits for its event, at its beginning or in the middle of its body."""
    go = threading.Event()
    answer = Answer(body=b"abcd", delay=go, delay_after=after, close=True)
    with RawServer(lambda request: answer) as server, connected(server) as sock:
        sock.sendall(PLAIN)
        server.wait_for(1)
        before = b""
        while after is not None and not before.endswith(b"ab"):
            before += sock.recv(1000)
        sock.settimeout(0.05)
        with pytest.raises(socket.timeout):
            sock.recv(1000)
        go.set()
        sock.settimeout(5)
        assert (before + everything(sock)).endswith(b"\r\n\r\nabcd")


def test_stop_does_not_wait_for_anybody():
    """Stopping ends idle connections, half a request and a delay that nobody sets, and leaves no thread behind."""
    threads = threading.active_count()
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(RawServer(lambda request: Answer(delay=threading.Event())))
        idle, half, waiting = (stack.enter_context(connected(server)) for _ in range(3))
        half.sendall(post(b"abc")[:-1])
        waiting.sendall(PLAIN)
        server.wait_for(1)
        server.stop()
        assert idle.recv(1) == b""
        assert threading.active_count() == threads
    assert not server.errors


@pytest.mark.parametrize("name", ["127.0.0.1", "::1"])
def test_tls(tmp_path, name):
    """Over TLS, on either loopback address, a client that knows the authority is served and any other is not."""
    context, authority = make_tls(tmp_path)
    try:
        server = RawServer(lambda request: Answer(body=b"x" * 200000), host=name, tls=context)
    except OSError:
        pytest.skip(f"this machine has no {name}")
    with server:
        assert server.endpoint == f"https://{server.authority}"
        assert requests.get(server.endpoint, verify=str(authority), timeout=5).content == b"x" * 200000
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(server.endpoint, timeout=5)
    assert len(server.requests) == 1


def test_in_turn():
    """Answers and callables are given one after the other, the last for ever."""
    answer = in_turn(Answer(503), lambda request: Answer(body=request.body), Answer(404))
    with RawServer(answer) as server, requests.Session() as session:
        got = [session.post(server.endpoint, data=b"b", timeout=5) for _ in range(4)]
    assert [(each.status_code, each.content) for each in got] == [(503, b""), (200, b"b"), (404, b""), (404, b"")]
