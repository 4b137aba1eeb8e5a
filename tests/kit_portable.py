"""Makes this interpreter look like one on Windows or macOS, as far as a Linux can, and moves objects in it.

`pretend` is for a process of its own, in which pathlib does not work any more: it asks which system this is.

What those systems lack is taken out of the modules; what they do in another way raises as it does there. The names are
those which Python's documentation calls available on Unix, or on Linux, alone (`os`, `socket`, `select`, `signal`,
`time`). Backslashes and drive letters are not pretended: the paths stay those of this system.
"""

# ruff: noqa: PTH106, PTH108, PTH110, PTH112, PTH118, PTH119, PTH120, PTH123, PTH208

from __future__ import annotations

import ast
import builtins
import contextlib
import importlib
import os
import pathlib
import select
import signal
import socket
import sys
import time
from typing import Any, Iterator

MIB = 1 << 20
PACKAGE = pathlib.Path(__file__).resolve().parent.parent / "cdn_sigv4"

# What the documentation calls available on Linux (and some of the BSDs), of which macOS knows nothing.
LINUX_ONLY = {
    os: "SPLICE_F_MOVE copy_file_range eventfd fdatasync getrandom getxattr listxattr memfd_create pidfd_open pipe2"
    " posix_fadvise posix_fallocate removexattr sched_getaffinity sched_setaffinity setxattr splice unshare O_DIRECT"
    " O_NOATIME O_PATH O_TMPFILE",
    socket: "AF_ALG AF_NETLINK AF_PACKET AF_VSOCK MSG_MORE SOCK_CLOEXEC SOCK_NONBLOCK SO_PEERCRED TCP_CORK"
    " TCP_DEFER_ACCEPT TCP_KEEPIDLE TCP_QUICKACK TCP_USER_TIMEOUT",
    select: "epoll",
}
UNIX_ONLY = {
    os: "O_CLOEXEC O_DIRECTORY O_NOCTTY O_NOFOLLOW O_NONBLOCK O_DSYNC O_SYNC WNOHANG chown chroot confstr ctermid"
    " fchdir fchmod fchown fork forkpty fpathconf fstatvfs getegid geteuid getgid getgrouplist getgroups getloadavg"
    " getpgid getpriority getresuid getsid getuid initgroups killpg lchown lockf major makedev minor mkfifo mknod nice"
    " openpty pathconf posix_openpt posix_spawn pread preadv pwrite pwritev readv register_at_fork sched_yield sendfile"
    " setegid seteuid setgid setgroups setpgid setpriority setsid setuid statvfs sync sysconf tcgetpgrp ttyname uname"
    " wait wait3 wait4 waitid writev",
    socket: "AF_UNIX MSG_DONTWAIT MSG_NOSIGNAL SO_REUSEPORT TCP_NOTSENT_LOWAT recv_fds send_fds sethostname",
    select: "poll",
    signal: "SIGALRM SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGTSTP SIGUSR1 SIGUSR2 SIGWINCH alarm"
    " getitimer pause pthread_kill pthread_sigmask setitimer siginterrupt sigpending sigtimedwait sigwait",
    time: "clock_gettime clock_getres pthread_getcpuclockid tzset",
}
NO_MODULES = ["fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty"]


def imported_names() -> set[str]:
    """Everything from outside of the package that one of its modules imports, at any time."""
    names = set()
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names.add(node.module)
    return names


def lacking(what: dict[Any, str]) -> Iterator[tuple[Any, str]]:
    """Module and name, of those names that this system's module has."""
    for module, names in what.items():
        yield from ((module, name) for name in names.split() if hasattr(module, name))


