"""The demo's job on a store that is there: upload under one credential, download under another, compare, be refused.

scripts/demo does it with this repository's package. Run as a program it needs nothing but Python, and does the same
with what some other Python can import, or with a command line:

    python demo_job.py import NAME          the package of that name: installed, or copied
    python demo_job.py run PROGRAM ...      that program and its first arguments: cdn-sigv4, or a Python and a .pyz

The store is where CDN_HOST, CDN_BUCKET and the four CDN_UPLOADER_ and CDN_DOWNLOADER_ACCESS_ variables say.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping, Union

# A key with what goes wrong most often: a folder, blanks, non-ASCII letters, plus, percent, tilde.
KEY = "models/ü 1+2=3 %41~.onnx"
FILE_SIZE = 5 * 1024 * 1024 + 321  # bytes; odd, so that nothing fits a block by luck
MIB = 1024 * 1024
SECONDS = 120.0  # for one run of the command line


class DemoError(Exception):
    """A step did not show what it should."""


class Refused(Exception):
    """The store allows this user no such thing; the text is what was said of it."""


class Imported:
    """The job done by a package: the façade for both directions, its two clients for what each is refused."""

    uploads, downloads = "CDNManager.upload returned True", "CDNManager.download returned True"

    def __init__(self, package: Any, environ: Mapping[str, str]) -> None:
        names = [f"CDN_{user}_ACCESS_{half}" for user in ("DOWNLOADER", "UPLOADER") for half in ("KEY", "SECRET")]
        region = {"region": environ["CDN_REGION"]} if environ.get("CDN_REGION") else {}
        host = environ["CDN_HOST"]
        credentials = package.CDNCredentials(host, *(environ[name] for name in names), **region)
        self.manager = package.CDNManager(credentials, on_error=lambda error: say(f"   error: {error}"))
        self.package = package
        self.about = f"{package.__name__} {package.__version__}, {package.__file__}"

    def upload(self, bucket: str, key: str, content: bytes) -> bool:
        """Put the content into the store, as the uploader; whether that is said to have worked."""
        return bool(self.manager.upload(bucket, key, bytearray(content)))

    def download(self, bucket: str, key: str) -> bool:
        """Save the object below the current folder, as the downloader."""
        return bool(self.manager.download(bucket, key))

    def download_as_uploader(self, bucket: str, key: str) -> None:
        """Try what the uploader may not."""
        self._try(lambda: self.manager.uploader.get_object(bucket, key).close())

    def upload_as_downloader(self, bucket: str, key: str) -> None:
        """Try what the downloader may not."""
        self._try(lambda: self.manager.downloader.put_object(bucket, key, b"other content"))

    def _try(self, attempt: Callable[[], object]) -> None:
        try:
            attempt()
        except self.package.AccessDenied as error:
            raise Refused(str(error)) from None
        except self.package.CDNError as error:
            raise DemoError(str(error)) from None


class Commanded:
    """The job done by a command line. It reads the same variables of the environment."""

    uploads, downloads = "`put` ended with 0", "`get` ended with 0"

    def __init__(self, program: list[str], environ: Mapping[str, str]) -> None:
        self.program = program
        self.environ = dict(environ)
        self.about = self._run("--version").stdout.strip()

    def _run(self, *arguments: str, content: bytes | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command, with the content as its standard input, and show what it says."""
        with tempfile.TemporaryFile() as source:
            source.write(content or b"")
            source.seek(0)
            return subprocess.run(
                [*self.program, *arguments],
                stdin=source,
                capture_output=True,
                check=False,
                encoding="utf-8",
                errors="replace",
                env=self.environ,
                timeout=SECONDS,
            )

    def _done(self, *arguments: str, content: bytes | None = None) -> bool:
        done = self._run(*arguments, content=content)
        for line in (done.stdout + done.stderr).splitlines():
            say(f"   {line}")
        return done.returncode == 0

    def _refused(self, *arguments: str, content: bytes | None = None) -> None:
        done = self._run(*arguments, content=content)
        if done.returncode == 1 and "AccessDenied" in done.stderr:
            raise Refused(done.stderr.strip())
        if done.returncode:
            raise DemoError(f"{arguments[0]} ended with {done.returncode}: {done.stderr.strip()}")

    def upload(self, bucket: str, key: str, content: bytes) -> bool:
        """Put the content into the store, as the uploader; whether that is said to have worked."""
        return self._done("put", "-", f"{bucket}/{key}", content=content)

    def download(self, bucket: str, key: str) -> bool:
        """Save the object in the current folder, as the downloader."""
        return self._done("get", f"{bucket}/{key}")

    def download_as_uploader(self, bucket: str, key: str) -> None:
        """Try what the uploader may not."""
        self._refused("get", "--as", "uploader", f"{bucket}/{key}", "-")

    def upload_as_downloader(self, bucket: str, key: str) -> None:
        """Try what the downloader may not."""
        self._refused("put", "--as", "downloader", "-", f"{bucket}/{key}", content=b"other content")


