"""Proves the table of faults: each fault in each operation ends as its row demands, and never silently wrong.

Beside that, that the table's judges see what they are there for, and that scripts/faults reports it.
"""

import collections
import json
import tempfile
import threading
from pathlib import Path

import fault_peers
import fault_report
import fault_runner
import pytest
from fault_bytes import flipped
from fault_operations import CALLS, digest, head
from fault_row import RIGHT, SMALL
from fault_runner import HANG, WRONG, cases, run
from kit import BUCKET
from misbehaviour import ELSEWHERE, OBJECT

from cdn_sigv4 import NotFound, TransportError

GROUPS = collections.defaultdict(list)
for each_case in cases():
    GROUPS[f"{each_case.row.fault} - {each_case.operation}"].append(each_case)


def result_of(case):
    """What comes of a case, in a folder that does not stay: there are many files of 9 MiB."""
    with tempfile.TemporaryDirectory() as folder:
        return run(case, Path(folder))


def small_case(name):
    """The first small case of a fault in an operation."""
    return next(each for each in GROUPS[name] if each.size == SMALL)


@pytest.mark.parametrize("name", list(GROUPS))
def test_fault(name):
    """In each size, passing and lasting: ended as required, and nothing said to be right is wrong."""
    results = [result_of(case) for case in GROUPS[name]]
    assert [f"{each.case}: {each.outcome} {each.problems}" for each in results if not each.as_required] == []


# What a bad client would do, the operation that it would be, its outcome, and a word of the problem that is seen.


def gets_other_bytes(client, scene):
    return digest(flipped(scene.content))


def stores_other_bytes(client, scene):
    client.put_object(BUCKET, OBJECT, flipped(scene.content))


def stores_nothing(client, scene):
    pass


def fails_after_storing(client, scene):
    client.put_object(BUCKET, OBJECT, scene.content)
    raise TransportError("nothing was sent", attempts=1)


def loses_old_file(client, scene):
    scene.file.write_bytes(b"half")
    client.get_object(BUCKET, OBJECT).close()
    raise TransportError("cut", attempts=1)


def leaves_rubbish(client, scene):
    CALLS["plain download"](client, scene)
    (scene.folder / "file.part").write_bytes(b"half")


def asks_twice(client, scene):
    for _ in range(2):
        try:
            client.head_object(BUCKET, OBJECT)
        except NotFound as error:
            last = error
    last.attempts = 2
    raise last


def follows(client, scene):
    with client.get_object(ELSEWHERE, OBJECT) as reader:
        return digest(reader.read())


def miscounts(client, scene):
    try:
        client.head_object(BUCKET, OBJECT)
    except NotFound as error:
        error.attempts = 7
        raise


def fails_strangely(client, scene):
    raise KeyError("etag")


def is_no_good_afterwards(client, scene):
    client.get_object = None
    return head(client, scene)


HEALTHY = "closed behind the answer - "
BAD_CLIENTS = [
    (gets_other_bytes, HEALTHY + "get", WRONG, "ended with 1024 bytes"),
    (stores_other_bytes, HEALTHY + "put", WRONG, "ended with 1024 bytes"),
    (stores_nothing, HEALTHY + "put", WRONG, "ended with None"),
    (stores_nothing, HEALTHY + "delete", WRONG, "not None"),
    (fails_after_storing, HEALTHY + "put", "TransportError", "which has changed"),
    (loses_old_file, HEALTHY + "download", "TransportError", "old file is gone"),
    (leaves_rubbish, HEALTHY + "download", RIGHT, "file.part"),
    (asks_twice, "404 - head", "NotFound", "asked for 2 times"),
    (follows, HEALTHY + "get", WRONG, "followed a redirect"),
    (miscounts, "404 - head", "NotFound", "counts 7 attempts"),
    (fails_strangely, HEALTHY + "get", "KeyError", "KeyError"),
    (is_no_good_afterwards, HEALTHY + "head", RIGHT, "of the next requests one fails"),
]


@pytest.mark.parametrize(
    ("call", "name", "outcome", "problem"), BAD_CLIENTS, ids=[f"{row[0].__name__}-{row[1]}" for row in BAD_CLIENTS]
)
def test_bad_client_is_seen(monkeypatch, call, name, outcome, problem):
    """Whatever a row demands: a client that errs silently, or leaves something behind, does not pass."""
    case = small_case(name)
    monkeypatch.setitem(CALLS, "plain download", CALLS["download"])
    monkeypatch.setitem(CALLS, case.operation, call)
    result = result_of(case)
    assert result.outcome == outcome
    assert problem in " ".join(result.problems)
    assert not result.as_required


def test_hang_is_seen(monkeypatch):
    """A call that does not end is given up, and is a HANG."""
    end = threading.Event()
    monkeypatch.setattr(fault_runner, "WATCHDOG", 0.1)
    monkeypatch.setitem(CALLS, "get", lambda client, scene: end.wait(30))
    result = result_of(small_case(HEALTHY + "get"))
    end.set()
    assert result.outcome == HANG
    assert not result.as_required


def test_report(monkeypatch, capsys, tmp_path):
    """scripts/faults prints a line a case, what nobody can detect, and the counts; and writes them as JSON."""
    some = GROUPS["404 - put"][:2]
    monkeypatch.setattr(fault_report, "cases", lambda: some)
    assert fault_report.main(["--json", str(tmp_path / "rows.json")], "usage") == 0
    shown = capsys.readouterr().out
    assert "\nfault " in shown
    assert "\n404 " in shown
    assert "What nobody can detect" in shown
    counts = "2 cases, 0 right and 2 typed errors, all as they must be; 0 silent wrong results, 0 hangs"
    assert shown.endswith(f"\n{counts}\n")
    rows = json.loads((tmp_path / "rows.json").read_text(encoding="utf-8"))["cdn_sigv4"]
    assert [(row["fault"], row["operation"], row["outcome"], row["attempts"]) for row in rows] == [
        ("404", "put", "NotFound", 1),
        ("404", "put", "NotFound", 1),
    ]


def test_report_of_a_failure(monkeypatch, capsys):
    """A silent wrong result is named and counted, and the exit code is 1."""
    case = small_case(HEALTHY + "get")
    monkeypatch.setattr(fault_report, "cases", lambda: [case])
    monkeypatch.setitem(CALLS, "get", gets_other_bytes)
    assert fault_report.main([], "usage") == 1
    shown = capsys.readouterr().out
    assert f"FAILED: {case}: WRONG, required is right" in shown
    assert "1 cases, 0 right and 1 typed errors, 1 not as they must be; 1 silent wrong results, 0 hangs" in shown


def test_peers(monkeypatch, capsys):
    """boto3 and minio-py run through a fault that harms nobody, and are found right."""
    monkeypatch.setattr(fault_peers, "WORKERS", 1)
    found = fault_peers.run_peers([result_of(small_case(HEALTHY + "get"))])
    assert {name: [row["outcome"] for row in rows] for name, rows in found.items()} == {
        "boto3": [RIGHT],
        "minio-py": [RIGHT],
    }
    assert "closed behind the answer  lasts  get        1 KiB  right      right  right" in capsys.readouterr().out
