"""`put`: which files become which objects, in the uploader's name; and what comes of each, one by one and together."""

import contextlib
import os
import re
import secrets

import pytest
from kit import BODY, BUCKET
from kit_calls import xml
from kit_parts import MIB, made
from rawserver import Answer, RawServer


def tree(folder, **files):
    """Make files, named with __ for /."""
    for name, data in files.items():
        path = folder.joinpath(*name.split("__"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def scanned(patch, folder, change):
    """Let the entries of this folder come through `change`."""
    scandir = os.scandir

    @contextlib.contextmanager
    def changed(path):
        with scandir(path) as entries:
            yield change(entries)

    patch.setattr(os, "scandir", lambda path: changed(path) if path == folder else scandir(path))


def keys(store):
    return sorted(key.decode() for _, key in store.objects)


# -- where to


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["a", "{b}"], ["a"]),
        (["a", "s3://{b}"], ["a"]),
        (["a", "{b}/"], ["a"]),
        (["a", "{b}/x"], ["x"]),
        (["a", "{b}/x/"], ["x/a"]),
        (["in/c", "{b}/x/"], ["x/c"]),
        (["in/c", "{b}"], ["c"]),
        (["a", "in/c", "{b}"], ["a", "c"]),
        (["a", "in/c", "{b}/x"], ["x/a", "x/c"]),
        (["a", "{b}/x/../y"], ["x/../y"]),
        (["a", "{b}/x//"], ["x//a"]),
        (["a", "{b}//x"], ["/x"]),
        (["-r", "in", "{b}"], ["c", "deep/er/d"]),
        (["-r", "in/", "{b}/x"], ["x/c", "x/deep/er/d"]),
        (["-r", "in", "a", "{b}/x/"], ["x/a", "x/c", "x/deep/er/d"]),
        (["-r", "a", "{b}/x"], ["x/a"]),
    ],
    ids=" ".join,
)
def test_keys(shell, store, folder, words, expected):
    """The target is a key, or a prefix for the names of files, or of what is in a folder; no key is changed."""
    tree(folder, a=b"a", in__c=b"c", in__deep__er__d=b"d")
    ran = shell("put", *(word.format(b=BUCKET) for word in words))
    assert ran.code == 0
    assert keys(store) == sorted(expected)
    assert all(stored.body == key[-1:] or key in (b"x", b"/x", b"x/../y") for (_, key), stored in store.objects.items())


def test_what_goes_along(shell, store, folder):
    """Content type, metadata and other headers are stored with the object."""
    tree(folder, a=BODY)
    ran = shell(
        *("put", "a", f"{BUCKET}/k", "--content-type", "text/x", "--metadata", "by=job 7", "--metadata", "v==1"),
        *("--header", "cache-control=no-cache"),
    )
    assert ran.code == 0
    headers = store.objects[BUCKET, b"k"].headers
    assert headers["content-type"] == "text/x"
    assert (headers["x-amz-meta-by"], headers["x-amz-meta-v"]) == ("job 7", "=1")
    assert headers["cache-control"] == "no-cache"


def test_if_absent(shell, store, folder):
    """With --if-absent what is there stays, and that is a failure."""
    tree(folder, a=BODY)
    assert shell("put", "a", f"{BUCKET}/k", "--if-absent").code == 0
    tree(folder, a=b"other")
    ran = shell("put", "a", f"{BUCKET}/k", "--if-absent")
    assert ran.code == 1
    assert "412 PreconditionFailed" in ran.error
    assert store.objects[BUCKET, b"k"].body == BODY


@pytest.mark.parametrize("size", [0, 1, 12 * MIB])
def test_stdin(shell, store, size):
    """FILE - is what comes in, of any length, stored as it is."""
    ran = shell("put", "-", f"{BUCKET}/in", stdin=made(1, size))
    assert (ran.code, ran.error.partition(":")[0]) == (0, f"put - -> {BUCKET}/in")
    assert store.objects[BUCKET, b"in"].body == made(1, size)


