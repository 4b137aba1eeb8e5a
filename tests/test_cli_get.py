"""`get`: which objects become which files, whole or not at all, in the downloader's name; and what comes of each."""

import dataclasses
import os
import re
import secrets

import pytest
from kit import BODY, BUCKET, ETAG
from kit_calls import xml
from kit_cli import Shell
from kit_files import content
from kit_parts import MIB, OLD, SIZE, made
from rawserver import Answer, RawServer

from cdn_sigv4 import Credentials, copying


def filled(store, *keys):
    """Objects whose bytes are their keys."""
    for key in keys:
        store.put(BUCKET, key, key.encode())


# -- where to


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["{b}/a"], {"a": b"a"}),
        (["s3://{b}/x/a"], {"a": b"x/a"}),
        (["{b}/x/a", "."], {"a": b"x/a"}),
        (["{b}/a", "b"], {"b": b"a"}),
        (["{b}/a", "here"], {"here/a": b"a"}),
        (["{b}/a", "new/er/"], {"new": None, "new/er": None, "new/er/a": b"a"}),
        (["{b}/a", "{b}/x/b", "here"], {"here/a": b"a", "here/b": b"x/b"}),
        (["{b}/a", "{b}/x/b", "new/"], {"new": None, "new/a": b"a", "new/b": b"x/b"}),
        (["{b}/x/../c"], {"c": b"x/../c"}),
        (["{b}/x//", "named"], {"named": b"x//"}),
        (["-r", "{b}/x"], {"a": b"x/a", "b": b"x/b", "deep": None, "deep/er": None, "deep/er/d": b"x/deep/er/d"}),
        (["-r", "{b}/x/deep/", "new"], {"new": None, "new/er": None, "new/er/d": b"x/deep/er/d"}),
    ],
    ids=" ".join,
)
def test_files(shell, store, folder, words, expected):
    """An object comes into this folder, the one that is named, or the file; with -r all that is below the prefix."""
    filled(store, "a", "x/a", "x/b", "xy/a", "x/deep/er/d")
    if "x/../c" in words[0] or "x//" in words[0]:
        filled(store, "x/../c", "x//")
    (folder / "here").mkdir()
    ran = shell("get", *(word.format(b=BUCKET) for word in words))
    assert ran.code == 0
    assert content(folder) == {"here": None, **expected}


def test_a_folder_that_is_not_there(shell, store, folder):
    """A file in no folder is refused, as cp does: nothing is made."""
    filled(store, "a")
    ran = shell("get", f"{BUCKET}/a", "nowhere/a")
    assert ran.code == 1
    assert ran.error.endswith("nowhere: the folder to save into does not exist")
    assert content(folder) == {}


@pytest.mark.parametrize("size", [0, 5000, 3 * MIB])
def test_stdout(shell, store, folder, size):
    """To stdout go the object's bytes and nothing else."""
    store.put(BUCKET, "key", made(1, size))
    ran = shell("get", f"{BUCKET}/key", "-")
    assert ran.code == 0
    assert ran.out == made(1, size)
    assert ran.error.startswith(f"get {BUCKET}/key -> -: ")
    assert content(folder) == {}


def test_damage_on_the_way_to_stdout(shell):
    """What is damaged is an error at the end, and exit code 1: whoever reads must look at it."""
    wrong = {"ETag": f'"{"0" * 32}"', "x-amz-request-id": "1"}
    with RawServer(lambda _: Answer(headers=wrong, body=BODY)) as server:
        ran = shell("get", f"{BUCKET}/key", "-", "--host", server.endpoint)
    assert ran.code == 1
    assert "md5" in ran.error.lower()


# -- whole or not at all


