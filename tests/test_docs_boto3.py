"""The page for those who come from boto3 is true: both halves of a pair end alike, and errors are those named."""

import ast
import contextlib
import hashlib
import inspect
import os
import re
import secrets
from pathlib import Path

import boto3
import botocore.exceptions
import pytest
from kit import BODY, ETAG, client_of
from kit_calls import get, xml
from rawserver import Answer, RawServer

import cdn_sigv4
from cdn_sigv4 import S3Client

PAGE = (Path(__file__).parent.parent / "docs" / "from-boto3.md").read_text(encoding="utf-8")
PAIR = re.compile(r"```python\n(# boto3\n.*?)```\n\n```python\n(# cdn_sigv4\n.*?)```\n", re.DOTALL)
# What both halves have a name for, and may differ in: how progress is told, and a URL's signature.
MAY_DIFFER = {"told", "url"}
PLAIN = (bytes, str, int, list, dict, type(None))


class Half:
    """One half of the page: its own bucket, folder and names, from its top to its bottom."""

    def __init__(self, server, root, folder, which):
        self.bucket = f"docs-{which}-{secrets.token_hex(6)}"
        root.create_bucket(Bucket=self.bucket)
        self._root = root
        self._folder = folder / which
        self._folder.mkdir()
        (self._folder / "model.bin").write_bytes(hashlib.shake_128(b"model").digest(20 << 20))
        self._names = {}
        self._replaced = {
            '"models"': f'"{self.bucket}"',
            "https://minio.example:9000": server.endpoint,
            '"training-writer"': repr(server.root_access_key),
            '"writer-secret"': repr(server.root_secret_key),
            '"us-east-1"': repr(server.region),
        }

    def run(self, block):
        """Run a block: the plain values of the names that it sets."""
        for name, real in self._replaced.items():
            block = block.replace(name, real)
        with contextlib.ExitStack() as stack:
            stack.callback(os.chdir, str(Path.cwd()))
            os.chdir(str(self._folder))
            exec(compile(block, "from-boto3.md", "exec"), self._names)
        nodes = [node for node in ast.walk(ast.parse(block)) if isinstance(node, ast.Name)]
        names = self._names.keys() & {node.id for node in nodes if isinstance(node.ctx, ast.Store)}
        return {name: self._names[name] for name in names if isinstance(self._names[name], PLAIN)}

    def left(self):
        """What is in the bucket and in the folder now."""
        found = {}
        for entry in self._root.list_objects_v2(Bucket=self.bucket).get("Contents", []):
            held = self._root.get_object(Bucket=self.bucket, Key=entry["Key"])
            described = (held["ContentType"], held["Metadata"], held.get("CacheControl"))
            found[entry["Key"]] = (hashlib.sha256(held["Body"].read()).hexdigest(), *described)
        for path in self._folder.iterdir():
            found[path] = hashlib.sha256(path.read_bytes()).hexdigest()
        return {getattr(name, "name", f"models/{name}"): what for name, what in found.items()}

    def close(self):
        """Close the clients."""
        for value in self._names.values():
            if isinstance(value, S3Client) or hasattr(value, "meta"):
                value.close()


@pytest.fixture
def root(server):
    """Return boto3's client which may do everything."""
    keys = {"aws_access_key_id": server.root_access_key, "aws_secret_access_key": server.root_secret_key}
    made = boto3.client("s3", endpoint_url=server.endpoint, region_name=server.region, **keys)
    yield made
    made.close()


