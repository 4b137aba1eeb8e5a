"""What all tests share: the server (started for the first test that asks), its bucket and users, clean surroundings.

Beside the real server there is a loopback one, new for each test, with a store in memory that checks every signature.

A test marked `minio` needs a real MinIO and is skipped where the server is moto. No test sees the user's AWS_*, CDN_*
or proxy variables, nor their home folder; those which choose the server are read before.
"""

import collections
import contextlib
import gc
import os
import secrets
import shutil
import signal
import stat
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import hypothesis
import kit_tls
import pytest
from kit import BUCKET, FOUR, KEY, SECRET, SECRETS, StillTime
from kit_cli import Shell
from kit_parts import VICTIM, Room, made
from kit_uploads import Site, allow_small_parts
from rawserver import MemoryStore, RawServer

from cdn_sigv4 import CDNCredentials, CDNManager, Credentials, S3Client, exchange, filling, multipart
from harness import choice, minio_cluster, minio_server, servers, vendor_pyz
from harness.values import HarnessError, Users

USERS_ENVIRONMENT = dict(os.environ)
PRIVATE_PREFIXES = ("AWS_", "CDN_", "MINIO_")
PRIVATE_NAMES = ("NETRC", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
PRIVATE_NAMES += ("PYTHONUNBUFFERED",)  # with it, what stdout could not take is not tried again at the end

SERVER_LINES = pytest.StashKey()
NEEDED_MINIO = pytest.StashKey()
EMPTY_HOME = pytest.StashKey()

# No deadlines: a shared machine is slow now and then. Where CI is set, the examples are the same in every run.
hypothesis.settings.register_profile("dev", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if USERS_ENVIRONMENT.get("CI") else "dev")


def is_private(name):
    """Whether a variable of the user's could change what a test does."""
    return name.startswith(PRIVATE_PREFIXES) or name in PRIVATE_NAMES or name.lower().endswith("_proxy")


def pytest_configure(config):
    """Put away the user's variables, home and ignored signals for the whole session, before any fixture runs."""
    config.stash[SERVER_LINES] = []
    config.stash[NEEDED_MINIO] = collections.Counter()
    config.stash[EMPTY_HOME] = tempfile.mkdtemp(prefix="cdn-sigv4-home-")
    for name in filter(is_private, USERS_ENVIRONMENT):
        del os.environ[name]
    os.environ["HOME"] = config.stash[EMPTY_HOME]
    # Whoever starts us in the background (bash's `&`, nohup) has these ignored, and children would inherit that.
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


@hypothesis.settings(max_examples=1, database=None)
@hypothesis.given(hypothesis.strategies.none())
def _first_example(_):
    """With its first one Hypothesis asks the collector who holds its random numbers; who is frozen does not count."""


def pytest_collection_finish(session):
    """Let no collection of garbage walk through what pytest and its plugins hold: some tests collect all the time."""
    _first_example()
    gc.collect()
    gc.freeze()


def pytest_unconfigure(config):
    """Give the user's variables and home back."""
    os.environ.clear()
    os.environ.update(USERS_ENVIRONMENT)
    shutil.rmtree(config.stash[EMPTY_HOME], ignore_errors=True)


def pytest_terminal_summary(terminalreporter, config):
    """Say which server it was, and what was skipped for want of a MinIO, in one line."""
    for line in config.stash[SERVER_LINES]:
        terminalreporter.write_line(line)
    skipped = config.stash[NEEDED_MINIO]
    if skipped:
        names = ", ".join(f"{name} ({cases})" if cases > 1 else name for name, cases in skipped.items())
        terminalreporter.write_line(f"{sum(skipped.values())} skipped because they need a real MinIO: {names}")


@pytest.fixture(autouse=True)
def _same_surroundings():
    """Give every test the same environment and current folder, whatever the one before has done to them."""
    environ, folder = dict(os.environ), Path.cwd()
    yield
    os.chdir(str(folder))
    if dict(os.environ) != environ:
        os.environ.clear()
        os.environ.update(environ)


@pytest.fixture(autouse=True)
def _no_sleeping(monkeypatch):
    """Let no client made in a test wait for real: time goes by for it only when it sleeps."""
    still = StillTime()
    world = SimpleNamespace(time=time.time, monotonic=still.monotonic, sleep=still.sleep)
    monkeypatch.setattr(exchange, "time", world)
    monkeypatch.setattr(filling, "HELP_AFTER", 0.0)  # no time goes by: further connections join at once


@pytest.fixture(autouse=True)
def _minio_where_it_is_needed(request):
    """Skip a test marked `minio` where the server is none."""
    if request.node.get_closest_marker("minio") and not request.getfixturevalue("server").is_minio:
        request.config.stash[NEEDED_MINIO][request.node.originalname] += 1
        pytest.skip("needs a real MinIO")


@pytest.fixture(scope="session")
def server(request):
    """Return the server, started for the session; without one nothing is tested, and pytest ends."""
    with contextlib.ExitStack() as stack:
        try:
            say = request.config.stash[SERVER_LINES].append
            started = stack.enter_context(servers.start(USERS_ENVIRONMENT, say=say))
        except HarnessError as error:
            pytest.exit(str(error), returncode=1)
        yield started


@pytest.fixture(scope="session")
def endpoint(server):
    """Return the server's URL."""
    return server.endpoint


@pytest.fixture(scope="session")
def root_client(server):
    """Return a client which may do everything."""
    credentials = Credentials(server.root_access_key, server.root_secret_key)
    with S3Client(server.endpoint, credentials, region=server.region) as client:
        yield client


@pytest.fixture(scope="session")
def bucket(root_client):
    """Return the name of a fresh bucket."""
    name = f"cdn-test-{secrets.token_hex(6)}"
    root_client.create_bucket(name)
    return name


@pytest.fixture(scope="session")
def users(server, bucket):
    """Return the two users of least privilege on the bucket, as `Credentials`: `.uploader` and `.downloader`."""
    return Users(*(Credentials(keys.access_key, keys.secret_key) for keys in server.make_users(bucket)))


@pytest.fixture(scope="session")
def uploader(server, users):
    """Return a client which may only upload."""
    with S3Client(server.endpoint, users.uploader, region=server.region) as client:
        yield client


@pytest.fixture(scope="session")
def downloader(server, users):
    """Return a client which may only download."""
    with S3Client(server.endpoint, users.downloader, region=server.region) as client:
        yield client


@pytest.fixture(scope="session")
def one_file(tmp_path_factory):
    """Return the command line as one file, as `scripts/vendor --pyz` makes it."""
    target = tmp_path_factory.mktemp("one_file") / "cdn_sigv4.pyz"
    with users_registry():
        vendor_pyz.make(target)
    return target


@contextlib.contextmanager
def users_registry():
    """Let pip find registry and cache where the user's own finds them: the way there may be written in their home."""
    before = os.environ["HOME"]
    os.environ["HOME"] = USERS_ENVIRONMENT.get("HOME", before)
    try:
        yield
    finally:
        os.environ["HOME"] = before


@pytest.fixture
def shell(capsysbinary, monkeypatch, loopback, folder):
    """Return a shell in an empty folder, for the store in memory."""
    return Shell(capsysbinary, monkeypatch, loopback.endpoint, Credentials(*FOUR[2:]), Credentials(*FOUR[:2]))


@pytest.fixture
def real_shell(capsysbinary, monkeypatch, server, users, folder):
    """Return the same for the real server, with the two users of least privilege."""
    return Shell(capsysbinary, monkeypatch, server.endpoint, *users, server.region)


@pytest.fixture(scope="session")
def trusted(tmp_path_factory):
    """Return an authority that was and will be valid, and its file."""
    made = kit_tls.authority(time.time())
    path = tmp_path_factory.mktemp("authority") / "authority.pem"
    path.write_bytes(made.pem)
    return made, str(path)


@pytest.fixture(scope="session")
def vectors():
    """Return the folder of published signature vectors, which is not part of the repository."""
    folder = USERS_ENVIRONMENT.get("SIGV4_VECTORS")
    if not folder:
        pytest.skip("set SIGV4_VECTORS to the folder of published signature vectors")
    if not Path(folder).is_dir():
        pytest.fail(f"SIGV4_VECTORS names {folder}, which is no folder")
    return Path(folder)


@pytest.fixture
def store():
    """Return a store in memory with one empty bucket, which knows the keys of kit.py."""
    return MemoryStore(SECRETS, buckets=(BUCKET,))


@pytest.fixture
def loopback(store):
    """Return that store's server."""
    with RawServer(store) as started:
        yield started


@pytest.fixture
def plain():
    """Return a loopback server that answers 200 to everything and keeps the bytes."""
    with RawServer() as started:
        yield started


@pytest.fixture
def client(loopback):
    """Return a client of the loopback server, with a lasting key."""
    with S3Client(loopback.endpoint, Credentials(KEY, SECRET)) as made:
        yield made


@pytest.fixture
def one_put(monkeypatch):
    """Let uploads of any size be one request, for tests of what one large body meets on its way."""
    monkeypatch.setattr(multipart, "MIN_PART", multipart.MAX_PART)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return an empty folder, which is the current one."""
    path = tmp_path / "here"
    path.mkdir()
    monkeypatch.chdir(path)
    return path


@pytest.fixture
def room(tmp_path, loopback, store):
    """Return a folder, a store, and in it an object that is worth a part."""
    (tmp_path / "room").mkdir()
    made_room = Room(tmp_path / "room", loopback, store)
    made_room.put(made(1))
    return made_room


@pytest.fixture
def small_parts(monkeypatch, store):
    """Let parts be small ones, for client and store."""
    allow_small_parts(monkeypatch, store)


@pytest.fixture
def site(tmp_path, loopback, store, small_parts):
    """A file, a folder for its record, and a store that takes small parts."""
    return Site(tmp_path, loopback, store)


@pytest.fixture
def victim(tmp_path):
    """A file elsewhere that no transfer may touch."""
    path = tmp_path / "victim"
    path.write_bytes(VICTIM)
    path.chmod(0o640)
    yield path
    assert path.read_bytes() == VICTIM
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.fixture
def errors():
    """Return the list of what the manager hands to `on_error`."""
    return []


@pytest.fixture
def manager(loopback, errors, folder):
    """Return a manager of the loopback server, which collects its errors."""
    with CDNManager(CDNCredentials(loopback.endpoint, *FOUR), on_error=errors.append) as made:
        yield made


def own_minio(server, **options):
    """A MinIO of a test's own beside the session's server, run in the same way: harness/minio_server.py."""
    image = choice.choose(USERS_ENVIRONMENT, may_be_given=False).image
    return minio_server.restartable(server.kind, image, USERS_ENVIRONMENT, **options)


@pytest.fixture
def restartable(server):
    """Return a MinIO which a test may stop and start again."""
    with own_minio(server) as started:
        yield started


@pytest.fixture
def secure_minio(server, tmp_path):
    """Return a MinIO's server that speaks TLS with a certificate made for it, and the file of its authority."""
    now = time.time()
    made = kit_tls.Certified(now - kit_tls.DAY, now + kit_tls.DAY, issuer=kit_tls.authority(now))
    folder = made.write(tmp_path / "certificates")
    with own_minio(server, certificates=folder) as started:
        yield started.server, str(folder / "CAs" / "authority.crt")


@pytest.fixture(scope="session")
def own_cluster(server):
    """Return what makes a MinIO of four nodes, each run in the same way as the session's server."""
    image = choice.choose(USERS_ENVIRONMENT, may_be_given=False).image
    return lambda: minio_cluster.cluster(server.kind, image, USERS_ENVIRONMENT)
