"""The page on how the code is laid out is true: its picture, its list of modules, and both ways through the floors."""

import importlib
import inspect
import re
import sys
import threading
from pathlib import Path
from types import FunctionType
from xml.etree import ElementTree as ET

import pytest
from kit import BUCKET
from test_import import FLOORS, LATE, MODULES, PURE

import cdn_sigv4
from harness import floors

PAGE = floors.PAGE.read_text(encoding="utf-8")
PACKAGE = Path(cdn_sigv4.__file__).parent


def named(text):
    """The names in code whose first word is a module's: `s3.located`, `retry.Patience`."""
    found = re.findall(r"`(\w+(?:\.\w+)+)`", text)
    return [name for name in found if name.split(".")[0] in MODULES]


def resolved(name):
    """What is meant by such a name; AttributeError where there is nothing of that name."""
    module, *rest = name.split(".")
    value = importlib.import_module(f"cdn_sigv4.{module}")
    for part in rest:
        value = inspect.getattr_static(value, part)
    return value


def steps(heading):
    """The names in the numbered steps below a heading, in their order."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    numbered = re.findall(r"^\d+\. (?:.+\n)(?:   .+\n)*", section, re.MULTILINE)
    return [name for step in numbered for name in named(step)]


def watched(call):
    """The code that `call` runs, in the order in which it is first entered: in this thread, and in any."""
    first, anywhere = {}, set()
    own = threading.get_ident()

    def profile(frame, event, argument):
        if event == "call":
            anywhere.add(frame.f_code)
            if threading.get_ident() == own:
                first.setdefault(frame.f_code, len(first))

    before = sys.getprofile()
    threading.setprofile(profile)
    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(before)
        threading.setprofile(None)
    return first, anywhere


def is_right(names, call):
    """Whether each function is entered by `call`, in this order, and each class made; constants only exist."""
    first, anywhere = watched(call)
    places = []
    for name in names:
        value = inspect.unwrap(resolved(name))
        if isinstance(value, FunctionType):
            places.append(first.get(value.__code__, -1))
        elif inspect.isclass(value):
            assert value.__init__.__code__ in anywhere, f"{name} is not made"
    assert -1 not in places, [name for name in names if isinstance(resolved(name), FunctionType)][places.index(-1)]
    return places == sorted(places)


def test_upload_is_told_rightly(client, tmp_path):
    """The steps of the upload name what an upload calls, in that order."""
    (tmp_path / "file").write_bytes(b"small")
    names = steps("One upload, from top to bottom")
    assert len(names) > 20
    assert is_right(names, lambda: client.upload_file(BUCKET, "key", tmp_path / "file"))


def test_download_is_told_rightly(client, store, tmp_path):
    """The steps of the download name what a download of that size calls, in that order."""
    client.put_object(BUCKET, "key", bytes(40 << 20))
    names = steps("One download, from top to bottom")
    assert len(names) > 15
    assert is_right(names, lambda: client.download_file(BUCKET, "key", tmp_path / "file", durable=False))


def test_a_wrong_order_is_seen(client, tmp_path):
    """Steps in another order, a function that is not called, and a class that is not made are found."""
    (tmp_path / "file").write_bytes(b"small")

    def call():
        client.upload_file(BUCKET, "key", tmp_path / "file")

    assert is_right(["uploads.Upload.run", "wire.Wire.send"], call)
    assert not is_right(["wire.Wire.send", "uploads.Upload.run"], call)
    with pytest.raises(AssertionError, match=r"multiupload\.InParts\.run"):
        is_right(["uploads.Upload.run", "multiupload.InParts.run"], call)
    with pytest.raises(AssertionError, match=r"files\.Replacement is not made"):
        is_right(["files.Replacement"], call)


def test_every_name_exists():
    """Each module's function, class or constant that the page names is there."""
    names = named(PAGE)
    assert len(names) > 60
    for name in names:
        resolved(name)


def test_picture_and_list_are_of_this_code():
    """Picture and list are what `python -m harness.floors` makes of the code as it is: type it if this fails."""
    found = floors.modules()
    assert floors.PICTURE.read_text(encoding="utf-8") == floors.picture(found)
    assert floors.page(PAGE, found) == PAGE


def test_picture_shows_each_module_on_its_floor():
    """The picture, read as XML, has each module once, on its floor, and dashed where it is imported late."""
    root = ET.fromstring(floors.picture(floors.modules()))
    bands, placed, late = [], {}, set()
    box = None
    for shape in root:
        kind = shape.tag.rpartition("}")[2]
        if shape.get("class") == "floor":
            bands.append((float(shape.get("y")), float(shape.get("y")) + float(shape.get("height"))))
        elif shape.get("class") == "number":
            assert int(shape.text) == len(FLOORS) - len(bands)
        elif kind == "rect":
            box = shape
        elif kind == "text" and shape.text in MODULES:
            top = float(box.get("y"))
            assert shape.text not in placed
            placed[shape.text] = len(FLOORS) - 1 - next(n for n, (low, high) in enumerate(bands) if low < top < high)
            late |= {shape.text} if box.get("stroke-dasharray") else set()
    assert placed == {name: number for number, floor in enumerate(FLOORS) for name in floor}
    assert late == set(LATE)


def test_kinds_are_those_of_the_imports():
    """Blue are the modules that the tests hold to values; of the others each shows what it imports and calls."""
    kinds = {name: module.kind for name, module in floors.modules().items()}
    assert {name for name, kind in kinds.items() if kind == "values only"} == set(PURE)
    assert [kinds[name] for name in ("wire", "connection", "files", "record", "exchange")] == [
        "knows the network",
        "knows the network",
        "opens files",
        "opens files",
        "none of the three",
    ]


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("import os\nos.path.join('a')", "none of the three"),
        ("def f():\n    os.replace('a', 'b')", "opens files"),
        ("with open('a'): pass", "opens files"),
        ("if TYPE_CHECKING:\n    import requests", "none of the three"),
        ("def f():\n    from http.client import HTTPException\n    open('a')", "knows the network"),
        ("from .socket import x", "none of the three"),
    ],
)
def test_kind_of_a_source(source, kind):
    """What a module touches is read from what it imports at run time and calls; its own modules' names do not count."""
    assert floors.touched(floors.ast.parse(source)) == kind


def test_a_page_without_its_marks():
    """A page that has lost a mark of its list is left alone."""
    with pytest.raises(ValueError, match=re.escape(floors.PAGE.name)):
        floors.page("no mark", {})
