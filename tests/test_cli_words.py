"""The command line's words: options anywhere, help, wrong use, and secrets where none may stand.

Whatever is wrong is one line on stderr and exit code 2, and nothing was sent.
"""

import sys

import pytest
from kit import BUCKET

import cdn_sigv4
from cdn_sigv4.options import parsed
from cdn_sigv4.settings import UsageError

HUSH = "hush+hush/hush"


# -- words


def options_of(*words):
    return parsed(list(words), "prog", "1")


@pytest.mark.parametrize(
    "words",
    [
        ["--json", "put", "a", "b", "bucket/"],
        ["put", "--json", "a", "b", "bucket/"],
        ["put", "a", "--json", "b", "bucket/"],
        ["put", "a", "b", "bucket/", "--json"],
        ["--json", "put", "a", "--json", "b", "--quiet", "bucket/"],
        ["put", "a", "--json", "--", "b", "bucket/"],
    ],
    ids=" ".join,
)
def test_options_stand_anywhere(words):
    """An option of all commands may stand before the command, behind it, and between its words."""
    options = options_of(*words)
    assert options.json is True
    assert options.words == ["a", "b", "bucket/"]


def test_an_option_before_the_command_counts():
    """What was given before the command is not set back by the command's own defaults; the later one wins."""
    options = options_of("--timeout", "3", "--as", "uploader", "--attempts", "2", "ls", "bucket", "--attempts", "4")
    assert (options.timeout, options.user, options.attempts) == (3.0, "uploader", 4)


def test_words_that_look_like_options():
    """Behind -- a word is a word; - alone is stdin or stdout."""
    assert options_of("put", "--", "--secret", "bucket/--").words == ["--secret", "bucket/--"]
    assert options_of("get", "bucket/key", "-").words == ["bucket/key", "-"]


@pytest.mark.parametrize(
    ("text", "size"),
    [("8388608", 8 << 20), ("8MiB", 8 << 20), ("8m", 8 << 20), ("64K", 64 << 10), ("1GiB", 1 << 30), ("1g", 1 << 30)],
)
def test_sizes(text, size):
    """A part's size is in bytes, or has a binary unit."""
    assert options_of("put", "--part-size", text).part_size == size


@pytest.mark.parametrize("text", ["", "x", "8MB", "8.5MiB", "-1", "MiB", "8 MiB", "8kMiB", "\u0661", "9" * 16])
def test_sizes_that_are_none(text):
    """Anything else is refused; decimal units too, which would be something else than they look like."""
    with pytest.raises(UsageError, match="argument --part-size: a number of bytes, as in 8388608 or 8MiB"):
        options_of("put", f"--part-size={text}")


@pytest.mark.parametrize("command", ["", "put", "get", "ls", "rm", "stat", "presign", "doctor"])
def test_help(shell, command):
    """Each command has a help on stdout, with an example of its words, the settings and the exit codes."""
    ran = shell(*command.split(), "--help")
    text = ran.out.decode()
    assert (ran.code, ran.err) == (0, "")
    assert text.startswith(f"usage: cdn-sigv4 {command or 'COMMAND'} [options]")
    assert "0 done, 1 refused or failed, 2 wrong use" in text
    assert "CDN_UPLOADER_ACCESS_SECRET" in text
    assert max(map(len, text.splitlines())) <= 120


def test_version(shell):
    """--version says which it is."""
    assert shell("--version").lines == [f"cdn-sigv4 {cdn_sigv4.__version__} (Python {sys.version.split()[0]})"]


# -- wrong use


