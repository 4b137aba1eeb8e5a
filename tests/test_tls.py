"""Proves what becomes of a TLS connection that cannot be trusted, and that one which can be carries the main job.

Which of several authorities counts is test_wire_trust.py's; here are the certificate's dates, its names, authorities
that cannot be read, and ports that speak something else. None of it is tried again, and no byte of a request goes out.
Dates lie around the real now: OpenSSL looks at the system's clock, whatever clock a client was given.
"""

import contextlib
import hashlib
import os
import re
import socket
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests
from kit import BODY, KEY, SECRET, client_of, deaf, good, lead_to, still_works
from kit_calls import delete, get, put
from kit_tls import DAY, Certified, authority
from rawserver import RawServer

from cdn_sigv4 import (
    AccessDenied,
    CDNCredentials,
    CDNManager,
    ClockError,
    Credentials,
    ResponseError,
    Retry,
    S3Client,
    TransportError,
)

NOW = time.time()
VALID = (NOW - DAY, NOW + DAY)
DATES = [
    pytest.param(-90 * DAY, -0.1 * DAY, id="expired"),
    pytest.param(0.1 * DAY, 90 * DAY, id="not yet valid"),
]
CALLS = pytest.mark.parametrize("call", [get, put, delete])


@contextlib.contextmanager
def showing(certified, folder):
    """A server with this certificate, which in the end has seen no request and no byte of one."""
    with RawServer(good, tls=certified.context(folder)) as server:
        yield server
        assert server.requests == []


@contextlib.contextmanager
def at_once(endpoint, *, clock=NOW, **options):
    """A client that may not wait for anything, and so try nothing again; its clock stands at the module's now."""
    with client_of(endpoint, retry=Retry(), **options) as client:
        client._exchange.clock = lambda: clock
        client._exchange.sleep = lambda seconds: pytest.fail(f"waits {seconds} s to try again")
        yield client


def in_utc(seconds):
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))


# -- the certificate's dates


@CALLS
@pytest.mark.parametrize(("begins", "ends"), DATES)
def test_certificate_out_of_date(begins, ends, call, trusted, tmp_path):
    """Both dates are named, this machine's and the certificate's, and nothing is sent or tried again."""
    made, path = trusted
    with showing(Certified(NOW + begins, NOW + ends, issuer=made), tmp_path) as server:
        with at_once(server, verify=path) as client, pytest.raises(ClockError) as caught:
            call(client)
        assert server.connections == 2  # the one that was refused, and the one in which the certificate was read
    assert type(caught.value) is ClockError
    assert (caught.value.bucket, caught.value.key) == ("bucket", "key")
    assert (
        f"this machine's clock says {in_utc(NOW)} UTC, the certificate of 127.0.0.1"
        f" is valid from {in_utc(NOW + begins)} to {in_utc(NOW + ends)} UTC"
    ) in str(caught.value)
    assert "clock" in (caught.value.hint or "")


@pytest.mark.parametrize(("begins", "ends"), DATES)
def test_certificate_out_of_date_with_a_session(begins, ends, trusted, tmp_path):
    """With a session of the caller's it is the same."""
    made, path = trusted
    with showing(Certified(NOW + begins, NOW + ends, issuer=made), tmp_path) as server, requests.Session() as session:
        session.verify = path
        with at_once(server, session=session) as client, pytest.raises(ClockError):
            delete(client)


def test_certificate_out_of_date_of_a_named_host(trusted, tmp_path, monkeypatch):
    """A host is named as the endpoint names it, its port left out."""
    made, path = trusted
    certified = Certified(NOW - 2 * DAY, NOW - DAY, names=("store.test",), issuer=made)
    with showing(certified, tmp_path) as server:
        lead_to(monkeypatch, server, "store.test")
        for endpoint in ("https://store.test", "https://store.test:9000"):
            with at_once(endpoint, verify=path) as client, pytest.raises(ClockError, match=r"of store\.test is valid"):
                get(client)


def test_clock_inside_is_not_to_blame(trusted, tmp_path):
    """Where the clock that the client was given lies inside the validity, what OpenSSL said stands."""
    made, path = trusted
    with showing(Certified(NOW - 3 * DAY, NOW - DAY, issuer=made), tmp_path) as server:
        with at_once(server, verify=path, clock=NOW - 2 * DAY) as client:
            with pytest.raises(TransportError, match="has expired") as caught:
                get(client)
    assert type(caught.value) is TransportError


def test_authority_out_of_date(tmp_path):
    """An authority that has expired is no reason to doubt the clock where the server's own certificate is valid."""
    old = Certified(NOW - 20 * DAY, NOW - DAY, is_authority=True)
    with showing(Certified(*VALID, issuer=old), tmp_path) as server:
        path = tmp_path / "CAs" / "authority.crt"
        with at_once(server, verify=path) as client, pytest.raises(TransportError, match="has expired") as caught:
            get(client)
    assert type(caught.value) is TransportError


