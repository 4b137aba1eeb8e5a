"""The values which the harness hands around. None of them shows a secret in its `repr`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, NamedTuple


class HarnessError(Exception):
    """Something the harness needs is missing or did not work; the text says what, and what to do."""


@dataclass(frozen=True)
class KeyPair:
    """One user's credential."""

    access_key: str
    secret_key: str = field(repr=False)


class Users(NamedTuple):
    """The two users of least privilege."""

    uploader: KeyPair
    downloader: KeyPair


@dataclass(frozen=True)
class Server:
    """A store that answers now, and whose root credential we hold (unless it is the user's own)."""

    kind: str  # "given", "container", "binary" or "moto"
    endpoint: str
    region: str
    root_access_key: str
    root_secret_key: str = field(repr=False)
    description: str
    is_minio: bool
    user_maker: Callable[[str], Users] = field(repr=False)
    bucket: str | None = None  # the only one to use; None: make one

    def make_users(self, bucket: str) -> Users:
        """Make two new users who may upload to, or download from, `bucket` and nothing else."""
        return self.user_maker(bucket)


def upload_policy(bucket: str) -> dict[str, Any]:
    """Return the policy of who may write objects, in one part or in many, and nothing else."""
    return _policy(bucket, "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")


def download_policy(bucket: str) -> dict[str, Any]:
    """Return the policy of who may read objects and nothing else, not even list them."""
    return _policy(bucket, "s3:GetObject")


def _policy(bucket: str, *actions: str) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": [f"arn:aws:s3:::{bucket}/*"]}
    return {"Version": "2012-10-17", "Statement": [statement]}
