"""A real MinIO, in a container or as a binary on the PATH, and its users of least privilege.

Both listen on 127.0.0.1 alone, with random root credentials which travel in the environment, never in arguments.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import ssl
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping

from .choice import DEFAULT_REGION
from .processes import STOP_SECONDS, Child, answers_ok, bare_environment, free_port, running, told, wait_until
from .values import HarnessError, KeyPair, Server, Users, download_policy, upload_policy

ENGINES = ("docker", "podman")
ENGINE_SECONDS = 30  # for an answer about what is there already
PULL_SECONDS = 180
CONTAINER_PORT = 9000  # MinIO's own default, inside a network of its own

# No web console (it would listen on every address) and no look for updates.
SETTINGS = {"MINIO_BROWSER": "off", "MINIO_UPDATE": "off"}


@contextlib.contextmanager
def container(image: str, environ: Mapping[str, str]) -> Iterator[Server]:
    """Run MinIO in a container, with its data in a volume, both removed at the end."""
    with restartable("container", image, environ) as minio:
        yield minio.server


@contextlib.contextmanager
def binary() -> Iterator[Server]:
    """Run the `minio` found on the PATH, with its data in a temporary folder."""
    with restartable("binary", "", {}) as minio:
        yield minio.server


@contextlib.contextmanager
def restartable(
    kind: str, image: str, environ: Mapping[str, str], *, certificates: Path | None = None
) -> Iterator[Restartable]:
    """Run MinIO as "container" or "binary" so that it can be stopped and started again.

    With `certificates`, a folder as MinIO's `--certs-dir` wants it (`public.crt` for 127.0.0.1, `private.key`), it
    speaks TLS; `CAs/authority.crt` in there is the authority by which it is known here.
    """
    with contextlib.ExitStack() as stack:
        port, root = free_port(), new_keys("root")
        if kind == "container":
            place = stack.enter_context(in_container(image, environ, port, certificates))
        else:
            place = stack.enter_context(as_program(port, certificates))
        minio = Restartable(place, port, root, certificates)
        stack.callback(minio.stop, sudden=False)
        minio.start()
        minio.describe(kind)
        yield minio


@dataclass(frozen=True)
class Place:
    """Where MinIO runs: the command which starts it there, and what ends it there as a power cut would."""

    description: str
    command: list[str]
    environ: Mapping[str, str] = field(repr=False)
    kill: Callable[[Child], object]


@contextlib.contextmanager
def in_container(image: str, environ: Mapping[str, str], port: int, certificates: Path | None) -> Iterator[Place]:
    """Give MinIO a container, and its data a volume that outlives it until the end."""
    engine = find_engine(environ)
    fetch_image(engine, image, environ)
    name = f"cdn-sigv4-{secrets.token_hex(6)}"
    command = [engine, "run", "--rm", "--name", name, "--volume", f"{name}:/data"]
    for variable in (*SETTINGS, "MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"):
        command += ["-e", variable]
    if has_bridge(engine, environ):
        command += ["--publish", f"127.0.0.1:{port}:{CONTAINER_PORT}"]
        address = f":{CONTAINER_PORT}"
    else:
        command += ["--network", "host"]
        address = f"127.0.0.1:{port}"
    if certificates is not None:
        command += ["--volume", f"{certificates}:/certificates:ro,z"]  # z: readable where there is SELinux
    command += [image, *server_arguments(address, "/data", certificates and "/certificates")]
    try:
        yield Place(
            f"in a container ({engine}, image {image})",
            command,
            environ,
            lambda _child: ask(engine, environ, "kill", name),
        )
    finally:
        # Ending the client ends the container in nearly all cases; this covers the rest.
        ask(engine, environ, "rm", "--force", "--volumes", name)
        ask(engine, environ, "volume", "rm", "--force", name)


@contextlib.contextmanager
def as_program(port: int, certificates: Path | None) -> Iterator[Place]:
    """Give the `minio` found on the PATH a temporary folder for its data."""
    program = shutil.which("minio")
    if program is None:
        raise HarnessError("no minio binary on the PATH")
    with tempfile.TemporaryDirectory(prefix="cdn-sigv4-minio-") as folder:
        command = [program, *server_arguments(f"127.0.0.1:{port}", f"{folder}/data", certificates)]
        # MinIO keeps its configuration below HOME.
        yield Place(f"({program})", command, {**bare_environment(), "HOME": folder}, lambda child: child.process.kill())


def server_arguments(address: str, data: str, certificates: Path | str | None) -> list[str]:
    """Return MinIO's own arguments."""
    own = ["--certs-dir", str(certificates)] if certificates else []
    return ["server", "--quiet", "--address", address, *own, data]


