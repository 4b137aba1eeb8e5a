"""The part file of a download, beside its target: whose it is, and what it holds, so that a later run can go on.

A part is held under an exclusive lock (flock(2)), by threads as by processes. The first is the one that can be gone on
with; who comes while it is held takes the next number. One that nobody holds was left by a run that was killed: it is
gone on with, or removed. Names are short and cannot be a key's (names end at 255 bytes): a hash of the target's.
In a folder that others may write to nothing is followed, trusted or written to that they may have planted.

Where there is no flock (Windows, some network file systems) a part has a name of its own and is never gone on with.
"""

from __future__ import annotations

import errno
import os
import stat
from functools import lru_cache

from .hashes import sha256
from .record import Record, has_mark, is_ours, open_ours, read_record, unlink

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

PREFIX = ".cdn-"
_MOST = 1000  # parts of one target at a time; beyond that each has a name of its own
GAP, FEW_GAPS = 8, 3  # numbers that may be free before one that a killed run has left; where there is no time to look
_TRIES = 100  # a part that vanishes between two calls each time is no part to wait for
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


class Claim:
    """A part file that is ours: `file`, its `path`, and the `record` of an earlier run that it goes on from.

    `notes` is for a later run; where it cannot go on, nothing is written there.
    """

    def __init__(
        self, file: BinaryIO, path: str, record_path: str = "", *, locked: bool = False, recording: bool = False
    ) -> None:
        self.file = file
        self.path = path
        self._held: int | None = None
        self.record: dict[str, Any] | None = None
        self.notes = Record(record_path, is_kept=recording)
        # The lock outlives the file, until `release`, or until nobody knows of it any more.
        if locked:
            self._held = os.dup(file.fileno())

    def discard(self) -> None:
        """Remove part and record."""
        unlink(self.path)
        self.notes.forget()

    def release(self) -> None:
        """Let go of the lock: also of that which a child has inherited that was forked meanwhile."""
        self.notes.end()
        held, self._held = self._held, None
        if held is not None:
            try:
                fcntl.flock(held, fcntl.LOCK_UN)
            finally:
                os.close(held)

    def __del__(self) -> None:
        # Not `release`: in a child that was forked meanwhile that would take the lock from its parent.
        if self._held is not None:
            os.close(self._held)


@lru_cache(maxsize=16)
def _stem(target: str) -> str:
    """What the names of a target's parts and record begin with."""
    folder, name = os.path.split(target)
    return os.path.join(folder, f"{PREFIX}{sha256(os.fsencode(name)).hexdigest()[:16]}.")


def claim(target: str, mode: int, source: str | None, first: int = 0) -> Claim:
    """A part file for `target` which nobody else writes to, with the permissions that `open` gives for `mode`.

    One that an earlier run has left is taken as it is where its record names the same `source`; the file then stands
    at its end. All others are empty. `first`: 1 leaves alone what an earlier run may have left to go on with. OSError
    as the system gives it.
    """
    try:
        stem = _stem(target)
        for number in range(first, _MOST if fcntl is not None else 0):
            claimed = _claimed(f"{stem}{number}", mode, f"{stem}json" if number == 0 else "", source)
            if claimed is not None:
                return claimed
    except _NoLocksError:
        pass
    path = _unique(target)
    return Claim(open_ours(path, os.O_CREAT | os.O_EXCL, mode), path)


def _unique(target: str) -> str:
    return os.path.join(os.path.dirname(target), f"{PREFIX}{os.urandom(8).hex()}.tmp")


def _claimed(path: str, mode: int, record_path: str, source: str | None) -> Claim | None:
    """The part at `path`; None where another one holds it, or it is nothing that we may write to."""
    for _ in range(_TRIES):
        file, is_new = _found(path, mode)
        if file is None:
            return None
        claimed = None
        try:
            is_held = not _lock(file)
            if not is_held and is_still(os.fstat(file.fileno()), path):
                claimed = _taken(file, path, record_path, source, mode, is_new=is_new)
                # Of somebody who was killed, or of another object: a new one gets the permissions of today.
                is_held = claimed is None and not unlink(path)
        except BaseException:
            if is_new:
                unlink(path)
            raise
        finally:
            if claimed is None:
                file.close()
        if claimed is not None or is_held:
            return claimed
    return None


