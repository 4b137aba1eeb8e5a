"""The local side of a download: a key becomes a path that stays below its folder, a file appears whole or not at all.

A key that leaves the folder it is written to is an old hole: CVE-2021-32061 and peak/s5cmd#872. Replacing a file:
rename(2) is atomic within one folder, and durable once file and folder are fsynced.
"""

from __future__ import annotations

import errno
import os
import stat

from .parts import FEW_GAPS, GAP, PREFIX, claim, is_still, sweep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Any, BinaryIO

    from .parts import Claim
    from .ranges import Ranges

# Names that are devices on Windows in any folder, with any ending (Microsoft, "Naming Files, Paths, and Namespaces").
_WINDOWS_DEVICES = frozenset(
    [
        "con",
        "prn",
        "aux",
        "nul",
        "conin$",
        "conout$",
        *(f"{port}{digit}" for port in ("com", "lpt") for digit in "123456789¹²³"),
    ]
)
FEW = 64 << 10  # bytes of a file that is fetched and written at once
_WINDOWS_FORBIDDEN = frozenset('<>:"|?*\\')


def confined_path(folder: str, key: str, *, windows: bool = os.name == "nt") -> str:
    """The path below `folder` at which `key` is kept, a folder for each `/` in it.

    ValueError for a key that would leave the folder, or be another key's path too: absolute, with a drive letter,
    empty, `.` or `..` segments, NUL, through a symbolic link, or (on Windows) what that system reads in its own way.
    """
    segments = key.split("/")
    if key[1:2] == ":" and key[:1].isalpha():
        reason = "begins with a drive letter"
    elif key.startswith("/"):
        reason = "is an absolute path"
    elif "\0" in key:
        reason = "contains NUL"
    elif {"", ".", ".."} & set(segments):
        reason = "has an empty, '.' or '..' segment"
    elif windows and any(_strange_on_windows(segment) for segment in segments):
        reason = "is no file name on Windows"
    else:
        reason = None
    if reason is None:
        inside = os.path.join(os.path.realpath(folder), *segments[:-1])
        if os.path.normcase(os.path.realpath(inside)) != os.path.normcase(inside):
            reason = "leads through a symbolic link"
    if reason:
        raise ValueError(
            f"the key {key!r} {reason}: it cannot be saved under its own name; name a file with to=, or download_file"
        )
    return os.path.join(folder, *segments)


def _strange_on_windows(segment: str) -> bool:
    return (
        segment[-1:] in (" ", ".")
        or segment.partition(".")[0].rstrip(" ").lower() in _WINDOWS_DEVICES
        or any(char < " " or char in _WINDOWS_FORBIDDEN for char in segment)
    )


