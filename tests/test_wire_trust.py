"""Proves which certificate authority counts, and that an endpoint of the wrong scheme ends in a clear error: trap 10.

An explicit `verify` wins over the session's, and either over REQUESTS_CA_BUNDLE, which `Session.send` would ignore.
"""

import contextlib
import socket
import threading

import pytest
import requests
from kit import client_of, good, lead_to, still_works
from rawserver import RawServer, make_tls

from cdn_sigv4 import TransportError

TRUST = [
    (None, None, "right", True), (None, None, "wrong", False), (None, None, None, False), (None, None, True, False),
    ("wrong", None, "right", True), ("right", None, "wrong", False), ("right", None, None, True),
    ("wrong", None, None, False), ("wrong", None, False, True), (None, "right", None, True),
    (None, "wrong", "right", True), (None, "right", "wrong", False), (None, False, "wrong", False),
    (None, "wrong", False, True), ("wrong", False, None, True), ("wrong", "right", None, True),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize(("bundle", "of_session", "verify", "trusted"), TRUST, ids=str)
def test_which_authority_counts(
    bundle, of_session, verify, trusted, variable,
    authorities, monkeypatch,
):  # fmt: skip
    """An explicit verify wins over the session's, and either over the environment (psf/requests#3829)."""
    if bundle:
        monkeypatch.setenv(variable, authorities[bundle])
    with RawServer(good, tls=authorities["context"]) as server, requests.Session() as session:
        if of_session is not None:
            session.verify = authorities[of_session]
        options = {"verify": authorities[verify], "session": None if of_session is None else session}
        with client_of(server, **options) as client:
            if trusted:
                still_works(client, server)
                return
            with pytest.raises(TransportError, match="certificate") as caught:
                client.put_object("bucket", "key", b"x")
        assert type(caught.value) is TransportError
        assert "verify=" in (caught.value.hint or "")
        assert server.requests == []


@pytest.fixture(scope="module")
def authorities(tmp_path_factory):
    """The server's context, its authority's file, and the file of another authority of the same name."""
    context, right = make_tls(tmp_path_factory.mktemp("right"))
    _, wrong = make_tls(tmp_path_factory.mktemp("wrong"))
    return {"context": context, "right": right, "wrong": wrong, None: None, True: True, False: False}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_tls_by_address(host, authorities):
    """TLS to an address is verified against that address, and Host has its brackets."""
    with RawServer(good, host=host, tls=authorities["context"]) as server:
        with client_of(server, verify=authorities["right"]) as client:
            still_works(client, server)
        assert server.requests[0].header("host") == server.authority


def test_tls_name_is_checked(authorities, monkeypatch):
    """A certificate of a known authority for another name is refused, before the request is sent."""
    with RawServer(good, tls=authorities["context"]) as server:
        lead_to(monkeypatch, server, "store.test")
        with client_of("https://store.test", verify=authorities["right"]) as client:
            with pytest.raises(TransportError, match=r"certificate of store\.test was not accepted"):
                client.get_object("bucket", "key")
        assert server.requests == []


def test_http_endpoint_at_a_tls_server(authorities):
    """Plain HTTP to a TLS port is a TransportError, and nothing of the request is understood there."""
    with RawServer(good, tls=authorities["context"]) as server:
        with client_of(f"http://{server.authority}") as client, pytest.raises(TransportError) as caught:
            client.get_object("bucket", "key")
        assert server.authority in str(caught.value)
        assert server.requests == []


def test_https_endpoint_at_a_plain_server():
    """TLS to a plain port is a TransportError whose hint names http://."""
    answer = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    listening = socket.create_server(("127.0.0.1", 0))

    def refuse():
        with contextlib.closing(listening.accept()[0]) as sock:
            sock.settimeout(5)
            sock.recv(65536)
            with contextlib.suppress(OSError):  # the client may be gone already
                sock.sendall(answer)
                sock.shutdown(socket.SHUT_WR)
                sock.recv(65536)

    thread = threading.Thread(target=refuse)
    thread.start()
    with contextlib.closing(listening):
        endpoint = f"https://127.0.0.1:{listening.getsockname()[1]}"
        with client_of(endpoint) as client, pytest.raises(TransportError, match=r"TLS with 127\.0\.0\.1") as caught:
            client.put_object("bucket", "key", b"x")
        thread.join(10)
    assert type(caught.value) is TransportError
    assert "http://" in (caught.value.hint or "")
