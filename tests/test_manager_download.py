"""The façade's downloads: where they go, what is refused, and what is left on the disk when they fail.

The whole content of the folder is compared before and after where nothing may change. How a key becomes a path, and a
file takes another's place, is proved in test_files_paths.py and test_files_replacement.py.
"""

import errno
import os
import pathlib
import stat

import pytest
from kit import BUCKET, FOUR
from kit_files import content, failing, raiser
from rawserver import Answer

from cdn_sigv4 import CDNCredentials, CDNManager, InvalidResponse, NotFound, TransportError
from cdn_sigv4.retrieval import Retrieval

pytestmark = pytest.mark.usefixtures("folder")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        pytest.param(Answer(404), NotFound, id="404"),
        pytest.param(Answer(reset=True), TransportError, id="reset"),
        pytest.param(Answer(headers={"ETag": '"x"'}, body=b"data", length=9, cut_after=4), TransportError, id="cut"),
        pytest.param(Answer(body=b"data", no_length=True), InvalidResponse, id="no length"),
    ],
)
@pytest.mark.parametrize("before", [{}, {"deep": None, "deep/old": b"old"}], ids=["no file", "old file"])
def test_errors_of_downloads(manager, loopback, folder, errors, answer, kind, before):
    """Whatever goes wrong on the way down is False; an old file stays, and neither new folders nor parts are left."""
    if before:
        (folder / "deep").mkdir()
        (folder / "deep" / "old").write_bytes(b"old")
    loopback.answer = lambda request: answer
    assert manager.download(BUCKET, "deep/old") is False
    assert manager.download(BUCKET, "deep/er/new") is False
    assert len(errors) == 2
    assert all(isinstance(error, kind) for error in errors)
    assert content(folder) == before


@pytest.mark.parametrize("function", ["parts.open_ours", "transfer.write_at", "files.os.fsync", "files.os.replace"])
def test_errors_of_the_disk(manager, store, folder, errors, monkeypatch, function):
    """A disk that fails at any step is False with its OSError; the old file stays, neither file nor folder is left."""
    (folder / "old").write_bytes(b"old")
    (folder / "deep").mkdir()
    keys = ["old", "deep/er/new"]
    for key in keys:
        store.put(BUCKET, key, b"new")
    error = raiser(OSError(errno.ENOSPC, "No space left"))
    monkeypatch.setattr(f"cdn_sigv4.{function}", error)
    assert [manager.download(BUCKET, key) for key in keys] == [False] * len(keys)
    assert [getattr(each, "errno", None) for each in errors] == [errno.ENOSPC] * len(keys)
    assert content(folder) == {"deep": None, "old": b"old"}


