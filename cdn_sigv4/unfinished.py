"""What a later run must know to go on with an upload in parts: kept in a folder on this machine.

A key that may only upload cannot list the uploads that are under way, so their ids are noted here. One record for each
endpoint, bucket and key, held under a lock like a download's part (parts.py).
"""

from __future__ import annotations

import errno
import os

from . import multipart
from .hashes import sha256
from .parts import claim, sweep_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .parts import Claim

LIFE = 7 * 24 * 3600  # seconds after which a record is of no use: MinIO drops an unfinished upload after one day


def default_folder(environ: os._Environ[str] | dict[str, str]) -> str:
    """Where records are kept unless the caller says otherwise (XDG Base Directory Specification)."""
    if os.name == "nt":
        return os.path.join(environ.get("LOCALAPPDATA") or os.path.expanduser("~"), "cdn-sigv4")
    state = environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):
        state = os.path.expanduser("~/.local/state")
        if not os.path.isabs(state):
            raise FileNotFoundError(errno.ENOENT, "this user has no home folder: give state_dir=", state)
    return os.path.join(state, "cdn-sigv4")


def _is_id(found: object) -> bool:
    """Whether what stands in a record can be an upload's id."""
    return isinstance(found, str) and 0 < len(found) <= multipart.MAX_ID and found.isprintable()


def _is_part_size(found: object, size: int) -> bool:
    """Whether what stands there can be the size of a part of so many bytes."""
    if type(found) is not int or not multipart.MIN_PART <= found <= multipart.MAX_PART:
        return False
    return size <= found * multipart.MAX_PARTS


class UploadRecord:
    """A context manager around one upload. `source` says whereto it goes, `stamp` what is sent: both in plain values.

    `upload_id` and `part_size` are those of an earlier run with the same stamp; `outdated` is the upload id of one with
    another. Where another thread or process sends to the same place, there is nothing to go on with, and nothing is
    noted. OSError where the folder cannot be used.
    """

    def __init__(self, folder: str, source: str, stamp: dict[str, Any], now: float) -> None:
        self._folder = folder
        self._source = source
        self._stamp = stamp
        self._now = now
        self._claim: Claim | None = None
        self._forget()

    def _forget(self) -> None:
        self.upload_id: str | None = None
        self.part_size: int | None = None
        self.outdated: str | None = None

    def __enter__(self) -> UploadRecord:  # noqa: PYI034 - Self needs typing_extensions
        name = sha256(self._source.encode("utf-8")).hexdigest()
        try:
            os.makedirs(self._folder, 0o700, exist_ok=True)
            self._claim = claim(os.path.join(self._folder, name), 0o600, self._source)
        except OSError as error:
            text = f"state_dir cannot be used, give another ({error.strerror})"
            raise type(error)(error.errno, text, self._folder) from None
        sweep_folder(self._folder, self._now - LIFE, b'"upload_id"')  # the other ones
        found = self._claim.record or {}
        upload_id, part_size = found.get("upload_id"), found.get("part_size")
        if _is_id(upload_id) and _is_part_size(part_size, self._stamp["size"]):
            if found.get("stamp") == self._stamp:
                self.upload_id, self.part_size = upload_id, part_size
            else:
                self.outdated = upload_id
        return self

    @property
    def is_written(self) -> bool:
        """Whether a later run can go on."""
        return self._claim is not None and self._claim.notes.is_written

    def write(self, upload_id: str, part_size: int) -> None:
        """Note an upload that has begun, on the disk before its first part is sent."""
        if self._claim is not None:
            record = {"source": self._source, "stamp": self._stamp, "upload_id": upload_id, "part_size": part_size}
            self._claim.notes.write(record, {}, durable=True)

    def forget(self) -> None:
        """There is nothing to go on with any more."""
        self._forget()
        if self._claim is not None:
            self._claim.notes.forget()

    def __exit__(self, *_: object) -> None:
        if self._claim is not None:
            self._claim.file.close()
            if not self.is_written:
                self._claim.discard()
            self._claim.release()
