"""What the tests with published vectors share: counted comparisons, and reading a folder that is not in the repository.

The environment variable SIGV4_VECTORS names the folder (the fixture `vectors`); without it each suite is skipped. Who
made the figures, and under which licence, stands in each file.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from cdn_sigv4 import Credentials, sigv4

if TYPE_CHECKING:
    from pathlib import Path


class Checks:
    """The comparisons of one suite: how many there were, and what those that failed had to say."""

    def __init__(self) -> None:
        self.count = 0
        self.failed: list[str] = []

    def equal(self, name: str, got: object, expected: object) -> None:
        self._note(got == expected, f"{name}\n    got      {got!r}\n    expected {expected!r}")

    def differ(self, name: str, got: object, refused: object) -> None:
        self._note(got != refused, f"{name}\n    is {got!r}, which is wrong")

    def _note(self, passed: bool, text: str) -> None:
        self.count += 1
        if not passed:
            self.failed.append(text)

    def settle(self, count: int) -> None:
        """Raise AssertionError for any failure, and unless exactly `count` comparisons were made."""
        assert not self.failed, "\n".join([f"{len(self.failed)} of {self.count} checks failed", *self.failed])
        assert self.count == count


def load(folder: Path, name: str) -> dict[str, Any]:
    suite: dict[str, Any] = json.loads((folder / name).read_text(encoding="utf-8"))
    return suite


def credentials_of(values: dict[str, str], token: str | None = None) -> Credentials:
    return Credentials(values["access_key_id"], values["secret_access_key"], token)


def scope_of(context: dict[str, Any]) -> sigv4.Scope:
    timestamp = context["timestamp"].replace("-", "").replace(":", "")
    return sigv4.Scope(timestamp, context["region"], context["service"])


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def signed_headers_in(authorization: str) -> str:
    return authorization.partition("SignedHeaders=")[2].partition(",")[0]


def signature_in(authorization: str) -> str:
    return authorization.partition("Signature=")[2]


# --- any service -----------------------------------------------------------------------------------------------------
