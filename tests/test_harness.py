"""The harness itself: which server is chosen, what is refused, what is shown, and the demo from end to end."""

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import cdn_sigv4
from cdn_sigv4 import CDNCredentials, CDNManager, Credentials, S3Client
from harness import choice, demo, demo_job, processes, values
from harness.environment import ROOT

GIVEN = {
    "CDN_HOST": "https://store.example:9000",
    "CDN_BUCKET": "models",
    "CDN_UPLOADER_ACCESS_KEY": "up",
    "CDN_UPLOADER_ACCESS_SECRET": "up-hidden",
    "CDN_DOWNLOADER_ACCESS_KEY": "down",
    "CDN_DOWNLOADER_ACCESS_SECRET": "down-hidden",
}


def test_all_kinds_are_tried_in_order():
    """Without settings a container is tried, then a program, then moto."""
    assert choice.choose({}, may_be_given=True) == choice.Choice(("container", "binary", "moto"), choice.DEFAULT_IMAGE)


@pytest.mark.parametrize("kind", choice.KINDS)
def test_forced_kind(kind):
    """A kind that is demanded is the only one tried, whatever else is set."""
    environ = {"CDN_TEST_SERVER": kind, "CDN_MINIO_IMAGE": "own:1", **GIVEN}
    assert choice.choose(environ, may_be_given=True) == choice.Choice((kind,), "own:1")


def test_unknown_kind():
    """A kind that does not exist is refused, with those that do."""
    with pytest.raises(values.HarnessError, match="'minio'; it may be container, binary, moto"):
        choice.choose({"CDN_TEST_SERVER": "minio"}, may_be_given=True)


def test_given_server():
    """A server that the user gives is taken by the demo, and never by the tests."""
    assert choice.choose(GIVEN, may_be_given=True).given.endpoint == GIVEN["CDN_HOST"]
    assert choice.choose(GIVEN, may_be_given=False) == choice.choose({}, may_be_given=False)
    renamed = {"CDN_ENDPOINT" if name == "CDN_HOST" else name: value for name, value in GIVEN.items()}
    assert choice.choose(renamed, may_be_given=True) == choice.choose(GIVEN, may_be_given=True)


@pytest.mark.parametrize("missing", GIVEN)
def test_given_server_in_part(missing):
    """Settings given in part are refused, naming what is missing and showing no secret."""
    environ = {name: value for name, value in GIVEN.items() if name != missing}
    with pytest.raises(values.HarnessError, match=rf"but not {missing}: ") as caught:
        choice.choose(environ, may_be_given=True)
    assert "hidden" not in str(caught.value)


def test_nothing_shows_a_secret(server, bucket):
    """No `repr` of the harness's values shows a secret."""
    given = choice.choose(GIVEN, may_be_given=True)
    users = server.make_users(bucket)
    shown = repr([given, server, users]) + str(server)
    secrets = ["hidden", server.root_secret_key, users.uploader.secret_key, users.downloader.secret_key]
    assert all(len(secret) >= 6 for secret in secrets)
    assert not [secret for secret in secrets if secret in shown]
    assert users.uploader.access_key in shown


def test_policies():
    """The two policies name one bucket and only what is needed."""
    upload, download = values.upload_policy("b")["Statement"], values.download_policy("b")["Statement"]
    assert [statement["Resource"] for statement in upload + download] == [["arn:aws:s3:::b/*"]] * 2
    assert upload[0]["Action"] == ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    assert download[0]["Action"] == ["s3:GetObject"]


def test_loopback_only(server):
    """The server that was started listens on the loopback address."""
    assert server.endpoint.startswith("http://127.0.0.1:")


def test_free_ports(monkeypatch):
    """A port for a server to be is none that a test could be given meanwhile, and none that is taken."""
    with socket.create_server(("127.0.0.1", 0)) as given:
        taken = given.getsockname()[1]
        assert taken not in processes.PORTS
        port = processes.free_port()
        assert port in processes.PORTS
        monkeypatch.setattr(processes, "PORTS", range(taken, taken + 1))
        with pytest.raises(values.HarnessError, match=f"no port of 127.0.0.1 from {taken} to {taken} is free"):
            processes.free_port()


def test_clean_surroundings():
    """No variable of the user's, nor their home folder, reaches a test."""
    assert not [name for name in os.environ if name.startswith(("AWS_", "CDN_")) or name.lower().endswith("_proxy")]
    assert not list(Path(os.environ["HOME"]).iterdir())


def test_child_that_ends_at_once():
    """A child process that ends at once is reported with its last lines."""
    command = [sys.executable, "-c", "import sys; sys.exit('no room on the disk')"]
    expected = pytest.raises(values.HarnessError, match=r"ended with 1; .*\n +no room on the disk")
    with processes.running(command, processes.bare_environment()) as child, expected:
        processes.wait_until(lambda: False, child, "it")


def test_child_of_a_user_that_fails():
    """A child process is ended when who uses it fails."""
    with pytest.raises(ZeroDivisionError), processes.running(
        [sys.executable, "-c", "import time; time.sleep(600)"], processes.bare_environment()
    ) as child:
        raise ZeroDivisionError
    assert child.process.returncode is not None