def _found(path: str, mode: int) -> tuple[BinaryIO | None, bool]:
    """The file at `path`, and whether it is new; None for a link, a folder, somebody else's, or one that vanishes."""
    try:
        return open_ours(path, os.O_CREAT | os.O_EXCL, mode), True
    except FileExistsError:
        pass
    try:
        _make_ours_writable(path)
        return open_ours(path, 0, mode), False
    except OSError:
        return None, False


def _make_ours_writable(path: str) -> None:
    """A run that was killed in its last moment has given its part the permissions of a read-only target."""
    found = os.lstat(path)
    if is_ours(found) and not found.st_mode & stat.S_IWUSR:
        os.chmod(path, 0o600)


def _taken(file: BinaryIO, path: str, record_path: str, source: str | None, mode: int, *, is_new: bool) -> Claim | None:
    """The claim to a part under our lock; None where what is in it is of no use."""
    record = None
    if not is_new:
        record = read_record(record_path, source) if source is not None else None
        if record is None or not is_ours(os.fstat(file.fileno())):
            return None
        try:
            os.chmod(file.fileno(), _mode_of_new(record_path + "~", mode))
        except FileExistsError:  # a folder stands where the next record is to be written: there can be none
            return None
        file.seek(0, os.SEEK_END)
    claimed = Claim(file, path, record_path, locked=True, recording=bool(record_path) and source is not None)
    if record is None:
        claimed.notes.forget()
    claimed.record = record
    claimed.notes.is_written = record is not None
    return claimed


def _mode_of_new(probe: str, mode: int) -> int:
    """What `open` makes of `mode` now: the umask can only be read by changing it, for all threads."""
    unlink(probe)
    with open_ours(probe, os.O_CREAT | os.O_EXCL, mode) as file:
        unlink(probe)
        return stat.S_IMODE(os.fstat(file.fileno()).st_mode)


class _NoLocksError(Exception):
    """This file system has no locks."""


def _lock(file: BinaryIO) -> bool:
    """Whether the lock is ours now."""
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _NO_LOCKS:
            raise _NoLocksError from None
        raise
    return True


def is_still(found: os.stat_result, path: str) -> bool:
    """Whether the file under the lock, of which this was found, is the one at `path`.

    It may have become the target, or be gone, or others may have put something else there.
    """
    try:
        return os.path.samestat(found, os.lstat(path))
    except FileNotFoundError:
        return False


def sweep(target: str, gap: int = GAP, own: str = "") -> None:
    """Remove what runs that were killed have left beside `target` under numbers that are seldom reached.

    `gap`: numbers that may be free before one that is not; `own`: the part that has just become the target.
    """
    stem = _stem(target)
    number, last = -1, 0
    while fcntl is not None and number < min(last + gap, _MOST):
        number += 1
        path = f"{stem}{number}"
        if path != own and os.path.lexists(path):
            last = number
            _drop(path, f"{stem}json" if number == 0 else "")


def sweep_folder(folder: str, before: float, mark: bytes) -> None:
    """Remove parts with records that have this mark, and were written before this time, in seconds since 1970."""
    for name in os.listdir(folder) if fcntl is not None else ():
        record_path = os.path.join(folder, name)
        try:
            is_old = name.startswith(PREFIX) and name.endswith(".json") and os.lstat(record_path).st_mtime < before
        except OSError:
            continue
        if is_old and has_mark(record_path, mark):
            _drop(record_path[: -len("json")] + "0", record_path)


def _drop(path: str, record_path: str) -> None:
    """Remove a part that nobody holds, with its record."""
    try:
        with open_ours(path, 0, 0) as file:
            if _lock(file) and is_still(os.fstat(file.fileno()), path):
                if record_path:
                    unlink(record_path)
                    unlink(record_path + "~")
                unlink(path)
    except (OSError, _NoLocksError):  # somebody else's, or held
        pass
