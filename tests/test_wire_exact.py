"""Proves that the target which was signed is, byte for byte, the target that arrives: traps 1 to 6 of keys and URLs.

Expectations are botocore's (the 300 cases of s3_keys_botocore_oracle.json, request line and Authorization alike) and
literal strings written by hand; the judge (sigcheck.py) recomputes every signature from the raw bytes.
"""

import http.client
import json
from urllib.parse import urlsplit

import pytest
import requests
from kit import BODY, client_of, good, judged, lead_to
from kit_calls import KEY_IDS, KEYS
from rawserver import Answer, RawServer, in_turn
from sigcheck import verify

from cdn_sigv4 import Credentials, S3Client

ORACLE = "s3_keys_botocore_oracle.json"
MOMENT = 1767323045.0  # 2026-01-02T03:04:05Z, when the oracle's clock stood
ENDPOINTS = {"path": "http://minio.test:9000", "virtual": "http://s3.us-east-1.amazonaws.com"}
METHODS = {"get_object": "GET", "put_object": "PUT", "presign_get": "GET"}

STYLES = {"path": ("http://store.test", b"/bucket/"), "virtual": ("http://store.test:81", b"/")}


def raw_get(server, url):
    """GET a URL exactly as it stands, with nothing between it and the socket that could improve it."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.putrequest("GET", url.partition(parts.netloc)[2], skip_host=True, skip_accept_encoding=True)
    connection.putheader("Host", parts.netloc)
    connection.endheaders()
    assert connection.getresponse().read() == BODY
    connection.close()


def exchanged(server, client, operation, case, oracle):
    """Send one case of the oracle in the way that its operation says."""
    bucket, key = oracle["bucket"], case["key"]
    if operation == "put_object":
        client.put_object(bucket, key, oracle["put_body"].encode("ascii"))
    elif operation == "get_object":
        with client.get_object(bucket, key) as reader:
            assert reader.read() == BODY
    else:
        url = client.presigned_url("GET", bucket, key, expires_in=oracle["presign_expires"])
        raw_get(server, url)


def difference(request, case, operation, secrets):
    """What differs between what arrived and what botocore made; empty where nothing does."""
    target = "/" + case["url"].partition("://")[2].partition("/")[2]
    path, _, query = target.encode("ascii").partition(b"?")
    # botocore appends the token where S3 does not care; everything before the signature is sorted here.
    same = sorted(request.query.split(b"&")) == sorted(query.split(b"&"))
    if (request.method, request.path) != (METHODS[operation], path) or not same:
        return f"request line {request.head[:400]!r}"
    if request.header("host") != urlsplit(case["url"]).netloc:
        return f"host {request.header('host')}"
    proof = verify(request.head, request.body, secrets, region="us-east-1")
    if proof.session_token != case["token"]:
        return "session token"
    expected = case.get("headers", {}).get("Authorization")
    if ";".join(proof.signed_headers) == case.get("signed_headers") and request.header("authorization") != expected:
        return f"authorization {request.header('authorization')}"
    return ""


@pytest.mark.parametrize("operation", list(METHODS))
@pytest.mark.parametrize("style", list(ENDPOINTS))
def test_awkward_keys_as_botocore(style, operation, vectors, monkeypatch):
    """Request line, Host, Authorization and presigned URL of 50 awkward keys are botocore's, on the wire."""
    oracle = json.loads((vectors / ORACLE).read_text("utf-8"))
    keys = oracle["credentials"]
    secrets = {keys["access_key_id"]: keys["secret_access_key"]}
    cases = [case for case in oracle["cases"] if (case["style"], case["op"]) == (style, operation)]
    assert len(cases) == 50
    wrong = {}
    with RawServer(lambda request: good_for(request, secrets)) as server:
        lead_to(monkeypatch, server, *{urlsplit(case["url"]).hostname for case in cases})
        for case in cases:
            credentials = Credentials(keys["access_key_id"], keys["secret_access_key"], case["token"])
            with S3Client(ENDPOINTS[style], credentials, addressing=style, timeout=(5, 5)) as client:
                client._exchange.clock = lambda: MOMENT
                exchanged(server, client, operation, case, oracle)
            wrong[case["key"]] = difference(server.requests[-1], case, operation, secrets)
        assert len(server.requests) == len(cases)
    assert {key: text for key, text in wrong.items() if text} == {}