def test_certificate_that_disappears(trusted, tmp_path, monkeypatch):
    """Where the certificate cannot be had again to read its dates, what OpenSSL said stands."""
    made, path = trusted
    with showing(Certified(NOW - 3 * DAY, NOW - DAY, issuer=made), tmp_path) as server:
        with at_once(server, verify=path) as client, deaf() as dead:
            real, port = socket.create_connection, int(dead.rpartition(":")[2])
            # urllib3 connects in a way of its own.
            monkeypatch.setattr(socket, "create_connection", lambda address, *args: real((address[0], port), *args))
            with pytest.raises(TransportError, match="has expired") as caught:
                get(client)
    assert type(caught.value) is TransportError


def test_verification_stays(trusted, tmp_path):
    """The certificate that was looked at is trusted no more than before: the next request is refused as well."""
    made, path = trusted
    with showing(Certified(NOW - 3 * DAY, NOW - DAY, issuer=made), tmp_path) as server:
        with at_once(server, verify=path) as client:
            for connections in (2, 4):
                with pytest.raises(ClockError):
                    put(client)
                assert server.connections == connections


# -- who vouches, and for whom


NOBODY = [
    pytest.param(lambda made: Certified(*VALID), "self.signed", id="by itself"),
    pytest.param(lambda made: Certified(NOW - 2 * DAY, NOW - DAY), "self.signed", id="by itself, long ago"),
    pytest.param(lambda made: Certified(*VALID, issuer=authority(NOW)), "issuer|signature", id="a stranger"),
    pytest.param(lambda made: Certified(*VALID, names=("store.test",), issuer=made), "127.0.0.1", id="another name"),
    pytest.param(lambda made: Certified(*VALID, names=("127.0.0.2",), issuer=made), "127.0.0.1", id="another address"),
]


@CALLS
@pytest.mark.parametrize(("make", "text"), NOBODY)
def test_nobody_vouches(make, text, call, trusted, tmp_path):
    """A certificate that nobody vouches for, or for somebody else, is refused, and no clock is blamed for it."""
    made, path = trusted
    with showing(make(made), tmp_path) as server:
        expected = rf"certificate of 127\.0\.0\.1:{server.port} was not accepted: .*({text})"
        with at_once(server, verify=path) as client, pytest.raises(TransportError, match=expected) as caught:
            call(client)
        assert server.connections == 1
    assert type(caught.value) is TransportError
    hint = "is for other names" if text == "127.0.0.1" else "verify="
    assert hint in (caught.value.hint or "")
    assert "_ssl.c" not in str(caught.value)


def test_the_right_certificate(trusted, tmp_path):
    """What is refused above is accepted when all of it is right, so that no test above passes by chance."""
    made, path = trusted
    with RawServer(good, tls=Certified(*VALID, issuer=made).context(tmp_path)) as server:
        with at_once(server, verify=path) as client:
            still_works(client, server)


# -- authorities that cannot be read


