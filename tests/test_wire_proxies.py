"""Proves that proxies are honoured and change nothing that was signed: traps 2, 10 and 12.

Through a plain HTTP proxy the absolute form arrives with the store's Host, and a key that urllib3 would change there is
refused before anything is sent; through a tunnel every key is exact. A proxy that fails is named as what it is.
"""

import contextlib
import socket
import threading

import pytest
import requests
from kit import client_of, deaf, good, judged, still_works
from kit_calls import KEY_IDS, KEYS
from rawserver import Answer, RawServer, make_tls

from cdn_sigv4 import TransportError


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("form", ["http://127.0.0.1:{}", "127.0.0.1:{}", "localhost:{}"])
def test_http_proxy(variable, form, monkeypatch):
    """Through an HTTP proxy the absolute form arrives there, with the store's Host and a signature that holds.

    The scheme may be missing, as for curl, also where `requests` itself reads the name as one (psf/requests#6455).
    """
    with RawServer(good) as proxy:
        monkeypatch.setenv(variable, form.format(proxy.authority.rpartition(":")[2]))
        with client_of("http://store.test:9000") as client:
            client.put_object("bucket", "a b//\u00fc", b"hello")
            client.get_object("bucket", "key", version_id="1+2").read()
    put, get = proxy.requests
    assert put.target == b"http://store.test:9000/bucket/a%20b//%C3%BC"
    assert get.target == b"http://store.test:9000/bucket/key?versionId=1%2B2"
    for each in (put, get):
        assert each.header("host") == "store.test:9000"
        judged(each)


def test_proxy_of_a_session_and_its_password():
    """The given session's proxies are used; the proxy's password goes to the proxy, unsigned, and nowhere else."""
    with RawServer(good) as proxy, requests.Session() as session:
        session.proxies = {"http": f"http://user:pass@{proxy.authority}"}
        with client_of("http://store.test", session=session) as client:
            client.put_object("bucket", "key", b"hello")
    (request,) = proxy.requests
    assert request.header("proxy-authorization") == "Basic dXNlcjpwYXNz"
    assert "proxy-authorization" not in judged(request).signed_headers


@pytest.mark.parametrize(
    "url",
    ["http://user:hunter2@proxy:99999", "http://user:hunter2@", "user:hunter2@proxy", "ftp://user:hunter2@proxy:21"],
)
def test_a_proxy_that_is_none(url, monkeypatch):
    """A proxy's URL that cannot be used is refused unsent, without its password, and the text says where to look."""
    monkeypatch.setenv("HTTP_PROXY", url)
    with client_of("http://store.test") as client, pytest.raises((ValueError, TransportError)) as caught:
        client.get_object("bucket", "key")
    assert "hunter2" not in str(caught.value)
    assert "HTTP_PROXY" in str(caught.value)


@pytest.mark.parametrize("no_proxy", ["127.0.0.1", "*", "localhost,127.0.0.0/8"])
def test_no_proxy(no_proxy, monkeypatch):
    """NO_PROXY leads past the proxy."""
    with RawServer() as proxy, RawServer(good) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.endpoint)
        monkeypatch.setenv("NO_PROXY", no_proxy)
        with client_of(server) as client:
            still_works(client, server)
        assert proxy.connections == 0
        assert server.requests[0].target == b"/bucket/next"


@pytest.mark.parametrize("style", ["path", "virtual"])
@pytest.mark.parametrize(("key", "path"), KEYS, ids=KEY_IDS)
def test_awkward_keys_at_a_proxy(key, path, style, monkeypatch):
    """A key arrives at a proxy exactly as signed; one whose dots urllib3 would drop is a ValueError, nothing sent."""
    host = b"http://store.test/bucket/" if style == "path" else b"http://bucket.store.test/"
    with RawServer(good) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.endpoint)
        with client_of("http://store.test", addressing=style) as client:
            if {".", ".."} & set(key.split("/")):
                for call in (client.get_object, client.head_object, client.delete_object, client.put_object):
                    with pytest.raises(ValueError, match="proxy"):
                        call("bucket", key, *([b"x"] if call == client.put_object else []))
                assert proxy.connections == 0
                return
            client.put_object("bucket", key, b"x")
    assert proxy.requests[0].target == host + path
    judged(proxy.requests[0])


@contextlib.contextmanager
def tunnel(port):  # noqa: C901 - one proxy in one place
    """A proxy for CONNECT that leads to `port`, whatever it was asked for: its URL, and the heads that it was sent."""
    heads = []
    sockets = []
    threads = []
    listening = socket.create_server(("127.0.0.1", 0))

    def pump(source, target):
        with contextlib.suppress(OSError):
            while True:
                block = source.recv(65536)
                if not block:
                    break
                target.sendall(block)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def serve():
        with contextlib.suppress(OSError):
            while True:
                near = listening.accept()[0]
                far = socket.create_connection(("127.0.0.1", port), 5)
                sockets.extend((near, far))
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    head += near.recv(1)
                heads.append(head)
                near.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                for pair in ((near, far), (far, near)):
                    threads.append(threading.Thread(target=pump, args=pair, daemon=True))
                    threads[-1].start()

    threads.append(threading.Thread(target=serve, daemon=True))
    threads[0].start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", heads
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(5)
        for each in sockets:
            each.close()


def test_tunnel_keeps_dot_segments(tmp_path, monkeypatch):
    """Over https a proxy sees host and port and no more, and `..` arrives: the way out that the error text names."""
    context, authority = make_tls(tmp_path)
    with RawServer(good, tls=context) as server, tunnel(server.port) as (proxy, heads):
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        with client_of("https://localhost:9443", verify=authority) as client:
            client.put_object("bucket", "../a/./b", b"hello")
            client.get_object("bucket", "../a/./b").read()
        assert [each.target for each in server.requests] == [b"/bucket/../a/./b"] * 2
        assert {each.header("host") for each in server.requests} == {"localhost:9443"}
        for each in server.requests:
            judged(each)
        (head,) = heads
    assert head.startswith(b"CONNECT localhost:9443 HTTP/1.")
    assert b"AWS4" not in head
    assert b"bucket" not in head


@pytest.mark.parametrize("status", [403, 407, 502])
def test_proxy_refuses_the_tunnel(status, monkeypatch):
    """A proxy that refuses CONNECT is named as such, with its status; a PUT certainly had no effect then."""
    with RawServer(lambda request: Answer(status, close=True)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:pass@{proxy.authority}")
        with client_of("https://store.test") as client, pytest.raises(
            TransportError, match=f"proxy.*{status}"
        ) as caught:
            client.put_object("bucket", "key", b"x")
        assert type(caught.value) is TransportError
        assert "pass" not in str(caught.value)
        assert len(proxy.requests) == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_proxy_is_down(scheme, monkeypatch):
    """A proxy that refuses connections is named as such, and not the store behind it."""
    with deaf() as dead:
        monkeypatch.setenv(f"{scheme.upper()}_PROXY", f"http://user:pass@{dead}")
        with client_of(f"{scheme}://store.test") as client, pytest.raises(TransportError, match="proxy") as caught:
            client.put_object("bucket", "key", b"x")
    assert type(caught.value) is TransportError
    assert "pass" not in str(caught.value)
