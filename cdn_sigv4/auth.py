"""`SigV4Auth`: `requests.get(url, auth=SigV4Auth(...))` for any service that speaks AWS Signature Version 4.

It signs what `requests` has prepared, and that is its limit: by then a URL has lost its `..` segments and its
fragment. For S3 keys as they are, use `S3Client`.
"""

from __future__ import annotations

import hashlib
import time

from .s3 import check_region
from .sigv4 import (
    EMPTY_SHA256,
    UNSIGNED_PAYLOAD,
    Credentials,
    Scope,
    canonical_query,
    canonical_uri,
    format_timestamp,
    sign_headers,
    uri_encode_path,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from requests import PreparedRequest, Response

# What is signed beside x-amz-*: proxies and http.client may add or change any other header on the way.
_SIGNED = frozenset(["content-md5", "content-type", "range"])
_ADDED = ("Authorization", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token")


class SigV4Auth:
    """A `requests` auth object. `credentials`, `region` and `service` ("s3", "execute-api", "es" …) as AWS names them.

    Signed are host, content-type, content-md5, range and x-amz-*. For S3 the path is encoded as S3 signs it, and for
    all the query is put into its canonical form, in the request itself, so that what is signed is what is sent. The
    body must be bytes, text, a seekable binary file, or absent: ValueError for a stream, whose hash is not known;
    give it the header `x-amz-content-sha256` yourself (https: `UNSIGNED-PAYLOAD`) where the service allows that.

    A signature is for one URL: on a redirect, to whichever host, nothing of it is carried along.
    """

    def __init__(self, credentials: Credentials, region: str, service: str) -> None:
        if not isinstance(credentials, Credentials):
            raise TypeError(f"credentials must be Credentials, not {type(credentials).__name__}")
        self._credentials = credentials
        self._region = check_region(region)
        self._service = check_region(service)
        self._clock: Callable[[], float] = time.time

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Sign `request`, in place."""
        from urllib.parse import parse_qsl, unquote_to_bytes, urlsplit, urlunsplit  # noqa: PLC0415 - not at import time

        for name in _ADDED[:1] + _ADDED[2:]:
            request.headers.pop(name, None)
        parts = urlsplit(request.url or "")
        path = parts.path or "/"
        if self._service == "s3":
            path = uri_encode_path(unquote_to_bytes(path))
        # surrogateescape carries bytes that are no UTF-8 through, a plus sign means a blank.
        pairs = parse_qsl(parts.query, keep_blank_values=True, errors="surrogateescape")
        query = canonical_query(
            (name.encode("utf-8", "surrogateescape"), value.encode("utf-8", "surrogateescape")) for name, value in pairs
        )
        request.url = urlunsplit((parts.scheme, parts.netloc, path, query, ""))
        payload_hash = request.headers.get("x-amz-content-sha256") or _payload_hash(request)
        if self._service == "s3":
            request.headers["x-amz-content-sha256"] = payload_hash
        headers = [("host", request.headers.get("host") or _host(parts.scheme, parts.netloc))]
        for name, value in request.headers.items():
            if name.lower() in _SIGNED or name.lower().startswith("x-amz-"):
                headers.append((name, _text(value)))
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
        for name in _ADDED:
            response.request.headers.pop(name, None)


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def _host(scheme: str, netloc: str) -> str:
    """Host as http.client sends it: without user name, without the scheme's own port."""
    host = netloc.rpartition("@")[2].lower()
    standard = {"http": ":80", "https": ":443"}.get(scheme, "")
    return host[: -len(standard)] if standard and host.endswith(standard) else host


def _payload_hash(request: PreparedRequest) -> str:
    body = request.body
    if body is None:
        return EMPTY_SHA256
    if isinstance(body, (bytes, bytearray, str)):
        return hashlib.sha256(body.encode("utf-8") if isinstance(body, str) else body).hexdigest()
    if not (hasattr(body, "read") and hasattr(body, "seek")) or "Transfer-Encoding" in request.headers:
        raise ValueError(
            f"a stream has no hash to sign: give bytes, a file, or x-amz-content-sha256: {UNSIGNED_PAYLOAD}"
        )
    digest = hashlib.sha256()
    start = body.tell()
    while True:
        block = body.read(1 << 20)
        if not block:
            break
        digest.update(block if isinstance(block, bytes) else block.encode("utf-8"))
    body.seek(start)
    return digest.hexdigest()
