"""Where command line and façade find store and keys, in which order, and that no error shows what may be a secret."""

import json
import re
import sys
import traceback
from pathlib import Path

import pytest
from kit import ETAG, FOUR, READ_SECRET, WRITE_SECRET, still_works
from rawserver import Answer, RawServer

from cdn_sigv4 import CDNCredentials, S3Client
from cdn_sigv4.settings import MOST, MUST, NAMES, Settings, UsageError, found, read

HOST = "https://store.example"
SECRET = "hush+hush/hush"
FILE = dict(zip(NAMES, ("https://file.example", *FOUR, "file-1")))
YAML = "\n".join(f"{name}: {value}" for name, value in FILE.items())


def written(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


# -- where values come from


@pytest.mark.parametrize(
    ("given", "environ", "host"),
    [
        ({"host": "https://option.example"}, {"CDN_HOST": "https://environ.example"}, "https://option.example"),
        ({"host": None}, {"CDN_HOST": "https://environ.example"}, "https://environ.example"),
        ({}, {"CDN_ENDPOINT": "https://other.example"}, "https://other.example"),
        (
            {},
            {"CDN_ENDPOINT": "https://other.example", "CDN_HOST": "https://environ.example"},
            "https://environ.example",
        ),
        ({}, {"CDN_HOST": ""}, "https://file.example"),
        ({"host": ""}, {}, "https://file.example"),
    ],
    ids=["option", "environment", "its other name", "the first name", "set, but empty", "given, but empty"],
)
def test_order(tmp_path, given, environ, host):
    """Options come before the environment, that before the file; what is empty is not there."""
    path = written(tmp_path / "cdn.yaml", YAML)
    assert found(given, environ, read(path)) == {**FILE, "host": host}


def test_each_value_for_itself(tmp_path):
    """A secret in the environment goes with the key in the file; without any of the three there is no value."""
    path = written(tmp_path / "cdn.json", json.dumps({"host": HOST, "uploader_access_key": "writer"}))
    values = found({"region": "eu-1"}, {"CDN_UPLOADER_ACCESS_SECRET": SECRET, "CDN_OTHER": "x"}, read(path))
    assert values == {
        "host": HOST,
        "region": "eu-1",
        "uploader_access_key": "writer",
        "uploader_access_secret": SECRET,
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_name_in_the_environment(name):
    """Each of the names stands in the environment in capitals, behind CDN_."""
    assert found({}, {f"CDN_{name.upper()}": "value"}, {}) == {name: "value"}


# -- the file


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cdn.yaml", YAML),
        ("cdn.yaml", "﻿" + YAML),
        ("cdn.yaml", "# a comment\n" + YAML.replace(": ", ": '").replace("\n", "'\n") + "'\n"),
        ("cdn.json", json.dumps(FILE)),
        ("settings", "\n  " + json.dumps(FILE)),
        ("cdn.yaml", json.dumps(FILE)),
        (
            "cdn.yaml",
            "{" + YAML.replace("\n", ",\n").replace("https:", "'https:").replace(".example", ".example'") + "}",
        ),
    ],
    ids=["YAML", "with a mark", "quoted", "JSON", "JSON by its looks", "JSON named YAML", "YAML in braces"],
)
def test_forms(tmp_path, name, text):
    """The file is YAML or JSON, whatever it is called."""
    assert read(written(tmp_path / name, text)) == FILE


def test_json_needs_no_yaml(tmp_path, monkeypatch):
    """Without PyYAML a JSON file works, and a YAML file's error says what to install, or to write."""
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert read(written(tmp_path / "a", json.dumps(FILE))) == FILE
    with pytest.raises(UsageError, match=r"cdn\.yaml: YAML needs PyYAML \(pip install 'cdn-sigv4\[yaml\]'\).* JSON$"):
        read(written(tmp_path / "cdn.yaml", YAML))