def test_stdin_of_a_process(shell, store, tmp_path):
    """The same from a file and from a pipe of a shell."""
    path = tmp_path / "source"
    path.write_bytes(made(2, 7 * MIB))
    with path.open("rb") as file:
        file.seek(10)
        assert shell.ended(shell.child("put", "-", f"{BUCKET}/file", stdin=file)).code == 0
    assert store.objects[BUCKET, b"file"].body == made(2, 7 * MIB)[10:]
    reading, writing = os.pipe()
    child = shell.child("put", "-", f"{BUCKET}/pipe", stdin=reading)
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(made(3, 7 * MIB))
    assert shell.ended(child).code == 0
    assert store.objects[BUCKET, b"pipe"].body == made(3, 7 * MIB)


# -- folders


def test_links_and_what_is_no_file(shell, store, folder, tmp_path):
    """Links to files are followed, links to folders and what is no file are left out and told, a broken link fails."""
    (tmp_path / "outside").mkdir()
    tree(tmp_path, outside__secret=b"s")
    tree(folder, in__a=b"a")
    (folder / "in" / "link").symlink_to("a")
    (folder / "in" / "folder").symlink_to(tmp_path / "outside")
    (folder / "in" / "loop").symlink_to(".")
    (folder / "in" / "nowhere").symlink_to("nothing")
    os.mkfifo(folder / "in" / "pipe")
    ran = shell("put", "-r", "in", BUCKET)
    assert ran.code == 1
    assert keys(store) == ["a", "link"]
    assert sorted(ran.errors[:-1])[:4] == [
        "cdn-sigv4: in/nowhere: No such file or directory",
        *(line for line in sorted(ran.errors) if line.startswith("put in/a")),
        "put in/folder: skipped, a link to a folder",
        *(line for line in sorted(ran.errors) if line.startswith("put in/link")),
    ]
    assert "put in/loop: skipped, a link to a folder" in ran.errors
    assert "put in/pipe: skipped, no regular file" in ran.errors
    assert ran.errors[-1].startswith("2 done, 1 failed, 3 skipped, 2 bytes in ")


def test_links_in_a_circle(shell, store, folder):
    """A link that leads to itself, which no system call follows, fails alone: all else is stored, and summed up."""
    tree(folder, in__a=b"a", in__b__c=b"c", in__z=b"z")
    for place in ("in", "in/b"):
        (folder / place / "circle").symlink_to("circle")
    ran = shell("put", "-r", "in", BUCKET)
    assert ran.code == 1
    assert keys(store) == ["a", "b/c", "z"]
    failed = sorted(line for line in ran.errors if line.startswith("cdn-sigv4: "))
    assert [line.partition(": ")[2] for line in failed] == [
        "in/b/circle: Too many levels of symbolic links",
        "in/circle: Too many levels of symbolic links",
    ]
    assert ran.errors[-1].startswith("3 done, 2 failed, 3 bytes in ")


