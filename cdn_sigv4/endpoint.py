"""Where a store answers: its URL taken apart, checked, and put together again as it goes over the wire.

Rules: RFC 3986, 3 (URLs), RFC 9110, 7.2 (Host); https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
for the two ways in which a bucket is addressed.
"""

from __future__ import annotations

from .sigv4 import uri_encode_path

_HOST_CHARS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-._")
_IPV6_CHARS = frozenset("0123456789abcdef:.")


class Endpoint:
    """Where a store answers: `scheme`, `authority` (as it stands in Host), `base_path`, and how buckets are addressed.

    `url` is `https://host[:port][/base]`; without `://` it means https. `addressing` is "path" (`host/bucket/key`)
    or "virtual" (`bucket.host/key`). Raises ValueError for anything that could not be sent as it stands.
    """

    def __init__(self, url: str, addressing: str = "path") -> None:
        if not isinstance(url, str):
            raise TypeError(f"the endpoint must be str, not {type(url).__name__}")
        if addressing not in ("path", "virtual"):
            raise ValueError(f"addressing must be 'path' or 'virtual', not {addressing!r}")
        if not url.isprintable() or " " in url:
            raise ValueError("the endpoint contains a blank or a control character")
        if "@" in url:
            raise ValueError("the endpoint must not carry a user name or password: give keys as credentials")
        if "?" in url or "#" in url:
            raise ValueError("the endpoint must end after its path: no '?' and no '#'")
        scheme, mark, rest = url.partition("://")
        self.scheme = scheme.lower() if mark else "https"
        if self.scheme not in ("http", "https"):
            raise ValueError(f"unknown scheme {scheme!r} in the endpoint: use http:// or https://")
        authority, slash, path = (rest if mark else url).partition("/")
        self.authority, is_address = _authority(self.scheme, authority.lower())
        self.base_path = _base_path(slash + path)
        if addressing == "virtual" and is_address:
            raise ValueError("an IP address has no subdomains for buckets: use addressing='path'")
        self.addressing = addressing

    def __repr__(self) -> str:
        return f"Endpoint({str(self)!r}, {self.addressing!r})"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.base_path}"


def _authority(scheme: str, text: str) -> tuple[str, bool]:
    """Host and port as the Host header has them (RFC 9112, 3.2), and whether the host is an address.

    The scheme's own port is left out (RFC 9110, 4.2.3). Taken apart here, since urlsplit takes more than it should,
    and not the same in all versions of Python.
    """
    host, colon, port = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    if not colon:
        host, port = text, ""
    if host[:1] == "[" and host[-1:] == "]" and ":" in host:
        if not set(host[1:-1]) <= _IPV6_CHARS:
            raise ValueError("the endpoint's IPv6 address must be plain, without a zone")
    elif not set(host) <= _HOST_CHARS or not all(1 <= len(label) <= 63 for label in host.rstrip(".").split(".")):
        raise ValueError(
            f"the endpoint's host {host!r} is not a host name as in https://minio.example:9000; names outside ASCII are"
            " written in their xn-- form, IPv6 addresses in brackets"
        )
    if colon and not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise ValueError(f"the endpoint's port {port!r} must be from 1 to 65535")
    own = {"http": 80, "https": 443}[scheme]
    return (f"{host}:{int(port)}" if port and int(port) != own else host), is_ip_address(host)


def _base_path(path: str) -> str:
    """The path above all buckets, encoded as it is signed, without a slash at its end."""
    from urllib.parse import unquote_to_bytes  # 10 ms

    encoded = uri_encode_path(unquote_to_bytes(path) if "%" in path else path).rstrip("/")
    if {".", ".."} & set(encoded.split("/")) or "//" in encoded:
        raise ValueError("the endpoint's path must not contain '.', '..' or '//'")
    return encoded


def is_ip_address(host: str) -> bool:
    """Whether a host name is an IPv6 or a dotted IPv4 address."""
    return ":" in host or (host.count(".") == 3 and all(group.isdigit() for group in host.split(".")))