WRONG = [
    ("cdn.json", '{"host": "x",\n"uploader_access_secret": "%s"', "no JSON, from line 2 on"),
    ("cdn.json", "uploader_access_secret: %s", "no JSON, from line 1 on"),
    ("cdn.yaml", "host: x\nuploader_access_secret: '%s\nregion: y", "no YAML, from line 3 on"),
    ("cdn.yaml", "host: x\n\tuploader_access_secret: %s", "no YAML, from line 2 on"),
    ("cdn.yaml", "uploader_access_secret: @%s", "no YAML, from line 1 on"),
    ("cdn.yaml", "uploader_access_secret: !!python/name:%s", "no YAML, from line 1 on"),
    ("cdn.yaml", "uploader_access_secret: !!int '%s'", "no YAML"),
    ("cdn.yaml", "uploader_access_secret: 2024-99-99 # %s", "no YAML"),
    ("cdn.yaml", "[" * 9000 + "%s", "no YAML"),
    ("cdn.json", "[" * 200_000 + "%s", "no JSON, from line 1 on"),
    ("cdn.yaml", "uploader_access_secret: [%s]", "uploader_access_secret must be text, not list: put it in quotes"),
    ("cdn.yaml", "uploader_access_secret: {%s: 1}", "uploader_access_secret must be text, not dict"),
    ("cdn.yaml", "uploader_access_secret: 123456 # %s", "uploader_access_secret must be text, not int"),
    ("cdn.yaml", "uploader_access_secret: 2024-01-01 # %s", "must be text, not date"),
    ("cdn.yaml", "uploader_access_secret: yes # %s", "must be text, not bool"),
    ("cdn.yaml", "- %s", "must hold names and values: host, "),
    ("cdn.yaml", "%s", "must hold names and values: host, "),
    ("cdn.yaml", "", "must hold names and values: host, "),
    ("cdn.json", "[]", "must hold names and values: host, "),
    ("cdn.yaml", "acess_key: %s", "'acess_key' is none of those known here: host, "),
    ("cdn.yaml", "hunterhunter: %s", "a name in it is none of those known here: host, "),
    ("cdn.yaml", "1: %s", "a name in it is none of those known here: host, "),
    ("cdn.yaml", "{uploader_access_secret:%s}", "a name in it is none of those known here"),
    ("cdn.yaml", "uploader_access_secret:%s: x", "a name in it is none of those known here"),
    ("cdn.yaml", "%s: uploader_access_secret", "a name in it is none of those known here"),
    ("cdn.json", '{"uploader_access_secret=%s": 1}', "a name in it is none of those known here"),
    ("cdn.yaml", "a\u0007\u001b: %s", "no YAML"),
    ("cdn.yaml", '"a\\e[31m": %s', "a name in it is none of those known here"),
    ("cdn.yaml", b"host: \xff", "is not text in UTF-8"),
    ("cdn.yaml", b"#" * (MOST + 1), "more than 1 MiB is no file with settings"),
]


