"""Tries the operations of stores_checks.py on a store, one by one, and says which work, with which switch.

A check that fails is tried again with each switch that is meant for other stores; the first that helps is named. Made
for stores that hold nothing of worth: it makes a bucket, and leaves it there, empty.
"""

from __future__ import annotations

import argparse
import contextlib
import secrets
import tempfile
from pathlib import Path
from typing import Any, Callable, Iterator

from cdn_sigv4 import CDNError, Credentials, Retry, S3Client

from .stores_checks import CHECKS
from .stores_place import Place, Wrong

# What a client can be told of a store; the first is the default.
SWITCHES: tuple[dict[str, Any], ...] = (
    {},
    {"checksum": None},
    {"etag_is_md5": False},
    {"checksum": None, "etag_is_md5": False},
)
WORKS, REFUSED, WRONG = "works", "refused", "WRONG"
RETRY = Retry(attempts=3, budget=5.0, cap=0.5)
TIMEOUT = (5.0, 30.0)
MOST_SHOWN = 240  # characters of an error
Check = Callable[[S3Client, Place], str]


class Store:
    """The store at `endpoint`, by its owner's key; `options` are the client's own for all that is done there."""

    def __init__(self, endpoint: str, credentials: Credentials, **options: Any) -> None:
        self.endpoint = endpoint
        self.credentials = credentials
        self._options = {"retry": RETRY, "timeout": TIMEOUT, **options}
        self.bucket = f"cdn-stores-{secrets.token_hex(4)}"

    @contextlib.contextmanager
    def clients(self, switch: dict[str, Any]) -> Iterator[Callable[..., S3Client]]:
        """What makes clients, with a switch and more; they are closed at the end."""
        with contextlib.ExitStack() as stack:

            def client(*, credentials: Credentials | None = self.credentials, **more: Any) -> S3Client:
                options = {**self._options, **switch, **more}
                return stack.enter_context(S3Client(self.endpoint, credentials, **options))

            yield client

    def tried(self, check: Check, switch: dict[str, Any]) -> tuple[str, str]:
        """What comes of a check: its outcome, and a word on it."""
        prefix = f"{secrets.token_hex(4)}/"
        with tempfile.TemporaryDirectory(prefix="cdn-sigv4-stores-") as folder, self.clients(switch) as client:
            usual = client()
            try:
                return WORKS, check(usual, Place(self.bucket, prefix, Path(folder), client, self.credentials))
            except CDNError as error:
                return REFUSED, shown(error)
            except Exception as error:  # noqa: BLE001 - what nobody has thought of is a finding too
                return WRONG, shown(error)

    def made(self) -> tuple[str, str]:
        """The outcome of making the bucket."""

        def make(client: S3Client, place: Place) -> str:
            client.create_bucket(place.bucket)
            return ""

        return self.tried(make, {})

    def emptied(self) -> None:
        """Delete all that the checks have left; a store may list what it does not delete."""
        with self.clients({}) as client:
            usual = client()
            with contextlib.suppress(CDNError):
                for entry in list(usual.list_objects(self.bucket)):
                    with contextlib.suppress(CDNError, ValueError):
                        usual.delete_object(self.bucket, entry.key)


def outcome(store: Store, check: Check) -> tuple[str, str]:
    """What comes of a check, with the first switch that helps; without one that does, what came of it at first."""
    first = store.tried(check, SWITCHES[0])
    if first[0] == WORKS:
        return first
    for switch in SWITCHES[1:]:
        word, note = store.tried(check, switch)
        if word == WORKS:
            named = ", ".join(f"{name}={value!r}" for name, value in switch.items())
            return f"{WORKS} with {named}", "; ".join(part for part in (note, f"without: {first[1]}") if part)
    return first


def shown(error: Exception) -> str:
    """An error's text on one line, not too long; it is the store's, and `CDNError` has taken control characters out."""
    text = str(error) if isinstance(error, Wrong) else f"{type(error).__name__}: {error}"
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


def line(name: str, word: str, note: str) -> str:
    """A line of the table."""
    return f"{name:28} {word}{f': {note}' if note else ''}"


def run(store: Store, checks: dict[str, Check], say: Callable[[str], object]) -> int:
    """Try all; 1 where something was wrong, or no bucket could be made."""
    word, note = store.made()
    say(line("make a bucket", word, note))
    if word != WORKS:
        return 1
    try:
        words = []
        for name, check in checks.items():
            word, note = outcome(store, check)
            words.append(word)
            say(line(name, word, note))
    finally:
        store.emptied()
    counts = [f"{sum(each.startswith(word) for each in words)} {word}" for word in (WORKS, REFUSED, WRONG)]
    say(f"{len(words)} operations: {', '.join(counts)}")
    return 1 if WRONG in words else 0


def main(arguments: list[str], usage: str) -> int:
    """Try a store. The exit code is 1 where something was wrong, 2 for a command that cannot be meant."""
    parser = argparse.ArgumentParser(prog="scripts/stores", description=usage.partition("\n\n")[2])
    parser.add_argument("endpoint", help="where the store listens, for instance http://127.0.0.1:9000")
    parser.add_argument("--region", default="us-east-1", help="to sign for (us-east-1)")
    parser.add_argument("--addressing", choices=("path", "virtual"), default="path")
    parser.add_argument("--checksum", choices=("crc32", "sha256", "none"), default="crc32", help="the client's own")
    parser.add_argument("--only", metavar="TEXT", default="", help="try what has this in its name")
    given = parser.parse_args(arguments)
    checks = {name: check for name, check in CHECKS.items() if given.only in name}
    options = {"region": given.region, "addressing": given.addressing}
    options["checksum"] = None if given.checksum == "none" else given.checksum
    try:
        store = Store(given.endpoint, Credentials.from_environment(), **options)
        with store.clients({}) as client:
            client()
    except ValueError as error:
        parser.error(str(error))
    return run(store, checks, lambda text: print(text, flush=True))
