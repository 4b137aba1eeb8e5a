"""What `doctor` says of the way to a store: name, port, TLS, proxies, and of whoever else answers there.

Nothing here needs a network: what fails does so on this machine, and every wait is made short.
"""

import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time

import pytest
from kit import deaf, lead_to, within
from kit_doctor import Policed, examined, serving, settings
from kit_tls import DAY, Certified
from rawserver import Answer, RawServer, make_tls

import cdn_sigv4
from cdn_sigv4 import ground

NOW = time.time()
BLOCKED = ", skipped the rest"
PAGE = Answer(headers={"Content-Type": "text/html"}, body=b"<!doctype html><html><title>MinIO Console</title></html>")


def addresses(*places):
    """What a resolver says of a name with these addresses."""
    return lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in places]


@contextlib.contextmanager
def blunt(reply):
    """The authority of a server that says the same to whatever comes first, TLS or not, and closes."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    with listener.accept()[0] as connection:
                        connection.settimeout(5)
                        if connection.recv(65536):
                            connection.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


# -- names and ports


def test_no_such_name(capsys):
    """A name that does not resolve is the one failure; below it nothing is tried."""
    found = examined(capsys, settings("http://nothing.invalid:9000"))
    assert found.levels == "failed name" + BLOCKED
    assert found.of("name")["tried"] == "look up nothing.invalid"
    assert found.of("name")["advice"]
    assert "the first is name, look up nothing.invalid: " in found.verdict["result"]


@pytest.mark.parametrize(
    ("number", "text"),
    [(socket.EAI_NONAME, "there is no such name"), (socket.EAI_AGAIN, "the resolver cannot be reached")],
)
def test_why_there_is_no_address(number, text, capsys, monkeypatch):
    """No such name, and no resolver, are two things."""

    def fail(*_, **__):
        raise socket.gaierror(number, "why")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    found = examined(capsys, settings("http://store.test"))
    assert found.said("name") == ("failed", text)


def test_a_resolver_that_hangs(capsys, monkeypatch):
    """A resolver that does not answer is waited for a while and no longer."""
    monkeypatch.setattr(ground, "LONGEST", 0.2)
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(20))
    with within(5):
        found = examined(capsys, settings("http://store.test"))
    over.set()
    assert found.said("name") == ("failed", "no answer within 0.2 s")


def test_virtual_names(capsys):
    """Where the bucket is part of a name that does not resolve, that is said."""
    found = examined(capsys, settings("http://nothing.invalid", addressing="virtual"))
    assert found.of("name")["tried"] == "look up bucket.nothing.invalid"
    assert "--addressing path" in found.of("name")["advice"]


def test_a_closed_port(capsys):
    """A port that refuses is told as such."""
    with deaf() as authority_:
        found = examined(capsys, settings(f"http://{authority_}"))
    assert found.levels == "failed port" + BLOCKED
    assert found.said("port") == ("failed", "127.0.0.1 refuses")
    assert "firewall" in found.of("port")["advice"]


def test_one_address_of_two(capsys, monkeypatch):
    """One dead address of two is a warning, since each connection may try it first."""
    with serving(Policed()) as server:
        places = ("127.0.0.2", server.port), ("127.0.0.1", server.port)
        monkeypatch.setattr(socket, "getaddrinfo", addresses(*places))
        found = examined(capsys, settings("http://store.test"))
    assert found.said("name")[1].startswith("127.0.0.2, 127.0.0.1, ")
    assert found.levels == "warning port"
    assert found.said("port")[1].startswith("127.0.0.2 refuses; 127.0.0.1 open, ")


def test_one_address_of_two_over_tls(trusted, tmp_path, capsys, monkeypatch):
    """The handshake is made with the one that is alive."""
    made = Certified(NOW - DAY, NOW + 90 * DAY, names=("store.test",), issuer=trusted[0])
    with serving(Policed(), tls=made.context(tmp_path)) as server:
        places = ("127.0.0.2", server.port), ("127.0.0.1", server.port)
        monkeypatch.setattr(socket, "getaddrinfo", addresses(*places))
        found = examined(capsys, settings("https://store.test", verify=trusted[1]))
    assert found.levels == "warning port"


def test_a_port_that_never_opens(capsys, monkeypatch):
    """A host that drops what is sent to it costs one connection's time."""

    def silent(self, place):
        raise socket.timeout

    monkeypatch.setattr(ground.Way, "_knock", silent)
    found = examined(capsys, settings("http://127.0.0.1:1", timeout=(0.3, 0.3)))
    assert found.said("port") == ("failed", "127.0.0.1 does not answer within 0.3 s")


