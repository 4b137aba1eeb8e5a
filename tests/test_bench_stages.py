"""The benchmark's stages, each with a client that stands in: what is counted, and that what is wrong is seen."""

import sys
from pathlib import Path

import pytest

from harness import bench_cold, bench_footprint, bench_free, bench_small
from harness.bench_big import CHECKED, MIB, OBJECT, RATE, Mover
from harness.bench_child import obeyed
from harness.bench_child_small import SMALL, SMALL_KEY, Peer, payload
from harness.bench_files import new_source
from harness.bench_jobs import BOTO3, OURS, WrongError

ALL = {row.kind.name for row in bench_small.ROWS}


class Standin(Peer):
    """A client without a store; `spoil` makes it do wrong."""

    spoil = ""

    def __init__(self):
        self.kept = {}

    def do(self, operation, **order):
        """As Client.do, in this process."""
        told = obeyed(self, {"do": operation, **order})
        if "error" in told:
            raise WrongError(told["error"])
        return told

    def put_small(self, key, data):
        self.kept[key] = data[:-1] if self.spoil == "put" else data

    put_small_alone = put_small

    def get_small(self, key):
        return SMALL[:-1] if self.spoil == "get" else SMALL

    def save_small(self, key, path):
        if self.spoil != "lost":
            Path(path).write_bytes(self.get_small(key))

    def put_file(self, key, path):
        self.kept[key] = Path(path).read_bytes()
        return {}

    def put_memory(self, key):
        self.kept[key] = bytes(self.loaded)
        return {}

    def get_file(self, key, path):
        Path(path).write_bytes(self.kept[key])
        return {"verified": "crc32"}


class Witness:
    """Who looks into the stand-in's memory."""

    def __init__(self, client):
        self.client = client

    def mark(self):
        self.client.kept = {key: data for key, data in self.client.kept.items() if key == OBJECT}

    def arrived_small(self, prefix, expected):
        if {key: data for key, data in self.client.kept.items() if key.startswith(prefix)} != expected:
            raise WrongError("not those that were sent")

    def arrived(self, key, source):
        if self.client.kept.pop(key) != source.path.read_bytes():
            raise WrongError("not the file")


@pytest.fixture
def client(monkeypatch):
    """One; what the process of a real client collects is here the whole test run's."""
    monkeypatch.setattr("harness.bench_child.gc.collect", lambda: 0)
    return Standin()


@pytest.fixture
def hurry(client, tmp_path):
    return bench_small.Hurry({False: tmp_path, True: tmp_path}, Witness(client), 0.01, lambda count: {"besides": count})


def test_all_kinds_of_small_requests(hurry, client, tmp_path):
    """Each kind gives a rate and what a request costs; boto3 has two ways to store an object; no file is left."""
    jobs = hurry.jobs(bench_small.ROWS, {OURS: client, BOTO3: client}, ALL)
    assert len(jobs) == 2 * len(bench_small.ROWS) + 2
    for job in jobs:
        figures = job.function()
        assert set(figures) == {"per second", "CPU us", "besides"}
        assert figures["per second"] > 0
    assert not list(tmp_path.iterdir())


def test_several_threads(client):
    """Each thread says how many it did, and no two used one key."""
    told = client.small("put_small", 0.02, 8, "at/")
    assert len(told["counts"]) == 8
    assert len(client.kept) == sum(told["counts"])
    assert client.kept["at/7-0"] == payload(0)
    assert told["seconds"] >= 0.02


@pytest.mark.parametrize(
    ("spoil", "name", "message"),
    [
        ("put", "put-1k", "not those that were sent"),
        ("get", "get-1k-8", "other bytes"),
        ("get", "get-1k-tmpfs", "a file is not the object"),
        ("lost", "get-1k-durable", "No such file"),
        ("lost", "get-1k-disk-8", "0 files of"),
    ],
)
def test_wrong_small_requests_are_seen(hurry, client, spoil, name, message, tmp_path):
    """Other bytes, and files that are not there, are no figures."""
    client.spoil = spoil
    (job,) = hurry.jobs(bench_small.ROWS, {OURS: client}, {name})
    with pytest.raises(WrongError, match=message):
        job.function()
    assert not list(tmp_path.iterdir())


def test_large_files(client, tmp_path):
    """Several transfers are one measurement of a small size; who does not verify has the time for it added."""
    source = new_source(tmp_path / "source", MIB)
    client.kept[OBJECT] = source.path.read_bytes()
    mover = Mover(source, tmp_path, Witness(client), 3 * MIB)
    names = {"put-memory-1m", "put-file-1m", "get-file-1m"}
    figures = {(job.kind.name, job.peer): job.function() for job in mover.jobs({OURS: client, BOTO3: client}, names)}
    assert len(figures) == 6
    assert figures["get-file-1m", OURS][CHECKED] == figures["get-file-1m", OURS][RATE]
    assert figures["get-file-1m", BOTO3][CHECKED] < figures["get-file-1m", BOTO3][RATE]
    client.kept[OBJECT] = bytes(MIB)
    (job,) = mover.jobs({OURS: client}, {"get-file-1m"})
    with pytest.raises(WrongError, match="the file is not the object"):
        job.function()


def test_free_server_as_a_process(tmp_path):
    """The server runs as a process, says what came and what it took, and what did not come is seen."""
    source = new_source(tmp_path / "source", MIB)
    served = tmp_path / "served"
    served.mkdir()
    with bench_free.start(served) as free:
        free.serve(source)
        assert (served / SMALL_KEY).read_bytes() == SMALL
        assert (served / OBJECT).stat().st_size == MIB
        free.mark()
        free.arrived_small("", {})
        assert free.cost(1)[bench_free.SERVER] >= 0
        with pytest.raises(WrongError, match="0 bytes came, and the file has 1,048,576"):
            free.arrived("up", source)


def test_fresh_process():
    """How long a process lives is measured, and one that fails is seen."""
    milliseconds, said = bench_cold.lived("print('x')", {})
    assert (milliseconds > 1, said) == (True, "x")
    with pytest.raises(WrongError, match=r"(?s)ended with 1: .*ValueError: no"):
        bench_cold.lived("raise ValueError('no')", {})


def test_import(tmp_path):
    """What an import takes has its peak of memory with it."""
    jobs = {job.peer: job.function for job in bench_cold.import_jobs([OURS], tmp_path)}
    assert list(jobs) == [bench_cold.BARE, OURS, "requests"]
    figures = jobs[OURS]()
    assert figures["ms"] > 1
    assert (figures["MiB"] > 5) == (sys.platform == "linux")


def test_sizes():
    """What requests brings anyway is not counted, and byte code neither."""
    assert bench_footprint.needed("requests") >= {"requests", "urllib3", "certifi", "idna"}
    assert {"boto3", "botocore", "s3transfer", "six", "urllib3"} <= bench_footprint.needed("boto3")
    assert "pytest" not in bench_footprint.needed("boto3")
    assert 1_000 < bench_footprint.installed("boto3")["KiB"] < 100_000
