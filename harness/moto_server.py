"""moto as the store where there is no MinIO: it checks signatures and policies once its IAM part is switched on.

Run as a program (`python -m harness.moto_server`) it is the server. It lives in a process of its own, so that moto's
and boto3's doings, and the user's AWS settings, stay out of the process under test. The two talk in lines of JSON: the
server first tells its port and root credential, then answers each bucket's name with two users; it ends when its
standard input does, and therefore never outlives who started it.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import select
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any, Iterator

from .choice import DEFAULT_REGION
from .processes import READY_SECONDS, Child, bare_environment, running
from .values import HarnessError, KeyPair, Server, Users, download_policy, upload_policy

ROOT = Path(__file__).resolve().parent.parent
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


@contextlib.contextmanager
def moto() -> Iterator[Server]:
    """Run moto's server, with everything in memory."""
    with tempfile.TemporaryDirectory(prefix="cdn-sigv4-moto-") as home:
        environ = {**bare_environment(), "HOME": home, "PYTHONPATH": str(ROOT)}
        with running([sys.executable, "-B", "-m", __name__], environ, talk=True) as child:
            told = hear(child)
            yield Server(
                kind="moto",
                endpoint=f"http://127.0.0.1:{told['port']}",
                region=DEFAULT_REGION,
                root_access_key=told["root"]["access_key"],
                root_secret_key=told["root"]["secret_key"],
                description=f"moto {told['version']} with its IAM checks on (a stand-in for MinIO)",
                is_minio=False,
                user_maker=lambda bucket: make_users(child, bucket),
            )


def make_users(child: Child, bucket: str) -> Users:
    """Ask the server for the two users of least privilege on a bucket."""
    assert child.process.stdin is not None
    child.process.stdin.write(json.dumps(bucket) + "\n")
    child.process.stdin.flush()
    told = hear(child)
    return Users(KeyPair(**told["uploader"]), KeyPair(**told["downloader"]))


def hear(child: Child) -> dict[str, Any]:
    """Read one answer of the server."""
    assert child.process.stdout is not None
    if not select.select([child.process.stdout], [], [], READY_SECONDS)[0]:
        raise HarnessError(f"moto's server did not answer within {READY_SECONDS:.0f} s; {child.last_lines()}")
    line = child.process.stdout.readline()
    if not line:
        raise HarnessError(f"moto's server ended; {child.last_lines()}")
    told: dict[str, Any] = json.loads(line)
    return told


def main() -> None:
    """Be the server."""
    import boto3
    import moto
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    check_what_was_sent()
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    endpoint = f"http://127.0.0.1:{port}"

    def iam(keys: KeyPair) -> Any:
        return boto3.client("iam", DEFAULT_REGION, endpoint_url=endpoint, **aws_names(keys))

    root = new_user(iam(KeyPair("none", "none")), "root", EVERYTHING)
    # From here on every request needs a valid signature and a policy: 0 more go through unchecked.
    # (As text: a form would be parsed, and moto would find no number in the body.)
    switch = urllib.request.Request(f"{endpoint}/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"})
    urllib.request.urlopen(switch).close()
    say({"port": port, "version": moto.__version__, "root": vars(root)})
    administrator = iam(root)
    for line in sys.stdin:
        bucket = json.loads(line)
        uploader = new_user(administrator, "uploader", upload_policy(bucket))
        downloader = new_user(administrator, "downloader", download_policy(bucket))
        say({"uploader": vars(uploader), "downloader": vars(downloader)})


def check_what_was_sent() -> None:
    """Let moto check the signature of the target as sent; 5.1, the last for Python 3.9, takes a decoded one."""
    from flask import request
    from moto.core.responses import ActionAuthenticatorMixin

    authorize = ActionAuthenticatorMixin._authenticate_and_authorize_action  # noqa: SLF001

    def authorize_as_sent(self: Any, *arguments: Any) -> None:
        decoded, self.uri = self.uri, request.host_url.rstrip("/") + request.environ["RAW_URI"]
        try:
            authorize(self, *arguments)
        finally:
            self.uri = decoded

    ActionAuthenticatorMixin._authenticate_and_authorize_action = authorize_as_sent  # noqa: SLF001


def new_user(iam: Any, role: str, policy: dict[str, Any]) -> KeyPair:
    """Make a user with one policy and one credential."""
    name = f"{role}-{secrets.token_hex(4)}"
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="only", PolicyDocument=json.dumps(policy))
    made = iam.create_access_key(UserName=name)["AccessKey"]
    return KeyPair(made["AccessKeyId"], made["SecretAccessKey"])


def aws_names(keys: KeyPair) -> dict[str, str]:
    """Return a credential under boto3's names."""
    return {"aws_access_key_id": keys.access_key, "aws_secret_access_key": keys.secret_key}


def say(value: dict[str, Any]) -> None:
    """Write one answer."""
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    main()
