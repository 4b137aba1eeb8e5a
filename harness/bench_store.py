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
from typing import Any, Callable, Iterator

from . import minio_server, servers
from .bench_files import BLOCK, place
from .processes import bare_environment, free_port
from .values import HarnessError, Server

KINDS = ("container", "binary")  # moto's rates would be moto's


@dataclass(frozen=True)
class Store:
    """Where to send what, under which credential."""

    endpoint: str
    bucket: str
    region: str
    access_key: str
    secret_key: str = field(repr=False)
    description: str

    @property
    def port(self) -> int:
        """The server's, on 127.0.0.1."""
        return int(self.endpoint.rpartition(":")[2])


@contextlib.contextmanager
def start(data: Path | None, say: Callable[[str], None]) -> Iterator[Store]:
    """Start MinIO with a fresh bucket in it; `data` is the folder in which it keeps its own one of data, if given."""
    with contextlib.ExitStack() as stack:
        if data is None:
            server = _as_the_tests(stack, say)
            where = place(Path(tempfile.gettempdir())) if server.kind == "binary" else "a volume of the container's"
        else:
            server, where = stack.enter_context(_in_folder(data)), place(data)
        description = f"{server.description}, data in {where}"
        say(f"server: {description}")
        bucket = f"cdn-bench-{secrets.token_hex(4)}"
        yield Store(server.endpoint, bucket, server.region, server.root_access_key, server.root_secret_key, description)


def _as_the_tests(stack: contextlib.ExitStack, say: Callable[[str], None]) -> Server:
    """What harness/servers.py starts: a MinIO in a container, or as a program, or what CDN_TEST_SERVER demands."""
    forced = os.environ.get("CDN_TEST_SERVER")
    if forced and forced not in KINDS:
        raise HarnessError(f"CDN_TEST_SERVER is {forced!r}; the benchmark needs a MinIO: {' or '.join(KINDS)}")
    kinds = [forced] if forced else list(KINDS)
    for kind in kinds:
        try:
            return stack.enter_context(servers.start({**os.environ, "CDN_TEST_SERVER": kind}, say=lambda _line: None))
        except HarnessError as error:
            if kind == kinds[-1]:
                raise
            say(f"server: not {kind}: {error}")
    raise AssertionError("there is a last kind")


@contextlib.contextmanager
def _in_folder(folder: Path) -> Iterator[Server]:
    """Run the `minio` on the PATH with its data in a fresh folder below this one."""
    program = shutil.which("minio")
    if program is None:
        raise HarnessError("--minio-data needs a minio binary on the PATH: a container has its data in a volume")
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
            yield minio.server
        finally:
            minio.stop(sudden=False)


class Judge:
    """Looks at what is in the store."""

    def __init__(self, store: Store) -> None:
        import boto3

        self._bucket = store.bucket
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

    def delete(self, key: str) -> None:
        """Make room."""
        self._client.delete_object(Bucket=self._bucket, Key=key)

    def unfinished(self, key: str) -> int:
        """The uploads of this key that have begun and not ended."""
        # MinIO lists them only for a prefix that is the whole key.
        return len(self._client.list_multipart_uploads(Bucket=self._bucket, Prefix=key).get("Uploads", []))