@pytest.mark.parametrize(("scheme", "check"), [("http", "store"), ("https", "tls")])
def test_a_port_that_says_nothing(scheme, check, capsys):
    """A server that takes connections and never answers is given up after the time for one answer."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        host = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
        with within(5):
            found = examined(capsys, settings(host, timeout=(0.3, 0.3)))
    assert found.levels == f"failed {check}{BLOCKED}"
    assert "0.3 s" in found.of(check)["result"]


def test_waits_are_bounded(capsys):
    """However patient the settings are, a dead host is told within some seconds."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        way = ground.Way(f"https://127.0.0.1:{listener.getsockname()[1]}", "https://127.0.0.1", 1000.0, None)
    assert way._timeout == ground.LONGEST <= 5


def test_ipv6(capsys):
    """An IPv6 address in brackets is one as well."""
    with serving(Policed(), host="::1") as server:
        found = examined(capsys, settings(server.endpoint))
    assert found.levels == ""
    assert found.said("name") == ("ok", "it is an address")


# -- TLS


@pytest.fixture
def showing(trusted, tmp_path, capsys, monkeypatch):
    """What is found of the small store with a certificate of these dates and names."""

    def show(begins=-DAY, ends=90 * DAY, verify=trusted[1], issuer=trusted[0], names=("127.0.0.1",), host=None):
        made = Certified(NOW + begins, NOW + ends, names=names, issuer=issuer)
        with serving(Policed(), tls=made.context(tmp_path)) as server:
            if host:
                lead_to(monkeypatch, server, host)
            return examined(capsys, settings(f"https://{host}" if host else server.endpoint, verify=verify))

    return show


def in_utc(seconds, form="%Y-%m-%d %H:%M"):
    return time.strftime(form, time.gmtime(NOW + seconds))


def test_a_good_certificate(showing):
    """Until when it is valid is told, and who issued it."""
    found = showing(ends=90.5 * DAY)
    assert found.levels == ""
    level, text = found.said("tls")
    assert level == "ok"
    assert f"valid until {in_utc(90.5 * DAY, '%Y-%m-%d')} (90 days), issued by authority" in text


def test_a_certificate_about_to_end(showing):
    """Two weeks before its end it is to be renewed."""
    assert showing(ends=14.5 * DAY).levels == ""
    found = showing(ends=13.5 * DAY)
    assert found.levels == "warning tls"
    assert "Renew" in found.of("tls")["advice"]


@pytest.mark.parametrize(("begins", "ends"), [(-90 * DAY, -0.1 * DAY), (0.1 * DAY, 90 * DAY)])
def test_a_certificate_of_another_time(begins, ends, showing):
    """One that has expired, or is not valid yet, is told with both dates: the clock may be wrong."""
    found = showing(begins, ends)
    assert found.levels == "failed tls" + BLOCKED
    text = found.of("tls")["result"]
    assert f"is valid from {in_utc(begins)} to {in_utc(ends)} UTC" in text
    assert "this machine's clock says" in text
    assert "clock" in found.of("tls")["advice"]


@pytest.mark.parametrize(("names", "host"), [(("other.test", "more.test"), "store.test"), (("other.test",), None)])
def test_a_certificate_for_another_name(names, host, showing):
    """The names that it is for are told."""
    found = showing(names=names, host=host)
    assert found.levels == "failed tls" + BLOCKED
    assert found.of("tls")["result"] == f"the certificate is for {', '.join(names)}, not for {host or '127.0.0.1'}"


def test_an_unknown_authority(showing, trusted):
    """A private authority that is not trusted is to be given with --ca-file; so is a certificate of its own making."""
    for options in ({"verify": None}, {"issuer": None}):
        found = showing(**options)
        assert found.levels == "failed tls" + BLOCKED
        assert "not accepted" in found.of("tls")["result"]
        assert "--ca-file" in found.of("tls")["advice"]


def test_the_environments_authority(showing, trusted, monkeypatch):
    """REQUESTS_CA_BUNDLE counts as it does for the client."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", trusted[1])
    assert showing(verify=None).levels == ""


@pytest.mark.parametrize("text", [None, "no PEM"])
def test_authorities_that_cannot_be_read(showing, tmp_path, monkeypatch, text):
    """A file of authorities that is missing, or holds none, is named."""
    path = tmp_path / "ca.pem"
    if text:
        path.write_text(text)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    found = showing(verify=None)
    assert "failed" in found.levels
    assert str(path) in found.verdict["result"]


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_unchecked(showing):
    """Where nobody checks the certificate that is a warning, however good it is."""
    found = showing(verify=False)
    assert found.levels == "warning tls"
    assert "is not checked" in found.of("tls")["result"]


def test_http_to_a_port_of_tls(tmp_path, capsys):
    """A host that begins with http:// where TLS is spoken: that is said, whether the server says so or not."""
    with serving(Policed(), tls=make_tls(tmp_path)[0]) as server:
        found = examined(capsys, settings(server.endpoint.replace("https", "http")))
    assert found.said("store") == ("failed", "the port speaks TLS")
    assert found.verdict["advice"] == "Begin the host with https://."


