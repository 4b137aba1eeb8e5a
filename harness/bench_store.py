"""The benchmark's server, a real MinIO, and who looks what is in it: boto3, whichever client was at work."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping

from . import minio_server, servers
from .bench_files import BLOCK, MEMORY, Source, has_room, place
from .bench_jobs import must_be
from .processes import bare_environment, free_port
from .values import HarnessError, Server

KINDS = ("container", "binary")  # moto's rates would be moto's
TRASH = "data/.minio.sys/tmp/.trash"  # below the server's own folder
KEYS = 1000  # that one request deletes, at most
ROOM = 4 << 30  # bytes that must be free in memory for MinIO's data to lie there


@dataclass(frozen=True)
class Store:
    """Where to send what, under which credential."""

    endpoint: str
    bucket: str
    region: str
    access_key: str
    secret_key: str = field(repr=False)
    description: str
    trash: Path | None = None  # where MinIO puts what is deleted, if that can be reached

    @property
    def port(self) -> int:
        """The server's, on 127.0.0.1."""
        return int(self.endpoint.rpartition(":")[2])


@contextlib.contextmanager
def start(data: Path | None, say: Callable[[str], None]) -> Iterator[Store]:
    """Start MinIO with a fresh bucket in it; `data` is the folder in which it keeps its own one of data, if given.

    Else, where it is a program, that lies in memory if there is room: what is measured is then no disk.
    """
    with contextlib.ExitStack() as stack:
        server, where, trash = stack.enter_context(_in_folder(data)) if data else _as_the_tests(stack, say)
        description = f"{server.description}, data in {where}"
        say(f"server: {description}")
        bucket = f"cdn-bench-{secrets.token_hex(4)}"
        keys = server.root_access_key, server.root_secret_key
        yield Store(server.endpoint, bucket, server.region, *keys, description, trash)


def _as_the_tests(stack: contextlib.ExitStack, say: Callable[[str], None]) -> tuple[Server, str, Path | None]:
    """A MinIO in a container, or as a program, or what CDN_TEST_SERVER demands, as for the tests; where its data is."""
    forced = os.environ.get("CDN_TEST_SERVER")
    if forced and forced not in KINDS:
        raise HarnessError(f"CDN_TEST_SERVER is {forced!r}; the benchmark needs a MinIO: {' or '.join(KINDS)}")
    kinds = [forced] if forced else list(KINDS)
    for kind in kinds:
        environ = {**os.environ, "CDN_TEST_SERVER": kind}
        try:
            if kind == "binary":
                return stack.enter_context(_in_folder(MEMORY if has_room(ROOM) else Path(tempfile.gettempdir())))
            server = stack.enter_context(servers.start(environ, say=lambda _line: None))
            return server, "a volume of the container's", None  # noqa: TRY300 - the next kind is tried where this fails
        except HarnessError as error:
            if kind == kinds[-1]:
                raise
            say(f"server: not {kind}: {error}")
    raise AssertionError("there is a last kind")


@contextlib.contextmanager
def _in_folder(folder: Path) -> Iterator[tuple[Server, str, Path]]:
    """Run the `minio` on the PATH with its data in a fresh folder below this one."""
    program = shutil.which("minio")
    if program is None:
        raise HarnessError("no minio binary on the PATH, without which nobody may say where its data lies")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="cdn-sigv4-minio-", dir=folder) as own:
        port = free_port()
        minio = minio_server.Restartable(
            minio_server.Place(
                f"({program})",
                [program, *minio_server.server_arguments(f"127.0.0.1:{port}", f"{own}/data", None)],
                {**bare_environment(), "HOME": own},
                lambda child: child.process.kill(),
            ),
            port,
            minio_server.new_keys("root"),
            None,
        )
        try:
            minio.start()
            minio.describe("binary")
            yield minio.server, place(folder), Path(own) / TRASH
        finally:
            minio.stop(sudden=False)


class Judge:
    """Looks at what is in the store."""

    def __init__(self, store: Store) -> None:
        import boto3

        self._bucket, self._trash = store.bucket, store.trash
        self._client: Any = boto3.client(
            "s3",
            store.region,
            endpoint_url=store.endpoint,
            aws_access_key_id=store.access_key,
            aws_secret_access_key=store.secret_key,
        )

    def make_bucket(self) -> None:
        """Make the benchmark's bucket."""
        self._client.create_bucket(Bucket=self._bucket)

    def digest(self, key: str) -> str:
        """The SHA-256 of an object's bytes."""
        digest = hashlib.sha256()
        body = self._client.get_object(Bucket=self._bucket, Key=key)["Body"]
        with contextlib.closing(body):
            for block in body.iter_chunks(BLOCK):
                digest.update(block)
        return digest.hexdigest()

    def mark(self) -> None:
        """What is asked next is about what comes from now on: here it is found by its name."""

    def arrived(self, key: str, source: Source) -> None:
        """Compare an object with the file that it was made of, and make room."""
        must_be(self.digest(key) == source.digest, "the object is not the file")
        self.delete(key)

    def arrived_small(self, prefix: str, expected: Mapping[str, bytes]) -> None:
        """Compare the small objects of that prefix, by their MD5 and size, with what was sent, and make room."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        found = [each for page in pages for each in page.get("Contents", [])]
        are_right = {each["Key"]: (each["ETag"].strip('"'), each["Size"]) for each in found} == {
            key: (hashlib.md5(data).hexdigest(), len(data))  # noqa: S324 - S3's entity tag
            for key, data in expected.items()
        }
        must_be(are_right, f"the objects below {prefix} are not those that were sent")
        for start in range(0, len(found), KEYS):
            keys = [{"Key": each["Key"]} for each in found[start : start + KEYS]]
            self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": keys, "Quiet": True})

    def delete(self, key: str) -> None:
        """Make room."""
        self._client.delete_object(Bucket=self._bucket, Key=key)
        self._empty_trash()

    def _empty_trash(self) -> None:
        """Drop what MinIO has only moved away, and drops every five minutes: by then it would fill the memory."""
        if self._trash is not None and self._trash.is_dir():
            for each in self._trash.iterdir():
                shutil.rmtree(each, ignore_errors=True)  # MinIO itself may be at it

    def unfinished(self, key: str) -> int:
        """The uploads of this key that have begun and not ended."""
        # MinIO lists them only for a prefix that is the whole key.
        return len(self._client.list_multipart_uploads(Bucket=self._bucket, Prefix=key).get("Uploads", []))
