"""Proves that nothing around the program gets into a signed request, or takes its place: traps 8 and 9.

A `~/.netrc`, a session's own parameters, headers, auth and cookies, and a server's cookies stay out. Each test first
shows that plain requests would send them.
"""

import pytest
import requests
from kit import BODY, ETAG, client_of, still_works
from rawserver import Answer, RawServer

# Every header that a request of this package has; whatever else arrives came from somewhere else.
SENT = {
    "host", "accept-encoding", "user-agent", "authorization", "content-length",
    "x-amz-content-sha256", "x-amz-date", "x-amz-security-token", "x-amz-checksum-mode", "x-amz-checksum-crc32",
}  # fmt: skip


@pytest.mark.parametrize("entry", ["machine 127.0.0.1", "default"])
def test_netrc_is_ignored(entry, tmp_path, monkeypatch):
    """A netrc that plain requests obeys does not replace Authorization (psf/requests#3929)."""
    (tmp_path / ".netrc").write_text(f"{entry} login somebody password something\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    with RawServer() as server:
        requests.get(server.endpoint, timeout=5)
        assert (server.requests[0].header("authorization") or "").startswith("Basic ")
        with client_of(server) as client:
            still_works(client, server)
        with requests.Session() as session, client_of(server, session=session) as client:
            still_works(client, server)


def loaded_session(server):
    """A session with everything in it that plain requests would send along."""
    session = requests.Session()
    session.params = {"evil": "1"}
    session.headers.update(
        {"X-Evil": "1", "x-amz-acl": "public-read", "Content-Type": "text/evil", "Range": "bytes=0-1"}
    )
    session.auth = ("evil", "evil")
    session.cookies.set("evil", "1", domain="127.0.0.1", path="/")
    session.max_redirects = 5
    return session


def test_session_gives_none_of_its_own():
    """Parameters, headers, auth and cookies of a given session, which plain requests sends, stay at home."""
    with RawServer() as server, loaded_session(server) as session:
        session.get(server.endpoint, timeout=5)
        control = server.requests[0]
        assert control.query == b"evil=1"
        assert {"x-evil", "x-amz-acl", "cookie", "authorization"} <= {name.lower() for name, _ in control.headers}
        with client_of(server, session=session) as client:
            still_works(client, server)
            client.delete_object("bucket", "key")
        assert session.params == {"evil": "1"}
        assert session.auth == ("evil", "evil")
    for each in server.requests[1:]:
        assert {name.lower() for name, _ in each.headers} <= SENT
        assert each.query == b""
        assert (each.header("authorization") or "").startswith("AWS4-HMAC-SHA256 ")


@pytest.mark.parametrize("own_session", [False, True], ids=["", "session"])
def test_cookies_are_not_sent_back(own_session):
    """A cookie that the server sets is not in the next request."""
    cookie = Answer(headers={**ETAG, "Set-Cookie": "a=b; Path=/"}, body=BODY)
    with RawServer(lambda request: cookie) as server, requests.Session() as session:
        with client_of(server, session=session if own_session else None) as client:
            for _ in range(2):
                client.get_object("bucket", "key").read()
            if not own_session:
                own = client._exchange._connected()._means().ordinary._session
                assert not own.cookies, "nor kept, however many there are"
        assert [each.header("cookie") for each in server.requests] == [None, None]


def test_a_session_stays_open():
    """Closing the client leaves the session that it was given usable, and its adapters in place."""
    with RawServer() as server, requests.Session() as session:
        adapters = dict(session.adapters)
        client = client_of(server, session=session)
        still_works(client, server)
        client.close()
        still_works(client, server)
        assert dict(session.adapters) == adapters
        assert server.connections == 1