@pytest.mark.parametrize(("name", "text", "words"), WRONG, ids=range(len(WRONG)))
def test_wrong_files(tmp_path, name, text, words):
    """A file that is none is refused: the error names it, on one line, and shows nothing of what it holds."""
    text = text.replace("%s", SECRET) if isinstance(text, str) else text
    path = written(tmp_path / name, text)
    with pytest.raises(UsageError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert words in message
    assert message.isprintable()
    assert SECRET[:8] not in message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_file_that_cannot_be_read(tmp_path):
    """Nor is one that is not there, or is a folder."""
    with pytest.raises(UsageError, match=r"nothing: No such file or directory$"):
        read(str(tmp_path / "nothing"))
    with pytest.raises(UsageError, match=r": Is a directory$"):
        read(str(tmp_path))


def test_null_is_no_value(tmp_path):
    """A name without a value is as good as not there."""
    assert read(written(tmp_path / "cdn.yaml", f"host: {HOST}\nregion:\nuploader_access_key: ''")) == {"host": HOST}


# -- what becomes of them


def test_clients_of_the_two_users(loopback):
    """Each user's client has that user's key, and works."""
    settings = Settings({**FILE, "host": loopback.endpoint, "region": "us-east-1"})
    for user, key in (("downloader", FOUR[0]), ("uploader", FOUR[2])):
        with settings.client(user) as client:
            assert isinstance(client, S3Client)
            still_works(client, loopback)
        assert f"Credential={key}/".encode() in loopback.requests[-1].head


def test_one_pair_is_enough():
    """Whoever only reads gives the downloader's keys; the error for the other direction says what to set."""
    settings = Settings({"host": HOST, "downloader_access_key": "reader", "downloader_access_secret": SECRET})
    settings.client("downloader").close()
    with pytest.raises(UsageError, match="set CDN_UPLOADER_ACCESS_KEY and CDN_UPLOADER_ACCESS_SECRET, or name a file"):
        settings.client("uploader")


def test_anonymous():
    """Where no key is to be used there is none, although they are known."""
    with RawServer(lambda _: Answer(headers=ETAG)) as server:
        settings = Settings({**FILE, "host": server.endpoint}, anonymous=True)
        with settings.client("uploader") as client:
            client.put_object("bucket", "key", b"")
        assert b"authorization" not in server.requests[0].head.lower()
    assert settings.keys("uploader") is None


@pytest.mark.parametrize(
    ("values", "options", "words"),
    [
        ({"host": ""}, {}, "which server"),
        ({"uploader_access_key": ""}, {}, "the uploader has an access secret, but no access key"),
        ({"downloader_access_secret": ""}, {}, "the downloader has an access key, but no access secret"),
        ({"uploader_access_secret": f"{SECRET}\n"}, {}, "uploader: "),
        ({"host": f"https://user:{SECRET}@store.example"}, {}, "must not carry a user name or password"),
        ({"host": "ftp://store.example"}, {}, "unknown scheme 'ftp'"),
        ({"region": "a b"}, {}, "region"),
        ({}, {"timeout": (0, 1)}, "timeout must be two positive numbers"),
        ({}, {"verify": "no-such.pem"}, "no-such.pem"),
        ({}, {"addressing": "odd"}, "addressing must be"),
    ],
    ids=["host", "key", "secret", "line break", "password", "scheme", "region", "timeout", "verify", "addressing"],
)
def test_settings_that_cannot_work(values, options, words):
    """Each is a UsageError with the reason, without the secret."""
    with pytest.raises(UsageError) as caught:
        Settings({**FILE, **values}, **options).client("uploader")
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)


def test_repr_shows_no_secret():
    """The settings can be printed."""
    shown = repr(Settings(FILE))
    assert "https://file.example" in shown
    assert READ_SECRET not in shown
    assert WRITE_SECRET not in shown


# -- CDNCredentials from the same places


def test_credentials_from_file(tmp_path):
    """The façade's credentials come from the command line's file; without a region it is the default."""
    made = CDNCredentials.from_file(written(tmp_path / "cdn.yaml", YAML))
    assert vars(made) == {"region": "us-east-1", **FILE}
    here = {name: value for name, value in FILE.items() if name != "region"}
    assert CDNCredentials.from_file(Path(written(tmp_path / "c.json", json.dumps(here)))).region == "us-east-1"


def test_credentials_from_environment(monkeypatch):
    """They come from the command line's variables, whatever the configuration file's is."""
    monkeypatch.setenv("CDN_CONFIG", "/nowhere")
    for name, value in FILE.items():
        monkeypatch.setenv(f"CDN_{name.upper()}", value)
    assert vars(CDNCredentials.from_environment()) == {"region": "us-east-1", **FILE}


@pytest.mark.parametrize("name", MUST)
def test_credentials_that_lack_something(tmp_path, monkeypatch, name):
    """What is missing, or empty, is named: here and not with the first request."""
    values = {**FILE, name: ""}
    path = written(tmp_path / "{cdn}.json", json.dumps(values))
    with pytest.raises(ValueError, match=rf"^{re.escape(path)}: lacks {name}$"):
        CDNCredentials.from_file(path)
    for each, value in values.items():
        monkeypatch.setenv(f"CDN_{each.upper()}", value)
    with pytest.raises(ValueError, match=f"^set CDN_{name.upper()}$"):
        CDNCredentials.from_environment()


@pytest.mark.parametrize("line", [f'a: "x"{SECRET}', f"uploader_access_secret: %{SECRET}", f"a: {SECRET}: b", SECRET])
def test_broken_file_is_not_shown(tmp_path, line):
    """Whatever is wrong with a file, no traceback shows what stands in it."""
    path = written(tmp_path / "cdn.yaml", f"{YAML}\n{line}\n")
    with pytest.raises(ValueError, match=re.escape(f"{path}: ")) as caught:
        CDNCredentials.from_file(path)
    shown = "".join(traceback.TracebackException.from_exception(caught.value).format())
    assert SECRET not in shown
