"""Where a store answers: its URL taken apart, checked, and put together again as it goes over the wire.

Rules: RFC 3986, 3 (URLs), RFC 9110, 7.2 (Host); https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
for the two ways in which a bucket is addressed.
"""

from __future__ import annotations

from .sigv4 import uri_encode_path

_HOST_CHARS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-._")


class Endpoint:
    """Where a store answers: `scheme`, `authority` (as it stands in Host), `base_path`, and how buckets are addressed.

    `url` is `https://host[:port][/base]`; without `://` it means https. `addressing` is "path" (`host/bucket/key`)
    or "virtual" (`bucket.host/key`). Raises ValueError for anything that could not be sent as it stands.
    """

    def __init__(self, url: str, addressing: str = "path") -> None:
        from urllib.parse import unquote_to_bytes, urlsplit  # noqa: PLC0415 - not at import time: 10 ms

        if not isinstance(url, str):
            raise TypeError(f"the endpoint must be str, not {type(url).__name__}")
        if addressing not in ("path", "virtual"):
            raise ValueError(f"addressing must be 'path' or 'virtual', not {addressing!r}")
        if not url.isprintable() or " " in url:
            raise ValueError("the endpoint contains a blank or a control character")
        try:
            parts = urlsplit(url if "://" in url else f"https://{url}")
            port = parts.port
        except ValueError:
            raise ValueError("the endpoint is not a URL such as https://minio.example:9000") from None
        if parts.username is not None or parts.password is not None:
            raise ValueError("the endpoint must not carry a user name or password: give keys as credentials")
        if parts.scheme not in ("http", "https"):
            raise ValueError(f"unknown scheme {parts.scheme!r} in the endpoint: use http:// or https://")
        if parts.query or parts.fragment or "?" in url or "#" in url:
            raise ValueError("the endpoint must end after its path: no '?' and no '#'")
        self.scheme = parts.scheme
        self.authority = _authority(parts.scheme, parts.hostname or "", port)
        self.base_path = uri_encode_path(unquote_to_bytes(parts.path)).rstrip("/")
        if {".", ".."} & set(self.base_path.split("/")) or "//" in self.base_path:
            raise ValueError("the endpoint's path must not contain '.', '..' or '//'")
        if addressing == "virtual" and is_ip_address(parts.hostname or ""):
            raise ValueError("an IP address has no subdomains for buckets: use addressing='path'")
        self.addressing = addressing

    def __repr__(self) -> str:
        return f"Endpoint({str(self)!r}, {self.addressing!r})"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.base_path}"


def _authority(scheme: str, host: str, port: int | None) -> str:
    """Host and port as the Host header has them: RFC 9112, 3.2, without the scheme's own port (RFC 9110, 4.2.3)."""
    if ":" in host:
        if not set(host) <= set("0123456789abcdef:."):
            raise ValueError("the endpoint's IPv6 address must be plain, without a zone")
        host = f"[{host}]"
    elif not host or not set(host) <= _HOST_CHARS:
        raise ValueError(
            f"the endpoint's host {host!r} is not a host name; one outside ASCII is written in its xn-- form"
        )
    if port == 0:
        raise ValueError("the endpoint's port must be from 1 to 65535")
    return host if port in (None, {"http": 80, "https": 443}[scheme]) else f"{host}:{port}"


def is_ip_address(host: str) -> bool:
    """Whether a host name is an IPv6 or a dotted IPv4 address."""
    groups = host.split(".")
    return ":" in host or (len(groups) == 4 and all(group.isdigit() for group in groups))
