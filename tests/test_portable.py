"""Proves that the package runs where things of Linux are missing: each has a plain way, and old libraries are refused.

Whole systems are pretended in fresh interpreters (kit_portable.py says how far); then each thing that Windows or macOS
has not is switched off alone, here, and the same transfers are right. A table names them all: the source may use no
other. What Windows makes of names is in test_files_paths.py, what a part without locks does in test_parts_strangers.py.
"""

import ast
import os
import pathlib
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import kit_portable
import pytest
from kit import BUCKET, KEY, SECRET
from kit_parts import MIB, made
from kit_uploads import client_for

from cdn_sigv4 import body, connection, files, parts, record

TESTS = pathlib.Path(__file__).parent
ROOT = TESTS.parent
MODULES = sorted(path.stem for path in kit_portable.PACKAGE.glob("*.py") if path.stem != "__main__")
DATA = made(21, 10 * MIB + 321)  # worth two parts, a range and a record


def run(code, *, path=(TESTS, ROOT), folder=ROOT):
    """What `code` prints in a fresh interpreter that finds modules in `path` first; it must end well, unwarned."""
    program = f"import sys\nsys.path[:0] = {[str(each) for each in path]!r}\n{textwrap.dedent(code)}"
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, cwd=str(folder), capture_output=True, encoding="utf-8", timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


# -- whole systems


@pytest.mark.parametrize("system", ["windows", "macos"])
def test_every_module_imports(system):
    """Each module of the package is imported, also those that wait for the first transfer or the command line."""
    code = f"""
    import importlib, kit_portable
    kit_portable.pretend({system!r})
    for name in {MODULES!r}:
        importlib.import_module("cdn_sigv4." + name if name != "__init__" else "cdn_sigv4")
    from cdn_sigv4 import body, connection, parts
    print(body._SENDFILE, connection._NOT_SENT is not None, parts.fcntl is not None)
    """
    assert run(code).split() == ["False", *([str(system == "macos")] * 2)]


@pytest.mark.parametrize("system", ["windows", "macos"])
def test_transfers(system, loopback, store, tmp_path):
    """Transfers of all kinds are right there; one that fails leaves the old file, and nothing beside it."""
    store.put(BUCKET, "damaged", DATA, {"x-amz-checksum-crc32": "AAAAAA=="})
    code = f"""
    import os, kit_portable
    kit_portable.pretend({system!r})
    from cdn_sigv4 import CDNCredentials, CDNManager, Credentials, IntegrityError, S3Client
    os.chdir({str(tmp_path)!r})
    with S3Client({loopback.endpoint!r}, Credentials({KEY!r}, {SECRET!r})) as client:
        kit_portable.move(client, {str(tmp_path)!r}, bytes(range(256)) * (40 << 10))
        try:
            client.download_file("bucket", "damaged", "to")
        except IntegrityError:
            print(sorted(os.listdir()), kit_portable.read("to"))
    keys = CDNCredentials({loopback.endpoint!r}, *[{KEY!r}, {SECRET!r}] * 2)
    with CDNManager(keys, on_error=lambda error: print(type(error).__name__)) as manager:
        for name in ("a/b", "con"):
            print(manager.upload("bucket", name, b"c"), manager.download("bucket", name))
        print(kit_portable.read("a/b"))
    """
    lines = run(code).splitlines()
    assert lines[0] == "['from', 'to'] b'small'"
    device = ["ValueError", "True False"] if system == "windows" else ["True True"]
    assert lines[1:] == ["True True", *device, "b'c'"]