def pretend(system: str) -> None:
    """Be "windows" or "macos" from now on. What others need of the system has been imported before."""
    for name in imported_names() - set(NO_MODULES):
        with contextlib.suppress(ImportError):  # an extra that is not installed
            importlib.import_module(name)
    for module, name in list(lacking(LINUX_ONLY)):
        delattr(module, name)
    _hide_proc()
    if system == "macos":
        sys.platform = "darwin"
        os.sendfile = _other_sendfile
        return
    sys.platform, os.name = "win32", "nt"
    for module, name in list(lacking(UNIX_ONLY)):
        delattr(module, name)
    for name in NO_MODULES:
        sys.modules[name] = None  # type: ignore[assignment]
    os.supports_fd = {os.stat, os.truncate}  # type: ignore[assignment]
    os.supports_dir_fd = set()  # type: ignore[assignment]
    os.supports_follow_symlinks = {os.stat}  # type: ignore[assignment]
    _hold_open_files()
    _open_no_folders()
    _take_no_descriptor("chmod")
    del os.get_blocking, os.set_blocking  # new there in Python 3.12


def _other_sendfile(*_: Any) -> int:
    """Stand in for what takes more arguments there, and may have sent something when it raises."""
    raise AssertionError("macOS has another sendfile")


def _hide_proc() -> None:
    """Let there be no /proc."""
    real = builtins.open

    def opened(file: Any, *args: Any, **options: Any) -> Any:
        if isinstance(file, (str, bytes)) and os.fsdecode(file).startswith("/proc/"):
            raise FileNotFoundError(2, "No such file or directory", file)
        return real(file, *args, **options)

    builtins.open = opened


def _is_open(path: Any) -> bool:
    """Whether this process has that file open."""
    wanted = os.path.join(os.path.realpath(os.path.dirname(os.fspath(path)) or "."), os.path.basename(path))
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{descriptor}") == wanted:
                return True
        except OSError:
            pass  # the list's own
    return False


def _hold_open_files() -> None:
    """Let no file be removed, moved or replaced that this process has open: Windows refuses it (WinError 32)."""
    for name in ("replace", "rename", "unlink", "remove"):
        real = getattr(os, name)

        def strict(path: Any, *others: Any, _real: Any = real, **options: Any) -> Any:
            if not options and any(map(_is_open, (path, *others))):
                raise PermissionError(13, "The process cannot access the file because it is being used", path)
            return _real(path, *others, **options)

        setattr(os, name, strict)


def _open_no_folders() -> None:
    """Let no folder be opened."""
    real = os.open

    def strict(path: Any, flags: int, mode: int = 0o777) -> int:
        if os.path.isdir(path):
            raise PermissionError(13, "Permission denied", path)
        return real(path, flags, mode)

    os.open = strict  # type: ignore[assignment]


def _take_no_descriptor(name: str) -> None:
    """Let that function of `os` take a path alone."""
    real = getattr(os, name)

    def strict(path: Any, *args: Any, **options: Any) -> Any:
        if isinstance(path, int):
            raise TypeError(f"{name}: path should be string, bytes or os.PathLike, not int")
        return real(path, *args, **options)

    setattr(os, name, strict)


def move(client: Any, folder: str, data: bytes) -> None:
    """All kinds of transfers, with bytes that are worth parts and ranges; nothing is left but what was asked for."""
    source, target, state = (os.path.join(folder, name) for name in ("from", "to", "state"))
    _write(source, data)
    client.put_object("bucket", "small", b"small")
    with client.get_object("bucket", "small") as reader:
        assert reader.read() == b"small"
    for key, body in (("memory", data), ("blocks", (data[at : at + MIB] for at in range(0, len(data), MIB)))):
        client.put_object("bucket", key, body)
    with open(source, "rb") as file:
        client.put_object("bucket", "file", file)
    client.upload_file("bucket", "path", source, resume=True, state_dir=state)
    for key in ("memory", "blocks", "file", "path"):
        _write(target, b"old")
        result = client.download_file("bucket", key, target, part_size=5 * MIB)
        assert (read(target) == data, result.verified) == (True, "crc32"), (key, result)
    assert client.download_file("bucket", "path", target, if_changed=True).bytes_moved == 0
    os.unlink(target)
    client.download_file("bucket", "small", target)
    assert read(target) == b"small"
    if os.path.exists(state):  # there are no records where a file has one position for all its readers
        os.rmdir(state)
    assert sorted(os.listdir(folder)) == ["from", "to"]


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


def read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
