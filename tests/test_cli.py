"""The command line as a program: how it is run, what goes wrong, exit codes, and what stands behind its output.

Words: test_cli_words.py; transfers: test_cli_put.py and test_cli_get.py; interruptions: test_cli_interrupted.py.
"""

import ast
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from kit import BODY, BUCKET, deaf
from kit_cli import ROOT, Shell
from rawserver import Answer, RawServer

from cdn_sigv4 import Credentials, cli

HUSH = "hush+hush/hush"


# -- as it is run


def test_python_m():
    """`python -m` with the package's name is the same, under that name, and needs nothing but the standard library."""
    command = [sys.executable, "-S", "-E", "-W", "error", "-m", "cdn_sigv4"]
    ran = subprocess.run([*command, "--help"], cwd=str(ROOT), capture_output=True, timeout=60, check=True)
    assert ran.stdout.startswith(b"usage: python -m cdn_sigv4 COMMAND")
    assert ran.stderr == b""
    ran = subprocess.run(command, cwd=str(ROOT), capture_output=True, timeout=60, check=False)
    assert ran.returncode == 2
    assert ran.stderr.startswith(b"cdn_sigv4: what is to be done? One of put, get, ls, ")


def test_console_script():
    """The command that an installation makes is `main`, whose result is the exit code."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert '[project.scripts]\ncdn-sigv4 = "cdn_sigv4.cli:main"\n' in text
    script = "import sys; sys.argv = ['cdn-sigv4', 'ls']; from cdn_sigv4.cli import main; sys.exit(main())"
    ran = subprocess.run([sys.executable, "-c", script], cwd=str(ROOT), capture_output=True, timeout=60, check=False)
    assert (ran.returncode, ran.stdout) == (2, b"")
    assert ran.stderr.startswith(b"cdn-sigv4: which server? Give --host, or set CDN_HOST")


def test_help_is_quick():
    """Who only asks for help does not wait for what requests need."""
    code = "import sys; from cdn_sigv4.cli import main; main(['put', '--help']); print(*sys.modules, sep='\\n')"
    ran = subprocess.run([sys.executable, "-c", code], cwd=str(ROOT), capture_output=True, timeout=60, check=True)
    assert set(ran.stdout.decode().splitlines()).isdisjoint(
        {"requests", "urllib3", "ssl", "yaml", "tqdm", "json", "asyncio"}
    )


def test_main_in_a_thread(shell):
    """A program may call `main` from any of its threads; only the first one can catch signals."""
    codes = []
    thread = threading.Thread(target=lambda: codes.append(cli.main(["ls", BUCKET])))
    thread.start()
    thread.join()
    assert codes == [0]


# -- what goes wrong


def test_no_network(shell):
    """Where nobody listens the line says so, and the exit code is 1."""
    with deaf() as authority:
        ran = shell("ls", BUCKET, "--host", f"http://{authority}", "--attempts", "2")
    assert ran.code == 1
    assert ran.error.startswith(f"cdn-sigv4: GET {BUCKET}: {authority} refuses the connection (after 2 attempts in")


@pytest.mark.minio
@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("CDN_DOWNLOADER_ACCESS_SECRET", HUSH, "403 SignatureDoesNotMatch"),
        ("CDN_DOWNLOADER_ACCESS_KEY", "nobody", "403 InvalidAccessKeyId"),
    ],
    ids=["wrong secret", "unknown key"],
)
def test_wrong_keys(capsysbinary, monkeypatch, server, users, bucket, folder, name, value, words):
    """With a wrong secret, or an unknown key, the line says which, with the request's id and a hint."""
    shell = Shell(capsysbinary, monkeypatch, server.endpoint, *users)
    monkeypatch.setenv(name, value)
    ran = shell("get", f"{bucket}/key")
    assert ran.code == 1
    assert words in ran.error
    assert "[request id " in ran.error
    assert " - " in ran.error
    assert HUSH not in ran.err
    assert list(folder.iterdir()) == []


@pytest.mark.minio
def test_no_bucket(capsysbinary, monkeypatch, server, folder):
    """Without the bucket every command says so, in one line."""
    root = Credentials(server.root_access_key, server.root_secret_key)
    shell = Shell(capsysbinary, monkeypatch, server.endpoint, root, root)
    (folder / "file").write_bytes(b"1")
    for words in (
        ["ls", "no-such-bucket"],
        ["get", "no-such-bucket/key", "here"],
        ["get", "-r", "no-such-bucket", "here"],
        ["put", "file", "no-such-bucket"],
        ["put", "-r", ".", "no-such-bucket"],
        ["rm", "no-such-bucket/key"],
    ):
        ran = shell(*words)
        assert ran.code == 1, words
        assert "404 NoSuchBucket" in ran.error
    assert [path.name for path in folder.iterdir()] == ["file"]


def test_unexpected_errors(shell, monkeypatch):
    """What nobody expected is one line with its kind; --verbose shows where, never the text."""

    def fail(*_):
        raise LookupError(HUSH)

    monkeypatch.setattr("cdn_sigv4.commands.ls", fail)
    ran = shell("ls", BUCKET)
    assert (ran.code, ran.out) == (1, b"")
    assert ran.error == ("cdn-sigv4: unexpected LookupError, which is a mistake of this program; --verbose shows where")
    ran = shell("ls", BUCKET, "--verbose")
    assert ran.errors[-1].endswith(" in fail")
    assert len(ran.errors) > 1
    assert HUSH not in ran.err


