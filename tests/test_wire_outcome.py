"""Proves that OutcomeUnknown is said where a request may have taken effect, and only there.

For a body its last byte tells; for a request without one, whether its head went out. What a TLS handshake or a proxy's
tunnel does before that is no part of the request.
"""

import gc
import io
import logging
import weakref

import pytest
import requests
from kit import client_of, deaf
from kit_calls import delete, put
from rawserver import Answer, RawServer, make_tls

from cdn_sigv4 import OutcomeUnknown, TransportError

WHERE = ["refused", "unresolvable", "untrusted", "dead proxy", "no such proxy"]


@pytest.mark.parametrize(
    ("where", "own_session"),
    # A given session does not tell whether a handshake that was never answered came before the request or after it.
    [("plain server", False), *((where, own_session) for where in WHERE for own_session in (False, True))],
)
def test_nothing_was_sent(where, own_session, tmp_path, monkeypatch):
    """A DELETE that never left is a plain TransportError: who repeats it repeats nothing."""
    context, _ = make_tls(tmp_path)
    plain = RawServer().__enter__()  # stopped by hand: what a TLS handshake looks like to it is an error it would raise
    with RawServer(tls=context) as secure, deaf() as dead, requests.Session() as session:
        endpoint = {
            "plain server": f"https://{plain.authority}",
            "refused": f"http://{dead}",
            "untrusted": secure.endpoint,
        }.get(where, "http://store.invalid")
        if "proxy" in where:
            monkeypatch.setenv("HTTP_PROXY", f"http://{dead}" if where == "dead proxy" else "http://proxy.invalid:3128")
        patience = 0.5 if where == "plain server" else 5  # it never answers the handshake
        with client_of(endpoint, session=session if own_session else None, timeout=(patience, 5)) as client:
            with pytest.raises(TransportError) as caught:
                delete(client)
        plain.stop()
        secure.errors.clear()
    assert type(caught.value) is TransportError
    assert caught.value.hint


@pytest.mark.parametrize("own_session", [False, True], ids=["", "session"])
@pytest.mark.parametrize("call", [put, delete])
@pytest.mark.parametrize("by_proxy", [False, True], ids=["server", "proxy"])
def test_all_was_sent(call, by_proxy, own_session, monkeypatch):
    """Whoever read the whole request and went away without a word, server or proxy: it may have taken effect."""

    def gone(request):
        assert request.body == (b"body" if call is put else b"")
        return Answer(reset=True)

    with RawServer(gone) as server, requests.Session() as session:
        if by_proxy:
            monkeypatch.setenv("HTTP_PROXY", server.endpoint)
        with client_of(
            "http://store.invalid" if by_proxy else server, session=session if own_session else None
        ) as client:
            with pytest.raises(OutcomeUnknown) as caught:
                call(client)
        assert len(server.requests) == 1
    assert caught.value.operation == call.__name__.upper()


def test_a_client_within_a_request():
    """A handler of log messages may itself use a client while a request is under way: each keeps its own outcome."""
    inner = logging.Handler()
    with RawServer() as server, RawServer(lambda request: Answer(reset=True)) as gone, client_of(server) as other:
        inner.emit = lambda record: (
            other.delete_object("bucket", "log") if gone.authority in record.getMessage() else None
        )
        logger = logging.getLogger("urllib3.connectionpool")
        logger.addHandler(inner)
        logger.setLevel(logging.DEBUG)
        try:
            server.answer = lambda request: Answer(204)
            with client_of(gone) as client, pytest.raises(OutcomeUnknown):
                delete(client)
        finally:
            logger.removeHandler(inner)
            logger.setLevel(logging.NOTSET)


def test_nothing_is_kept():
    """When a request is done nothing holds its source any more: no thread keeps a large file, or signed headers."""
    with RawServer(lambda request: Answer(headers={"ETag": '"e"'})) as server, client_of(server) as client:
        source = io.BytesIO(b"large")
        kept = weakref.ref(source)
        client.put_object("bucket", "key", source)
        del source
        gc.collect()
        assert kept() is None


def test_a_silent_handshake(tmp_path):
    """A server that never ends its TLS handshake has been sent nothing, and the connect timeout is the one named."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        with client_of(f"https://127.0.0.1:{silent.getsockname()[1]}", timeout=(0.3, 30)) as client:
            with pytest.raises(TransportError, match=r"within 0\.3 s") as caught:
                delete(client)
    assert type(caught.value) is TransportError
