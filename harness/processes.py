"""Child processes which never outlive us: their logs, their ports, their readiness, and signals.

A child gets a small environment of its own, so that nothing of the user's (MINIO_*, AWS_*, proxies) reaches it.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import secrets
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Callable, Iterator, Mapping

from .values import HarnessError

LOG_LINES_SHOWN = 15
STOP_SECONDS = 15.0
READY_SECONDS = 60.0
PORTS = range(15000, 32768)  # see free_port
PORT_TRIALS = 100


@contextlib.contextmanager
def signals_as_interrupt() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end us as Ctrl-C does, by an exception, so that everything is put away.

    Only the first one counts: an impatient second must not interrupt the putting away. What was ignored (by nohup)
    stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, _frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt(signal.Signals(number).name)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers if signal.getsignal(number) != signal.SIG_IGN}
    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Child:
    """A running server process and its log."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self._log = log

    def last_lines(self) -> str:
        """Return the end of the log, indented."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n    ".join(["its last lines:", *lines[-LOG_LINES_SHOWN:]]) if lines else "it wrote nothing"

    def check_alive(self) -> None:
        """Raise when the process has ended by itself."""
        if self.process.poll() is not None:
            raise HarnessError(f"it ended with {self.process.returncode}; {self.last_lines()}")

    def stop(self) -> None:
        """End the process, kindly first, and wait for it."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def running(command: list[str], environ: Mapping[str, str], *, talk: bool = False) -> Iterator[Child]:
    """Run a server in its own process group (Ctrl-C reaches us alone) and end it whatever happens.

    With `talk` its standard input and output are pipes to us; its log is then the standard error alone.
    """
    with tempfile.TemporaryDirectory(prefix="cdn-sigv4-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if talk else subprocess.DEVNULL,
                stdout=subprocess.PIPE if talk else sink,
                stderr=sink,
                env=dict(environ),
                encoding="utf-8",
                start_new_session=True,
            )
        child = Child(process, log)
        with process:
            try:
                yield child
            finally:
                child.stop()


def told(
    command: list[str], seconds: float, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """What a program that ends by itself has said; subprocess.TimeoutExpired where it does not in so many seconds."""
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        encoding="utf-8",
        errors="replace",
        env=None if environ is None else dict(environ),
        timeout=seconds,
    )


def bare_environment() -> dict[str, str]:
    """Return an environment with nothing of the user's but where programs are found."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nobody listens at this moment, for a server that is still to be started.

    It is none of those that a system gives to whoever asks for any (Linux from 32768 on, others from 49152): until the
    server has it, a test in another process could be given the same one.
    """
    for _ in range(PORT_TRIALS):
        port = PORTS.start + secrets.randbelow(len(PORTS))
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise HarnessError(f"no port of 127.0.0.1 from {PORTS.start} to {PORTS.stop - 1} is free")


def wait_until(ready: Callable[[], bool], child: Child, what: str) -> None:
    """Ask `ready` until it says yes, the child has ended, or the time is over."""
    deadline = time.monotonic() + READY_SECONDS
    while not ready():
        child.check_alive()
        if time.monotonic() > deadline:
            raise HarnessError(f"{what} was not ready within {READY_SECONDS:.0f} s; {child.last_lines()}")
        time.sleep(0.05)


def answers_ok(port: int, path: str, tls: ssl.SSLContext | None = None) -> bool:
    """Whether 127.0.0.1:port answers 200 to a GET, over TLS where a context says whom to trust; no proxy is asked."""
    connection = (
        http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        if tls is None
        else http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=tls)
    )
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