def good_for(request, secrets):
    """The kit's good answer under the oracle's keys."""
    verify(request.head, request.body, secrets)
    return Answer(headers={"ETag": '"x"'}, body=BODY if request.method == "GET" else b"")


@pytest.mark.parametrize("own_session", [False, True], ids=["", "session"])
@pytest.mark.parametrize("style", list(STYLES))
@pytest.mark.parametrize(("key", "path"), KEYS, ids=KEY_IDS)
def test_key_arrives_as_written_by_hand(key, path, style, own_session, monkeypatch):
    """Four methods send the path encoded by hand; a foreign session's adapter may refuse it, but never change it."""
    endpoint, before = STYLES[style]
    with RawServer(good) as server:
        lead_to(monkeypatch, server, "store.test", "bucket.store.test")
        with requests.Session() as session, client_of(
            endpoint, addressing=style, session=session if own_session else None
        ) as client:
            try:
                client.put_object("bucket", key, b"hello")
            except ValueError as error:
                assert own_session
                assert (before + path).startswith(b"//")
                assert "6711" in str(error)  # noqa: PT017
                assert server.connections == 0
                return
            with client.get_object("bucket", key) as reader:
                assert reader.read() == BODY
            client.head_object("bucket", key)
            client.delete_object("bucket", key)
    assert [(each.method, each.target) for each in server.requests] == [
        (method, before + path) for method in ("PUT", "GET", "HEAD", "DELETE")
    ]
    assert server.requests[0].body == b"hello"
    for each in server.requests:
        judged(each)


@pytest.mark.parametrize("key", ["k", "a/../k", "/k", "k?"])
def test_query_of_one_parameter(key):
    """A query value goes out encoded once, a blank as %20, behind a path that is no less exact for it."""
    with RawServer(good) as server, client_of(server) as client:
        client.delete_object("bucket", key, version_id="a b+/&\r\nü")
        client.get_object("bucket", key, version_id="a b+/&\r\nü").close()
        client.head_object("bucket", key, version_id="a b+/&\r\nü")
    path = b"/bucket/" + key.replace("?", "%3F").encode("ascii")
    assert [each.target for each in server.requests] == [path + b"?versionId=a%20b%2B%2F%26%0D%0A%C3%BC"] * 3
    for each in server.requests:
        judged(each)


def test_query_of_a_list_is_sorted():
    """A list's query is sorted by its encoded names and sent as signed; the second page's token joins in its place."""
    more = b"<IsTruncated>true</IsTruncated><NextContinuationToken>1/+ ==</NextContinuationToken>"
    first, last = (b"<ListBucketResult>" + text + b"</ListBucketResult>" for text in (more, b""))
    with RawServer(in_turn(Answer(body=first), Answer(body=last))) as server, client_of(server) as client:
        assert list(client.list_objects("bucket", "\u00fc a+/", delimiter="/", start_after="&~")) == []
    common = b"delimiter=%2F&encoding-type=url&list-type=2&prefix=%C3%BC%20a%2B%2F&start-after=%26~"
    assert [each.target for each in server.requests] == [
        b"/bucket?" + common,
        b"/bucket?continuation-token=1%2F%2B%20%3D%3D&" + common,
    ]
    for each in server.requests:
        judged(each)


@pytest.mark.parametrize("style", list(STYLES))
def test_bucket_requests(style, monkeypatch):
    """Requests for a bucket itself carry its name once: in the path, or in Host before a path of one slash."""
    endpoint, _ = STYLES[style]
    with RawServer(good) as server:
        lead_to(monkeypatch, server, "store.test", "bucket.store.test")
        with client_of(endpoint + "/base%20path/", addressing=style) as client:
            client.create_bucket("bucket")
            client.head_bucket("bucket")
            client.delete_object("bucket", "/key")
    target, host = (b"/bucket", "store.test") if style == "path" else (b"/", "bucket.store.test:81")
    base = b"/base%20path"
    assert [each.target for each in server.requests] == [
        base + target,
        base + target,
        base + (b"/bucket//key" if style == "path" else b"//key"),
    ]
    assert {each.header("host") for each in server.requests} == {host}
    for each in server.requests:
        judged(each)
