"""`SigV4Auth`: `requests.get(url, auth=SigV4Auth(...))` for any service that speaks AWS Signature Version 4.

It signs what `requests` has prepared, and that is its limit: `requests` resolves `..` segments, and some versions
shorten `//` at the beginning of a path. For S3 keys as they are, use `S3Client`.
"""

from __future__ import annotations

import time

from .body import BLOCK
from .credentials import Credentials
from .hashes import EMPTY_SHA256, sha256
from .s3 import check_header, check_scope_name
from .sigv4 import (
    S3_SERVICES,
    UNSIGNED_PAYLOAD,
    Scope,
    canonical_query,
    canonical_uri,
    format_timestamp,
    sign_headers,
    uri_encode_path,
)
from .source import can_seek

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO, Any

    from requests import PreparedRequest, Response

# What is signed beside x-amz-*: proxies and http.client may add or change any other header on the way.
_SIGNED = frozenset(["content-md5", "content-type", "range"])
# A signature's own headers: an older one's are dropped before, and on a redirect.
_TAKEN = ("Authorization", "x-amz-date", "x-amz-security-token")


class SigV4Auth:
    """A `requests` auth object. `credentials`, `region` and `service` ("s3", "execute-api", "es" …) as AWS names them.

    Signed are host, content-type, content-md5, range and x-amz-*. For S3 the path is encoded as S3 signs it, and for
    all the query is put into its canonical form, in the request itself, so that what is signed is what is sent. The
    body must be bytes, text (sent as UTF-8), a seekable binary file, or absent: ValueError for a stream, whose hash
    is not known. Where the service allows that, give the header `x-amz-content-sha256` yourself: for a stream its
    hash, over https also `UNSIGNED-PAYLOAD` (ValueError over http).

    A signature is for one URL: on a redirect, to whichever host, nothing of it is carried along.
    """

    def __init__(self, credentials: Credentials, region: str, service: str) -> None:
        if not isinstance(credentials, Credentials):
            raise TypeError(f"credentials must be Credentials, not {type(credentials).__name__}")
        self._credentials = credentials
        self._region = check_scope_name("region", region)
        self._service = check_scope_name("service", service)
        self._clock: Callable[[], float] = time.time

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Sign `request`, in place, and return it; ValueError for what cannot be signed as it would be sent."""
        for name in _TAKEN:
            request.headers.pop(name, None)
        url, path, query = _canonical_url(request.url or "", self._service)
        request.url = url
        if isinstance(request.body, str):  # what it would be encoded to differs between versions of urllib3
            request.body = request.body.encode("utf-8")
            request.headers["Content-Length"] = str(len(request.body))
        payload_hash = _payload_hash(request)
        if self._service in S3_SERVICES:
            request.headers["x-amz-content-sha256"] = payload_hash
        # Host is said, not left to http.client: the two disagree on a dot at its end, or on a port behind a proxy.
        given = _text(request.headers.get("Host", ""))
        host = _host(url) if given in ("", getattr(request, "signed_host", None)) else given
        if "Transfer-Encoding" not in request.headers:  # requests 2.25 would send a chunked body with two of them
            request.headers["Host"] = request.signed_host = host  # type: ignore[attr-defined]
        headers = [("host", host)]
        for name, value in request.headers.items():
            if name.lower() in _SIGNED or name.lower().startswith("x-amz-"):
                headers.append((name, _text(value)))
                check_header(*headers[-1])
        scope = Scope(format_timestamp(self._clock()), self._region, self._service)
        uri = canonical_uri(path, self._service)
        added = sign_headers(self._credentials, scope, request.method or "", uri, query, headers, payload_hash)
        request.headers.update(added)
        request.register_hook("response", _forget_signature)  # type: ignore[no-untyped-call]
        return request

    def __repr__(self) -> str:
        return f"SigV4Auth({self._credentials!r}, {self._region!r}, {self._service!r})"


def _forget_signature(response: Response, **_: object) -> None:
    # `requests` copies the headers of this very request for the next one, and drops Authorization for another host,
    # but not the session token.
    if response.is_redirect:
        for name in (*_TAKEN, "x-amz-content-sha256", "Host"):
            response.request.headers.pop(name, None)


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def _canonical_url(url: str, service: str) -> tuple[str, str, str]:
    """The URL to send instead of `url`, its path, and its canonical query."""
    from urllib.parse import parse_qsl, unquote_to_bytes, urlsplit, urlunsplit

    parts = urlsplit(url)
    path = parts.path or "/"
    if service in S3_SERVICES:
        path = uri_encode_path(unquote_to_bytes(path))
    # surrogateescape carries bytes that are no UTF-8 through; a plus sign means a blank.
    pairs = parse_qsl(parts.query, keep_blank_values=True, errors="surrogateescape")
    query = canonical_query((_bytes(name), _bytes(value)) for name, value in pairs)
    return urlunsplit((parts.scheme, parts.netloc, path, query, "")), path, query


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _host(url: str) -> str:
    """Host as RFC 9110, 7.2 wants it: without user name, without the scheme's own port."""
    scheme, _, rest = url.partition("://")
    host = rest.partition("/")[0].rpartition("@")[2].lower()
    standard = {"http": ":80", "https": ":443"}.get(scheme, "")
    return host[: -len(standard)] if standard and host.endswith(standard) else host


def _payload_hash(request: PreparedRequest) -> str:
    body: Any = request.body
    given = _text(request.headers.get("x-amz-content-sha256", ""))
    if given == UNSIGNED_PAYLOAD:
        if not (request.url or "").startswith("https:"):
            raise ValueError(f"{UNSIGNED_PAYLOAD} needs https: over http nothing else protects the body on its way")
        return given
    if body is None:
        return EMPTY_SHA256
    if isinstance(body, (bytes, bytearray)):
        return sha256(body).hexdigest()
    if not (hasattr(body, "read") and can_seek(body)):
        if given:
            return given
        raise ValueError(
            "a stream has no hash to sign: give bytes or a file, or its own hash as the header x-amz-content-sha256"
        )
    return _file_hash(request, body)


def _file_hash(request: PreparedRequest, file: IO[bytes]) -> str:
    digest = sha256()
    start = file.tell()
    while True:
        block = file.read(BLOCK)
        if not block:
            break
        if isinstance(block, str):
            raise TypeError("a text file cannot be signed: open it with 'rb'")
        digest.update(block)
    if file.tell() == start:  # `requests` would send an empty file chunked (psf/requests#6294)
        request.body = None
        request.headers.pop("Transfer-Encoding", None)
        request.headers["Content-Length"] = "0"
    file.seek(start)
    return digest.hexdigest()
