"""Proves what the short way makes of TLS: authorities are read once, and verified is what was to be verified.

Which of several authorities counts is test_wire_trust.py's, dates and names are test_tls.py's.
"""

import os
import shutil
import ssl
import subprocess

import pytest
from kit import BODY, BUCKET, client_of, good, lead_to, still_works
from kit_calls import get, put
from rawserver import RawServer, make_tls
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.exceptions import InsecureRequestWarning

from cdn_sigv4 import TransportError


@pytest.fixture(scope="module")
def trusted(tmp_path_factory):
    """A server's context for this machine, and the file of the authority that vouches for it."""
    return make_tls(tmp_path_factory.mktemp("trusted"))


@pytest.fixture
def secure(trusted):
    """A server that speaks TLS."""
    with RawServer(good, tls=trusted[0]) as server:
        yield server


@pytest.fixture
def loads(monkeypatch):
    """What was read of authorities' files and folders, in the order in which it was."""
    found = []
    real = ssl.SSLContext.load_verify_locations

    def counted(self, cafile=None, capath=None, cadata=None):
        found.append(cafile or capath)
        return real(self, cafile, capath, cadata)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", counted)
    return found


def many(client, count=5):
    """Several answers at a time, each over a connection of its own."""
    readers = [client.get_object(BUCKET, "key") for _ in range(count)]
    assert [reader.read() for reader in readers] == [BODY] * count


@pytest.mark.parametrize("variable", [None, "REQUESTS_CA_BUNDLE"])
def test_authorities_are_read_once(variable, secure, trusted, loads, monkeypatch):
    """However many connections a client opens, the authorities' file is read once; a second client reads it again."""
    if variable:
        monkeypatch.setenv(variable, trusted[1])
    verify = None if variable else trusted[1]
    with client_of(secure, verify=verify) as client:
        many(client)
        put(client)
        assert (secure.connections, loads) == (5, [trusted[1]])
        with client_of(secure, verify=verify) as another:
            get(another)
        assert (secure.connections, loads) == (6, [trusted[1]] * 2)


def test_authorities_are_read_once_for_all_hosts(secure, trusted, loads, monkeypatch):
    """So it is for buckets with hosts of their own, whose certificate is for none of them: each is refused."""
    names = [f"bucket{number}.store.test" for number in range(3)]
    lead_to(monkeypatch, secure, *names)
    with client_of("https://store.test", verify=trusted[1], addressing="virtual") as client:
        for number in range(3):
            with pytest.raises(TransportError, match=rf"certificate of bucket{number}\.store\.test was not accepted"):
                client.get_object(f"bucket{number}", "key")
    assert (secure.connections, secure.requests, loads) == (3, [], [trusted[1]])


@pytest.mark.parametrize("verify", [None, True])
def test_the_usual_authorities(verify, secure, loads):
    """Without a file it is that of `requests`, which does not know this server's authority."""
    with client_of(secure, verify=verify) as client:
        for _ in range(2):
            with pytest.raises(TransportError, match="certificate"):
                get(client)
    assert (secure.requests, loads) == ([], [DEFAULT_CA_BUNDLE_PATH])


def test_no_verification_warns(secure, loads):
    """`verify=False` trusts anybody, reads no authorities, and is warned of at each connection that is opened."""
    with client_of(secure, verify=False) as client:
        with pytest.warns(InsecureRequestWarning) as caught:
            many(client, 3)
        assert len(caught) == 3
        still_works(client, secure)  # over a kept one: a warning would be an error
    assert loads == []


def test_no_verification_of_the_name(secure, monkeypatch):
    """Nor does it look at the name."""
    lead_to(monkeypatch, secure, "store.test")
    with client_of("https://store.test", verify=False) as client, pytest.warns(InsecureRequestWarning):
        get(client)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the names of a folder's files are openssl's")
def test_a_folder_of_authorities(secure, trusted, loads, tmp_path):
    """A folder as OpenSSL wants it is looked into; one without the authority vouches for nobody."""
    done = subprocess.run(
        ["openssl", "x509", "-noout", "-subject_hash", "-in", trusted[1]], capture_output=True, text=True, check=True
    )
    full, empty = tmp_path / "full", tmp_path / "empty"
    full.mkdir()
    empty.mkdir()
    shutil.copy(trusted[1], str(full / f"{done.stdout.strip()}.0"))
    with client_of(secure, verify=full) as client:
        many(client)
    assert (secure.connections, loads) == (5, [str(full)])
    with client_of(secure, verify=empty) as client, pytest.raises(TransportError, match="certificate"):
        get(client)
    assert len(secure.requests) == 5


@pytest.mark.parametrize("verify", ["given", "environment"])
def test_authorities_that_disappear(verify, secure, trusted, tmp_path, monkeypatch):
    """A file that is gone when the first connection is opened is named, and nobody is trusted in its place."""
    path = tmp_path / "authority.pem"
    shutil.copy(trusted[1], str(path))
    if verify == "environment":
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    with client_of(secure, verify=path if verify == "given" else None) as client:
        os.unlink(path)  # noqa: PTH108
        for _ in range(2):
            with pytest.raises(TransportError, match=r"there is no .*authority\.pem with certificate authorities"):
                get(client)
        assert secure.connections == 0
        shutil.copy(trusted[1], str(path))
        still_works(client, secure)  # as soon as it is there
