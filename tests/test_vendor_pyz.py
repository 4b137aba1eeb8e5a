"""The one file, `scripts/vendor --pyz`: what is in it, that any Python runs it, and whom it trusts with TLS.

What goes into it comes from the package registry. That it does the demo's job is test_vendor_demo.py's.
"""

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import USERS_ENVIRONMENT, users_registry
from kit import KEY, SECRET
from rawserver import Answer, RawServer, make_tls

import cdn_sigv4
from harness import matrix, vendor, vendor_pyz
from harness.environment import ROOT
from harness.vendor import VendorError

LIBRARIES = {"requests", "urllib3", "certifi", "charset_normalizer", "idna"}
BODY = b"a model"
ALONE = ("-I", "-S")  # no variables, no current folder, no site-packages


def run(python, file, *arguments, environ=None):
    """One run of the file by a Python that can import nothing else."""
    return subprocess.run(
        [python, *ALONE, "-W", "error", str(file), *map(str, arguments)],
        env={"PATH": os.defpath, "HOME": os.environ["HOME"], "LANG": "C.UTF-8", **(environ or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        encoding="utf-8",
        timeout=60,
    )


@pytest.fixture(scope="module")
def trusted(tmp_path_factory):
    """A server's context for this machine, and the file of the authority that vouches for it."""
    return make_tls(tmp_path_factory.mktemp("trusted"))


@pytest.fixture
def secure(trusted):
    """A store of one object that speaks TLS, and the variables which lead to it."""
    with RawServer(lambda _: Answer(headers={"ETag": '"x"'}, body=BODY), tls=trusted[0]) as server:
        yield {"CDN_HOST": server.endpoint, "CDN_DOWNLOADER_ACCESS_KEY": KEY, "CDN_DOWNLOADER_ACCESS_SECRET": SECRET}


@pytest.fixture(scope="module")
def pythons():
    """A Python of each minor version that is here, the oldest first."""
    return [python for python, _ in matrix.pythons(matrix.candidates(USERS_ENVIRONMENT))]


@pytest.fixture(scope="module")
def corners(pythons):
    """The oldest and the newest, as a file in an archive is found in another way from 3.11 on."""
    return dict.fromkeys([pythons[0], pythons[-1]])


def test_contents(one_file):
    """It has the package with its licence and stamp, `requests` and what that needs, their licences, and an entry."""
    with zipfile.ZipFile(one_file) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
        entries = archive.infolist()
    stamped = vendor.stamped()
    assert {name: files[f"cdn_sigv4/{name}"] for name in stamped} == stamped
    tops = {name.split("/")[0] for name in files}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"__main__.py", "cdn_sigv4", *LIBRARIES}
    licences = {name.split("-")[0] for name in files if ".dist-info/" in name and "LICEN" in name}
    assert licences == LIBRARIES
    assert not [name for name in files if name.endswith((".pyc", ".so")) or "/RECORD" in name]
    assert [entry.filename for entry in entries] == sorted(files)
    assert {entry.date_time for entry in entries} == {vendor_pyz.TIME}


def test_same_bytes_again(one_file, tmp_path):
    """Made again it has the same bytes; the hash that is printed is theirs, and the size."""
    with users_registry():
        lines = vendor_pyz.make(tmp_path / "again.pyz")
    data = one_file.read_bytes()
    assert (tmp_path / "again.pyz").read_bytes() == data
    assert lines[1] == f"{len(data):,} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}"
    assert [path.name for path in tmp_path.iterdir()] == ["again.pyz"]


def test_is_a_program(one_file):
    """It can be run by its name, by everybody."""
    assert one_file.stat().st_mode & 0o777 == 0o755
    assert one_file.read_bytes().startswith(b"#!/usr/bin/env python3\n")


def test_every_python_runs_it(one_file, tmp_path, secure, trusted, pythons):
    """Each Python here fetches an object over TLS with it, warnings being errors, and nothing installed."""
    for number, python in enumerate(pythons):
        target = tmp_path / str(number)
        done = run(python, one_file, "get", "--ca-file", trusted[1], "bucket/key", target, environ=secure)
        assert done.returncode == 0, (python, done.stderr)
        assert target.read_bytes() == BODY


def test_own_authorities(one_file, tmp_path, secure, corners):
    """Its own authorities' file is found in the archive: a server they do not vouch for is refused for that alone.

    Nothing of it is left behind in the folder for temporary files.
    """
    for number, python in enumerate(corners):
        temporary = tmp_path / f"temporary{number}"
        temporary.mkdir()
        environ = {**secure, "TMPDIR": str(temporary)}
        done = run(python, one_file, "get", "bucket/key", tmp_path / "got", environ=environ)
        assert done.returncode == 1, (python, done.stderr)
        assert "certificate" in done.stderr, (python, done.stderr)
        assert "No such file" not in done.stderr
        assert list(temporary.iterdir()) == []
    assert not (tmp_path / "got").exists()


def test_whom_it_trusts(one_file, corners):
    """The authorities that count without --ca-file are those of the certifi inside."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); from requests.utils import DEFAULT_CA_BUNDLE_PATH as path; "
    code += "sys.stdout.write(open(path).read())"
    with zipfile.ZipFile(one_file) as archive:
        inside = archive.read("certifi/cacert.pem").decode()
    for python in corners:
        done = subprocess.run(
            [python, *ALONE, "-c", code, str(one_file)], capture_output=True, encoding="utf-8", check=True, timeout=60
        )
        assert done.stdout == inside, python


def test_version(one_file):
    """It says which version it is."""
    assert cdn_sigv4.__version__ in run(sys.executable, one_file, "--version").stdout


def test_old_python():
    """A Python that is too old is told so, in words that Python 2 can read."""
    entry = vendor_pyz.ENTRY.decode()
    with pytest.raises(SystemExit, match=r"needs Python 3\.8 or newer, and is run by Python 3\.7\.1") as caught:
        exec(compile(entry.replace("import sys\n", ""), "__main__.py", "exec"), {"sys": Old, "__name__": "__main__"})
    assert caught.value.code


class Old:
    """A `sys` of long ago."""

    version, version_info, exit = "3.7.1 (default)", (3, 7, 1), sys.exit


def test_somebody_elses_file(tmp_path, monkeypatch):
    """A file that was not made by this stays, unless by force; so does a folder, always."""
    monkeypatch.setattr(vendor_pyz, "libraries", lambda: pytest.fail("it was not asked first"))
    file = tmp_path / "file"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("cdn_sigv4/__init__.py", "")
    for content in (file.read_bytes(), b"theirs"):
        file.write_bytes(content)
        with pytest.raises(VendorError, match="was not made by this"):
            vendor_pyz.make(file)
        assert file.read_bytes() == content
    vendor_pyz.may_replace(file, force=True)
    with pytest.raises(VendorError, match="is a folder"):
        vendor_pyz.make(tmp_path, force=True)
    with pytest.raises(VendorError, match="no folder"):
        vendor_pyz.make(tmp_path / "nowhere" / "file")


def test_file_that_does_not_work(one_file, tmp_path, monkeypatch):
    """A file that cannot be run takes no good one's place, and leaves nothing behind."""
    target = tmp_path / "a.pyz"
    target.write_bytes(one_file.read_bytes())
    monkeypatch.setattr(vendor_pyz, "libraries", dict)
    monkeypatch.setattr(vendor_pyz, "ENTRY", b"import sys; sys.exit('broken')")
    with pytest.raises(VendorError, match="was not put there: broken"):
        vendor_pyz.make(target)
    assert target.read_bytes() == one_file.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["a.pyz"]


def test_pins():
    """What goes in is pinned by version and by hash, and by nothing else."""
    assert {pin.split()[0].replace("-", "_") for pin in vendor_pyz.pins()} == LIBRARIES
    lines = Path(vendor_pyz.REQUIREMENTS).read_text(encoding="utf-8").splitlines()
    assert all(line.startswith("#") or " --hash=sha256:" in line for line in lines)


def test_no_registry(tmp_path, monkeypatch):
    """Where what goes in cannot be fetched nothing is made, and the reason is said."""
    for name, value in {"PIP_INDEX_URL": "http://127.0.0.1:1", "PIP_RETRIES": "0", "PIP_NO_CACHE_DIR": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with users_registry(), pytest.raises(VendorError, match="is the package registry within reach"):
        vendor_pyz.make(tmp_path / "a.pyz")
    assert list(tmp_path.iterdir()) == []


def test_program(one_file, tmp_path):
    """scripts/vendor --pyz makes the same file, in the project's own environment."""
    if Path(sys.prefix).resolve() != ROOT / ".venv":
        pytest.skip("runs in .venv, which this is not")
    target = tmp_path / "a.pyz"
    command = [sys.executable, str(ROOT / "scripts" / "vendor"), "--pyz", str(target)]
    with users_registry():
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert hashlib.sha256(one_file.read_bytes()).hexdigest() in done.stdout
