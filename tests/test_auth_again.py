"""`SigV4Auth` when a request is signed again or redirected: one signature, for one URL, and nothing of it elsewhere.

Redirects go to a second server, which must learn nothing of the signature.
"""

import hashlib
import io

import pytest
import requests
from kit import SECRET, TOKEN, only
from kit_auth import NOW, judged_there, signer
from rawserver import Answer, RawServer

SIGNATURE_HEADERS = ("authorization", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token")
REDIRECTS = [301, 302, 303, 307, 308]


def prepared_put(plain, body=b"body", auth=None):
    return requests.Request("PUT", plain.endpoint + "/bucket/key?b=x+y&a", data=body, auth=auth).prepare()


def test_session_auth(plain):
    """As a session's `auth` it signs each request anew, on one connection."""
    moments = iter([NOW, NOW + 60])
    auth = signer()
    auth._clock = lambda: next(moments)
    with requests.Session() as session:
        session.auth = auth
        session.put(plain.endpoint + "/bucket/key", data=b"one", timeout=10)
        session.get(plain.endpoint + "/bucket/key", timeout=10)
    assert [judged_there(request).timestamp for request in plain.requests] == ["20150830T123600Z", "20150830T123700Z"]
    assert plain.connections == 1


def test_sign_again(plain):
    """A prepared request signed twice bears one signature, the second one's, and its own query and body."""
    prepared = prepared_put(plain, io.BytesIO(b"body"), signer())
    signer(moment=NOW + 3600)(prepared)
    with requests.Session() as session:
        session.send(prepared, timeout=10)
    request = only(plain)
    assert judged_there(request).timestamp == "20150830T133600Z"
    assert (request.query, request.body) == (b"a=&b=x%20y", b"body")


def test_sign_again_with_other_credentials(plain):
    """Signed again with a key that has no session token, the request no longer carries the first key's token."""
    prepared = prepared_put(plain, auth=signer(token=TOKEN))
    signer()(prepared)
    with requests.Session() as session:
        session.send(prepared, timeout=10)
    judged_there(only(plain), token=None)


def test_sign_again_with_another_body(plain):
    """Signed again with another body, the request carries that body's hash, not the first one's."""
    prepared = prepared_put(plain, b"first", signer())
    prepared.prepare_body(b"second", None)
    signer()(prepared)
    with requests.Session() as session:
        session.send(prepared, timeout=10)
    assert only(plain).body == b"second"
    judged_there(only(plain))


def test_sign_again_for_another_host(plain):
    """Signed again under another URL, the request names that URL's host, in its signature and on the wire."""
    prepared = prepared_put(plain, auth=signer())
    prepared.prepare_url(f"http://localhost:{plain.port}/bucket/key", None)
    signer()(prepared)
    with requests.Session() as session:
        session.send(prepared, timeout=10)
    judged_there(only(plain))
    assert only(plain).header("host") == f"localhost:{plain.port}"


def check_nothing_of_the_signature(request):
    assert {name: request.header(name) for name in SIGNATURE_HEADERS} == dict.fromkeys(SIGNATURE_HEADERS)
    assert SECRET.encode() not in request.head
    assert TOKEN.encode() not in request.head


@pytest.mark.parametrize("status", REDIRECTS)
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_redirect_to_another_host(plain, method, status):
    """A redirect to another host takes neither Authorization nor token nor the signature's x-amz-* headers there."""
    with RawServer() as foreign:
        url = f"http://localhost:{foreign.port}/elsewhere"
        plain.answer = lambda request: Answer(status, headers={"Location": url})
        data = b"body" if method == "PUT" else None
        requests.request(method, plain.endpoint + "/bucket/key", data=data, auth=signer(token=TOKEN), timeout=10)
        judged_there(only(plain), TOKEN)
        check_nothing_of_the_signature(only(foreign))
        assert only(foreign).header("host") == f"localhost:{foreign.port}"


@pytest.mark.parametrize("status", REDIRECTS)
def test_redirect_within_the_host(plain, status):
    """Nor does a redirect within the host: the signature is for another URL, and who follows is told 403."""
    plain.answer = lambda request: (
        Answer(403) if request.path == b"/there" else Answer(status, headers={"Location": "/there"})
    )
    response = requests.get(plain.endpoint + "/bucket/key", auth=signer(token=TOKEN), timeout=10)
    first, second = plain.requests
    judged_there(first, TOKEN)
    check_nothing_of_the_signature(second)
    assert response.status_code == 403


@pytest.mark.parametrize("second_status", REDIRECTS)
@pytest.mark.parametrize("first_status", [302, 307])
def test_chain_of_redirects(plain, first_status, second_status):
    """A chain through the same host to another one loses the signature at its first step, for good."""
    with RawServer() as foreign:
        url = f"http://localhost:{foreign.port}/elsewhere"
        plain.answer = lambda request: (
            Answer(second_status, headers={"Location": url})
            if request.path == b"/there"
            else Answer(first_status, headers={"Location": "/there"})
        )
        with requests.Session() as session:
            session.auth = signer(token=TOKEN)
            session.put(plain.endpoint + "/bucket/key", data=b"body", timeout=10)
        first, second = plain.requests
        judged_there(first, TOKEN)
        check_nothing_of_the_signature(second)
        check_nothing_of_the_signature(only(foreign))


def test_redirect_with_a_payload_hash_of_ones_own(plain):
    """A payload hash that the user gave goes no further either; another x-amz-* header of the user's does."""
    with RawServer() as foreign:
        url = f"http://localhost:{foreign.port}/elsewhere"
        plain.answer = lambda request: Answer(307, headers={"Location": url})
        headers = {"x-amz-content-sha256": hashlib.sha256(b"body").hexdigest(), "x-amz-meta-note": "mine"}
        requests.put(plain.endpoint + "/bucket/key", data=b"body", headers=headers, auth=signer(), timeout=10)
        judged_there(only(plain))
        check_nothing_of_the_signature(only(foreign))
        assert only(foreign).header("x-amz-meta-note") == "mine"


@pytest.mark.parametrize("status", [200, 300, 304, 404])
def test_no_redirect_leaves_the_request_as_it_was(plain, status):
    """Where nothing is redirected, `response.request` still shows what was sent."""
    plain.answer = lambda request: Answer(status)
    response = requests.get(plain.endpoint + "/bucket/key", auth=signer(), timeout=10)
    assert response.request.headers["Authorization"] == only(plain).header("authorization")
