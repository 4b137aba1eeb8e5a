"""The README is true: its Python runs against the server, and its policies are those of the two least users.

The blocks run top to bottom in one namespace, as a reader would type them; only the names that a reader replaces
(host, keys, secrets, bucket) are replaced.
"""

import json
import re
from pathlib import Path

from cdn_sigv4 import CDNManager, S3Client
from harness.values import download_policy, upload_policy

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def blocks(language):
    """All fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def test_python_blocks_run(server, root_client, users, tmp_path, monkeypatch, capsys):
    """Every Python block of the README runs, in order, under the least credentials that it names."""
    bucket = "readme-models"
    root_client.create_bucket(bucket)
    keys = server.make_users(bucket)
    replaced = {
        '"https://minio.example:9000"': repr(server.endpoint),
        "https://minio.example:9000/models": f"{server.endpoint}/{bucket}",
        '"models"': repr(bucket),
        '"training-writer"': repr(keys.uploader.access_key),
        '"writer-secret"': repr(keys.uploader.secret_key),
        '"edge-reader"': repr(keys.downloader.access_key),
        '"reader-secret"': repr(keys.downloader.secret_key),
        '"root"': repr(server.root_access_key),
        '"root-secret"': repr(server.root_secret_key),
    }
    monkeypatch.chdir(tmp_path)
    Path("model.bin").write_bytes(b"a model")
    namespace = {}
    code = blocks("python")
    assert len(code) == 8
    for block in code:
        typed = block
        for name, real in replaced.items():
            typed = typed.replace(name, real)
        exec(compile(typed, "README.md", "exec"), namespace)
        for made in namespace.values():  # before urllib3 1.26.16 the sockets of a dropped client warn of themselves
            if isinstance(made, (S3Client, CDNManager)):
                made.close()
    assert Path("yolo/v8.onnx").read_bytes() == b"..."
    assert Path("copy.bin").read_bytes() == Path("model.bin").read_bytes() == b"a model"
    shown = capsys.readouterr().out
    assert "keeping the model that is here" in shown
    assert "have it already" in shown
    assert f"\n{'crc32' if server.is_minio else 'md5'} 7\n" in shown  # moto tells no checksum
    assert "0 bytes moved, as it is here already" in shown
    assert shown.rstrip().endswith("200")


def test_policies_are_those_that_the_suite_proves():
    """The two policies printed are, but for the bucket's name, those under which all these tests run."""
    upload, download = (json.loads(block) for block in blocks("json"))
    assert upload == upload_policy("models")
    assert download == download_policy("models")


def test_every_error_is_in_the_table():
    """The README's table names each public error, and no other."""
    import cdn_sigv4

    public = {
        name
        for name in cdn_sigv4.__all__
        if isinstance(getattr(cdn_sigv4, name), type) and issubclass(getattr(cdn_sigv4, name), Exception)
    }
    assert set(re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE)) == public - {"CDNError"}
