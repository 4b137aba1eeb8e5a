"""obstore, and requests with requests-aws4auth, as clients of the benchmark's: those that leave files to the caller.

To save an object they are given what their users write by hand, and what the other clients do: a file beside the
target, which takes its place when all bytes are there.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any, Iterable

from .bench_child_small import BLOCK, Peer, Told, flush


class Obstore(Peer):
    """obstore, by its functions for a store."""

    def __init__(self, order: dict[str, str]) -> None:
        import obstore  # type: ignore[import-not-found,unused-ignore]
        from obstore.store import S3Store  # type: ignore[import-not-found,unused-ignore]

        self.obs: Any = obstore
        self.store: Any = S3Store(
            order["bucket"],
            endpoint=order["endpoint"],
            region=order["region"],
            access_key_id=order["access_key"],
            secret_access_key=order["secret_key"],
            virtual_hosted_style_request=False,
            client_options={"allow_http": True},
        )

    def put_small(self, key: str, data: bytes) -> object:
        """Store a small object."""
        return self.obs.put(self.store, key, data)

    def get_small(self, key: str) -> bytes:
        """A small object's bytes; its own type of them has the buffer protocol, and this makes bytes of it."""
        return bytes(self.obs.get(self.store, key).bytes())

    def save_small(self, key: str, path: str) -> None:
        """A small object as a file."""
        replaced(path, [self.obs.get(self.store, key).bytes()])

    def keep_small(self, key: str, path: str) -> None:
        """A small object as a file that the disk has."""
        replaced(path, [self.obs.get(self.store, key).bytes()], is_durable=True)

    def put_memory(self, key: str) -> Told:
        """What is in memory, up."""
        self.obs.put(self.store, key, self.loaded)
        return {}

    def put_file(self, key: str, path: str) -> Told:
        """A file, up."""
        self.obs.put(self.store, key, Path(path))
        return {}

    def get_file(self, key: str, path: str) -> Told:
        """A file, down, in pieces of the size that it chooses (10 MiB)."""
        replaced(path, self.obs.get(self.store, key))
        return {}


class Requests(Peer):
    """requests, a session for each thread, with requests-aws4auth for the signature. It sends all in one PUT."""

    def __init__(self, order: dict[str, str]) -> None:
        import requests
        from requests_aws4auth import AWS4Auth  # type: ignore[import-not-found,unused-ignore]

        self.new_session: Any = requests.Session
        self.auth: Any = AWS4Auth(order["access_key"], order["secret_key"], order["region"], "s3")
        self.base = f"{order['endpoint']}/{order['bucket']}/"
        self.local = threading.local()

    @property
    def session(self) -> Any:
        """This thread's."""
        try:
            return self.local.session
        except AttributeError:
            self.local.session = self.new_session()
            return self.local.session

    def put_small(self, key: str, data: bytes) -> object:
        """Store a small object."""
        return self.session.put(self.base + key, data=data, auth=self.auth).raise_for_status()

    def get_small(self, key: str) -> bytes:
        """A small object's bytes."""
        answer = self.session.get(self.base + key, auth=self.auth)
        answer.raise_for_status()
        data: bytes = answer.content
        return data

    def save_small(self, key: str, path: str) -> None:
        """A small object as a file."""
        replaced(path, [self.get_small(key)])

    def keep_small(self, key: str, path: str) -> None:
        """A small object as a file that the disk has."""
        replaced(path, [self.get_small(key)], is_durable=True)

    def put_memory(self, key: str) -> Told:
        """What is in memory, up."""
        self.session.put(self.base + key, data=self.loaded, auth=self.auth).raise_for_status()
        return {}

    def put_file(self, key: str, path: str) -> Told:
        """A file, up: the signature's maker reads it into memory."""
        with Path(path).open("rb") as file:
            self.session.put(self.base + key, data=file, auth=self.auth).raise_for_status()
        return {}

    def get_file(self, key: str, path: str) -> Told:
        """A file, down."""
        with self.session.get(self.base + key, auth=self.auth, stream=True) as answer:
            answer.raise_for_status()
            replaced(path, answer.iter_content(BLOCK))
        return {}


def replaced(path: str, blocks: Iterable[Any], *, is_durable: bool = False) -> None:
    """Make a file of these blocks, whole or not at all."""
    part = f"{path}.part"
    with open(part, "wb") as file:  # noqa: PTH123 - pathlib would cost as much as the client
        file.writelines(blocks)
        if is_durable:
            file.flush()
            os.fsync(file.fileno())
    os.replace(part, path)  # noqa: PTH105
    if is_durable:
        flush(os.path.dirname(path))  # noqa: PTH120