@pytest.mark.parametrize(
    "answer",
    [
        Answer(headers=ETAG, body=BODY, cut_after=100),
        Answer(headers={"ETag": f'"{"0" * 32}"', "x-amz-request-id": "1"}, body=BODY),
        Answer(404, headers={"x-amz-request-id": "1"}, body=xml("NoSuchKey")),
        Answer(403, headers={"x-amz-request-id": "1"}, body=xml("AccessDenied")),
        Answer(503),
        Answer(200, headers={"Content-Type": "text/html"}, body=b"<html>Please sign in</html>"),
    ],
    ids=["cut", "damaged", "no such key", "denied", "busy", "portal"],
)
def test_what_fails_leaves_the_old_file(shell, folder, answer):
    """Whatever fails is one line and exit code 1; the old file stays, and nothing is beside it."""
    (folder / "model").write_bytes(OLD)
    with RawServer(lambda _: answer) as server:
        ran = shell("get", f"{BUCKET}/model", "--host", server.endpoint, "--attempts", "1")
        assert ran.code == 1
        assert ran.error.startswith(f"cdn-sigv4: GET {BUCKET}/model: ")
        assert shell("get", f"{BUCKET}/model", "new/er/", "--host", server.endpoint, "--attempts", "1").code == 1
    assert content(folder) == {"model": OLD}


@pytest.mark.parametrize("is_resumed", [True, False], ids=["", "--no-resume"])
def test_resume(shell, store, folder, is_resumed):
    """A large one that breaks leaves its part, says so, and is gone on with; not with --no-resume."""
    body = store.put(BUCKET, "model", made(2)).body
    cut = RawServer(lambda request: dataclasses.replace(store(request), cut_after=3 * MIB))
    words = ["get", f"{BUCKET}/model", "--json", *([] if is_resumed else ["--no-resume"])]
    with cut as server:
        ran = shell(*words, "--host", server.endpoint, "--attempts", "1")
    assert ran.code == 1
    assert ("are kept beside the target" in ran.error) == is_resumed
    assert len(content(folder)) == (2 if is_resumed else 0)
    # By another host it is another object: the same one stands for the server that is well again.
    with RawServer(store) as server:
        ran = shell(*words, "--host", server.endpoint)
    assert ran.code == 0
    assert content(folder) == {"model": body}


def test_goes_on_where_it_was(shell, loopback, store, folder):
    """What was fetched before the link broke does not come again."""
    store.put(BUCKET, "model", made(2))
    loopback.answer = lambda request: dataclasses.replace(store(request), cut_after=3 * MIB)
    assert shell("get", f"{BUCKET}/model", "--attempts", "1").code == 1
    loopback.answer = store
    ran = shell("get", f"{BUCKET}/model")
    assert ran.code == 0
    assert re.search(r", (5|6)\.\d MiB moved$", ran.error)
    assert content(folder) == {"model": made(2)}


def test_if_changed(shell, loopback, store, folder):
    """With --if-changed a file that is the object already stays as it is, and no byte of it comes."""
    store.put(BUCKET, "model", made(3))
    words = ("get", f"{BUCKET}/model", "--if-changed")
    ran = shell(*words)
    assert ran.code == 0
    assert "unchanged" not in ran.error
    before = (folder / "model").stat()
    ran = shell(*words)
    assert (ran.code, ran.error) == (0, f"get {BUCKET}/model -> ./model: unchanged, 8.0 MiB, verified by md5")
    (told,) = shell(*words, "--json").json
    assert (told["changed"], told["bytes_moved"]) == (False, 0)
    assert (folder / "model").stat().st_ino == before.st_ino
    store.put(BUCKET, "model", made(4))
    (told,) = shell(*words, "--json").json
    assert (told["changed"], told["bytes_moved"]) == (True, SIZE)
    assert content(folder) == {"model": made(4)}


def test_not_durable(shell, store, folder, monkeypatch):
    """--not-durable does not wait for the disk; without it every file is waited for."""
    filled(store, "a")
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(number) or fsync(number))
    assert shell("get", f"{BUCKET}/a", "--not-durable").code == 0
    assert synced == []
    assert shell("get", f"{BUCKET}/a").code == 0
    assert synced != []
    assert content(folder) == {"a": b"a"}


