"""ls, stat, rm, presign, doctor: what each asks, in whose name, and what it prints, as lines and as JSON."""

import pytest
from kit import BODY, BUCKET, ETAG, FOUR
from kit_calls import xml
from kit_cli import Shell
from rawserver import Answer, RawServer, make_tls

# -- settings


def test_without_settings(shell, monkeypatch):
    """Without a server, or a key, the error says where one is looked for."""
    monkeypatch.delenv("CDN_UPLOADER_ACCESS_KEY")
    monkeypatch.delenv("CDN_UPLOADER_ACCESS_SECRET")
    ran = shell("rm", f"{BUCKET}/key")
    assert ran.code == 2
    assert "no keys of the uploader: set CDN_UPLOADER_ACCESS_KEY and CDN_UPLOADER_ACCESS_SECRET" in ran.error
    monkeypatch.delenv("CDN_HOST")
    ran = shell("ls", BUCKET)
    assert (ran.code, ran.error) == (
        2,
        "cdn-sigv4: which server? Give --host, or set CDN_HOST, or name a file with --config",
    )


@pytest.mark.parametrize("is_option", [True, False], ids=["--config", "CDN_CONFIG"])
def test_config(shell, loopback, monkeypatch, folder, is_option):
    """Everything may stand in a file, which an option or the environment names."""
    for name in list(shell.environ):
        monkeypatch.delenv(name)
    names = ("host", "downloader_access_key", "downloader_access_secret")
    lines = [f"{name}: {value}" for name, value in zip(names, (loopback.endpoint, *FOUR[:2]))]
    (folder / "cdn.yaml").write_text("\n".join(lines))
    if not is_option:
        monkeypatch.setenv("CDN_CONFIG", "cdn.yaml")
    assert shell(*(["--config", "cdn.yaml"] if is_option else []), "ls", BUCKET).code == 0
    assert f"Credential={FOUR[0]}/".encode() in loopback.requests[0].head


