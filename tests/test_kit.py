"""The kit itself: a judge who lets everything pass, or names that lead elsewhere, would make its users worthless."""

import socket

import pytest
from kit import SECRETS, client_of, good, lead_to, only
from rawserver import RawServer
from sigcheck import SignatureError, verify


def test_judge_refuses():
    """One changed byte in target, header or body of a genuine request, and the judge refuses it."""
    with RawServer(good) as server, client_of(server) as client:
        client.put_object("bucket", "key", b"body", content_type="text/plain")
    request = only(server)
    for old, new in ((b"/bucket/key", b"/bucket/kez"), (b"text/plain", b"text/plein")):
        assert old in request.head
        with pytest.raises(SignatureError):
            verify(request.head.replace(old, new), request.body, SECRETS)
    with pytest.raises(SignatureError):
        verify(request.head, b"bodz", SECRETS)


def test_names_lead_to_server(monkeypatch):
    """A patched name reaches the server and only that name does, so a virtual-host test cannot pass by chance."""
    with RawServer(good) as server:
        lead_to(monkeypatch, server, "bucket.store.test")
        with client_of("http://store.test:1234", addressing="virtual") as client:
            client.delete_object("bucket", "key")
        assert server.requests[0].header("host") == "bucket.store.test:1234"
        assert socket.getaddrinfo("127.0.0.1", 80)[0][4][0] == "127.0.0.1"