@pytest.fixture
def halves(server, root, tmp_path, monkeypatch):
    """Return both halves; the environment has the keys that the page takes from there."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.root_access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.root_secret_key)
    monkeypatch.setenv("AWS_DEFAULT_REGION", server.region)
    made = [Half(server, root, tmp_path, which) for which in ("theirs", "ours")]
    yield made
    for half in made:
        half.close()


def compared(theirs, ours, pair):
    """Run both halves of one pair: what both tell, which must be equal; the names and places compared."""
    before = theirs.left()
    told, ours_told = (half.run(block) for half, block in zip((theirs, ours), pair))
    left = theirs.left()
    both = (told.keys() & ours_told.keys()) - MAY_DIFFER
    assert {name: told[name] for name in both} == {name: ours_told[name] for name in both}, pair[0]
    assert left == ours.left(), pair[0]
    return both | {name for name in left.keys() | before.keys() if left.get(name) != before.get(name)}


def test_pairs_end_alike(server, halves):
    """Top to bottom: the same values in the names that both set, the same objects, the same files."""
    pairs = PAIR.findall(PAGE)
    assert len(pairs) * 2 == PAGE.count("```python") == 20
    if not server.is_minio:  # moto lends roles, and knows nobody who has one
        pairs = [pair for pair in pairs if "assume_role" not in pair[0]]
    seen = [compared(*halves, pair) for pair in pairs]
    assert all(seen[1:]), seen  # the first one makes the clients
    told = set().union(*seen)
    assert {"data", "length", "middle", "last", "metadata", "found", "changed", "written", "listed", "fetched"} <= told
    assert {"models/a.bin", "models/b.bin", "models/old/a.bin", "copy.bin"} <= told
    assert ("models/lent.bin" in told) == server.is_minio


PUT = 's3.put_object(Bucket="models", Key="k", Body=b"x")\n'


def test_what_ends_alike_is_told(halves):
    """What was compared is named: a name of both, an object, a file."""
    compared(*halves, PAIR.findall(PAGE)[0])
    ours = """s3.put_object("models", "k", b"x"); a, b = 1, []; open('file', 'w').close()"""
    assert compared(*halves, (f"{PUT}a = 1; c = 2; open('file', 'w').close()", ours)) == {"a", "models/k", "file"}


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("data = b'1'", "data = b'2'"),
        (PUT, "pass"),
        (PUT, 's3.put_object("models", "k", b"y")'),
        (PUT, 's3.put_object("models", "k", b"x", content_type="text/plain")'),
        (PUT, 's3.put_object("models", "k", b"x", metadata={"a": "b"})'),
        ("pass", "open('file', 'w').close()"),
    ],
)
def test_what_ends_otherwise_is_seen(halves, theirs, ours):
    """Another value, another object, or another file is found."""
    compared(*halves, PAIR.findall(PAGE)[0])
    with pytest.raises(AssertionError, match=re.escape(theirs.strip())):
        compared(*halves, (theirs, ours))


def test_every_method_is_named():
    """The page's first table names each public method of the client."""
    table = PAGE.split("\n## ")[0]
    methods = [name for name, _ in inspect.getmembers(S3Client, inspect.isfunction) if not name.startswith("_")]
    assert [name for name in methods if f"`{name}`" not in table] == []


def test_their_methods_exist(root):
    """What the first table and the last one name of boto3's client is there."""
    theirs = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.+?) \|", PAGE.split("\n## ")[0], re.MULTILINE)))
    assert len(theirs) > 15
    assert [name for name in theirs if not hasattr(root, name)] == []


CODES = re.findall(r"^\| `(\w+)` \| (\d{3}) \| `(\w+)`", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("code", "status", "name"), CODES, ids=[code for code, _, _ in CODES])
def test_code_becomes_the_error(code, status, name):
    """An answer with this status and code is the error that the table names, and carries both."""
    body = b"" if status == "304" else xml(code)
    with RawServer(lambda request: Answer(int(status), headers=ETAG, body=body)) as server:
        with client_of(server) as client, pytest.raises(cdn_sigv4.CDNError) as caught:
            get(client)
    assert type(caught.value).__name__ == name
    assert (caught.value.status, caught.value.code) == (int(status), code if body else None)


def test_codes_are_found():
    """The table is read, and an answer that is none of its errors is none here."""
    assert len(CODES) > 10
    with RawServer(lambda request: Answer(headers=ETAG, body=BODY)) as server, client_of(server) as client:
        assert get(client) == BODY


def test_botocore_errors_exist():
    """Each of botocore's errors in the other table exists, and so does each name beside it."""
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| (.+) \|$", PAGE.split("| botocore's own | here |")[1], re.MULTILINE)
    rows = [row for row in rows if "Error" in row[0]]
    assert len(rows) == 7
    ours = {*cdn_sigv4.__all__, "ValueError", "TypeError"}
    for theirs, here in rows:
        assert [name for name in re.findall(r"\w+", theirs) if not hasattr(botocore.exceptions, name)] == []
        assert [name for name in re.findall(r"`([A-Za-z]+)`", here) if name not in ours] == []