@pytest.mark.parametrize("system", ["windows", "macos"])
def test_command_line(system, loopback, tmp_path):
    """The command line runs there: a folder goes up and comes back, an object is removed, the rest is listed."""
    code = f"""
    import os, kit_portable
    kit_portable.pretend({system!r})
    from cdn_sigv4.cli import main
    os.environ["CDN_HOST"] = {loopback.endpoint!r}
    for user in ("UPLOADER", "DOWNLOADER"):
        os.environ.update(zip((f"CDN_{{user}}_ACCESS_KEY", f"CDN_{{user}}_ACCESS_SECRET"), ({KEY!r}, {SECRET!r})))
    os.chdir({str(tmp_path)!r})
    os.makedirs("up/a")
    for name in ("up/one", "up/a/two"):
        with open(name, "wb") as file:
            file.write(name.encode())
    for line in ("put -r up bucket/folder", "get -r bucket/folder down", "rm bucket/folder/one", "ls bucket/folder/"):
        print(main(["--quiet", *line.split()]), flush=True)
    print(kit_portable.read("down/a/two"))
    """
    *codes, listed, last, read = run(code).splitlines()
    assert (codes, listed.split()[-1], last, read) == (["0"] * 3, "folder/a/", "0", "b'up/a/two'")


# -- one thing at a time


def without(module, *names):
    """What takes these names out of a module."""

    def switch_off(monkeypatch):
        for name in names:
            monkeypatch.delattr(module, name)

    return switch_off


def but_with(module, **values):
    """What puts these values into a module."""

    def switch_off(monkeypatch):
        for name, value in values.items():
            monkeypatch.setattr(module, name, value)

    return switch_off


def both(*switches):
    """What does all of these."""

    def switch_off(monkeypatch):
        for each in switches:
            each(monkeypatch)

    return switch_off


NO_LOCKS = but_with(parts, fcntl=None)

# Each thing that is not everywhere, under the name by which the source asks for it, and how it is switched off.
SWITCHES = {
    "sendfile": but_with(body, _SENDFILE=False),
    "pread": without(os, "pread"),
    "pwrite": both(NO_LOCKS, without(os, "pwrite")),  # where it is missing, so are locks
    "statvfs": without(os, "statvfs"),
    "chown": without(os, "chown"),
    "supports_fd": but_with(os, supports_fd=set()),
    "fcntl": NO_LOCKS,
    "geteuid": both(NO_LOCKS, without(os, "geteuid", "statvfs")),  # nor is there anything that asks for it
    "O_NOFOLLOW": but_with(record, _NO_FOLLOW=0),
    "O_NONBLOCK": but_with(record, _NO_FOLLOW=0),
    "TCP_NOTSENT_LOWAT": but_with(connection, _NOT_SENT=None),
    "boot_id": but_with(record, _boot=lambda: None),
}


@pytest.mark.parametrize("name", SWITCHES)
def test_the_plain_way(name, loopback, tmp_path, monkeypatch):
    """Without it the same transfers are right."""
    SWITCHES[name](monkeypatch)
    with client_for(loopback) as client:
        kit_portable.move(client, str(tmp_path), DATA)


@pytest.mark.parametrize("is_there", [True, False])
def test_one_connection_fetches_without_pwrite(is_there, loopback, tmp_path, monkeypatch):
    """Where nothing can be written by position, no further connection is asked for ranges of a large object."""
    data = made(22, 24 * MIB)
    with client_for(loopback) as client:
        client.put_object(BUCKET, "key", data)
        if not is_there:
            SWITCHES["pwrite"](monkeypatch)
        client.download_file(BUCKET, "key", tmp_path / "to")
    assert (tmp_path / "to").read_bytes() == data
    assert any(request.header("range") for request in loopback.requests) == is_there


def test_permissions_without_chown(tmp_path, monkeypatch):
    """Where files cannot be given away, the new one has the old one's permissions all the same."""
    SWITCHES["chown"](monkeypatch)
    path = tmp_path / "new"
    with path.open("wb") as file:
        old = SimpleNamespace(st_uid=1, st_gid=2, st_mode=0o100640)
        files._take_over(file, str(path), old, os.fstat(file.fileno()))
    assert path.stat().st_mode == old.st_mode


