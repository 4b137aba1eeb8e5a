"""The examples run: each as the program that it is, under the least credential, with what it says where it fails."""

import ast
import os
import subprocess
import sys

import pytest

from harness import processes
from harness.environment import ROOT

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
NAMES = ["api_client.py", "export_job.py", "inference_start.py", "training.py"]


class Caller:
    """Runs examples in a folder of their own, with the keys of both users, or of one."""

    def __init__(self, server, users, bucket, folder):
        self.server, self.users, self.bucket, self.folder = server, users, bucket, folder

    def environ(self, *, host=None, who=("DOWNLOADER", "UPLOADER"), secret=None):
        keys = {"CDN_HOST": host or self.server.endpoint}
        for user in who:
            pair = getattr(self.users, user.lower())
            keys[f"CDN_{user}_ACCESS_KEY"] = pair.access_key
            keys[f"CDN_{user}_ACCESS_SECRET"] = secret or pair.secret_key
        return keys

    def run(self, name, *arguments, given=b"", **settings):
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-B", str(ROOT / "examples" / name), *arguments],
            cwd=str(self.folder),
            env={**environ, **self.environ(**settings)},
            input=given,
            capture_output=True,
            check=False,
            timeout=60,
        )
        shown = (done.stdout + done.stderr).decode("utf-8", "replace")
        assert not any(pair.secret_key in shown for pair in self.users)
        assert "Traceback" not in shown
        return done.returncode, done.stdout, done.stderr.decode()


@pytest.fixture
def caller(server, users, bucket, tmp_path):
    """Who runs the examples, under the two users of least privilege."""
    return Caller(server, users, bucket, tmp_path)


@pytest.fixture
def config(caller):
    """A cdn.yaml with both pairs of keys."""
    path = caller.folder / "cdn.yaml"
    down, up = caller.users.downloader, caller.users.uploader
    path.write_text(
        f"host: {caller.server.endpoint}\n"
        f'downloader_access_key: "{down.access_key}"\ndownloader_access_secret: "{down.secret_key}"\n'
        f'uploader_access_key: "{up.access_key}"\nuploader_access_secret: "{up.secret_key}"\n'
    )
    return path


def nowhere():
    """An endpoint of 127.0.0.1 where nobody listens."""
    return f"http://127.0.0.1:{processes.free_port()}"


def test_there_are_four_of_less_than_forty_lines():
    """Each of the four callers has its example, which is short and says how it is called."""
    assert [path.name for path in EXAMPLES] == NAMES
    for path in EXAMPLES:
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) < 40
        assert f"python {path.name} " in ast.get_docstring(ast.parse(text))


def test_they_are_typed():
    """A strict type checker has nothing to say of them, as Python 3.8 reads them."""
    pytest.importorskip("mypy")
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", os.devnull, *map(str, EXAMPLES)]
    done = subprocess.run(command, cwd=str(ROOT), capture_output=True, check=False, encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_they_use_what_is_public(name):
    """What an example takes from the package is what the package shows."""
    import cdn_sigv4

    tree = ast.parse((ROOT / "examples" / name).read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and "cdn_sigv4" in node.module]
    assert [node.module for node in imports] == ["cdn_sigv4"]
    assert {alias.name for node in imports for alias in node.names} <= set(cdn_sigv4.__all__)


def test_api_client(caller, root_client):
    """The service hands out the object's very bytes, by the reader's key alone."""
    content = os.urandom(300_000)
    root_client.put_object(caller.bucket, "api/ü 1", content)
    code, out, said = caller.run("api_client.py", caller.bucket, "api/ü 1", who=["DOWNLOADER"])
    assert (code, out, said) == (0, content, "")


@pytest.mark.minio
def test_api_client_without_the_object(caller):
    """What is not there is a 404, and no line in the log."""
    answered = caller.run("api_client.py", caller.bucket, "api/none", who=["DOWNLOADER"])
    assert answered == (1, b"", "answered 404\n")


@pytest.mark.minio
def test_api_client_without_the_bucket(caller):
    """A bucket that is not there is a mistake, which the log tells: it does not look like a missing object."""
    code, out, said = caller.run("api_client.py", f"{caller.bucket}-other", "api/x", who=["DOWNLOADER"])
    assert (code, out) == (1, b"")
    assert said.startswith("ERROR:api:GET ")
    assert said.endswith("\nanswered 502\n")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [({"host": "nobody"}, "refuses the connection"), ({"secret": "another-secret"}, "403 SignatureDoesNotMatch")],
    ids=["nobody listens", "wrong secret"],
)
def test_api_client_with_a_store_that_does_not_help(caller, settings, reason):
    """A store that is away, or refuses the key, is a 502 and a line in the log: that is not "there is none"."""
    if "host" in settings:
        settings = {"host": nowhere()}
    code, out, said = caller.run("api_client.py", caller.bucket, "api/x", who=["DOWNLOADER"], **settings)
    assert (code, out) == (1, b"")
    assert reason in said
    assert said.endswith("\nanswered 502\n")


