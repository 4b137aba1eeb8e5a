"""The client's operations as functions of a client alone, error documents and ranges, and keys with their paths."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from kit import BIG, ETAG
from rawserver import Answer

if TYPE_CHECKING:
    from cdn_sigv4 import S3Client


def get(client: S3Client) -> Any:
    """A whole object."""
    with client.get_object("bucket", "key") as reader:
        return reader.read()


def part(client: S3Client) -> Any:
    """Four bytes out of an object."""
    with client.get_object("bucket", "key", start=2, end=6) as reader:
        return reader.read()


def tail(client: S3Client) -> Any:
    """The last four bytes of an object."""
    with client.get_object("bucket", "key", tail=4) as reader:
        return reader.read()


def put(client: S3Client) -> Any:
    """A small object."""
    return client.put_object("bucket", "key", b"body")


def put_big(client: S3Client) -> Any:
    """An object of 20 MiB."""
    return client.put_object("bucket", "key", BIG)


def head(client: S3Client) -> Any:
    """An object's description."""
    return client.head_object("bucket", "key")


def delete(client: S3Client) -> Any:
    """No object any more."""
    return client.delete_object("bucket", "key")


def copy(client: S3Client) -> Any:
    """A copy."""
    return client.copy_object("bucket", "from", "bucket", "key")


def listed(client: S3Client) -> Any:
    """A whole list."""
    return list(client.list_objects("bucket"))


def md5_tag(data: bytes) -> str:
    """The entity tag of an object that came in one piece."""
    return f'"{hashlib.md5(data).hexdigest()}"'


def xml(code: str, **fields: str) -> bytes:
    """An error document."""
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in {"Message": "m", **fields}.items())
    return f"<?xml version='1.0'?><Error><Code>{code}</Code>{inner}</Error>".encode("ascii")


def ranged(value: str, body: bytes = b"2345") -> Answer:
    """A 206 of that Content-Range."""
    return Answer(206, headers={**ETAG, "Content-Range": value}, body=body)


# Key, and its path behind the bucket, encoded by hand after RFC 3986 and S3's rule of encoding once.
KEYS = [
    ("/lead", b"/lead"),
    ("//a//b//", b"//a//b//"),
    ("%41", b"%2541"),
    ("%2e%2e/x", b"%252e%252e/x"),
    ("..", b".."),
    ("../otherbucket/secret", b"../otherbucket/secret"),
    ("a/./b/../c", b"a/./b/../c"),
    (".", b"."),
    ("a?b=c&d", b"a%3Fb%3Dc%26d"),
    ("a#b", b"a%23b"),
    ("a+b c", b"a%2Bb%20c"),
    ("a\r\nX-Evil: 1\r\n\r\nGET /", b"a%0D%0AX-Evil%3A%201%0D%0A%0D%0AGET%20/"),
    ("\t a ", b"%09%20a%20"),
    ("\U0001f600", b"%F0%9F%98%80"),
    ("u\u0308 \u00fc", b"u%CC%88%20%C3%BC"),
    ("~-_.*'()!", b"~-_.%2A%27%28%29%21"),
    ('\\[]{}|^`"<>@:;,=$&', b"%5C%5B%5D%7B%7D%7C%5E%60%22%3C%3E%40%3A%3B%2C%3D%24%26"),
    ("http://other.test/x", b"http%3A//other.test/x"),
    ("@other.test/x", b"%40other.test/x"),
    ("\x7f\x01", b"%7F%01"),
    ("x" * 1024, b"x" * 1024),
    ("\u65e5" * 341, b"%E6%97%A5" * 341),
]
KEY_IDS = [ascii(key)[1:25] for key, _ in KEYS]
