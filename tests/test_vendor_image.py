"""examples/Dockerfile, as it reads: no engine builds it here (docs/vendoring.md has the sizes of when one did).

What it copies must pass .dockerignore, what it installs must be pinned, and nobody's secret and no root belong in it.
"""

import re

from harness.environment import ROOT

DOCKERFILE = (ROOT / "examples" / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
IGNORED = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()


def instructions(word):
    """The arguments of each instruction of that name, in their order."""
    return re.findall(rf"^{word} +(.+)$", DOCKERFILE, re.MULTILINE)


def test_what_is_copied_is_sent():
    """Each file or folder that is copied from here is there, and .dockerignore lets it through: those and no others."""
    copied = [word for line in instructions("COPY") if "--from" not in line for word in line.split()[:-1]]
    assert all((ROOT / name).exists() for name in copied)
    assert sorted(line[2:] for line in IGNORED if line.startswith("!/")) == sorted(copied)
    assert "*" in IGNORED
    assert "**/__pycache__" in IGNORED


def test_what_is_installed_is_pinned():
    """Beside the package all that pip installs has its exact version: `requests`, and all that it needs."""
    (line,) = instructions("RUN pip install")
    named = [word for word in line.split() if not word.startswith("-") and word != "."]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+(post\d+)?", word) for word in named)
    assert {word.partition("==")[0] for word in named} == {
        "requests",
        "urllib3",
        "certifi",
        "charset-normalizer",
        "idna",
    }


def test_no_root_and_no_secret():
    """What runs in it is a user with a number, not root; no setting and no argument is a secret."""
    assert instructions("USER") == ["10001"]
    assert instructions("ENTRYPOINT") == ['["cdn-sigv4"]']
    assert [line.partition("=")[0] for line in instructions("ARG")] == ["BASE"]
    assert instructions("ENV") == []
