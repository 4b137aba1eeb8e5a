"""A key becomes a path that stays below its folder: POSIX's and Windows' rules, and symbolic links on the way.

Traps: `..`, absolute keys, drive letters, symlinked parents and NUL (38: CVE-2021-32061, s5cmd#872).
"""

# Like the module that it tests, this file is about the operating system's own calls.
# ruff: noqa: PTH100, PTH118

import ntpath
import os

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cdn_sigv4.files import confined_path

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX files")


same_each_run = settings(derandomize=True, database=None, deadline=None, max_examples=300)


ON_BOTH = [
    "a",
    "a/b/c.onnx",
    ".hidden",
    "a..b",
    "..a",
    "a b",
    "ü/日本/🤖",
    "-rf",
    "~",
    "$HOME",
    "%2e%2e",
    "a~1",
    "con1",
]
ON_BOTH += ["console", "a/com", "com0", "x.con", "aux1.txt", "k" * 255]
ONLY_POSIX = [
    "a\\b",
    "..\\..\\x",
    "\\x",
    "\\\\srv\\x",
    "...",
    "ab:c",
    "a/b:c",
    "a*",
    "a?",
    "<a>",
    'a"b',
    "a|b",
    "a\x01",
    "a\n",
]
ONLY_POSIX += [
    "a.",
    "a ",
    "a./b",
    "a /b",
    "con",
    "NUL",
    "aux.txt",
    "a/Prn",
    "com1",
    "COM9.log",
    "lpt¹",
    "com²/x",
    "lpt3 .txt",
]
ONLY_POSIX += ["conin$", "CONOUT$.txt"]
NOWHERE = {
    "absolute": ["/", "/etc/passwd", "//srv/share"],
    "drive letter": ["C:", "c:x", "C:/x", "z:\\x", "C:.."],
    "NUL": ["\0", "a\0b", "a/b\0.txt"],
    "segment": [
        "",
        "..",
        "../x",
        "a/..",
        "a/../b",
        "a/../../x",
        ".",
        "./a",
        "a/.",
        "a/./b",
        "a/",
        "a//b",
        "a/b/../../..",
    ],
}


@pytest.mark.parametrize("key", ON_BOTH, ids=lambda key: ascii(key[:20]))
@pytest.mark.parametrize("windows", [False, True], ids=["posix", "windows"])
def test_keys_that_are_paths(key, windows, tmp_path):
    """A key's segments become folders and a file below the folder, on either system."""
    assert confined_path(str(tmp_path), key, windows=windows) == os.path.join(str(tmp_path), *key.split("/"))


@pytest.mark.parametrize("key", ONLY_POSIX, ids=ascii)
def test_keys_that_are_no_paths_on_windows(key, tmp_path):
    """What Windows reads in its own way (devices, streams, backslashes, dropped endings) is refused there only."""
    assert confined_path(str(tmp_path), key, windows=False) == os.path.join(str(tmp_path), *key.split("/"))
    with pytest.raises(ValueError, match="is no file name on Windows") as caught:
        confined_path(str(tmp_path), key, windows=True)
    assert repr(key) in str(caught.value)


@pytest.mark.parametrize(("reason", "key"), [(why, key) for why in NOWHERE for key in NOWHERE[why]], ids=ascii)
@pytest.mark.parametrize("windows", [False, True], ids=["posix", "windows"])
def test_keys_that_are_no_paths(reason, key, windows, tmp_path):
    """What leaves the folder, or names the same file as another key, is refused, with the rule and the way out."""
    with pytest.raises(ValueError, match="name a file with to=") as caught:
        confined_path(str(tmp_path), key, windows=windows)
    assert f"{key!r} " in str(caught.value)
    assert reason in str(caught.value)
    assert str(caught.value).isprintable()


DEVICES = ["con", "NUL", "Aux", "prn", "com1", "lpt9", "COM¹", "lpt²", "conin$", "CONOUT$", "com", "a"]
ENDINGS = ["", " ", ".", ".txt", " .x", "..", "0", "$"]


@pytest.mark.skipif(not hasattr(ntpath, "isreserved"), reason="ntpath.isreserved is new in Python 3.13")
def test_python_itself_knows_these_names():
    """Every name that Python's own list calls reserved on Windows is refused."""
    for name in (device + ending for device in DEVICES for ending in ENDINGS):
        if ntpath.isreserved(name):
            with pytest.raises(ValueError, match="it cannot be saved"):
                confined_path("f", name, windows=True)


PIECES = ["..", ".", "", "a", "b", "c:", "\\", "\0", "a.", "con", " ", "~", "%2e", "ü"]
KEYS = st.one_of(st.text(max_size=30), st.lists(st.sampled_from(PIECES), max_size=6).map("/".join))


def accepted(folder, key, windows):
    try:
        return confined_path(folder, key, windows=windows)
    except ValueError:
        return None


@same_each_run
@given(key=KEYS, folder=st.sampled_from([".", "f", "/tmp/f", "f/g", "../f"]))
@example(key="a/../../x", folder="f")
def test_every_path_stays_below_its_folder(key, folder):
    """Whatever the key, POSIX's and Windows' own path rules find the result below the folder."""
    path = accepted(folder, key, windows=False)
    if path is not None:
        base = os.path.abspath(folder)
        assert os.path.commonpath([base, os.path.abspath(path)]) == base
        assert os.path.abspath(path) != base
    path = accepted(folder, key, windows=True)
    if path is not None:
        base = ntpath.normpath(ntpath.join("C:\\here", folder))
        full = ntpath.normpath(ntpath.join("C:\\here", path))
        assert full.startswith(base.rstrip("\\") + "\\")
        assert ":" not in full[2:]


@same_each_run
@given(one=KEYS, other=KEYS, windows=st.booleans())
@example(one="a//b", other="a/b", windows=False)
@example(one="a.", other="a", windows=True)
@example(one="a\\b", other="a/b", windows=True)
def test_two_keys_are_never_one_file(one, other, windows):
    """Two different keys that are both accepted name different files, as the system itself normalises them."""
    normal = ntpath.normpath if windows else os.path.normpath
    paths = accepted("f", one, windows), accepted("f", other, windows)
    if one != other and None not in paths:
        assert normal(paths[0]) != normal(paths[1])


@posix
@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize("dangling", [False, True], ids=["to a folder", "to nowhere"])
def test_symlinked_parents_are_refused(depth, dangling, tmp_path):
    """A symbolic link on the way, at each depth, leads out of the folder: refused."""
    segments = ["a", "b", "c"]
    outside = tmp_path / "outside"
    link = tmp_path.joinpath("f", *segments[: depth + 1])
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    if not dangling:
        outside.joinpath(*segments[depth + 1 :]).mkdir(parents=True)
    with pytest.raises(ValueError, match="leads through a symbolic link"):
        confined_path(str(tmp_path / "f"), "a/b/c/file")


@posix
def test_the_folder_itself_may_be_a_link(tmp_path):
    """Where the folder is is the caller's affair: only what the key adds is looked at."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert confined_path(str(tmp_path / "link"), "a/b") == str(tmp_path / "link" / "a" / "b")