class Restartable:
    """A MinIO which is stopped and started again: port, data, users and root credential stay what they were."""

    server: Server

    def __init__(self, place: Place, port: int, root: KeyPair, certificates: Path | None) -> None:
        self._place, self._port, self._root = place, port, root
        self._authority = None if certificates is None else str(certificates / "CAs" / "authority.crt")
        self._life = contextlib.ExitStack()
        self._child: Child | None = None

    @property
    def is_running(self) -> bool:
        """Whether it was started and not stopped since."""
        return self._child is not None

    def start(self) -> None:
        """Start it, and wait until it serves."""
        environ = {**self._place.environ, **SETTINGS, **root_environment(self._root)}
        self._child = child = self._life.enter_context(running(self._place.command, environ))
        tls = None if self._authority is None else ssl.create_default_context(cafile=self._authority)
        # Not /minio/health/ready: it says yes while every other request is still answered 503.
        wait_until(lambda: answers_ok(self._port, "/minio/health/cluster", tls), child, "MinIO")

    def stop(self, *, sudden: bool = True) -> None:
        """Stop it: in the middle of everything, or as kindly as MinIO wants it. No harm where it is stopped."""
        child, self._child = self._child, None
        if child is not None and sudden:
            self._place.kill(child)
            child.process.wait(STOP_SECONDS)
        self._life.close()

    def describe(self, kind: str) -> None:
        """Make `server`, while it runs."""
        admin = new_admin(self._port, self._root, self._authority)
        self.server = Server(
            kind=kind,
            endpoint=f"{'http' if self._authority is None else 'https'}://127.0.0.1:{self._port}",
            region=DEFAULT_REGION,
            root_access_key=self._root.access_key,
            root_secret_key=self._root.secret_key,
            description=f"MinIO {version(admin)} {self._place.description}",
            is_minio=True,
            user_maker=lambda bucket: make_users(admin, bucket),
        )


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
        done = told([engine, "pull", "--quiet", image], PULL_SECONDS, environ)
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
    """Return what the engine says, None when it refuses or hangs; the environment is the user's (HOME, DOCKER_HOST)."""
    try:
        done = told([engine, *arguments], ENGINE_SECONDS, environ)
    except subprocess.TimeoutExpired:
        return None
    return None if done.returncode else done.stdout


def new_keys(name: str) -> KeyPair:
    """Return a random credential. MinIO limits access keys to 20 characters and secrets to 40."""
    return KeyPair(f"{name}-{secrets.token_hex(4)}", secrets.token_hex(20))


def root_environment(root: KeyPair) -> Mapping[str, str]:
    """Return the variables by which MinIO learns its root credential."""
    return {"MINIO_ROOT_USER": root.access_key, "MINIO_ROOT_PASSWORD": root.secret_key}


def new_admin(port: int, root: KeyPair, authority: str | None) -> Any:
    """Return MinIO's own administration client; imported here because only MinIO needs it."""
    from minio.credentials import StaticProvider
    from minio.minioadmin import MinioAdmin
    from urllib3 import PoolManager

    return MinioAdmin(
        endpoint=f"127.0.0.1:{port}",
        credentials=StaticProvider(root.access_key, root.secret_key),
        secure=authority is not None,
        http_client=None if authority is None else PoolManager(ca_certs=authority),
    )


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