Way = Union[Imported, Commanded]


def run(way: Way, bucket: str, key: str) -> None:
    """Do the job; DemoError at the first step that does not hold."""
    content = os.urandom(FILE_SIZE)  # random, so that no compression and no luck helps
    say(f"\n2. made a file of {len(content):,} random bytes, SHA-256 {sha256(content)}")
    upload(way, bucket, key, content)
    download(way, bucket, key, content)
    show_refusals(way, bucket, key)


def upload(way: Way, bucket: str, key: str, content: bytes) -> None:
    """Upload under the uploader's credential."""
    say(f"\n3. upload as the uploader to {bucket}/{key}")
    start = time.monotonic()
    must(way.upload(bucket, key, content), way.uploads)
    say(f"   took {rate(len(content), time.monotonic() - start)}")


def download(way: Way, bucket: str, key: str, content: bytes) -> None:
    """Download under the downloader's credential, into a fresh folder, and compare."""
    say("\n4. download as the downloader into a fresh temporary folder")
    with fresh_folder() as folder:
        start = time.monotonic()
        must(way.download(bucket, key), way.downloads)
        say(f"   took {rate(len(content), time.monotonic() - start)}")
        files = [path for path in folder.rglob("*") if path.is_file()]
        must(len(files) == 1, f"the folder holds one file: {[str(path.relative_to(folder)) for path in files]}")
        received = files[0].read_bytes()
    say(f"   sent     {len(content):,} bytes, SHA-256 {sha256(content)}")
    say(f"   received {len(received):,} bytes, SHA-256 {sha256(received)}")
    must(received == content, "both are the same, byte for byte")


def show_refusals(way: Way, bucket: str, key: str) -> None:
    """Each credential tries the other's job."""
    say("\n5. each credential is refused the other's job")
    refused(lambda: way.download_as_uploader(bucket, key), "the uploader may not download")
    refused(lambda: way.upload_as_downloader(bucket, key), "the downloader may not upload")


def refused(attempt: Callable[[], object], claim: str) -> None:
    """Demand that an attempt is refused, and print in which words."""
    try:
        attempt()
    except Refused as error:
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


def main(arguments: list[str], environ: Mapping[str, str]) -> int:
    """Do the job as a program of its own; its exit code."""
    kind, *rest = arguments or [""]
    if (kind, len(rest)) != ("import", 1) and (kind != "run" or not rest):
        say(str(__doc__))
        return 2
    try:
        way: Way = Imported(importlib.import_module(rest[0]), environ) if kind == "import" else Commanded(rest, environ)
        say(f"1. with {way.about}")
        run(way, environ["CDN_BUCKET"], f"cdn-sigv4-demo/{os.urandom(4).hex()}/{KEY}")
    except DemoError as error:
        say(f"FAILED: {error}")
        return 1
    say("\nEvery step held.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
