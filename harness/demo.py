"""The main job on real input: upload under one credential, download under another, compare, be refused.

Each step prints what it showed; the first one that does not hold ends the demo with exit code 1.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, Iterator

from cdn_sigv4 import AccessDenied, CDNCredentials, CDNError, CDNManager, Credentials, S3Client

from . import servers
from .values import HarnessError, KeyPair, Server, Users

# A key with what goes wrong most often: a folder, blanks, non-ASCII letters, plus, percent, tilde.
KEY = "models/ü 1+2=3 %41~.onnx"
FILE_SIZE = 5 * 1024 * 1024 + 321  # bytes; odd, so that nothing fits a block by luck
MIB = 1024 * 1024


class DemoError(Exception):
    """A step did not show what it should."""


def main() -> int:
    """Run the demo and return its exit code."""
    try:
        with servers.start(may_be_given=True, say=say) as server:
            run(server)
    except (DemoError, HarnessError, CDNError) as error:
        say(f"FAILED: {error}")
        return 1
    except KeyboardInterrupt as reason:
        say(f"interrupted {reason}".rstrip())
        return 130
    say("\nEvery step held.")
    return 0


def run(server: Server) -> None:
    """Run all steps against a server."""
    bucket, users = prepare(server)
    manager = make_manager(server, users)
    key, content = make_file(server)
    with contextlib.ExitStack() as stack:
        if server.bucket:
            stack.callback(say, f"\nleft on your server: {bucket}/{key} (neither credential may delete it)")
        upload(manager, bucket, key, content)
        download(manager, bucket, key, content)
        show_refusals(manager, bucket, key)


def prepare(server: Server) -> tuple[str, Users]:
    """Make a bucket and the two users, unless they are the user's own."""
    if server.bucket:
        say("\n1. bucket and users: your own; none are made")
        return server.bucket, server.make_users(server.bucket)
    bucket = f"cdn-demo-{secrets.token_hex(4)}"
    root = Credentials(server.root_access_key, server.root_secret_key)
    with S3Client(server.endpoint, root, region=server.region) as client:
        client.create_bucket(bucket)
    users = server.make_users(bucket)
    say(f"\n1. made the bucket {bucket} and two users of least privilege:")
    say(f"   uploader   {users.uploader.access_key} (may put objects, and nothing else)")
    say(f"   downloader {users.downloader.access_key} (may get objects, and nothing else)")
    return bucket, users


def make_manager(server: Server, users: Users) -> CDNManager:
    """Return the manager which holds both credentials; what goes wrong is collected, and printed by `must`."""
    credentials = CDNCredentials(
        server.endpoint, *fields(users.downloader), *fields(users.uploader), region=server.region
    )
    return CDNManager(credentials, on_error=lambda error: say(f"   error: {error}"))


def fields(keys: KeyPair) -> list[str]:
    """Return the key and its secret, in the order in which CDNCredentials takes them."""
    return [keys.access_key, keys.secret_key]


def make_file(server: Server) -> tuple[str, bytes]:
    """Make the input: random bytes, so that no compression and no luck helps."""
    content = os.urandom(FILE_SIZE)
    key = f"cdn-sigv4-demo/{secrets.token_hex(4)}/{KEY}" if server.bucket else KEY
    say(f"\n2. made a file of {len(content):,} random bytes, SHA-256 {sha256(content)}")
    return key, content


def upload(manager: CDNManager, bucket: str, key: str, content: bytes) -> None:
    """Upload under the uploader's credential."""
    say(f"\n3. upload as the uploader to {bucket}/{key}")
    start = time.monotonic()
    must(manager.upload(bucket, key, bytearray(content)), "CDNManager.upload returned True")
    say(f"   took {rate(len(content), time.monotonic() - start)}")


def download(manager: CDNManager, bucket: str, key: str, content: bytes) -> None:
    """Download under the downloader's credential, into a fresh folder, and compare."""
    say("\n4. download as the downloader into a fresh temporary folder")
    with fresh_folder() as folder:
        start = time.monotonic()
        must(manager.download(bucket, key), "CDNManager.download returned True")
        say(f"   took {rate(len(content), time.monotonic() - start)}")
        files = [path for path in folder.rglob("*") if path.is_file()]
        must(len(files) == 1, f"the folder holds one file: {[str(path.relative_to(folder)) for path in files]}")
        received = files[0].read_bytes()
    say(f"   sent     {len(content):,} bytes, SHA-256 {sha256(content)}")
    say(f"   received {len(received):,} bytes, SHA-256 {sha256(received)}")
    must(received == content, "both are the same, byte for byte")


def show_refusals(manager: CDNManager, bucket: str, key: str) -> None:
    """Each credential tries the other's job."""
    say("\n5. each credential is refused the other's job")

    def read() -> None:
        with manager.uploader.get_object(bucket, key) as reader:
            reader.read()

    refused(read, "the uploader may not download")
    refused(lambda: manager.downloader.put_object(bucket, key, b"other content"), "the downloader may not upload")


def refused(attempt: Callable[[], object], claim: str) -> None:
    """Demand that an attempt ends with AccessDenied, and print it."""
    try:
        attempt()
    except AccessDenied as error:
        must(True, f"{claim}: {error}")
    else:
        must(False, f"{claim}: but it was let through")


@contextlib.contextmanager
def fresh_folder() -> Iterator[Path]:
    """Work in an empty temporary folder, then go back and remove it."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="cdn-sigv4-demo-") as folder:
        os.chdir(folder)
        try:
            yield Path(folder)
        finally:
            os.chdir(str(before))


def must(held: bool, claim: str) -> None:
    """Print a claim that held; raise at one that did not."""
    if not held:
        raise DemoError(f"this did not hold: {claim}")
    say(f"   ok: {claim}")


def rate(size: int, seconds: float) -> str:
    """Return a time and a rate."""
    return f"{seconds * 1000:.0f} ms ({size / MIB / seconds:.0f} MiB/s)"


def sha256(content: bytes) -> str:
    """Return the SHA-256 in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def say(text: str) -> None:
    """Print at once, even into a pipe."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
