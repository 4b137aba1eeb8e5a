"""Which server the demo or the tests use, decided from the environment alone: pure functions, tried in tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping

from .values import HarnessError, KeyPair, Users

# The last image which MinIO's makers have published.
DEFAULT_IMAGE = "minio/minio:RELEASE.2025-09-07T16-13-09Z"
DEFAULT_REGION = "us-east-1"
KINDS = ("container", "binary", "moto")  # in the order in which they are tried

GIVEN = (
    "CDN_HOST",
    "CDN_BUCKET",
    "CDN_UPLOADER_ACCESS_KEY",
    "CDN_UPLOADER_ACCESS_SECRET",
    "CDN_DOWNLOADER_ACCESS_KEY",
    "CDN_DOWNLOADER_ACCESS_SECRET",
)


@dataclass(frozen=True)
class Given:
    """The user's own store, bucket and credentials."""

    endpoint: str
    bucket: str
    region: str
    users: Users


@dataclass(frozen=True)
class Choice:
    """What to start: the user's own store, or the first of `kinds` that works. Several kinds may fall through."""

    kinds: tuple[str, ...]
    image: str
    given: Given | None = None


def choose(environ: Mapping[str, str], *, may_be_given: bool) -> Choice:
    """Read the choice from the environment. `CDN_TEST_SERVER` beats a store that is given."""
    image = environ.get("CDN_MINIO_IMAGE") or DEFAULT_IMAGE
    forced = environ.get("CDN_TEST_SERVER", "")
    if forced:
        if forced not in KINDS:
            raise HarnessError(f"CDN_TEST_SERVER is {forced!r}; it may be {', '.join(KINDS)}, or unset")
        return Choice((forced,), image)
    given = read_given(environ) if may_be_given else None
    return Choice((), image, given) if given else Choice(KINDS, image)


def read_given(environ: Mapping[str, str]) -> Given | None:
    """Return the user's own store when all of it is there, None when none of it is; a part of it is an error."""
    if environ.get("CDN_ENDPOINT") and not environ.get("CDN_HOST"):  # its other name
        environ = {**environ, "CDN_HOST": environ["CDN_ENDPOINT"]}
    missing = [name for name in GIVEN if not environ.get(name)]
    if len(missing) == len(GIVEN):
        return None
    if missing:
        present = [name for name in GIVEN if name not in missing]
        raise HarnessError(
            f"{', '.join(present)} set, but not {', '.join(missing)}: for your own server set all of them,"
            " for one that is started here none"
        )
    return Given(
        endpoint=environ["CDN_HOST"],
        bucket=environ["CDN_BUCKET"],
        region=environ.get("CDN_REGION") or DEFAULT_REGION,
        users=Users(
            uploader=KeyPair(environ["CDN_UPLOADER_ACCESS_KEY"], environ["CDN_UPLOADER_ACCESS_SECRET"]),
            downloader=KeyPair(environ["CDN_DOWNLOADER_ACCESS_KEY"], environ["CDN_DOWNLOADER_ACCESS_SECRET"]),
        ),
    )
