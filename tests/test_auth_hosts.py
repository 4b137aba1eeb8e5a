"""`SigV4Auth` and hosts: Host is signed as it is sent, and no other credentials take the signature's place."""

import socket

import pytest
import requests
from kit import only
from kit_auth import judged_there, signer
from rawserver import RawServer, make_tls


def test_netrc_does_not_win(plain, tmp_path, monkeypatch):
    """A ~/.netrc that names the host, and wins over a plain Authorization header, does not win over the signature."""
    path = tmp_path / "netrc"
    path.write_text("machine 127.0.0.1 login user password pass\n")
    monkeypatch.setenv("NETRC", str(path))
    requests.get(plain.endpoint + "/bucket/key", headers={"Authorization": "mine"}, timeout=10)
    requests.get(plain.endpoint + "/bucket/key", auth=signer(), timeout=10)
    unsigned, signed = plain.requests
    assert (unsigned.header("authorization") or "").startswith("Basic ")  # else the file was not even read
    judged_there(signed)


def test_user_in_url_does_not_win(plain):
    """`user:password@` in the URL neither replaces the signature nor gets into the signed host."""
    url = plain.endpoint.replace("://", "://user:pass%2F@") + "/bucket/key"
    requests.get(url, timeout=10)
    requests.get(url, auth=signer(), timeout=10)
    unsigned, signed = plain.requests
    assert (unsigned.header("authorization") or "").startswith("Basic ")
    assert signed.header("host") == plain.authority
    judged_there(signed)


def test_ipv6():
    """An IPv6 address is signed in its brackets, with its port, as it is sent."""
    with RawServer(host="::1") as plain:
        requests.get(plain.endpoint + "/bucket/key", auth=signer(), timeout=10)
        assert only(plain).header("host") == f"[::1]:{plain.port}"
        judged_there(only(plain))


@pytest.fixture
def every_way_leads_to(monkeypatch):
    """A function that sends all of urllib3's connections to one server, whatever host and port the URL names."""

    def connect_to(plain):
        def create_connection(address, *args, **more):
            return socket.create_connection(("127.0.0.1", plain.port), 10)

        monkeypatch.setattr("urllib3.util.connection.create_connection", create_connection)

    return connect_to


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        pytest.param("store.example", "store.example", id="no port"),
        pytest.param("store.example:80", "store.example", id="the scheme's own port"),
        pytest.param("store.example:443", "store.example:443", id="the other scheme's port"),
        pytest.param("store.example:8080", "store.example:8080", id="a port that begins alike"),
        pytest.param("STORE.Example", "store.example", id="capital letters"),
        pytest.param("[2001:db8::80]", "[2001:db8::80]", id="IPv6 that ends like a port"),
        pytest.param("[2001:DB8::1]:80", "[2001:db8::1]", id="IPv6, the scheme's own port"),
        pytest.param("bücher.example", "xn--bcher-kva.example", id="international"),
        pytest.param("user:pass@store.example:80", "store.example", id="user name and port"),
    ],
)
def test_host(plain, every_way_leads_to, authority, host):
    """Whatever way a host is written, it is signed in the form in which http.client sends it."""
    every_way_leads_to(plain)
    requests.get(f"http://{authority}/bucket/key", auth=signer(), timeout=10)
    assert only(plain).header("host") == host
    judged_there(only(plain))


def test_default_port_of_https(every_way_leads_to, tmp_path):
    """Over TLS it is `:443` that is neither sent nor signed."""
    tls, authority = make_tls(tmp_path)
    with RawServer(tls=tls) as plain:
        every_way_leads_to(plain)
        requests.get("https://localhost:443/bucket/key", auth=signer(), verify=str(authority), timeout=10)
        assert only(plain).header("host") == "localhost"
        judged_there(only(plain))


def test_host_of_ones_own(plain):
    """A Host header that the user gives is the one sent, and the one signed."""
    requests.get(plain.endpoint + "/bucket/key", headers={"host": "store.example"}, auth=signer(), timeout=10)
    assert only(plain).header("host") == "store.example"
    judged_there(only(plain))