@pytest.mark.parametrize("where", ["body", "replace"])
def test_interrupted_download(manager, store, folder, errors, monkeypatch, where):
    """Ctrl-C during a download gets through, is no error of `on_error`'s, and leaves no part and no folder behind."""
    (folder / "old").write_bytes(b"old")
    store.put(BUCKET, "old", b"new")
    store.put(BUCKET, "deep/er/new", b"new")
    if where == "body":
        monkeypatch.setattr(Retrieval, "read", lambda *_: next(blocks))
    else:
        monkeypatch.setattr(f"cdn_sigv4.files.os.{where}", raiser(KeyboardInterrupt()))
    for key in ("old", "deep/er/new"):
        blocks = failing(KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            manager.download(BUCKET, key)
    assert content(folder) == {"old": b"old"}
    assert errors == []


@pytest.mark.parametrize("key", ["yolo.onnx", "ü/日本", "...", "..x/y", "a+b%2F", "name\nline"])
@pytest.mark.skipif(os.name == "nt", reason="some of these are no file names on Windows")
def test_names(manager, store, folder, key):
    """A key is saved under exactly its own name, however odd, as long as it stays below the current directory."""
    store.put(BUCKET, key, b"data")
    assert manager.download(BUCKET, key) is True
    assert (folder / key).read_bytes() == b"data"
    files = [name for name, data in content(folder).items() if data is not None]
    assert files == [key]


def test_folders_of_a_key(manager, store, folder):
    """A `/` makes folders, once, and a second object goes into the same ones."""
    store.put(BUCKET, "a/b/one", b"1")
    store.put(BUCKET, "a/b/two", b"2")
    assert manager.download(BUCKET, "a/b/one") is True
    assert manager.download(BUCKET, "a/b/two") is True
    assert content(folder) == {"a": None, "a/b": None, "a/b/one": b"1", "a/b/two": b"2"}


def test_current_directory_is_that_of_the_call(manager, store, tmp_path, monkeypatch):
    """It is the directory at the time of the download, not the one in which the manager was made."""
    store.put(BUCKET, "key", b"data")
    monkeypatch.chdir(tmp_path)
    assert manager.download(BUCKET, "key") is True
    assert (tmp_path / "key").read_bytes() == b"data"


def test_old_file_is_replaced(manager, store, folder):
    """An older, longer file is replaced whole, and keeps its permissions."""
    (folder / "key").write_bytes(b"old and longer")
    (folder / "key").chmod(0o640)
    store.put(BUCKET, "key", b"new")
    assert manager.download(BUCKET, "key") is True
    assert content(folder) == {"key": b"new"}
    assert (folder / "key").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    "key", ["..", "../key", "a/../key", "a//key", "/key", "C:key", "a\0b", "link/key", "real/link/key"]
)
@pytest.mark.skipif(os.name == "nt", reason="makes symbolic links")
def test_refused_names(manager, loopback, store, tmp_path, folder, errors, key):
    """A key that leaves the current directory, or hides a file, is refused before a request, without a trace."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "key").write_bytes(b"precious")
    (folder / "link").symlink_to(outside)
    (folder / "real").mkdir()
    (folder / "real" / "link").symlink_to(outside)
    store.put(BUCKET, key, b"evil")
    before = content(tmp_path)
    assert manager.download(BUCKET, key) is False
    assert [type(error) for error in errors] == [ValueError]
    assert content(tmp_path) == before
    assert loopback.connections == 0


def test_name_too_long_for_the_disk(manager, loopback, folder, errors):
    """A name that S3 takes and the disk does not is the system's OSError, before a request."""
    assert manager.download(BUCKET, "k" * 300) is False
    assert [getattr(error, "errno", None) for error in errors] == [errno.ENAMETOOLONG]
    assert content(folder) == {}
    assert loopback.connections == 0


@pytest.mark.parametrize("kind", [str, pathlib.Path], ids=["str", "path-like"])
@pytest.mark.parametrize("key", ["../key", "folder/"])
def test_to(manager, store, tmp_path, key, kind):
    """`to=` names the file itself, for any key, inside or outside the current directory, and its folders are made."""
    store.put(BUCKET, key, b"data")
    assert manager.download(BUCKET, key, to=kind(tmp_path / "else" / "where" / "file")) is True
    assert manager.download(BUCKET, key, to=kind("relative")) is True
    files = {name: data for name, data in content(tmp_path).items() if data is not None}
    assert files == {"else/where/file": b"data", "here/relative": b"data"}


def test_to_is_left_alone_when_it_fails(manager, tmp_path):
    """A failed download to `to=` takes the folders it made away again, and keeps an old file."""
    (tmp_path / "old").write_bytes(b"old")
    assert manager.download(BUCKET, "missing", to=tmp_path / "else" / "where" / "file") is False
    assert manager.download(BUCKET, "missing", to=tmp_path / "old") is False
    assert content(tmp_path) == {"here": None, "old": b"old"}


@pytest.mark.parametrize("durable", [True, False, None], ids=["durable", "not durable", "default"])
@pytest.mark.skipif(os.name == "nt", reason="folders are not synced there")
def test_durable(loopback, store, monkeypatch, durable):
    """`durable=False` waits for no disk; by default the file and every folder that got a new name in it are synced."""
    synced = []
    fsync = os.fsync

    def noted(descriptor):
        synced.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    monkeypatch.setattr("cdn_sigv4.files.os.fsync", noted)
    store.put(BUCKET, "a/key", b"data")
    options = {} if durable is None else {"durable": durable}
    with CDNManager(CDNCredentials(loopback.endpoint, *FOUR), **options) as manager:
        assert manager.download(BUCKET, "a/key") is True
    assert synced == ([] if durable is False else ["file", "folder", "folder"])  # the folder `a`, and that of `a`