@pytest.mark.minio
def test_http_to_minio_over_tls(secure_minio, capsys):
    """MinIO says it itself."""
    found = examined(capsys, settings(secure_minio[0].endpoint.replace("https", "http")))
    assert found.levels == "failed store" + BLOCKED
    assert "https://" in found.verdict["advice"]


def test_https_to_a_plain_port(capsys):
    """A host that begins with https:// where plain HTTP is spoken: that is said."""
    with blunt(b"HTTP/1.1 400 Bad Request\r\n\r\n") as there:
        found = examined(capsys, settings(f"https://{there}"))
    assert found.said("tls") == ("failed", "the port speaks plain HTTP, no TLS")
    assert "http://" in found.verdict["advice"]


# -- proxies, and other servers


def test_a_proxy(capsys, monkeypatch):
    """Behind a proxy that one is named, without its password, and its name and port are tried."""
    with serving(Policed()) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://user:hunter2@{proxy.authority}")
        found = examined(capsys, settings("http://nothing.invalid:9000"))
    assert found.levels == ""
    assert found.said("proxy")[1].startswith(f"{proxy.authority}: ")
    assert found.of("port")["tried"] == f"connect to port {proxy.port}"
    assert "hunter2" not in found.text
    assert "proxy" in found.of("addressing")["result"]


def test_a_dead_proxy(capsys, monkeypatch):
    """A proxy that does not answer is the cause, and where it is set is the advice."""
    with deaf() as dead:
        monkeypatch.setenv("HTTP_PROXY", f"http://user:hunter2@{dead}")
        found = examined(capsys, settings("http://nothing.invalid:9000"))
    assert found.levels == "failed port" + BLOCKED
    assert "HTTP_PROXY" in found.verdict["advice"]
    assert "hunter2" not in found.text


def test_a_proxy_that_is_none(capsys, monkeypatch):
    """A proxy's variable that is no URL is told without its password."""
    monkeypatch.setenv("HTTP_PROXY", "http://user:hunter2@proxy:99999")
    found = examined(capsys, settings("http://nothing.invalid:9000"))
    assert found.levels == "failed proxy"
    assert "hunter2" not in found.text


@pytest.mark.parametrize(
    ("answer", "result", "advice"),
    [
        (PAGE, "HTTP 200", "not its console"),
        (Answer(502, headers={"Content-Type": "text/html"}, body=b"<html>Bad Gateway</html>"), "HTTP 502", "proxy"),
        (Answer(200, headers={"ETag": '"x"'}, body=b"hello"), "HTTP 200", "Something else than S3"),
        (Answer(302, headers={"Location": "https://login.test/?token=hunter2"}), "HTTP 302", "https://login.test"),
        (Answer(503, headers={"x-amz-request-id": "1"}, body=b"<Error><Code>SlowDown</Code></Error>"), "503", "busy"),
    ],
    ids=["console", "gateway", "other", "captive portal", "starting"],
)
def test_who_answers(answer, result, advice, capsys):
    """What answers in the store's place is told, and what to look at."""
    with RawServer(lambda request: answer) as server:
        found = examined(capsys, settings(server.endpoint))
    assert found.levels == "failed store" + BLOCKED
    assert result in found.of("store")["result"]
    assert advice in found.of("store")["advice"]
    assert "hunter2" not in found.text


@pytest.mark.parametrize(
    ("reply", "text"), [(b"", "closed the connection"), (b"220 mail.test ESMTP\r\n", "does not answer in HTTP")]
)
def test_no_http(reply, text, capsys):
    """A port that closes, or speaks something else, is told as what it is."""
    with blunt(reply) as there:
        found = examined(capsys, settings(f"http://{there}"))
        secured = examined(capsys, settings(f"https://{there}"))
    assert found.levels == "failed store" + BLOCKED
    assert text in found.of("store")["result"]
    assert "port" in found.of("store")["advice"]
    assert secured.levels == "failed tls" + BLOCKED
    assert "does it speak TLS" in secured.of("tls")["advice"]


# -- programs


@pytest.mark.skipif(os.name == "nt", reason="-S hides no installed package there")
def test_without_requests():
    """In a container without `requests` that is said, by a program that needs nothing else."""
    code = (
        f"import sys; sys.path.insert(0, {str(pathlib.Path(cdn_sigv4.__file__).parent.parent)!r})\n"
        "from cdn_sigv4 import doctor\nfrom cdn_sigv4.settings import Settings\n"
        "sys.exit(doctor.run(Settings({'host': 'http://127.0.0.1:1'}), None))"
    )
    done = subprocess.run([sys.executable, "-S", "-E", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "No module named" in done.stdout
    assert "pip install requests" in done.stdout