def run_demo(environ):
    """Run the demo as scripts/demo would, with nothing of ours in its environment but `environ`."""
    command = [sys.executable, "-B", str(ROOT / "scripts" / "demo")]
    environ = {**processes.bare_environment(), "HOME": os.environ["HOME"], **environ}
    return subprocess.run(command, env=environ, capture_output=True, check=False, encoding="utf-8", timeout=120)


@pytest.fixture
def given_to_the_demo(server, users, bucket):
    """The session's server as if it were the user's own."""
    if Path(sys.prefix).resolve() != ROOT / ".venv":
        pytest.skip("scripts/demo would make .venv anew, with this Python")
    return {
        "CDN_HOST": server.endpoint,
        "CDN_BUCKET": bucket,
        "CDN_UPLOADER_ACCESS_KEY": users.uploader.access_key,
        "CDN_UPLOADER_ACCESS_SECRET": users.uploader.secret_key,
        "CDN_DOWNLOADER_ACCESS_KEY": users.downloader.access_key,
        "CDN_DOWNLOADER_ACCESS_SECRET": users.downloader.secret_key,
    }


def test_demo(given_to_the_demo, users, root_client, bucket):
    """The demo runs from end to end on a given server, shows no secret, and says what it leaves there."""
    done = run_demo(given_to_the_demo)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "both are the same, byte for byte" in done.stdout
    assert done.stdout.endswith("Every step held.\n")
    assert users.uploader.secret_key not in done.stdout
    assert users.downloader.secret_key not in done.stdout
    left = [entry.key for entry in root_client.list_objects(bucket, prefix="cdn-sigv4-demo/")]
    assert len(left) == 1
    assert f"left on your server: {bucket}/{left[0]}" in done.stdout


def test_demo_with_exchanged_credentials(given_to_the_demo):
    """The demo fails plainly when the two credentials are exchanged."""
    other = {"UPLOADER": "DOWNLOADER", "DOWNLOADER": "UPLOADER"}
    exchanged = {
        re.sub("UPLOADER|DOWNLOADER", lambda role: other[role[0]], name): v for name, v in given_to_the_demo.items()
    }
    done = run_demo(exchanged)
    assert done.returncode == 1
    assert "FAILED: this did not hold: CDNManager.upload returned True" in done.stdout


def test_demo_shows_refusals(server, capsys):
    """The demo shows that neither user may do the other's job."""
    demo.run(server)
    shown = capsys.readouterr().out
    assert "ok: the uploader may not download" in shown
    assert "ok: the downloader may not upload" in shown


def test_demo_notices_too_many_rights(server, root_client, bucket):
    """A credential that may do more than its job fails the demo."""
    key = f"rights/{os.urandom(4).hex()}"
    root_client.put_object(bucket, key, b"x")
    root = values.KeyPair(server.root_access_key, server.root_secret_key)
    way = demo_job.Imported(cdn_sigv4, demo.environment(server, values.Users(root, root)))
    with contextlib.closing(way.manager):
        with pytest.raises(demo_job.DemoError, match="the uploader may not download: but it was let through"):
            demo_job.show_refusals(way, bucket, key)


def test_demo_notices_other_bytes(folder):
    """A download that is said to have worked, and gave other bytes, fails the demo."""

    class Careless:
        uploads, downloads = "uploaded", "downloaded"

        def upload(self, *_):
            return True

        def download(self, *_):
            return Path("file").write_bytes(b"other bytes") > 0

    with pytest.raises(demo_job.DemoError, match="this did not hold: both are the same, byte for byte"):
        demo_job.run(Careless(), "bucket", "key")


def test_a_server_to_try(given_to_the_demo):
    """`--stay` starts a server, prints its two users' settings for a shell, and its root; Ctrl-C ends it."""
    command = [sys.executable, "-B", str(ROOT / "scripts" / "demo"), "--stay"]
    environ = {**processes.bare_environment(), "HOME": os.environ["HOME"], "CDN_TEST_SERVER": "moto"}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
        lines = []
        for line in child.stdout:
            lines.append(line)
            if "Ctrl-C" in line:
                break
        settings = dict(shlex.split(line)[1].split("=", 1) for line in lines if line.startswith("export "))
        keys = [
            settings[f"CDN_{user}_ACCESS_{half}"] for user in ("DOWNLOADER", "UPLOADER") for half in ("KEY", "SECRET")
        ]
        errors = []
        with CDNManager(CDNCredentials(settings["CDN_HOST"], *keys), on_error=errors.append) as manager:
            assert manager.upload("models", "key", b"data")
            with manager.downloader.get_object("models", "key") as reader:
                assert reader.read() == b"data"
        (root,) = (Credentials(*line.split()[-2:]) for line in lines if "root" in line)
        with S3Client(settings["CDN_HOST"], root) as client:
            assert [entry.key for entry in client.list_objects("models")] == ["key"]
        child.send_signal(signal.SIGINT)
        assert child.wait(30) == 130
    assert errors == []