def test_export_job(caller, config, root_client):
    """The rows are in the store, as a CSV file under the day's name."""
    rows = '["name", "count"]\n["ü", 2]\n'.encode()
    assert caller.run("export_job.py", str(config), caller.bucket, "2026-11-25", given=rows) == (0, b"", "")
    with root_client.get_object(caller.bucket, "exports/2026-11-25.csv") as body:
        assert body.read() == "name,count\r\nü,2\r\n".encode()


def test_export_job_that_is_refused(caller, config):
    """A bucket in which it may not write: the exit code says so, and the log why."""
    code, out, said = caller.run("export_job.py", str(config), f"{caller.bucket}-other", "2026-11-25", given=b"[1]\n")
    assert (code, out) == (1, b"")
    assert said.startswith("ERROR:export:PUT ")
    assert "40" in said


@pytest.mark.parametrize("line", ['host: "x"SECRET', "host: a: SECRET", "hots: SECRET"])
def test_export_job_with_a_broken_file(caller, config, line):
    """What is wrong with the settings is one line, which shows nothing of the file."""
    secret = caller.users.uploader.secret_key
    config.write_text(config.read_text() + line.replace("SECRET", secret) + "\n")
    code, out, said = caller.run("export_job.py", str(config), caller.bucket, "2026-11-25", given=b"[1]\n")
    assert (code, out) == (2, b"")
    assert said.startswith("ERROR:export:")
    assert len(said.splitlines()) == 1
    assert str(config) in said


def test_training_without_settings(caller):
    """A variable that is missing is named."""
    code, _, said = caller.run("training.py", caller.bucket, "base.bin", "result.bin", who=["UPLOADER"])
    assert (code, said) == (1, "set CDN_DOWNLOADER_ACCESS_KEY, CDN_DOWNLOADER_ACCESS_SECRET\n")


def test_training_without_a_place(caller, root_client):
    """A file that cannot be written is a line in the log, and an exit code."""
    root_client.put_object(caller.bucket, "no/folder", b"base")
    code, _, said = caller.run("training.py", caller.bucket, "no/folder", "result.bin")
    assert code == 1
    assert "training failed: " in said
    assert "folder to save into does not exist" in said


def test_training(caller, root_client):
    """The base weights come, the result goes; run again nothing is fetched, and all is as it was."""
    base = os.urandom(6 << 20)
    root_client.put_object(caller.bucket, "base.bin", base)
    for _ in range(2):
        code, _, said = caller.run("training.py", caller.bucket, "base.bin", "result.bin")
        assert code == 0
        assert "result.bin: 100%" in said
        assert (caller.folder / "base.bin").read_bytes() == base
    with root_client.get_object(caller.bucket, "result.bin") as body:
        assert body.read() == base[::-1]


def test_training_without_its_base(caller):
    """Without base weights nothing is trained, and no file is left."""
    code, _, said = caller.run("training.py", caller.bucket, "no-base.bin", "result.bin")
    assert code == 1
    assert "training failed: GET " in said
    assert list(caller.folder.iterdir()) == []


def test_inference_start(caller, root_client):
    """The first start fetches the model, the second finds it, the third fetches the new one."""
    where = (caller.bucket, "start/model", "model")
    for content, moved in ((b"old" * 50_000, 150_000), (b"old" * 50_000, 0), (b"newer" * 50_000, 250_000)):
        root_client.put_object(caller.bucket, "start/model", content)
        code, _, said = caller.run("inference_start.py", *where, who=["DOWNLOADER"])
        assert code == 0
        assert (caller.folder / "model").read_bytes() == content
        assert f"has the store's {len(content)} bytes, {moved} of them new" in said
        assert said.endswith("INFO:inference:starting with model\n")


def test_inference_start_without_a_network(caller):
    """Where the store cannot be reached it starts with the old model; without one it does not start."""
    where = (caller.bucket, "start/model", "model")
    code, _, said = caller.run("inference_start.py", *where, who=["DOWNLOADER"], host=nowhere())
    assert code == 1
    assert said.endswith("no model to start with\n")
    assert list(caller.folder.iterdir()) == []
    (caller.folder / "model").write_bytes(b"old")
    code, _, said = caller.run("inference_start.py", *where, who=["DOWNLOADER"], host=nowhere())
    assert code == 0
    assert "ERROR:inference:TransportError: GET " in said
    assert said.endswith("INFO:inference:starting with model\n")
    assert [path.name for path in caller.folder.iterdir()] == ["model"]
    assert (caller.folder / "model").read_bytes() == b"old"
