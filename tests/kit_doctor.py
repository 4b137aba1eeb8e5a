"""What the tests of `doctor` share: a run and its findings, and a small store whose two users have least privilege."""

from __future__ import annotations

import dataclasses
import email.utils
import json
from typing import TYPE_CHECKING, Any, Callable

from kit import BUCKET, FOUR, READ_KEY, READ_SECRET, WRITE_KEY, WRITE_SECRET
from kit_uploads import FORBIDDEN, name_of
from rawserver import Answer, MemoryStore, RawServer

from cdn_sigv4 import Credentials, doctor
from cdn_sigv4.settings import Settings

if TYPE_CHECKING:
    import pytest
    from rawserver import RawRequest

READER, WRITER = Credentials(READ_KEY, READ_SECRET), Credentials(WRITE_KEY, WRITE_SECRET)
STORE_SECRETS = dict(zip(FOUR[::2], FOUR[1::2]))
NAMES = ("level", "check", "tried", "result", "advice")
ALLOWED = {READ_KEY: ("GET",), WRITE_KEY: ("create", "list", "abort", "PUT")}


class Findings:
    """One run: its exit `code`, what it printed, and its findings in their order, the verdict the last of them."""

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        self.text = text
        self.all: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
        assert all(tuple(each) == NAMES for each in self.all)
        assert [each["check"] for each in self.all].index("verdict") == len(self.all) - 1
        assert (self.code == 1) == ("failed" in self.levels.split())

    @property
    def levels(self) -> str:
        """The levels of all but the verdict that are not ok, with their checks: "failed port"."""
        return ", ".join(f"{each['level']} {each['check']}" for each in self.all[:-1] if each["level"] != "ok")

    @property
    def verdict(self) -> dict[str, Any]:
        return self.all[-1]

    def of(self, check: str, tried: str = "") -> dict[str, Any]:
        """The one finding of this check that tried this."""
        found = [each for each in self.all if each["check"] == check and tried in each["tried"]]
        assert len(found) == 1, found
        return found[0]

    def said(self, check: str, tried: str = "") -> tuple[str, str]:
        """Level and result of that one."""
        found = self.of(check, tried)
        return found["level"], found["result"]


def settings(
    host: str, up: Credentials | None = WRITER, down: Credentials | None = READER, *, region: str = "", **options: Any
) -> Settings:
    """Settings of the two users, by default those of the small store; waits are short."""
    values = {"host": host, "region": region}
    for user, keys in (("uploader", up), ("downloader", down)):
        if keys is not None:
            values.update({f"{user}_access_key": keys.access_key, f"{user}_access_secret": keys.secret_key})
    return Settings(values, **{"timeout": (5.0, 5.0), **options})


def examined(
    capsys: pytest.CaptureFixture[str],
    given: Settings,
    bucket: str | None = BUCKET,
    key: str | None = None,
    **more: Any,
) -> Findings:
    """What `doctor` finds. It prints no secret, no signature, and nothing but its findings."""
    capsys.readouterr()
    code = doctor.run(given, bucket, key, as_json=True, **more)
    out, err = capsys.readouterr()
    assert err == ""
    secrets = [keys.secret_key for keys in map(given.keys, ("uploader", "downloader")) if keys is not None]
    assert not any(secret in out for secret in [*secrets, "Signature="])
    return Findings(code, out)


class Policed:
    """A small store with one bucket, in which each user may what `allowed` says, in the words of `name_of`.

    `instead`: by those words ("first" for the first request), what makes another answer of the request and the store's
    own. `names`: user and word of all requests.
    """

    def __init__(self, allowed: dict[str, tuple[str, ...]] | None = None, **options: Any) -> None:
        self.store = MemoryStore(STORE_SECRETS, buckets=(BUCKET,), **options)
        self.allowed = {**ALLOWED, **(allowed or {})}
        self.instead: dict[str, Callable[[RawRequest, Answer], Answer]] = {}
        self.names: list[tuple[str, str]] = []

    def __call__(self, request: RawRequest) -> Answer:
        name = "LIST" if b"list-type" in request.query else name_of(request)
        user = next((key for key in self.allowed if key in (request.header("authorization") or "")), "")
        plain = lambda _, answer: answer  # noqa: E731
        first = plain if self.names else self.instead.get("first", plain)
        self.names.append((user, name))
        if user and not self.store._refusal(request) and name not in self.allowed[user]:
            date = email.utils.format_datetime(self.store._now(), True)
            return first(request, dataclasses.replace(FORBIDDEN, headers={"x-amz-request-id": "1", "Date": date}))
        return first(request, self.instead.get(name, plain)(request, self.store(request)))


def serving(policed: Policed, **options: Any) -> RawServer:
    """Its server."""
    return RawServer(policed, **options)