def test_requests_missing(shell):
    """Without `requests` installed the line says so."""
    flags = ("-S", "-W", "error")  # without site-packages
    ran = shell.ended(shell.child("ls", BUCKET, flags=flags))
    assert ran.code == 1
    assert ran.error.startswith("cdn_sigv4: No module named 'urllib3'; type: pip install ")


def test_verbose_tells_of_attempts(shell, store):
    """--verbose says what is tried again, and why."""
    left = [Answer(503), Answer(503)]
    with RawServer(lambda request: left.pop() if left else store(request)) as server:
        ran = shell("ls", BUCKET, "--host", server.endpoint, "-v")
        assert ran.code == 0
        assert [line.partition(" in ")[0] for line in ran.errors] == [
            "cdn-sigv4: retry: attempt 2",
            "cdn-sigv4: retry: attempt 3",
        ]
        left.extend([Answer(503)])
        assert shell("ls", BUCKET, "--host", server.endpoint).err == ""


def test_what_a_server_says_drives_no_terminal(shell):
    """Control characters in a server's words, or in a key, are shown as blanks, and the error stays one line."""
    text = b"<Error><Code>Odd</Code><Message>one\ntwo \x1b[31mred\xc2\x9b</Message></Error>"
    answer = Answer(400, headers={"x-amz-request-id": "7\t8"}, body=text.replace(b"\x1b", b"&#27;"))
    with RawServer(lambda _: answer) as server:
        ran = shell("ls", BUCKET, "--host", server.endpoint)
    assert ran.code == 1
    assert ran.error.isprintable()
    ran = shell("stat", f"{BUCKET}/a\x1b[31m\n")
    assert ran.code == 1
    assert ran.error.isprintable()


# -- the other end of a pipe


def test_nobody_reads_the_list(shell, store):
    """`ls | head` ends silently, as if the signal had ended it."""
    for number in range(3000):
        store.put(BUCKET, f"{number}/{'x' * 100}", b"")
    child = shell.child("ls", "-r", BUCKET)
    assert child.stdout.readline()
    child.stdout.close()
    child.stdout = None
    ran = shell.ended(child)
    assert (ran.code, ran.err) == (141, "")


def test_nobody_reads_the_object(shell, store):
    """So does `get | head`."""
    store.put(BUCKET, "key", b"x" * (4 << 20))
    child = shell.child("get", f"{BUCKET}/key", "-")
    assert child.stdout.read(1) == b"x"
    child.stdout.close()
    child.stdout = None
    ran = shell.ended(child)
    assert (ran.code, ran.err) == (141, "")


def test_nobody_reads_what_is_short(shell, store):
    """So does a command whose whole output fits into a buffer, and only its end finds that out."""
    store.put(BUCKET, "key", b"x")
    for words in (["ls", BUCKET], ["stat", f"{BUCKET}/key"], ["get", f"{BUCKET}/key", "-", "-q"]):
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "wb") as nobody:
            ran = shell.ended(shell.child(*words, stdout=nobody))
        assert (ran.code, ran.err) == (141, "")


@pytest.mark.parametrize("flags", [("-W", "error"), ("-u",)], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("words", [["a", "b", "c"], ["a"]], ids=["several", "one"])
def test_nobody_reads_the_results(shell, loopback, store, folder, words, flags):
    """So do several transfers, whose summary then has nowhere to go; with PYTHONUNBUFFERED, too."""
    for name in words:
        (folder / name).write_bytes(b"x")
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as nobody:
        ran = shell.ended(shell.child("put", *words, f"{BUCKET}/x/", "--json", stdout=nobody, flags=flags))
    assert (ran.code, ran.err) == (141, "")


@pytest.mark.parametrize("line", [f"ls {BUCKET}", "stat bbb/k", "presign bbb/k", "doctor", "doctor --json"])
def test_no_stdout_for_results(shell, loopback, monkeypatch, line):
    """A command that is there for what it says on stdout is wrong use where there is none."""
    monkeypatch.setattr(sys, "stdout", None)
    code = cli.main(line.split())
    monkeypatch.undo()
    assert code == 2
    assert loopback.requests == []


@pytest.mark.parametrize("words", [["ls", BUCKET], ["get", f"{BUCKET}/key", "-"], ["rm", f"{BUCKET}/x", "--json"]])
def test_a_full_disk_behind_stdout(shell, store, words):
    """Where stdout takes no more it is an error, told in one line."""
    store.put(BUCKET, "key", b"x")
    with Path("/dev/full").open("wb") as full:
        ran = shell.ended(shell.child(*words, stdout=full))
    assert ran.code == 1
    assert [line for line in ran.errors if not line.startswith("rm ")] == [ran.errors[-1]]
    assert ran.errors[-1].endswith("No space left on device")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_descriptors(shell, store, closed):
    """A shell that has closed stdin, stdout or stderr makes no mess of it."""
    store.put(BUCKET, "key", BODY)
    line = f'"{sys.executable}" -W error -m cdn_sigv4 get {BUCKET}/key there {closed}'
    environ = {"PYTHONPATH": str(ROOT)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        ran = subprocess.run(["sh", "-c", line], capture_output=True, timeout=60, check=False)
    assert ran.returncode == 0
    assert b"Traceback" not in ran.stderr + ran.stdout
    assert Path("there").read_bytes() == BODY


def test_nothing_of_the_command_line_in_the_library():
    """The package itself imports none of these modules; nor does it print but in `print`'s place."""
    tree = ast.parse((ROOT / "cdn_sigv4" / "__init__.py").read_text(encoding="utf-8"))
    names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert names.isdisjoint({"cli", "commands", "copying", "batch", "options", "report", "settings", "doctor"})
