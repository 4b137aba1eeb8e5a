"""Proves that an answer which comes too early, or behind another, is never taken for a wrong one: traps 18, 20, 29.

A refusal during a large upload is that refusal; after it, after an interim answer and after a closed connection, the
next request gets its own answer.
"""

import threading
import time

import pytest
import requests
from kit import BIG, BODY, ETAG, LONG, at_path, client_of, good, still_works, within
from kit_calls import get, put, put_big, xml
from rawserver import Answer, RawServer, in_turn, make_tls

from cdn_sigv4 import AccessDenied, CDNError, ResponseError, TransportError

EARLY = [
    ("closes", {"drain": 0}),
    ("closes-and-says-so", {"drain": 0, "close": True}),
    ("reads-a-little", {"drain": 1 << 20}),
    ("reads-on", {"drain": 1 << 30}),
    ("reads-on-and-closes", {"drain": 1 << 30, "close": True}),
]

pytestmark = pytest.mark.usefixtures("one_put")


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("options", [each[1] for each in EARLY], ids=[each[0] for each in EARLY])
def test_early_refusals(options, scheme, tmp_path):
    """A refusal that comes while 20 MiB are on their way is that refusal, again and again, and no broken pipe."""
    context, authority = make_tls(tmp_path) if scheme == "https" else (None, None)
    refusal = Answer(403, body=xml("AccessDenied"), before_body=True, **options)
    busy = Answer(503, body=xml("SlowDown"), before_body=True, **options)
    with RawServer(tls=context) as server, client_of(server, verify=authority) as client:
        for number in range(10):
            answer, kind = (refusal, AccessDenied) if number % 2 else (busy, ResponseError)
            server.answer = lambda request, answer=answer: answer
            with within(8), pytest.raises(ResponseError) as caught:
                put_big(client)
            assert type(caught.value) is kind
            assert caught.value.code == ("AccessDenied" if number % 2 else "SlowDown")
            still_works(client, server)
        server.wait_for(30)
        assert len(at_path(server, b"/bucket/key")) == 10


def test_a_refused_upload_stops_early():
    """What is left of a refused body is not sent: the client listens while it sends."""
    with RawServer(lambda request: Answer(403, before_body=True, drain=1 << 30)) as server, client_of(server) as client:
        with pytest.raises(AccessDenied):
            put_big(client)
        still_works(client, server)  # over the same connection this would wait until the server has read all the rest
        assert not server.requests[0].complete
        assert server.connections == 2


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_continue_that_nobody_asked_for(scheme, tmp_path):
    """A "100 Continue" in the middle of an upload is no answer: the rest is sent, and the answer is awaited."""

    def encouraging(request):
        if request.method == "PUT":
            request.headers.append(("Expect", "100-continue"))  # as if it had been there: the server then says 100
        return good(request)

    context, authority = make_tls(tmp_path) if scheme == "https" else (None, None)
    with RawServer(encouraging, tls=context) as server, client_of(server, verify=authority) as client:
        put_big(client)
        assert server.requests[0].body == BIG
        still_works(client, server)
        assert server.connections == 1


def test_an_early_success_is_none():
    """A 200 that comes before the whole body was taken is no success: a TransportError, on a connection given up."""
    early = Answer(headers=ETAG, before_body=True, drain=1 << 30)
    with RawServer(lambda request: early) as server, client_of(server) as client:
        with pytest.raises(TransportError, match="before it had the whole request"):
            put_big(client)
        still_works(client, server)


def test_an_early_reset_is_no_refusal():
    """A reset in the middle of a body is a TransportError: with most of it unsent, the outcome is known."""
    with RawServer(lambda request: Answer(before_body=True, reset=True)) as server, client_of(server) as client:
        with pytest.raises(TransportError, match="closed the connection") as caught:
            put_big(client)
        assert type(caught.value) is TransportError
        assert len(server.requests) == 1
        still_works(client, server)


@pytest.mark.parametrize("status", [100, 102, 103, 199])
@pytest.mark.parametrize("number", [1, 9])
def test_interim_answers_are_passed_over(status, number):
    """Interim answers, asked for or not, are no answer: the final one behind them is (RFC 9110, 15.2)."""
    interim = (b"HTTP/1.1 %d Early\r\nLink: x\r\n\r\n" % status) * number
    final = b"HTTP/1.1 200 OK\r\nETag: x\r\nContent-Length: 5\r\n\r\nfirst"
    with RawServer(in_turn(Answer(raw=interim + final), good)) as server, client_of(server) as client:
        assert get(client) == b"first"
        still_works(client, server)


@pytest.mark.parametrize("call", [get, put])
@pytest.mark.parametrize("status", [100, 103])
def test_interim_answers_without_end(status, call):
    """A server that only ever says that an answer is to come does not keep the client for ever."""
    interim = (b"HTTP/1.1 %d Early\r\n\r\n" % status) * 1000
    with RawServer(in_turn(Answer(raw=interim, delay=threading.Event(), delay_after=len(interim)), good)) as server:
        with client_of(server) as client:
            with within(4), pytest.raises(TransportError, match="does not answer in HTTP"):
                call(client)
            still_works(client, server)


@pytest.mark.parametrize("status", [102, 103, 199])
def test_the_answer_behind_an_interim_one(status):
    """In a given session, which takes an interim answer for the final one, the latter answers no other request."""
    late = threading.Event()
    interim = b"HTTP/1.1 %d Early\r\nLink: x\r\n\r\n" % status
    final = b"HTTP/1.1 200 OK\r\nETag: x\r\nContent-Length: 5\r\n\r\nfirst"
    answers = in_turn(Answer(raw=interim + final, delay=late, delay_after=len(interim)), good)
    timer = threading.Timer(0.2, late.set)
    with RawServer(answers) as server, requests.Session() as session:
        with client_of(server, session=session) as client:
            with pytest.raises(CDNError):
                get(client)
            timer.start()
            with client.get_object("bucket", "second") as reader:
                assert reader.read() == BODY
            timer.join(LONG)
            still_works(client, server)


def test_a_connection_that_was_closed_meanwhile():
    """A kept connection which the server has closed since is not used: the next request opens another."""
    with RawServer(lambda request: Answer(headers=ETAG, body=BODY, cut_after=len(BODY))) as server:
        with client_of(server) as client:
            for number in range(1, 4):
                assert get(client) == BODY
                deadline = time.monotonic() + 10
                while server._sockets and time.monotonic() < deadline:
                    threading.Event().wait(0.001)
                assert server.connections == number
            still_works(client, server)
