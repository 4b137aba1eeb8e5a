"""What the tests of the command line share: a command in this process or in a child, and its settings."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from kit import LONG

from cdn_sigv4.cli import main

if TYPE_CHECKING:
    import pytest

    from cdn_sigv4 import Credentials

ROOT = Path(__file__).resolve().parent.parent


class Shell:
    """Runs commands with settings in the environment, as a user's shell would. No output ever holds a secret."""

    def __init__(
        self,
        capture: pytest.CaptureFixture[bytes],
        monkeypatch: pytest.MonkeyPatch,
        host: str,
        uploader: Credentials,
        downloader: Credentials,
        region: str = "us-east-1",
    ) -> None:
        self._capture, self._monkeypatch = capture, monkeypatch
        self.secrets = {uploader.secret_key, downloader.secret_key}
        self.environ = {
            "CDN_HOST": host,
            "CDN_REGION": region,
            "CDN_UPLOADER_ACCESS_KEY": uploader.access_key,
            "CDN_UPLOADER_ACCESS_SECRET": uploader.secret_key,
            "CDN_DOWNLOADER_ACCESS_KEY": downloader.access_key,
            "CDN_DOWNLOADER_ACCESS_SECRET": downloader.secret_key,
        }
        for name, value in self.environ.items():
            monkeypatch.setenv(name, value)

    def __call__(self, *words: object, stdin: bytes = b"") -> SimpleNamespace:
        """Run a command here: its `code`, `out` (bytes), `err` (text), `lines` and `errors` of these, and `json`."""
        self._capture.readouterr()
        with self._monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(stdin)))
            code = main([str(word) for word in words])
        out, err = self._capture.readouterr()
        return self._checked(code, out, err)

    def child(
        self,
        *words: object,
        flags: tuple[str, ...] = ("-W", "error"),
        program: tuple[str, str] = ("-m", "cdn_sigv4"),
        **options: Any,
    ) -> subprocess.Popen[bytes]:
        """The same as `python -m cdn_sigv4`, in a process of its own that has begun."""
        command = [sys.executable, *flags, *program, *map(str, words)]
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, env=environ, **{**pipes, **options})

    def ended(self, child: subprocess.Popen[bytes]) -> SimpleNamespace:
        """What came of the child."""
        with child:
            try:
                out, err = child.communicate(timeout=LONG)
            finally:
                child.kill()
        return self._checked(child.returncode, out or b"", err or b"")

    def _checked(self, code: int, out: bytes, err: bytes) -> SimpleNamespace:
        text = err.decode()
        for secret in self.secrets:
            assert secret not in text
            assert secret.encode() not in out
        assert "Traceback" not in text
        return Ran(code=code, out=out, err=text)


class Ran(SimpleNamespace):
    """What a command came to."""

    @property
    def lines(self) -> list[str]:
        """Those of stdout."""
        return self.out.decode().splitlines()

    @property
    def errors(self) -> list[str]:
        """Those of stderr."""
        return self.err.splitlines()

    @property
    def error(self) -> str:
        """The one line of stderr."""
        (line,) = self.errors
        return line

    @property
    def json(self) -> list[dict[str, Any]]:
        """Stdout as JSON Lines."""
        return [json.loads(line) for line in self.lines]
