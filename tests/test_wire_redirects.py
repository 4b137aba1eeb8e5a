"""Proves that no redirect is followed, whatever it is called and wherever it leads: traps 11, 22 and 42.

A second server stands where each redirect points, and must never hear of it: neither of the request, nor of the session
token in its headers, nor of its body.
"""

import threading

import pytest
import requests
from kit import ETAG, client_of, judged, still_works, within
from rawserver import Answer, RawServer

from cdn_sigv4 import RedirectRefused

CALLS = {
    "get": lambda client: client.get_object("bucket", "key").read(),
    "head": lambda client: client.head_object("bucket", "key"),
    "put": lambda client: client.put_object("bucket", "key", b"body" * 1000),
    "delete": lambda client: client.delete_object("bucket", "key"),
    "list": lambda client: list(client.list_objects("bucket")),
}
SECRET_QUERY = "?X-Amz-Signature=0123456789abcdef&token=FwoGZX"


@pytest.mark.parametrize("own_session", [False, True], ids=["", "session"])
@pytest.mark.parametrize("call", list(CALLS))
@pytest.mark.parametrize("status", [300, 301, 302, 303, 305, 307, 308])
def test_redirects_are_refused(status, call, own_session):
    """The target server hears nothing; the error names its address and no query; one request was made."""
    with RawServer() as other, RawServer() as server, requests.Session() as session:
        target = f"{other.endpoint}/bucket/key"
        server.answer = lambda request: Answer(status, headers={"Location": target + SECRET_QUERY}, body=b"<Error/>")
        with client_of(server, session=session if own_session else None) as client:
            with pytest.raises(RedirectRefused) as caught:
                CALLS[call](client)
            assert caught.value.status == status
            assert f"{other.endpoint} is the store" in str(caught.value)
            assert "?" not in str(caught.value)
            assert "0123456789abcdef" not in str(caught.value)
            assert len(server.requests) == 1
            judged(server.requests[0])
            still_works(client, server)
        assert other.connections == 0


@pytest.mark.parametrize("call", ["get", "put"])
@pytest.mark.parametrize("status", [301, 399])
def test_redirects_to_nowhere(status, call):
    """Without Location it is no less refused, although requests calls it ok."""
    with RawServer(lambda request: Answer(status, headers=ETAG)) as server, client_of(server) as client:
        with pytest.raises(RedirectRefused) as caught:
            CALLS[call](client)
        assert caught.value.status == status
        assert len(server.requests) == 1
        still_works(client, server)


LOCATIONS = [
    "/elsewhere",
    "//other.test/x",
    "http://[",
    "http://u:0123@other.test:99999/x",
    "http://" + "x" * 60000,
    "\x1b[2J\xff",
    "",
]


@pytest.mark.parametrize("location", LOCATIONS, ids=range(len(LOCATIONS)))
def test_odd_locations(location):
    """A Location that is no URL, or a hostile one, is reported on one short printable line."""
    with RawServer(lambda request: Answer(307, headers={"Location": location})) as server, client_of(server) as client:
        with pytest.raises(RedirectRefused) as caught:
            CALLS["put"](client)
        shown = str(caught.value)
        assert shown.isprintable()
        assert len(shown) < 500
        assert "0123" not in shown
        assert len(server.requests) == 1
        still_works(client, server)


@pytest.mark.parametrize("own_session", [False, True], ids=["", "session"])
@pytest.mark.parametrize("location", [True, False], ids=["location", "nowhere"])
@pytest.mark.parametrize("call", ["get", "put"])
def test_endless_redirect_bodies(call, location, own_session):
    """Of a redirect's body no more is read than of any error: one that never ends costs nothing."""
    headers = {"Location": "http://other.test/"} if location else {}
    answer = Answer(
        307, headers=headers, body=b"x" * (2 << 20), length=1 << 40, delay=threading.Event(), delay_after=1 << 20
    )
    with RawServer(lambda request: answer) as server, requests.Session() as session:
        with client_of(server, timeout=(5, 8), session=session if own_session else None) as client:
            with within(4), pytest.raises(RedirectRefused):
                CALLS[call](client)
            still_works(client, server)
