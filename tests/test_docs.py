"""What is written is true: links lead somewhere, files that are named are there, and code in prose is code.

The README's own code runs in test_readme.py, that of the page on boto3 in test_docs_boto3.py; what the page on the
layout says is compared with the code in test_docs_layout.py.
"""

import ast
import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted(path.relative_to(ROOT) for place in ("*.md", "docs/*.md", "examples/*.md") for path in ROOT.glob(place))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"!?\[[^\]]*\]\(([^()\s]+)\)")
PLACES = re.compile(r"^(?:cdn_sigv4|docs|examples|harness|scripts|tests|\.ci)/[\w./*-]+$")


def fences(page, language):
    """The blocks of code in one language."""
    return [text for named, text in FENCE.findall((ROOT / page).read_text(encoding="utf-8")) if named == language]


def prose(page):
    """The page's text without its blocks of code."""
    return FENCE.sub("", (ROOT / page).read_text(encoding="utf-8"))


def anchors(page):
    """The names under which a page's headings can be reached: lower case, punctuation gone, blanks as hyphens."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


def broken(page):
    """The links of a page that lead to no file, or to no heading of one, within the repository."""
    found = []
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(target.resolve().relative_to(ROOT))):
            found.append(link)
    return found


def named_files(text):
    """The repository's files and modules that a text names in code: `tests/test_x.py`, `python -m harness.x`."""
    for span in re.findall(r"`([^`\n]+)`", text):
        yield from (word for word in span.split() if PLACES.match(word))
        yield from (f"harness/{name}.py" for name in re.findall(r"\bpython -m harness\.(\w+)", span))


def test_the_pages_are_found():
    """The pages that the project promises are among those which these tests read."""
    assert {"README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"} <= {page.as_posix() for page in PAGES}
    assert {"docs/from-boto3.md", "docs/layout.md"} <= {page.as_posix() for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links(page):
    """Each link to a file of the repository, or to a heading, leads to one."""
    assert broken(page) == []


def test_broken_links_are_seen(tmp_path, monkeypatch):
    """A link to a file or a heading that is not there is found, wherever it stands; one to the web is not followed."""
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# One, `two` (3)\n[x](../b.md#here) [y](b.md) [z](#one-two-3) [w](#no)\n")
    (tmp_path / "b.md").write_text("## Here\n[web](https://example.com/none) ![picture](docs/none.svg)\n")
    assert broken(Path("docs/a.md")) == ["b.md", "#no"]
    assert broken(Path("b.md")) == ["docs/none.svg"]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_named_files_are_there(page):
    """Each file, pattern of files, and module of the harness that a page names in code exists."""
    shell = "".join(f"`{line}`\n" for block in fences(page, "sh") for line in block.splitlines())
    assert [name for name in named_files(prose(page) + shell) if not any(ROOT.glob(name))] == []


def test_named_files_are_seen():
    """Files are seen in the middle of a command, patterns too; what only looks like a path is none of ours."""
    text = "`scripts/test tests/test_x.py -k q`, `tests/test_*.py`, `python -m harness.y`, `models/a.bin`, `tests`"
    found = list(named_files(text))
    assert found == ["scripts/test", "tests/test_x.py", "tests/test_*.py", "harness/y.py"]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_code_is_code(page):
    """Python blocks parse as Python 3.8, JSON blocks as JSON, and the shell takes the shell's."""
    for block in fences(page, "python"):
        ast.parse(block, str(page), feature_version=(3, 8))
    for block in fences(page, "json"):
        json.loads(block)
    for block in fences(page, "sh"):
        done = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 0, done.stderr


def test_security_names_a_test_for_each_promise():
    """Each row of the table of threats ends with the files of tests that prove it."""
    rows = re.findall(r"^\| (?!threat|---).*\|$", (ROOT / "SECURITY.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) > 10
    assert [row for row in rows if not re.match(r"(`tests/test_\w+\.py`(, )?)+$", row.split("|")[3].strip())] == []


def test_steps_name_what_exists():
    """The steps to a new operation, and the rest of CONTRIBUTING.md, name functions that the package has."""
    from test_docs_layout import named, resolved

    names = named((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert {"s3.copy_source", "answers.parse_copy", "operations.Operations.copy_object"} <= set(names)
    for name in names:
        resolved(name)