# Older versions of urllib3 leave the socket to the garbage collector when the authorities cannot be read.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@CALLS
@pytest.mark.parametrize("variable", [None, "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize(
    "content", [b"", b"no PEM", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"], ids=range(3)
)
def test_authority_that_is_no_pem(content, variable, call, trusted, tmp_path, monkeypatch):
    """A CA file that cannot be read is said to be just that, whether given or from the environment."""
    path = tmp_path / "ca.pem"
    path.write_bytes(content)
    if variable:
        monkeypatch.setenv(variable, str(path))
    with showing(Certified(*VALID, issuer=trusted[0]), tmp_path) as server:
        with at_once(server, verify=None if variable else path) as client, pytest.raises(TransportError) as caught:
            call(client)
        assert server.connections <= 1
    assert type(caught.value) is TransportError
    assert "must hold PEM" in (caught.value.hint or "")


@CALLS
@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_authority_that_is_not_there(variable, call, trusted, tmp_path, monkeypatch):
    """A bundle that the environment names and that is not there is named: nobody is trusted in its place."""
    monkeypatch.setenv(variable, str(tmp_path / "no such file"))
    with showing(Certified(*VALID, issuer=trusted[0]), tmp_path) as server:
        with at_once(server) as client, pytest.raises(TransportError, match="no such file") as caught:
            call(client)
        assert server.connections == 0
    assert type(caught.value) is TransportError


# -- ports that speak something else


ANSWERS = {
    "Go": b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
    "nginx": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 5\r\nConnection: close\r\n\r\nplain",
    "OpenSSL": b"\x15\x03\x01\x00\x02\x02\x46",  # an alert
}


@contextlib.contextmanager
def answering(answer):
    """A port that answers so to whatever comes first; the number of connections, as a list that grows."""
    came = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            with contextlib.suppress(OSError):  # the listener was shut down
                while True:
                    came.append(listening.accept()[0])
                    with came[-1], contextlib.suppress(OSError):  # who sees what this is may be gone at any time
                        came[-1].settimeout(5)
                        came[-1].recv(65536)
                        came[-1].sendall(answer)
                        came[-1].shutdown(socket.SHUT_WR)
                        while came[-1].recv(65536):
                            pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1], came
        finally:
            socket.socket.shutdown(listening, socket.SHUT_RDWR)
            thread.join(10)


@CALLS
@pytest.mark.parametrize(
    ("kind", "error", "hint"),
    [
        ("Go", ResponseError, "begin the endpoint with https://"),
        ("nginx", ResponseError, ""),
        ("OpenSSL", TransportError, "http or https right"),
    ],
)
def test_http_to_a_tls_port(kind, error, hint, call):
    """Plain HTTP on a port that wants TLS is refused with what to look at, as the server says it."""
    with answering(ANSWERS[kind]) as (port, came):
        with client_of(f"http://127.0.0.1:{port}", retry=Retry()) as client, pytest.raises(error) as caught:
            call(client)
    assert hint in (caught.value.hint or "")
    assert len(came) <= 2  # what is no HTTP may be damage, and is tried once more


@CALLS
@pytest.mark.parametrize("kind", ["Go", "nginx"])
def test_tls_to_a_plain_port(kind, call):
    """TLS on a port that speaks plain HTTP is refused at once, with what to change."""
    with answering(ANSWERS[kind]) as (port, came):
        with at_once(f"https://127.0.0.1:{port}") as client:
            with pytest.raises(TransportError, match=rf"TLS with 127\.0\.0\.1:{port} failed") as caught:
                call(client)
    assert type(caught.value) is TransportError
    assert "begin the endpoint with http://" in (caught.value.hint or "")
    assert len(came) == 1


def test_tls_to_the_real_server(server):
    """The session's own server, which speaks plain HTTP, is such a port."""
    endpoint = server.endpoint.replace("http://", "https://")
    with at_once(endpoint) as client, pytest.raises(TransportError, match="TLS with") as caught:
        put(client)
    assert "begin the endpoint with http://" in (caught.value.hint or "")


# -- MinIO


@pytest.mark.minio
def test_minio_by_its_authority(secure_minio, tmp_path, monkeypatch):
    """The main job over TLS under two least users, its authority given, or in the environment, and refused without."""
    server, path = secure_minio
    monkeypatch.chdir(tmp_path)
    root = Credentials(server.root_access_key, server.root_secret_key)
    with S3Client(server.endpoint, root, verify=path) as client:
        client.create_bucket("bucket")
    users = server.make_users("bucket")
    keys = [*vars(users.downloader).values(), *vars(users.uploader).values()]
    content = os.urandom(8 << 20)

    def main_job(name, **options):
        errors = []
        with CDNManager(CDNCredentials(server.endpoint, *keys), on_error=errors.append, **options) as manager:
            came = manager.upload("bucket", name, content) and manager.download("bucket", name)
        return came, errors

    assert main_job("given", verify=path) == (True, [])
    assert main_job("unsigned body", verify=path, sign_payload=False) == (True, [])
    came, errors = main_job("unknown")
    assert (came, [type(error) for error in errors]) == (False, [TransportError])
    assert "certificate" in str(errors[0])
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", path)
    assert main_job("environment") == (True, [])
    for name in ("given", "unsigned body", "environment"):
        assert hashlib.sha256(Path(name).read_bytes()).digest() == hashlib.sha256(content).digest()
    assert not Path("unknown").exists()


@pytest.mark.minio
def test_minio_over_tls(secure_minio, monkeypatch):
    """Ranges, a presigned URL, a refusal in the middle of a large body, another name, and plain HTTP on its port."""
    server, path = secure_minio
    root = Credentials(server.root_access_key, server.root_secret_key)
    with S3Client(server.endpoint, root, verify=path) as client:
        client.create_bucket("bucket")
        client.put_object("bucket", "key", BODY)
        with client.get_object("bucket", "key", start=2, end=6) as reader:
            assert reader.read() == BODY[2:6]
        url = client.presigned_url("GET", "bucket", "key", expires_in=60)
        assert url.startswith("https://")
        assert requests.get(url, verify=path, timeout=10).content == BODY
    with S3Client(server.endpoint, Credentials(KEY, SECRET), verify=path) as stranger:
        with pytest.raises(AccessDenied):
            stranger.put_object("bucket", "large", bytes(64 << 20))
    port = re.sub(".*:", "", server.endpoint)
    with S3Client(f"http://127.0.0.1:{port}", root) as client, pytest.raises(ResponseError, match="400") as caught:
        client.get_object("bucket", "key")
    assert caught.value.hint == "The server speaks TLS: begin the endpoint with https://."
    lead_to(monkeypatch, SimpleNamespace(port=int(port)), "store.test")
    with S3Client("https://store.test", root, verify=path) as client, pytest.raises(
        TransportError, match="certificate"
    ):
        client.get_object("bucket", "key")
