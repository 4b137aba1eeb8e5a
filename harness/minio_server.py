"""A real MinIO, in a container or as a binary on the PATH, and its users of least privilege.

Both listen on 127.0.0.1 alone, with random root credentials which travel in the environment, never in arguments.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import subprocess
import tempfile
from typing import Any, Iterator, Mapping

from .choice import DEFAULT_REGION
from .processes import Child, answers_ok, bare_environment, free_port, running, wait_until
from .values import HarnessError, KeyPair, Server, Users, download_policy, upload_policy

ENGINES = ("docker", "podman")
ENGINE_SECONDS = 30  # for an answer about what is there already
PULL_SECONDS = 180
CONTAINER_PORT = 9000  # MinIO's own default, inside a network of its own

# No web console (it would listen on every address) and no look for updates.
SETTINGS = {"MINIO_BROWSER": "off", "MINIO_UPDATE": "off"}


@contextlib.contextmanager
def container(image: str, environ: Mapping[str, str]) -> Iterator[Server]:
    """Run MinIO in a container, with its data inside, removed at the end."""
    engine = find_engine(environ)
    fetch_image(engine, image, environ)
    name = f"cdn-sigv4-{secrets.token_hex(6)}"
    port = free_port()
    root = new_keys("root")
    command = [engine, "run", "--rm", "--name", name, *(argument for key in SETTINGS for argument in ("-e", key))]
    command += ["-e", "MINIO_ROOT_USER", "-e", "MINIO_ROOT_PASSWORD"]
    if has_bridge(engine, environ):
        command += ["--publish", f"127.0.0.1:{port}:{CONTAINER_PORT}"]
        address = f":{CONTAINER_PORT}"
    else:
        command += ["--network", "host"]
        address = f"127.0.0.1:{port}"
    command += [image, "server", "--quiet", "--address", address, "/data"]
    try:
        with running(command, {**environ, **SETTINGS, **root_environment(root)}) as child:
            yield ready_server("container", port, root, child, f"in a container ({engine}, image {image})")
    finally:
        # Ending the client ends the container in nearly all cases; this covers the rest, and its volumes.
        ask(engine, environ, "rm", "--force", "--volumes", name)


@contextlib.contextmanager
def binary() -> Iterator[Server]:
    """Run the `minio` found on the PATH, with its data in a temporary folder."""
    program = shutil.which("minio")
    if program is None:
        raise HarnessError("no minio binary on the PATH")
    port = free_port()
    root = new_keys("root")
    with tempfile.TemporaryDirectory(prefix="cdn-sigv4-minio-") as folder:
        command = [program, "server", "--quiet", "--address", f"127.0.0.1:{port}", f"{folder}/data"]
        # MinIO keeps its configuration below HOME.
        environ = {**bare_environment(), "HOME": folder, **SETTINGS, **root_environment(root)}
        with running(command, environ) as child:
            yield ready_server("binary", port, root, child, f"({program})")


def find_engine(environ: Mapping[str, str]) -> str:
    """Return the container engine that answers."""
    tried = []
    for engine in ENGINES:
        if shutil.which(engine, path=environ.get("PATH")) is None:
            tried.append(f"no {engine} on the PATH")
        elif ask(engine, environ, "info") is None:
            tried.append(f"{engine} does not answer `{engine} info` (is its service running, and are you allowed?)")
        else:
            return engine
    raise HarnessError("no container engine: " + ", ".join(tried))


def fetch_image(engine: str, image: str, environ: Mapping[str, str]) -> None:
    """Pull the image unless the engine has it."""
    if ask(engine, environ, "image", "inspect", image) is not None:
        return
    try:
        done = run_engine([engine, "pull", "--quiet", image], environ, PULL_SECONDS)
    except subprocess.TimeoutExpired:
        raise HarnessError(f"pulling the image {image} took longer than {PULL_SECONDS} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise HarnessError(f"the image {image} is not there and cannot be pulled: {last}")


def has_bridge(engine: str, environ: Mapping[str, str]) -> bool:
    """Whether a container can have a network of its own; an engine inside a container often has none to give."""
    drivers = ask(engine, environ, "network", "ls", "--format", "{{.Driver}}")
    return "bridge" in (drivers or "").split()


def ask(engine: str, environ: Mapping[str, str], *arguments: str) -> str | None:
    """Return what the engine says, None when it refuses or hangs."""
    try:
        done = run_engine([engine, *arguments], environ, ENGINE_SECONDS)
    except subprocess.TimeoutExpired:
        return None
    return None if done.returncode else done.stdout


def run_engine(command: list[str], environ: Mapping[str, str], seconds: int) -> subprocess.CompletedProcess[str]:
    """Run the engine's client, with the user's environment: contexts, DOCKER_HOST, HOME."""
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        encoding="utf-8",
        errors="replace",
        env=dict(environ),
        timeout=seconds,
    )


def new_keys(name: str) -> KeyPair:
    """Return a random credential. MinIO limits access keys to 20 characters and secrets to 40."""
    return KeyPair(f"{name}-{secrets.token_hex(4)}", secrets.token_hex(20))


def root_environment(root: KeyPair) -> Mapping[str, str]:
    """Return the variables by which MinIO learns its root credential."""
    return {"MINIO_ROOT_USER": root.access_key, "MINIO_ROOT_PASSWORD": root.secret_key}


def ready_server(kind: str, port: int, root: KeyPair, child: Child, where: str) -> Server:
    """Wait until MinIO serves, and describe it."""
    wait_until(lambda: answers_ok(port, "/minio/health/ready"), child, "MinIO")
    admin = new_admin(port, root)
    return Server(
        kind=kind,
        endpoint=f"http://127.0.0.1:{port}",
        region=DEFAULT_REGION,
        root_access_key=root.access_key,
        root_secret_key=root.secret_key,
        description=f"MinIO {version(admin)} {where}",
        is_minio=True,
        user_maker=lambda bucket: make_users(admin, bucket),
    )


def new_admin(port: int, root: KeyPair) -> Any:
    """Return MinIO's own administration client; imported here because only MinIO needs it."""
    from minio.credentials import StaticProvider
    from minio.minioadmin import MinioAdmin

    provider = StaticProvider(root.access_key, root.secret_key)
    return MinioAdmin(endpoint=f"127.0.0.1:{port}", credentials=provider, secure=False)


def version(admin: Any) -> str:
    """Return the version which the server itself reports."""
    return str(json.loads(admin.info())["servers"][0]["version"])


def make_users(admin: Any, bucket: str) -> Users:
    """Make the two users of least privilege on a bucket."""
    uploader, downloader = new_keys("uploader"), new_keys("download")
    for keys, policy in ((uploader, upload_policy(bucket)), (downloader, download_policy(bucket))):
        # From a file: the last minio-py for Python 3.8 takes it in no other way.
        with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
            json.dump(policy, file)
            file.flush()
            admin.policy_add(keys.access_key, policy_file=file.name)
        admin.user_add(keys.access_key, keys.secret_key)
        admin.policy_set(keys.access_key, user=keys.access_key)
    return Users(uploader, downloader)