def test_a_folder_that_breaks_off(shell, store, folder, monkeypatch):
    """Where a folder cannot be read to its end, what was found is stored, and the others are gone through."""
    tree(folder, in__a=b"a", in__b__c=b"c")

    def broken(entries):
        yield from entries
        raise OSError(5, "Input/output error")

    scanned(monkeypatch, "in/", broken)
    ran = shell("put", "-r", "in", BUCKET)
    assert ran.code == 1
    assert keys(store) == ["a", "b/c"]
    assert "cdn-sigv4: in/: Input/output error" in ran.errors


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--part-size", "1"), "--part-size must be 5242880 (5 MiB) to 5368709120 (5 GiB) bytes, not 1"),
        (("--content-type", "a\nb"), "the value of 'content-type' must be printable ASCII"),
        (("--metadata", "a b=c"), "'a b' is no header name"),
        (("--header", "host=c"), "the header 'host' is set by this package"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_wrong_use_of_a_folder(shell, loopback, folder, words, text):
    """What can be sent with no file at all is wrong use, told once, however many files there are."""
    tree(folder, in__a=b"a", in__b=b"b", in__c=b"c")
    ran = shell("put", "-r", "in", BUCKET, *words)
    assert ran.code == 2
    assert ran.error.startswith(f"cdn-sigv4: {text}")
    assert loopback.requests == []


def test_a_folder_that_cannot_be_read(shell, store, folder, monkeypatch):
    """One that may not be looked into is a failure, and the others go on."""
    tree(folder, in__a=b"a", in__closed__b=b"b")
    scandir = os.scandir

    def refused(path):
        if path.endswith("closed/"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    ran = shell("put", "-r", "in", BUCKET)
    assert ran.code == 1
    assert keys(store) == ["a"]
    assert "cdn-sigv4: in/closed/: Permission denied" in ran.errors


def test_the_same_key_twice(shell, loopback, folder):
    """Two folders with the same name in them are refused before anything is sent."""
    tree(folder, one__x__a=b"1", two__x__a=b"2", two__b=b"3")
    ran = shell("put", "-r", "one", "two", f"{BUCKET}/in")
    assert ran.code == 2
    assert ran.error == "cdn-sigv4: one/x/a and two/x/a would both become in/x/a: nothing was sent"
    assert loopback.requests == []


def test_a_name_that_is_no_key(shell, store, folder):
    """A file whose name is not UTF-8 has no key: it fails, the others go on, and the line can be shown."""
    tree(folder, in__a=b"a")
    try:
        with open(b"in/\xff\n", "wb"):  # noqa: PTH123 - pathlib takes no bytes
            pass
    except OSError:
        pytest.skip("this file system has no such name")
    ran = shell("put", "-r", "in", BUCKET, "--json")
    assert ran.code == 1
    assert keys(store) == ["a"]
    assert "which has no UTF-8 form" in ran.error
    assert ran.error.isprintable()
    assert ran.out.isascii()
    (failed,) = [each for each in ran.json if not each["ok"] and "summary" not in each]
    assert failed["source"] == os.fsdecode(b"in/\xff\n")


# -- what comes of it


def test_lines(shell, folder):
    """Each file is a line, and several have a summary; --quiet says nothing."""
    tree(folder, a=bytes(1536), b=bytes(6 * MIB))
    ran = shell("put", "a", BUCKET)
    assert ran.out == b""
    assert re.fullmatch(rf"put a -> {BUCKET}/a: 1\.5 KiB in \d+\.\d s, verified by md5", ran.error)
    ran = shell("put", "a", "b", BUCKET)
    assert [line.partition(":")[0] for line in sorted(ran.errors[:2])] == [
        f"put a -> {BUCKET}/a",
        f"put b -> {BUCKET}/b",
    ]
    assert re.fullmatch(r"2 done, 6\.0 MiB in \d+\.\d s", ran.errors[2])
    assert shell("put", "a", "b", BUCKET, "--quiet").err == ""


def test_json(shell, folder, store):
    """As JSON each file is an object, and so is the summary; failures are told on stderr as well."""
    tree(folder, a=b"12")
    ran = shell("put", "a", "nothing", f"{BUCKET}/x/", "--json")
    assert ran.code == 1
    assert ran.error == "cdn-sigv4: nothing: No such file or directory"
    by_source = {each.get("source"): each for each in ran.json}
    done, failed, summary = by_source["a"], by_source["nothing"], ran.json[-1]
    assert done.pop("seconds") >= 0
    assert done == {
        "ok": True,
        "command": "put",
        "source": "a",
        "bucket": BUCKET,
        "key": "x/a",
        "size": 2,
        "etag": store.objects[BUCKET, b"x/a"].etag,
        "verified": "md5",
        "bytes_moved": 2,
    }
    assert failed == {
        "ok": False,
        "command": "put",
        "source": "nothing",
        "bucket": BUCKET,
        "key": "x/nothing",
        "error": {"type": "FileNotFoundError", "message": "nothing: No such file or directory"},
    }
    assert summary.pop("seconds") >= 0
    assert summary == {
        "ok": False,
        "command": "put",
        "summary": True,
        "done": 1,
        "failed": 1,
        "skipped": 0,
        "bytes": 2,
    }


def test_json_of_a_refusal(shell, folder):
    """A failure says status, code, request id and hint."""
    tree(folder, a=b"12")
    refusal = Answer(403, headers={"x-amz-request-id": "ABC"}, body=xml("AccessDenied"))
    with RawServer(lambda _: refusal) as server:
        ran = shell("put", "a", BUCKET, "--json", "--host", server.endpoint)
    assert ran.code == 1
    (failed,) = ran.json
    error = failed["error"]
    assert error.pop("seconds") >= 0
    assert error.pop("hint")
    assert error == {
        "type": "AccessDenied",
        "message": str(error["message"]),
        "operation": "PUT",
        "bucket": BUCKET,
        "key": "a",
        "status": 403,
        "code": "AccessDenied",
        "request_id": "ABC",
        "attempts": 1,
    }


@pytest.mark.parametrize(
    ("count", "workers", "most"), [(1, 4, 4), (2, 4, 4), (3, 4, 3), (9, 4, 4), (2, 1, 1), (1, 2, 2)]
)
def test_no_more_requests_than_workers(shell, store, folder, count, workers, most, monkeypatch, small_parts):
    """All files together make at most --workers requests at a time; one alone has them all."""
    from threading import Lock

    at_work, peak, lock = set(), [], Lock()
    tree(folder, **{f"in__{number}": made(number, 4 * MIB) for number in range(count)})

    def answer(request):
        with lock:
            at_work.add(request.connection)
            peak.append(len(at_work))
        try:
            return store(request)
        finally:
            with lock:
                at_work.discard(request.connection)

    with RawServer(answer) as server:
        ran = shell("put", "-r", "in", BUCKET, "--workers", workers, "--host", server.endpoint)
        assert ran.code == 0
        assert len(keys(store)) == count
        assert server.connections <= most
        assert max(peak) <= most
        if count == 1:
            assert server.connections > 1 or workers == 1


def test_many_files_are_found_bit_by_bit(shell, loopback, store, folder):
    """A folder is gone through as its files are sent, not before: how many there are costs no memory."""
    tree(folder, **{f"in__{number:03}": b"x" for number in range(100)})
    seen = []

    def watched(entries):
        for number, entry in enumerate(entries):
            seen.append(number - len(loopback.requests))
            yield entry

    with pytest.MonkeyPatch.context() as patch:
        scanned(patch, "in/", watched)
        assert shell("put", "-r", "in", BUCKET).code == 0
    assert len(keys(store)) == 100
    assert max(seen) <= 8  # those at work, and those whose answer is on its way


# -- the real server


def test_on_the_server(real_shell, root_client, bucket, folder):
    """The uploader, who may do nothing else, stores a folder with a large file and a small one, verified."""
    prefix = f"cli-{secrets.token_hex(4)}"
    tree(folder, in__small=BODY, in__deep__large=made(5, 12 * MIB), in__empty=b"")
    ran = real_shell("put", "-r", "in", f"{bucket}/{prefix}")
    assert (ran.code, len(ran.errors)) == (0, 4)
    listed = {each.key[len(prefix) :]: each.size for each in root_client.list_objects(bucket, prefix)}
    assert listed == {"/small": len(BODY), "/deep/large": 12 * MIB, "/empty": 0}
    with root_client.get_object(bucket, f"{prefix}/deep/large") as reader:
        assert reader.read() == made(5, 12 * MIB)


def test_stdin_on_the_server(real_shell, root_client, bucket):
    """Stdin is stored in parts, as it comes."""
    key = f"cli-{secrets.token_hex(4)}"
    assert real_shell("put", "-", f"{bucket}/{key}", stdin=made(6, 6 * MIB)).code == 0
    with root_client.get_object(bucket, key) as reader:
        assert reader.read() == made(6, 6 * MIB)


@pytest.mark.parametrize("at", [3 * MIB])
def test_resume(shell, store, folder, at, small_parts, tmp_path, monkeypatch):
    """With --resume an upload that failed keeps its parts, says so, and the same command sends what is missing."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    tree(folder, a=made(7, 4 * MIB))
    with RawServer(store) as server:
        sent = []

        def answer(request):
            if request.method == "PUT":
                sent.append(request)
                if len(sent) > 2:
                    return Answer(403, headers={"x-amz-request-id": "7"}, body=xml("AccessDenied"))
            return store(request)

        server.answer = answer
        words = ("put", "a", f"{BUCKET}/k", "--resume", "--workers", "1", "--host", server.endpoint)
        ran = shell(*words)
        assert ran.code == 1
        assert "The parts that were sent are kept in the store" in ran.error
        server.answer = store
        ran = shell(*words)
        assert ran.code == 0
        assert ran.error.endswith(" moved")
    assert store.objects[BUCKET, b"k"].body == made(7, 4 * MIB)
    assert store.uploads == {}