@pytest.mark.parametrize(
    ("words", "user"),
    [
        (["ls", BUCKET], "downloader"),
        (["stat", f"{BUCKET}/key"], "downloader"),
        (["get", f"{BUCKET}/key", "-"], "downloader"),
        (["rm", f"{BUCKET}/key"], "uploader"),
        (["put", "-", f"{BUCKET}/key"], "uploader"),
        (["--as", "uploader", "ls", BUCKET], "uploader"),
        (["rm", f"{BUCKET}/key", "--as", "downloader"], "downloader"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_whose_key(shell, loopback, store, words, user):
    """What writes is signed by the uploader, what reads by the downloader, unless it is said otherwise."""
    store.put(BUCKET, "key", BODY)
    assert shell(*words).code == 0
    key = {"downloader": FOUR[0], "uploader": FOUR[2]}[user]
    assert [f"Credential={key}/".encode() in request.head for request in loopback.requests] == [True]


@pytest.mark.parametrize(
    ("method", "key"), [("GET", FOUR[0]), ("HEAD", FOUR[0]), ("PUT", FOUR[2]), ("DELETE", FOUR[2])]
)
def test_presign(shell, loopback, method, key):
    """A URL is signed by who may do what it is for; it is all of stdout, and nothing is sent."""
    ran = shell("presign", f"{BUCKET}/a b/../c", "--method", method, "--expires-in", "60")
    assert (ran.code, ran.err) == (0, "")
    (url,) = ran.lines
    assert url.startswith(f"{loopback.endpoint}/{BUCKET}/a%20b/../c?X-Amz-Algorithm=AWS4-HMAC-SHA256&")
    assert f"X-Amz-Credential={key}%2F" in url
    assert "X-Amz-Expires=60&" in url
    assert loopback.requests == []
    assert shell("presign", f"{BUCKET}/a", "--method", method, "--json").json[0]["url"].startswith("http")


def test_options_reach_the_client(shell, capsysbinary, monkeypatch, folder):
    """What the options say of attempts, checksum and entity tags holds for what is sent."""
    with RawServer(lambda _: Answer(503)) as server:
        ran = shell("--host", server.endpoint, "ls", BUCKET, "--attempts", "3", "--budget", "99")
        assert (ran.code, len(server.requests)) == (1, 3)
        assert "(after 3 attempts in" in ran.error
    for checksum, name in (("sha256", b"x-amz-checksum-sha256"), ("none", None)):
        with RawServer(lambda _: Answer(headers={**ETAG, "x-amz-request-id": "1"})) as server:
            assert shell("--host", server.endpoint, "put", "-", f"{BUCKET}/k", "--checksum", checksum).code == 0
            head = server.requests[0].head.lower()
            assert (name in head) if name else (b"x-amz-checksum" not in head)
    wrong = {"ETag": f'"{"0" * 32}"', "x-amz-request-id": "1"}
    with RawServer(lambda _: Answer(headers=wrong, body=BODY)) as server:
        assert shell("--host", server.endpoint, "get", f"{BUCKET}/key").code == 1
        assert shell("--host", server.endpoint, "get", f"{BUCKET}/key", "--etag-is-no-md5").code == 0


def test_trust(shell, store, tmp_path):
    """A certificate of an unknown authority is refused, but with --ca-file, or with --insecure."""
    context, authority = make_tls(tmp_path)
    with RawServer(store, tls=context) as server:
        words = ("ls", BUCKET, "--host", server.endpoint, "--attempts", "1")
        ran = shell(*words)
        assert ran.code == 1
        assert "certificate" in ran.error
        assert "give its file as --ca-file" in ran.error
        assert shell(*words, "--ca-file", authority).code == 0
        ran = shell(*words, "--insecure")
        assert (ran.code, ran.err) == (0, "")


# -- ls, stat, rm


def test_ls(shell, store):
    """A list has time, size and key in columns; what goes on behind the next / is one line, with -r it is each key."""
    for key in ("a", "b/c", "b/d/e"):
        store.put(BUCKET, key, BODY)
    ran = shell("ls", BUCKET)
    assert (ran.code, ran.err) == (0, "")
    assert [line[19:] for line in ran.lines] == [f"{len(BODY):>13} a", "          PRE b/"]
    assert [line[33:] for line in shell("ls", f"{BUCKET}/b/").lines] == ["b/c", "b/d/"]
    assert [line[33:] for line in shell("ls", "-r", f"s3://{BUCKET}/b").lines] == ["b/c", "b/d/e"]
    listed = shell("ls", BUCKET, "--json").json
    assert [each.get("key", each.get("prefix")) for each in listed] == ["a", "b/"]
    assert all(each["ok"] and each["bucket"] == BUCKET for each in listed)
    assert (listed[0]["size"], listed[0]["last_modified"][-6:]) == (len(BODY), "+00:00")


def test_ls_of_nothing(shell):
    """An empty bucket is an empty list; a prefix that no key has is an error, since it is most often a mistake."""
    ran = shell("ls", BUCKET)
    assert (ran.code, ran.out, ran.err) == (0, b"", "")
    ran = shell("ls", f"{BUCKET}/x")
    assert (ran.code, ran.error) == (1, f"cdn-sigv4: no key of {BUCKET} begins with x")
    (failed,) = shell("ls", f"{BUCKET}/x", "--json").json
    assert failed["ok"] is False
    assert failed["command"] == "ls"


def test_ls_shows_what_a_terminal_takes(shell, store):
    """A key's control characters are blanks in a line; as JSON it is exact, in ASCII."""
    key = "a\x1b[2J\n\u009bü"
    store.put(BUCKET, key, b"")
    ran = shell("ls", BUCKET)
    assert ran.lines[0].endswith("a [2J  ü")
    ran = shell("ls", BUCKET, "--json")
    assert ran.out.isascii()
    assert ran.json[0]["key"] == key


def test_ls_without_letters(shell, store):
    """A stdout that has no ü shows it as an escape, and no error."""
    store.put(BUCKET, "ü", b"")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONIOENCODING", "ascii")
        ran = shell.ended(shell.child("ls", BUCKET))
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.endswith(b" \\xfc\n")


def test_stat(shell, store):
    """A description is lines of names and values; as JSON all of it, with the metadata."""
    headers = {"content-type": "text/x", "x-amz-meta-by": "job 7", "cache-control": "no-cache"}
    stored = store.put(BUCKET, "a/../b", BODY, headers)
    ran = shell("stat", f"{BUCKET}/a/../b")
    assert (ran.code, ran.err) == (0, "")
    told = dict(line.split(": ", 1) for line in ran.lines)
    assert told.pop("last modified").endswith("+00:00")
    assert told == {
        "bucket": BUCKET,
        "key": "a/../b",
        "size": str(len(BODY)),
        "etag": stored.etag,
        "content type": "text/x",
        "cache-control": "no-cache",
        "metadata by": "job 7",
    }
    (found,) = shell("stat", f"{BUCKET}/a/../b", "--json").json
    assert (found["ok"], found["size"], found["metadata"]) == (True, len(BODY), {"by": "job 7"})
    assert shell("stat", f"{BUCKET}/nothing").code == 1


def test_rm(shell, store):
    """Objects are deleted; one that is not there is no error; the key is the one that was named."""
    for key in ("a", "a/../b", "b"):
        store.put(BUCKET, key, BODY)
    ran = shell("rm", f"{BUCKET}/a/../b")
    assert (ran.code, ran.error) == (0, f"rm {BUCKET}/a/../b: done")
    ran = shell("rm", f"{BUCKET}/a", f"s3://{BUCKET}/nothing", f"{BUCKET}/b", "--json")
    assert ran.code == 0
    assert {each.get("key") for each in ran.json[:-1]} == {"a", "nothing", "b"}
    assert (ran.json[-1]["summary"], ran.json[-1]["done"], ran.json[-1]["failed"]) == (True, 3, 0)
    assert store.objects == {}


def test_one_that_fails_stops_no_other(shell, store):
    """Of several, one that is refused is told of, the others are done, and the exit code is 1."""
    for key in ("a", "b", "c"):
        store.put(BUCKET, key, BODY)
    denied = Answer(403, headers={"x-amz-request-id": "7"}, body=xml("AccessDenied"))
    with RawServer(lambda request: denied if request.path == b"/bucket/b" else store(request)) as server:
        ran = shell("rm", *(f"{BUCKET}/{key}" for key in "abc"), "--host", server.endpoint)
    assert ran.code == 1
    assert set(store.objects) == {(BUCKET, b"b")}
    assert sorted(line.partition(": ")[0] for line in ran.errors[:-1]) == [
        "cdn-sigv4",
        f"rm {BUCKET}/a",
        f"rm {BUCKET}/c",
    ]
    assert ran.errors[-1].startswith("2 done, 1 failed in ")
    assert ran.errors[-1].endswith(" s")


@pytest.mark.minio
def test_who_may_not_delete(capsysbinary, monkeypatch, server, users, bucket, root_client, folder):
    """Neither of the two users of least privilege deletes or lists: the lines say that it was refused."""
    shell = Shell(capsysbinary, monkeypatch, server.endpoint, *users)
    root_client.put_object(bucket, "cli/kept", BODY)
    for words in (["rm", f"{bucket}/cli/kept"], ["ls", bucket], ["get", "-r", f"{bucket}/cli", "here"]):
        ran = shell(*words)
        assert ran.code == 1
        assert "403 AccessDenied" in ran.error
    assert root_client.head_object(bucket, "cli/kept").size == len(BODY)
    assert list(folder.iterdir()) == []


def test_doctor(shell, monkeypatch):
    """The command hands its words over, and the exit code back; it needs no keys."""
    called = []
    monkeypatch.setattr("cdn_sigv4.doctor.run", lambda *args, **more: called.append((args[1:], more)) or 1)
    for name in ("UPLOADER_ACCESS_KEY", "UPLOADER_ACCESS_SECRET"):
        monkeypatch.delenv(f"CDN_{name}")
    assert shell("doctor").code == 1
    assert shell("doctor", BUCKET, "--json").code == 1
    assert shell("doctor", f"{BUCKET}/a/b", "--write", "probe").code == 1
    assert called == [
        ((None, None), {"write": None, "as_json": False}),
        ((BUCKET, None), {"write": None, "as_json": True}),
        ((BUCKET, "a/b"), {"write": "probe", "as_json": False}),
    ]
