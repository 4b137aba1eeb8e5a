"""Proves that a type checker sees the whole public API, as installed, and that `help` tells of nothing else.

A consumer's file that uses everything is checked by mypy, strictly, in an environment into which the package was put
as its wheel puts it. What mypy says of each expression is compared with what the documentation promises.
"""

import inspect
import os
import pydoc
import re
import subprocess
import sys
import textwrap
import zipfile

import pytest

import cdn_sigv4
from harness import footprint
from harness.environment import ROOT

STRICT = ["-m", "mypy", "--strict", "--no-incremental", "--no-error-summary", "--config-file="]

HEAD = """
from __future__ import annotations
import array, datetime, io, mmap, pathlib, typing
import cdn_sigv4
from cdn_sigv4 import *
from cdn_sigv4 import CDNCredentials, CDNManager, Credentials, Event, ProgressBar, Retry, S3Client, SigV4Auth
def progress(done: int, total: int | None) -> None: ...
def on_event(event: Event) -> None: ...
def on_error(error: Exception) -> None: ...
def fresh() -> Credentials: return keys
def blocks() -> typing.Iterator[bytes]: yield b""
keys = Credentials("KEY", "SECRET", "TOKEN", expires_at=datetime.datetime.now(datetime.timezone.utc))
retry = Retry(attempts=3, budget=1.0, cap=0.5)
path = pathlib.Path("file")
client = S3Client("https://store.example", keys, region="eu-1", addressing="virtual", timeout=(1, 2.5), retry=retry,
                  checksum=None, etag_is_md5=False, sign_payload=False, verify=path, session=None, on_event=on_event)
S3Client("store.example", None, retry=None, verify=False)
S3Client("store.example", fresh)
S3Client("store.example", Credentials.from_environment)
manager = CDNManager(CDNCredentials("store.example", "1", "2", "3", "4", region="eu-1"), on_error=on_error,
                     timeout=(1, 2), retry=None, checksum="sha256", verify="ca.pem", on_event=print, durable=False)
class Numpy(typing.Protocol):
    @property
    def nbytes(self) -> int: ...
def bodies(memory: memoryview, file: typing.BinaryIO, numbers: array.array[int], mapped: mmap.mmap,
           other: Numpy) -> None:
    for body in (b"", bytearray(), memory, numbers, mapped): client.put_object("bucket", "key", body)
    for file in (io.BytesIO(), path.open("rb"), file): client.put_object("bucket", "key", file)
    for each in (blocks(), [b""], (bytearray(),), [memory]): client.put_object("bucket", "key", each)
    client.put_object("bucket", "key", other)
info = client.put_object("bucket", "key", b"", content_type="a/b", metadata={"a": "b"}, headers={"cache-control": "c"},
                         if_none_match="*", part_size=5 << 20, max_workers=2, progress=progress)
result = client.download_file("bucket", "key", path, resume=False, durable=False, make_folders=True, if_changed=True,
                              part_size=5 << 20, max_workers=2, progress=progress)
reader = client.get_object("bucket", "key", start=1, end=2, version_id="v", if_match="e")
listed = next(iter(client.list_objects("bucket", "prefix", delimiter="/", start_after="a")))
def event() -> Event: raise NotImplementedError
"""
# An expression, and what it is.
TYPES = [
    ("cdn_sigv4.__version__", "str"),
    ("keys", "Credentials"),
    ("info", "ObjectInfo"),
    ("info.size", "int | None"),
    ("info.etag", "str | None"),
    ("info.headers", "dict[str, str]"),
    ("info.metadata", "dict[str, str]"),
    ("info.last_modified", "datetime | None"),
    ("info.content_type", "str | None"),
    ("info.version_id", "str | None"),
    ("result", "TransferResult"),
    ("result.info", "ObjectInfo"),
    ("result.verified", "str | None"),
    ("result.bytes_moved", "int"),
    ("reader", "ObjectReader"),
    ("reader.__enter__()", "ObjectReader"),
    ("reader.info", "ObjectInfo"),
    ("reader.read(3)", "bytes"),
    ("reader.readinto(bytearray(3))", "int"),
    ("next(iter(reader))", "bytes"),
    ("listed", "ListedObject"),
    ("listed.key", "str"),
    ("listed.size", "int | None"),
    ("listed.is_prefix", "bool"),
    ("client.__enter__()", "S3Client"),
    ("client.head_object('bucket', 'key')", "ObjectInfo"),
    ("client.copy_object('bucket', 'key', 'bucket', 'copy', metadata={})", "ObjectInfo"),
    ("client.upload_file('bucket', 'key', 'file', resume=True, state_dir=path)", "TransferResult"),
    ("client.presigned_url('GET', 'bucket', 'key', expires_in=60)", "str"),
    ("manager.upload('bucket', 'key', bytearray(), progress=progress)", "bool"),
    ("manager.download('bucket', 'key', to=path, if_changed=True, progress=progress)", "bool"),
    ("manager.uploader", "S3Client"),
    ("manager.downloader", "S3Client"),
    ("ProgressBar('name', leave=False).__enter__()", "ProgressBar"),
    ("SigV4Auth(keys, 'eu-1', 's3')", "SigV4Auth"),
    ("event().kind", "str"),
    ("event().error", "CDNError"),
    ("event().wait", "float"),
    ("event().attempt", "int"),
    ("CDNError('text').status", "int | None"),
    ("CDNError('text').hint", "str | None"),
    ("NotFound('text').code", "str | None"),
    ("OutcomeUnknown('text').seconds", "float | None"),
    ("retry.budget", "float"),
]
# What a type checker must refuse, and the kind of its complaint.
WRONG = [
    ("client.put_object('bucket', 'key', 'text')", "arg-type"),
    ("client.put_object('bucket', 'key', {b'a': 1}.items())", "arg-type"),
    ("client.put_object('bucket', 'key', open('file'))", "arg-type"),
    ("client.put_object('bucket', 'key', path)", "arg-type"),
    ("manager.upload('bucket', 'key', 1)", "arg-type"),
    ("client.get_object('bucket', b'key')", "arg-type"),
    ("client.presigned_url('GET', 'bucket', 'key')", "call-arg"),
    ("client.get_object('bucket', 'key', 0, 1)", "call-arg|misc"),
    ("client.get_objekt", "attr-defined"),
    ("S3Client('store.example', ('KEY', 'SECRET'))", "arg-type"),
    ("S3Client('store.example', keys, timeout=5)", "arg-type"),
    ("manager.download('bucket', 'key', 'file')", "call-arg|misc"),
    ("info.size + 1", "operator"),
    ("cdn_sigv4.Nothing", "attr-defined"),
]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The Python of an environment which holds the package's files, as the wheel does, and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=120)
    (site,) = folder.glob("lib/python3.*/site-packages")
    archive = folder / "package.zip"
    with zipfile.ZipFile(archive, "w") as made:
        for name, data in footprint.package_files().items():
            made.writestr(name, data)
    with zipfile.ZipFile(archive) as made:
        made.extractall(site)
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def said(installed, tmp_path_factory):
    """What mypy says of a consumer's file, by the expression that its line has; "" for all other lines."""
    expressions = [expression for expression, _ in [*TYPES, *WRONG]]
    head = HEAD.lstrip()
    text = head + "".join(f"reveal_type({expression})\n" for expression in expressions)
    folder = tmp_path_factory.mktemp("consumer")
    (folder / "consumer.py").write_text(text, encoding="utf-8")
    command = [sys.executable, *STRICT, f"--python-executable={installed}", "--python-version=3.8", "consumer.py"]
    environ = {name: value for name, value in os.environ.items() if name != "MYPYPATH"}
    done = subprocess.run(
        command, cwd=str(folder), env=environ, capture_output=True, check=False, encoding="utf-8", timeout=300
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    lines = {}
    first = head.count("\n") + 1
    for each in done.stdout.splitlines():
        number, message = re.match(r"consumer\.py:(\d+): (.*)", each).groups()
        place = int(number) - first
        lines.setdefault(expressions[place] if place >= 0 else "", []).append(message)
    return lines


def test_the_consumer_is_right(said):
    """A file that uses every method with all that it takes is right for mypy at its strictest."""
    assert said.get("", []) == []


@pytest.mark.parametrize(("expression", "expected"), TYPES, ids=[expression for expression, _ in TYPES])
def test_types(said, expression, expected):
    """Each result, and what it holds, has the type that the documentation speaks of."""
    (message,) = said[expression]
    shown = re.match(r'note: Revealed type is "(.*)"', message).group(1)
    shown = re.sub(r"Union\[(.*)\]", lambda found: found[1].replace(", ", " | "), shown)
    assert re.sub(r"\b(\w+\.)+", "", shown).replace("Optional", "") == expected


@pytest.mark.parametrize(("expression", "kind"), WRONG, ids=[expression for expression, _ in WRONG])
def test_wrong_types(said, expression, kind):
    """What cannot work is an error before it is run."""
    assert [message for message in said[expression] if re.search(rf"^error: .*\[({kind})\]$", message)]


# -- help


@pytest.fixture(scope="module")
def told():
    """What `help(cdn_sigv4)` shows."""
    return pydoc.plain(pydoc.render_doc(cdn_sigv4))


def members():
    """The package's public classes, and their methods and properties, as "Class.method"."""
    for name in cdn_sigv4.__all__:
        value = getattr(cdn_sigv4, name)
        if inspect.isclass(value):
            yield name, value
            for attribute, member in inspect.getmembers(value):
                own = getattr(inspect.unwrap(member), "__module__", "") or ""
                if not attribute.startswith("_") and (own.startswith("cdn_sigv4") or isinstance(member, property)):
                    yield f"{name}.{attribute}", member


def test_help_is_of_the_public(told):
    """No private name is in it, and every public one is, with its first line."""
    assert re.findall(r"^ \|  (_[a-z]\w*)", told, re.MULTILINE) == []
    for name, member in members():
        line = inspect.getdoc(member).splitlines()[0]
        assert line in told, name


def test_help_tells_no_secret():
    """What `help` shows of signatures is nothing of this process: a variable's value would be everybody's to read."""
    code = "import pydoc, cdn_sigv4; print(pydoc.render_doc(cdn_sigv4))"
    environ = {**os.environ, "AWS_SECRET_ACCESS_KEY": "hidden-in-the-environment"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=str(ROOT), env=environ, capture_output=True, check=True, encoding="utf-8"
    )
    assert "from_environment" in done.stdout
    assert "hidden-in" not in done.stdout


def test_help_fits_a_terminal():
    """No line of a docstring of the public API is wider than what the source allows its own lines."""
    for name, member in members():
        for line in textwrap.dedent(member.__doc__ or "").splitlines():
            assert len(line) <= 120, name
