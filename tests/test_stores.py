"""scripts/stores: what it says of a MinIO, of a store that needs a switch, and of one that does what it should not."""

import re

import pytest
from kit import KEY, SECRET
from rawserver import Answer

from cdn_sigv4 import Credentials
from harness import stores
from harness.environment import ROOT
from harness.stores_checks import CHECKS

KEYS = Credentials(KEY, SECRET)
NOT_ON_MINIO = {"key 'a//b'": "refused", "key 'a/../b'": "refused", "key '/begins with a slash'": "WRONG"}
REFUSAL = Answer(501, body=b"<Error><Code>NotImplemented</Code><Message>no checksums here</Message></Error>")


def tried(store, names):
    """The exit code, the lines between the bucket's and the last by their names, and the last one."""
    lines = []
    code = stores.run(store, {name: CHECKS[name] for name in names}, lines.append)
    assert lines[0].split("  ")[0] == "make a bucket"
    return code, {line[:28].rstrip(): line[29:] for line in lines[1:-1]}, lines[-1]


@pytest.mark.minio
def test_minio(server, root_client):
    """On a MinIO all works as it is, but for keys that no file can have; nothing is left but an empty bucket."""
    store = stores.Store(server.endpoint, Credentials(server.root_access_key, server.root_secret_key))
    code, lines, last = tried(store, CHECKS)
    assert code == 1
    assert list(lines) == list(CHECKS)
    assert {name: re.split(r"\W", text)[0] for name, text in lines.items() if not text.startswith("works")} == (
        NOT_ON_MINIO
    )
    assert not [text for text in lines.values() if text.startswith("works with")]
    assert lines["12 MiB in parts"] == "works: verified: up by crc32, down by crc32"
    assert last == f"{len(CHECKS)} operations: {len(CHECKS) - 3} works, 2 refused, 1 WRONG"
    assert list(root_client.list_objects(store.bucket)) == []
    assert not any(server.root_secret_key in line for line in [*lines.values(), last])


def test_a_switch_that_helps_is_named(store, loopback):
    """A store that refuses the checksum's header works with checksum=None; the line says what came without."""
    loopback.answer = lambda asked: REFUSAL if b"x-amz-checksum-crc32:" in asked.head.lower() else store(asked)
    code, lines, last = tried(stores.Store(loopback.endpoint, KEYS), ["small file"])
    assert code == 0
    assert lines["small file"].startswith("works with checksum=None: verified: up by md5, down by md5; without: ")
    assert "501 NotImplemented: no checksums here" in lines["small file"]
    assert last == "1 operations: 1 works, 0 refused, 0 WRONG"


def test_a_refusal_that_no_switch_helps(store, loopback):
    """What fails with every switch is told as it was without any, and is no reason for an exit code."""
    loopback.answer = lambda asked: REFUSAL if b"copy-source" in asked.head else store(asked)
    code, lines, last = tried(stores.Store(loopback.endpoint, KEYS), ["copy"])
    assert code == 0
    assert lines["copy"].startswith("refused: ResponseError: PUT cdn-stores-")
    assert last == "1 operations: 0 works, 1 refused, 0 WRONG"


def test_a_store_that_does_what_it_should_not(store, loopback):
    """A condition that is ignored, and a crash that nobody has thought of, are WRONG, with exit code 1."""

    def ignorant(asked):
        asked.headers = [(name, value) for name, value in asked.headers if name.lower() != "if-none-match"]
        return store(asked)

    loopback.answer = ignorant
    code, lines, _ = tried(stores.Store(loopback.endpoint, KEYS), ["PUT if_none_match='*'"])
    assert code == 1
    assert lines == {"PUT if_none_match='*'": 'WRONG: if_none_match="*" was ignored: the object was overwritten'}

    def crash(_client, _place):
        raise ZeroDivisionError("of all things")

    lines = []
    assert stores.run(stores.Store(loopback.endpoint, KEYS), {"crash": crash}, lines.append) == 1
    assert "WRONG: ZeroDivisionError: of all things" in lines[1]


def test_without_a_bucket_nothing_is_tried(loopback):
    """Who may not make a bucket hears so, and that is all."""
    lines = []
    wrong = Credentials(KEY, "another-secret")
    assert stores.run(stores.Store(loopback.endpoint, wrong), CHECKS, lines.append) == 1
    assert len(lines) == 1
    assert "refused: AccessDenied" in lines[0]


@pytest.mark.parametrize(
    ("arguments", "environ", "text"),
    [
        (["http://127.0.0.1:1"], {}, "AWS_ACCESS_KEY_ID"),
        (["ftp://127.0.0.1:1"], {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}, "ftp"),
        ([], {}, "endpoint"),
    ],
    ids=["no keys", "no endpoint of a store", "no endpoint"],
)
def test_commands_that_cannot_be_meant(arguments, environ, text, monkeypatch, capsys):
    """Without keys, or with an endpoint that is none, the exit code is 2 and the reason is said."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as caught:
        stores.main(arguments, "usage\n\ntext")
    assert caught.value.code == 2
    shown = capsys.readouterr().err
    assert text in shown
    assert SECRET not in shown


def test_the_page_names_every_operation_that_is_tried():
    """docs/stores.md has a row for each operation, under its own name."""
    page = (ROOT / "docs" / "stores.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| `([^|]+?)` \|", page, re.MULTILINE))
    assert rows == set(CHECKS)