def check_target(path: str) -> os.stat_result | None:
    """What the system says of the file at `path`, None without one; OSError for a directory, device or pipe there."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "the target is a directory: name a file in it", path)
    if not stat.S_ISREG(found.st_mode) or is_stream(path):
        raise OSError(errno.EINVAL, "the target is not a regular file", path)
    return found


def is_stream(path: str) -> bool:
    """Whether it is a link as /dev/stdout is, perhaps to a file: the new one would take its place for all processes."""
    places = [os.path.abspath(path)]
    if os.path.islink(path):
        places.append(os.path.join(os.path.dirname(places[0]), os.readlink(path)))
    return any(place.startswith(("/proc/", "/dev/fd/")) for place in places)


def _take_over(file: BinaryIO, path: str, old: os.stat_result, new: os.stat_result) -> None:
    """Give the new file, which is at `path`, the owner of the old one, where this process may, and its permissions."""
    mode = old.st_mode & 0o777
    # By its descriptor, where the system can: at `path` somebody may have put a link to another file meanwhile.
    target = file.fileno() if os.chmod in os.supports_fd else path
    if hasattr(os, "chown") and (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        try:
            os.chown(target, old.st_uid, old.st_gid)
        except OSError:  # only root gives files away; a group of one's own may be kept
            try:
                os.chown(target, -1, old.st_gid)
            except OSError:
                mode &= 0o707  # what was for the old group is not for this one
        new = os.stat(target)  # a change of owner may take permissions away
    if stat.S_IMODE(new.st_mode) != mode:  # where all files are somebody else's (a mount) it is refused
        os.chmod(target, mode)


class Replacement:
    """A context manager: a new file beside `path`, which takes its place in one step at `commit`, or disappears.

    `make_folders` makes the folders above it, and removes those again when nothing came into them. `durable` waits
    until file and folder are on the disk, so that a power cut leaves the old file or the new one. The new file has
    owner and permissions of the old, or those that `open` would give it. A symbolic link at `path` is replaced itself.
    Errors are the system's OSError.

    `source` says in words what the file will hold. With it, an earlier part of the same source is gone on with: then
    `record` is what `note` was given, with the bytes that were on the disk as "synced", and those that were written
    since this system was started as "jotted". `keep` leaves the part for a later run. `first=1` leaves such a part
    alone until commit.
    """

    def __init__(
        self,
        path: str,
        *,
        make_folders: bool = False,
        durable: bool = True,
        source: str | None = None,
        first: int = 0,
    ) -> None:
        if not path or path[-1] in (os.sep, os.altsep):
            raise ValueError(f"{path!r} names no file to save as: it is empty or ends in a separator")
        self._path = os.path.abspath(path)  # the process may change its folder meanwhile
        self._folder = os.path.dirname(self._path)
        self._make_folders = make_folders
        self.is_durable = durable
        self._source = source
        self._first = first
        self._made: list[str] = []
        self._claim: Claim | None = None
        self._kept = self._is_done = False
        self._old = check_target(path)
        self.record: dict[str, Any] | None = None
        if not make_folders and not os.path.isdir(self._folder):
            raise FileNotFoundError(errno.ENOENT, "the folder to save into does not exist", self._folder)

    def __enter__(self) -> BinaryIO:
        try:
            if self._make_folders:
                self._make(self._folder)
            # A private file's successor is private from its first byte.
            mode = 0o666 if self._old is None else self._old.st_mode & 0o700 | 0o600
            self._claim = claimed = claim(self._path, mode, self._source, self._first)
            self.record = claimed.record
            self._file = claimed.file
        except BaseException as error:
            self._name_target(error)
            self._discard()
            raise
        return self._file

    def _name_target(self, error: BaseException | None) -> None:
        # "No space left on device", or the name of a temporary file, does not say which download it was.
        if isinstance(error, OSError) and error.errno is not None:
            # None, or a number, where it was asked of an open file.
            name = os.path.basename(error.filename) if isinstance(error.filename, str) else PREFIX
            if name.startswith(PREFIX):
                error.filename = self._path

    def reserve(self, size: int) -> None:
        """OSError unless the disk has room for a file of `size` bytes; what is here of it counts.

        For a few of them it is not worth the question: they are written at once, and then the system says the same.
        """
        if size <= FEW or not hasattr(os, "statvfs"):
            return
        disk = os.statvfs(self._folder)
        free = (disk.f_bfree if os.geteuid() == 0 else disk.f_bavail) * disk.f_frsize
        needed = size - getattr(os.fstat(self._file.fileno()), "st_blocks", 0) * 512
        if disk.f_blocks and needed > free:  # some file systems do not say
            text = f"no space: {needed} bytes more are needed, {free} are free"
            raise OSError(errno.ENOSPC, text, self._path)

    def sync(self) -> None:
        """Wait until the disk has what was written, if it is to be waited for."""
        if self.is_durable:
            os.fsync(self._file.fileno())

    def note(self, record: Mapping[str, Any], synced: Ranges, here: Ranges) -> None:
        """Say what is being written, for a later run: which bytes of it are safe on the disk, and which are written.

        The latter count until the system is started anew.
        """
        if self._claim is not None:
            noted = {**record, "source": self._source, "synced": synced if self.is_durable else []}
            self._claim.notes.write(noted, {"here": here}, durable=self.is_durable)

    def jot(self, here: Ranges) -> None:
        """Say which bytes are written, without waiting for the disk."""
        if self._claim is not None:
            self._claim.notes.jot({"here": here})

    def restart(self) -> None:
        """Begin again with an empty file, of which nothing is noted."""
        self._file.seek(0)
        self._file.truncate()
        self.record = None
        if self._claim is not None:
            self._claim.notes.forget()

    def keep(self) -> bool:
        """Leave the part and its record for a later run; False where there is none to go on from."""
        self._kept = self._claim is not None and self._claim.notes.is_written
        return self._kept

    def commit(self) -> None:
        """Make what was written the file at `path`."""
        assert self._claim is not None  # noqa: S101 - entered
        found = os.fstat(self._file.fileno())
        if self._old is not None:
            _take_over(self._file, self._claim.path, self._old, found)
        if self.is_durable:
            os.fsync(self._file.fileno())
        if not is_still(found, self._claim.path):
            raise FileNotFoundError(errno.ENOENT, "the part file was taken away while it was written", self._path)
        self._file.close()  # before it is seen: some file systems say only here that there was no room
        check_target(self._path)
        os.replace(self._claim.path, self._path)
        self._is_done = True
        self._claim.notes.forget()
        if self.is_durable:
            for folder in {self._folder, *map(_parent, self._made)}:
                _sync_folder(folder)
        self._made = []
        sweep(self._path, GAP if self.is_durable else FEW_GAPS, self._claim.path)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._name_target(error)
        try:
            self._file.close()  # first: Windows removes no open file. The lock is still held.
        except OSError:  # what was not written yet finds no room: the error that brought us here has said so
            pass
        finally:
            if not (self._kept or self._is_done):
                self._discard()
            if self._claim is not None:
                self._claim.release()

    def _make(self, folder: str) -> None:
        if os.path.isdir(folder):
            return
        self._make(_parent(folder))
        try:
            os.mkdir(folder)
        except FileExistsError:  # another thread's; or a file is in the way, and then opening below it says so
            return
        self._made.append(folder)

    def _discard(self) -> None:
        if self._claim is not None:
            self._claim.discard()
        for folder in reversed(self._made):
            try:
                os.rmdir(folder)
            except OSError:  # another download put something into it meanwhile
                break
        self._made = []


def _parent(folder: str) -> str:
    return os.path.dirname(folder) or "."


def _sync_folder(folder: str) -> None:
    if os.name == "nt":  # a folder cannot be opened there; NTFS journals the rename
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        # The file is in place; a folder that may not be read, or a file system without this call, undoes nothing.
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EINVAL, errno.EBADF, errno.ENOTSUP):
            raise


def read_at(file: BinaryIO, amount: int, place: int) -> bytes:
    """At most so many bytes from there on; empty at the end."""
    if hasattr(os, "pread"):
        return os.pread(file.fileno(), amount, place)
    file.seek(place)
    return file.read(amount)


def write_at(file: BinaryIO, block: memoryview, place: int) -> None:
    """Write a block where it belongs; the file's own position says nothing."""
    if not hasattr(os, "pwrite"):  # Windows, where one connection fetches
        file.seek(place)
    while block:
        count = os.pwrite(file.fileno(), block, place) if hasattr(os, "pwrite") else file.write(block)
        block, place = block[count:], place + count


def buffer(size: int) -> memoryview:
    """Memory to read into. On a page's boundary it is filled a third faster than a bytearray, which is not."""
    from mmap import mmap

    return memoryview(bytearray(size) if size <= FEW else mmap(-1, size))