def names_of_the_system(tree):
    """The names by which a module asks the system's modules for what is not everywhere."""
    known = {name for names in [*LACKING_ON_MACOS, *LACKING_ON_WINDOWS] for name in names.split()}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ({alias.name for alias in node.names} & set(kit_portable.NO_MODULES))
        elif isinstance(node, ast.ImportFrom) and node.module in SYSTEM_MODULES:
            yield from ({alias.name for alias in node.names} & known)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in SYSTEM_MODULES:
            yield from ({node.attr} & known)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("getattr", "hasattr"):
            yield from ({ast.literal_eval(node.args[1])} & known if isinstance(node.args[1], ast.Constant) else ())


SYSTEM_MODULES = ["os", "select", "signal", "socket", "sockets", "sys", "time"]
LACKING_ON_MACOS, LACKING_ON_WINDOWS = kit_portable.LINUX_ONLY.values(), kit_portable.UNIX_ONLY.values()


@pytest.mark.parametrize("module", MODULES)
def test_the_table_is_complete(module):
    """What the source asks of the system, and is not everywhere, is in the table: a new one is given its plain way."""
    tree = ast.parse((kit_portable.PACKAGE / f"{module}.py").read_text(encoding="utf-8"))
    assert set(names_of_the_system(tree)) <= set(SWITCHES)


def test_the_table_is_not_too_long():
    """It names nothing that the source has stopped to use."""
    used = set()
    for module in MODULES:
        text = (kit_portable.PACKAGE / f"{module}.py").read_text(encoding="utf-8")
        used |= {name for name in SWITCHES if name in text}
    assert used == set(SWITCHES)


# -- libraries that are too old


def library(folder, text):
    """A folder in which a module urllib3 says this."""
    (folder / "urllib3").mkdir()
    (folder / "urllib3" / "__init__.py").write_text(text, encoding="utf-8")
    return folder


FIRST_USE = """
from cdn_sigv4 import CDNCredentials, CDNManager
manager = CDNManager(CDNCredentials("http://127.0.0.1:1", "1", "2", "3", "4"), retry=None, on_event=print)
print(manager.upload("bucket", "key", b"x"), manager.download("bucket", "key", to="never"))
"""
LINE_TO_TYPE = "pip install 'requests>=2.25' 'urllib3>=1.26.5'"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("__version__ = '1.25.11'", "urllib3 1.25.11 is too old, in {folder}/urllib3"),
        ("__version__ = '1.9'", "urllib3 1.9 is too old, in {folder}/urllib3"),
        (
            "import urllib3.packages.six.moves",
            "No module named 'urllib3.packages'",
        ),  # so are 1.26.0 to 1.26.4 on Python 3.12
        ("raise ModuleNotFoundError('nothing here')", "nothing here"),
    ],
    ids=["1.25", "1.9", "does not import", "missing"],
)
def test_unsupported_urllib3(text, said, tmp_path):
    """Importing and making a client work; the first use is refused, each time, with the line to type."""
    lines = run(FIRST_USE, path=(library(tmp_path, text), ROOT), folder=tmp_path).splitlines()
    assert len(lines) == 3
    assert lines[0] == lines[1]
    assert lines[0].startswith(said.format(folder=tmp_path))
    assert lines[0].endswith(f"; type: {LINE_TO_TYPE}")
    assert lines[2] == "False False"
    assert [path.name for path in tmp_path.iterdir()] == ["urllib3"]


@pytest.mark.parametrize("version", ["1.26.0", "2.0.0", "3.0.1", "10.0"])
def test_supported_urllib3(version):
    """Any other version is not refused for its number: a later one is given the chance to work."""
    lines = run(f"import requests, urllib3\nurllib3.__version__ = {version!r}\n{FIRST_USE}").splitlines()
    assert len(lines) == 3
    assert "127.0.0.1:1" in lines[0]
    assert "urllib3" not in lines[0]