@pytest.mark.parametrize("leads_to", ["/proc/self/fd/1", "/dev/fd/1"])
@pytest.mark.parametrize("has_file", [True, False])
def test_a_link_as_dev_stdout(shell, loopback, store, folder, monkeypatch, leads_to, has_file):
    """/dev/stdout is a link, which root would replace with a file where stdout is one: it is refused, and it stays."""
    filled(store, "key")
    (folder / "stdout").symlink_to(leads_to)
    real = os.stat
    if has_file:  # as a shell's > makes it
        (folder / "log").write_bytes(b"")
        monkeypatch.setattr(os, "stat", lambda path, **how: real("log" if path == "stdout" else path, **how))
    ran = shell("get", f"{BUCKET}/key", "stdout")
    assert ran.code == 2
    assert ran.error == "cdn-sigv4: stdout is a link to what a process has open, not to a file: for stdout say -"
    assert os.readlink("stdout") == leads_to
    assert loopback.requests == []


def test_wrong_use_below_a_prefix(shell, loopback, store):
    """What is wrong for each object is told once."""
    filled(store, "x/a", "x/b")
    ran = shell("get", "-r", f"{BUCKET}/x", "--part-size", "1")
    assert ran.code == 2
    assert ran.error == "cdn-sigv4: --part-size must be 5242880 (5 MiB) to 5368709120 (5 GiB) bytes, not 1"
    assert loopback.requests == []


def test_a_file_in_the_place_of_a_folder(shell, loopback, folder):
    """All that is below a prefix does not fit into a file: told once, and nothing is asked."""
    (folder / "here").write_bytes(b"")
    ran = shell("get", "-r", f"{BUCKET}/x", "here")
    assert (ran.code, ran.error) == (2, "cdn-sigv4: here is no folder: -r fetches into one")
    assert loopback.requests == []


# -- what is below a prefix


STRANGE = ["x/../escape", "x//twice", "x/./dot", "x/..", "x/a/../b", "x/nul\0"[:-1] + "/"]


def test_keys_that_are_no_files(shell, store, folder, tmp_path):
    """A key that would leave the folder, or is no path, is a failure; the others come; nothing is written elsewhere."""
    filled(store, "x/good", *STRANGE, "x//etc/passwd")
    (folder / "in").mkdir()
    (folder / "in" / "link").symlink_to(tmp_path)
    filled(store, "x/link/escape")
    before = set(tmp_path.iterdir())
    ran = shell("get", "-r", f"{BUCKET}/x", "in")
    assert ran.code == 1
    assert (folder / "in" / "good").read_bytes() == b"x/good"
    assert sorted(path.name for path in (folder / "in").iterdir()) == ["good", "link"]
    assert set(tmp_path.iterdir()) == before
    failures = [line for line in ran.errors if line.startswith("cdn-sigv4: ")]
    assert len(failures) == len(STRANGE) + 2
    assert all("fetch it alone, to a file that you name" in line for line in failures)
    assert ran.errors[-1].startswith(f"1 done, {len(failures)} failed, ")


def test_a_key_that_is_file_and_folder(shell, store, folder):
    """Of two keys that clash, one as a file and one as a folder of the same name, one is a failure; no other is."""
    filled(store, "x/a", "x/a/b", "x/c")
    ran = shell("get", "-r", f"{BUCKET}/x", "in", "--workers", "1")
    assert ran.code == 1
    assert content(folder) == {"in": None, "in/a": b"x/a", "in/c": b"x/c"}
    assert len([line for line in ran.errors if line.startswith("cdn-sigv4: ")]) == 1


def test_keys_that_differ_only_in_case(shell, store, folder, monkeypatch):
    """Where the file system takes two names for one, the second is a failure: it would replace the first."""
    filled(store, "x/A", "x/a", "x/b")
    monkeypatch.setattr(copying, "FOLDS_CASE", True)
    ran = shell("get", "-r", f"{BUCKET}/x", "in")
    assert ran.code == 1
    assert content(folder) == {"in": None, "in/A": b"x/A", "in/b": b"x/b"}
    assert shell("get", f"{BUCKET}/x/A", f"{BUCKET}/x/a", "in").code == 2


def test_marks_of_folders(shell, store, folder):
    """An empty object whose key ends in / marks a folder, as consoles make them: it is left out, and no failure."""
    filled(store, "x/a")
    store.put(BUCKET, "x/", b"")
    store.put(BUCKET, "x/deep/", b"")
    ran = shell("get", "-r", f"{BUCKET}/x/", "in")
    assert ran.code == 0
    assert f"get {BUCKET}/x/deep/: skipped, the mark of a folder" in ran.errors
    assert content(folder) == {"in": None, "in/a": b"x/a"}