WRONG = [
    ([], "what is to be done? One of put, get, ls, rm, stat, presign, doctor"),
    (["copy"], "argument COMMAND: choose from "),
    (["--no-such", "ls"], "there is no option --no-such (see cdn-sigv4 ls --help)"),
    (["ls", BUCKET, "-x"], "there is no option -x (see cdn-sigv4 ls --help)"),
    (["ls"], "which bucket? ls BUCKET[/PREFIX]"),
    (["ls", "one", "two"], "which bucket?"),
    (["ls", "No_Bucket"], "'No_Bucket' is no bucket name: 3 to 63 lower-case letters"),
    (["ls", "/key"], "'' is no bucket name"),
    (["stat", BUCKET], "which object? bucket is a bucket alone: BUCKET/KEY is wanted"),
    (["rm"], "what to delete? rm BUCKET/KEY..."),
    (["rm", f"{BUCKET}/a", BUCKET], "which object? bucket is a bucket alone"),
    (["presign"], "a URL of which object? presign BUCKET/KEY"),
    (["presign", f"{BUCKET}/a", "--expires-in", "0"], "--expires-in"),
    (["presign", f"{BUCKET}/a", "--method", "POST"], "argument --method: choose from GET, HEAD, PUT, DELETE"),
    (["presign", f"{BUCKET}/a", "--anonymous"], "an anonymous client has no key to sign a URL with"),
    (["put"], "what to store, and where? put FILE... BUCKET[/KEY | /PREFIX/]"),
    (["put", "file"], "what to store, and where?"),
    (["put", ".", BUCKET], ". is a folder: -r stores what is in it"),
    (["put", "file", f"{BUCKET}/key", "--metadata", "x"], "argument --metadata: must be NAME=VALUE"),
    (["put", "f", f"{BUCKET}/k", "--metadata", "x=1", "--metadata", "X=2"], "the same name is given twice"),
    (["put", "f", f"{BUCKET}/k", "--part-size", "1KiB"], "--part-size must be 5242880 (5 MiB) to"),
    (["put", "f", f"{BUCKET}/k", "--workers", "0"], "--workers must be 1 to 32, not 0"),
    (["put", "f", f"{BUCKET}/{'k' * 1025}"], "a key has 1 to 1024 bytes of UTF-8, this one has 1025"),
    (["put", "a/f", "b/f", f"{BUCKET}/in"], "a/f and b/f would both become in/f: nothing was sent"),
    (["put", "-", BUCKET], "stdin is stored alone, without --resume, and under a key that is named"),
    (["put", "-", f"{BUCKET}/in/"], "stdin is stored alone"),
    (["put", "-", "file", f"{BUCKET}/in/"], "stdin is stored alone"),
    (["put", "-", f"{BUCKET}/key", "--resume"], "stdin is stored alone"),
    (["put", "-r", "-", f"{BUCKET}/key"], "stdin is stored alone"),
    (["get"], "what to fetch? get BUCKET/KEY..."),
    (["get", BUCKET], "which object? bucket is a bucket alone"),
    (["get", f"{BUCKET}/a", f"{BUCKET}/b", "nothing"], "several objects need a folder: nothing is none"),
    (["get", f"{BUCKET}/a/k", f"{BUCKET}/b/k", "in/"], "bucket/a/k and bucket/b/k would both become in/k"),
    (["get", f"{BUCKET}/a/"], "the key a/ does not end in a file's name: name the file to save it as"),
    (["get", f"{BUCKET}/a/.."], "the key a/.. does not end in a file's name"),
    (["get", f"{BUCKET}/a", f"{BUCKET}/b", "-"], "to stdout goes one object alone"),
    (["get", f"{BUCKET}/a", "-", "--json"], "to stdout goes one object alone"),
    (["get", f"{BUCKET}/a", "-", "--if-changed"], "to stdout goes one object alone"),
    (["get", "-r", BUCKET, "-"], "to stdout goes one object alone"),
    (["get", "-r", BUCKET, BUCKET, "here"], "what to fetch?"),
    (["get", f"{BUCKET}/a", "--if-absent"], "there is no option --if-absent"),
    (["doctor", BUCKET, BUCKET], "doctor [BUCKET[/KEY]] takes one word"),
    (["ls", BUCKET, "--timeout", "soon"], "argument --timeout: invalid float value (see"),
    (["ls", BUCKET, "--timeout", "0"], "--connect-timeout and --timeout must be positive numbers"),
    (["ls", BUCKET, "--attempts", "0"], "attempts must be a whole number from 1 on, not 0"),
    (["ls", BUCKET, "--budget", "-1"], "budget must be a number of seconds from 0 on"),
    (["ls", BUCKET, "--as", "root"], "argument --as: choose from uploader, downloader"),
    (["ls", BUCKET, "--ca-file", "nothing.pem"], "--ca-file names the file 'nothing.pem', which does not exist"),
    (["ls", BUCKET, "--ca-file", "x", "--insecure"], "--insecure and --ca-file contradict each other"),
    (["ls", BUCKET, "--config", "nothing"], "nothing: No such file or directory"),
    (["ls", BUCKET, "--host", "ftp://store"], "unknown scheme 'ftp' in the endpoint: use http:// or https://"),
    (["ls", BUCKET, "--addressing", "virtual"], "an IP address has no subdomains for buckets"),
]


@pytest.mark.parametrize(("words", "message"), WRONG, ids=[" ".join(words)[:40] for words, _ in WRONG])
def test_wrong_use(shell, loopback, words, message):
    """Wrong use is exit code 2, one line that says what is wrong, and not one request."""
    ran = shell(*words)
    assert ran.code == 2
    assert [each["ok"] for each in ran.json] == ([False] if "--json" in words else [])
    assert ran.error.startswith("cdn-sigv4: ")
    assert message in ran.error
    assert loopback.requests == []


SECRETS = [
    ["--secret", HUSH, "put", "a", f"{BUCKET}/"],
    ["put", "a", f"{BUCKET}/", f"--uploader-access-secret={HUSH}"],
    ["put", "a", f"{BUCKET}/", "--UPLOADER_ACCESS_SECRET", HUSH],
    ["ls", BUCKET, "--access-key", HUSH],
    ["ls", BUCKET, f"--downloader_access_key={HUSH}"],
    ["ls", BUCKET, "--session-token", HUSH],
    ["ls", BUCKET, f"-password={HUSH}"],
    ["ls", BUCKET, f"--keys={HUSH}"],
    ["ls", BUCKET, f"-k{HUSH}"],
    ["ls", BUCKET, f"--json={HUSH}"],
    ["ls", BUCKET, "--as", HUSH],
    ["--as", HUSH, "ls", BUCKET],
    [HUSH],
    [HUSH, "ls", BUCKET],
    ["ls", BUCKET, "--host", f"https://user:{HUSH}@store.example"],
    ["put", "f", f"{BUCKET}/k", "--header", f"x-amz-server-side-encryption-customer-key={HUSH}"],
]


@pytest.mark.parametrize("words", SECRETS, ids=[" ".join(words).replace(HUSH, "SECRET") for words in SECRETS])
def test_no_secret_is_an_option(shell, loopback, words):
    """A secret among the words is refused, wherever it stands, and never shown."""
    ran = shell(*words)
    assert ran.code == 2
    assert len(ran.errors) == 1
    assert HUSH not in ran.err
    names = " ".join(words).lower()
    if any(f"-{mark}" in names for mark in ("secret", "password", "access-key", "session-token")):
        assert "keys are no options" in ran.err
    assert HUSH.encode() not in ran.out
    assert loopback.requests == []