def test_nothing_below(shell, store, folder):
    """A prefix that no key has is a failure, as it is most often a mistake; an empty bucket is none."""
    filled(store, "xy")
    ran = shell("get", "-r", f"{BUCKET}/x", "in")
    assert (ran.code, ran.error) == (1, f"cdn-sigv4: {BUCKET}/x/: there is nothing below it")
    store.objects.clear()
    assert shell("get", "-r", BUCKET, "in").code == 0
    assert content(folder) == {}


def test_a_list_that_breaks(shell, store, folder):
    """Where the list ends in an error, what was listed has come, and the end is a failure."""
    store.keys_per_page = 2
    filled(store, *(f"x/{number}" for number in range(6)))
    refusal = Answer(403, headers={"x-amz-request-id": "7"}, body=xml("AccessDenied"))
    with RawServer(lambda request: refusal if b"continuation" in request.query else store(request)) as server:
        ran = shell("get", "-r", f"{BUCKET}/x", "in", "--json", "--host", server.endpoint)
    assert ran.code == 1
    assert content(folder) == {"in": None, "in/0": b"x/0", "in/1": b"x/1"}
    assert (ran.json[-1]["done"], ran.json[-1]["failed"]) == (2, 1)


def test_a_list_is_read_bit_by_bit(shell, loopback, store, folder):
    """The next page is asked for when the objects of the one before are under way: no list is held in memory."""
    store.keys_per_page = 10
    filled(store, *(f"x/{number:03}" for number in range(100)))
    assert shell("get", "-r", f"{BUCKET}/x", "in", "--not-durable").code == 0
    kinds = ["list" if b"list-type" in request.query else "get" for request in loopback.requests]
    assert kinds.count("list") == 10
    for number, place in enumerate(place for place, kind in enumerate(kinds) if kind == "list"):
        assert kinds[:place].count("get") >= 10 * number - 8  # those which are on their way
    assert len(content(folder)) == 101


# -- the real server


def test_on_the_server(real_shell, root_client, bucket, folder):
    """The downloader, who may do nothing else, fetches several objects, verified, and again only what has changed."""
    prefix = f"cli-{secrets.token_hex(4)}"
    root_client.put_object(bucket, f"{prefix}/small", BODY)
    root_client.put_object(bucket, f"{prefix}/large", made(5, 17 * MIB))
    words = ("get", f"{bucket}/{prefix}/small", f"{bucket}/{prefix}/large", "in/", "--if-changed", "--json")
    ran = real_shell(*words)
    assert (ran.code, ran.err) == (0, "")
    assert content(folder) == {"in": None, "in/small": BODY, "in/large": made(5, 17 * MIB)}
    assert {each["verified"] for each in ran.json[:-1]} == {"crc32"}
    root_client.put_object(bucket, f"{prefix}/small", b"other")
    changed = {each["key"].rpartition("/")[2]: each["changed"] for each in real_shell(*words).json[:-1]}
    assert changed == {"small": True, "large": False}
    ran = real_shell("get", f"{bucket}/{prefix}/large", "-")
    assert ran.out == made(5, 17 * MIB)
    assert ran.error.endswith("verified by crc32")


def test_a_tree_on_the_server(capsysbinary, monkeypatch, server, bucket, folder):
    """What was stored from a folder comes back as it was, from a key that may list."""
    root = Credentials(server.root_access_key, server.root_secret_key)
    shell = Shell(capsysbinary, monkeypatch, server.endpoint, root, root, server.region)
    prefix = f"cli-{secrets.token_hex(4)}"
    for name in ("a", "deep/er/b ü 1+2=3 %41~", "deep/c"):
        path = folder / "from" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    assert shell("put", "-r", "from", f"{bucket}/{prefix}").code == 0
    assert shell("get", "-r", f"{bucket}/{prefix}", "to").code == 0
    assert content(folder / "to") == content(folder / "from")
    assert [line[33:] for line in shell("ls", "-r", f"{bucket}/{prefix}/").lines] == [
        f"{prefix}/a",
        f"{prefix}/deep/c",
        f"{prefix}/deep/er/b ü 1+2=3 %41~",
    ]
