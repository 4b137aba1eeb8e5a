"""The benchmark's pure parts: orders, medians, demands, the tables and what is drawn."""

import json
import re

import pytest

from harness import bench, bench_plot
from harness.bench_claims import claims
from harness.bench_jobs import (
    BOTO3,
    MINIO,
    OBSTORE,
    OURS,
    PEERS,
    REQUESTS,
    Job,
    Kind,
    Series,
    WrongError,
    run_rounds,
    turn,
)
from harness.bench_report import Report, processor, section
from harness.bench_results import Results, number

KINDS = {kind.name: kind for kind in bench.KINDS}


def series(name, peer, *rounds, wrong=None):
    """What one peer came to; a number is the figure that the kind is about."""
    kind = KINDS[name]
    figures = [each if isinstance(each, dict) else {kind.figure: each} for each in rounds]
    return Series(kind, peer, figures, wrong)


def lines(*all_series):
    """The demands about these, as they are printed."""
    return [claim.line() for claim in claims(Results(all_series))]


def test_names_are_unique():
    """Each kind has a name, a text and no other's."""
    assert len(KINDS) == len(bench.KINDS)
    assert len({kind.text for kind in bench.KINDS}) == len(bench.KINDS)


def test_no_peer_always_follows_the_same():
    """In the rounds each peer is first at times, and each follows several others; the order is the same in each run."""
    jobs = [Job(KINDS["put-1k"], peer, dict) for peer in PEERS]
    orders = [[job.peer for job in turn(jobs, number)] for number in range(20)]
    assert all(sorted(order) == sorted(PEERS) for order in orders)
    assert {order[0] for order in orders} == set(PEERS)
    for peer in PEERS:
        assert len({order[order.index(peer) - 1] for order in orders if order[0] != peer}) > 2
    assert orders == [[job.peer for job in turn(jobs, number)] for number in range(20)]


def test_rounds():
    """All jobs are done in each round; one that was wrong is not done again, and says why."""
    done = []

    def right():
        done.append("right")
        return {"per second": float(len(done))}

    def wrong():
        done.append("wrong")
        raise WrongError("other bytes")

    kind = KINDS["put-1k"]
    good, bad = run_rounds([Job(kind, OURS, right), Job(kind, BOTO3, wrong)], 3, lambda _line: None)
    assert sorted(done) == ["right", "right", "right", "wrong"]
    assert (len(good.rounds), good.wrong, bad.rounds, bad.wrong) == (3, None, [], "other bytes")


def test_ratio_of_medians():
    """A demand is about the medians, and shows what the single rounds had."""
    found = lines(series("put-1k", OURS, 100, 300, 200), series("put-1k", OBSTORE, 200, 200, 200))
    assert found == ["holds: put-1k at least 1 x obstore: 1.00 (0.50 to 1.50)"]


def test_demand_that_does_not_hold():
    """A rate that is too small says so."""
    found = lines(series("get-1k-tmpfs", OURS, 100), series("get-1k-tmpfs", MINIO, 50))
    assert found == ["DOES NOT HOLD: get-1k-tmpfs at least 2.5 x minio-py: 2.00 (2.00 to 2.00)"]


def test_best_peer_by_each_figure():
    """Who is the best is asked for each figure; where a size was not measured the largest one stands for it."""
    found = lines(
        series("get-file-64m", OURS, {"MB/s": 900, "MB/s verified": 900}),
        series("get-file-64m", MINIO, {"MB/s": 1000, "MB/s verified": 500}),
        series("get-file-64m", REQUESTS, {"MB/s": 700, "MB/s verified": 600}),
    )
    by_hand = "the best peer, which is verified by hand, requests + aws4auth"
    assert found == [
        "holds: get-file-64m at least 0.8 x the best peer minio-py: 0.90 (0.90 to 0.90)",
        f"holds: get-file-64m at least 1.2 x {by_hand}: 1.50 (1.50 to 1.50)",
    ]


def test_what_may_be_more_and_what_must_be_less():
    """A cold process is measured by a difference to one peer, and by a part of another one's."""
    found = lines(series("cold", OURS, 112), series("cold", REQUESTS, 100), series("cold", BOTO3, 400))
    assert found == [
        "holds: cold at most 1/3 of boto3's ms: 1/3.6",
        "DOES NOT HOLD: cold at most 10 ms over requests + aws4auth: 12.0 (12.0 to 12.0)",
    ]


@pytest.mark.parametrize(("value", "holds"), [(4.99, True), (5.01, False)])
def test_limit(value, holds):
    """A limit holds up to its value."""
    assert [claim.held for claim in claims(Results([series("sign", OURS, value)]))] == [holds]


def test_worst_peak_counts():
    """Of memory not the median counts, but the most."""
    assert lines(series("peak-get-file", OURS, 1, 1, 17)) == [
        "DOES NOT HOLD: peak-get-file at most 16 MiB extra: 17.0 MiB"
    ]


def test_what_was_wrong_is_no_figure():
    """A series that was wrong is in no table and no demand, and the report is not good."""
    report = Report({}, [series("put-1k", OURS, 100), series("put-1k", OBSTORE, 1, wrong="other bytes")])
    assert report.summary() == ["WRONG: put-1k, obstore: other bytes"]
    assert not report.is_good
    assert "| 1 KiB up, one thread | 100 |" in report.markdown()


@pytest.fixture
def report():
    """A small run."""
    return Report(
        {"processor": "2 cores of it", "made": "today"},
        [
            series("put-1k", OURS, {"per second": 1500, "CPU us": 200.0}),
            series("put-1k", BOTO3, {"per second": 150, "CPU us": 2000.0}),
            series("cold", OURS, 100),
            series("cold", OBSTORE, 25),
        ],
    )


def test_tables(report):
    """A row for each kind, a column for each peer, and how many times better ours is in brackets."""
    text = report.markdown()
    assert "- processor: 2 cores of it" in text
    assert "|  | cdn_sigv4 | boto3 |\n| --- | --- | --- |\n| 1 KiB up, one thread | 1,500 | 150 (10.0) |" in text
    assert "| 1 KiB up, one thread | 200 | 2,000 |" in text
    assert "| cold process: import, one put, one get | 100 | 25.0 (0.25) |" in text
    assert "| put-1k | boto3 | 150 per second | 150 to 150 | 10.0 (10.0 to 10.0) |" in text
    assert section("none", ("a",), []) == []


def test_written(report, tmp_path):
    """The figures of all rounds are in the JSON; the plot is there if there is somebody to draw it."""
    written = [path.name for path in report.write(tmp_path / "new")]
    assert written[:2] == ["bench.md", "bench.json"]
    data = json.loads((tmp_path / "new" / "bench.json").read_text())
    assert data["results"][1] == {
        "job": "put-1k",
        "peer": "boto3",
        "rounds": [{"per second": 150, "CPU us": 2000.0}],
        "wrong": None,
    }
    assert data["claims"][0]["held"] is True


def test_what_is_drawn(report):
    """More is longer, and of what takes time or memory less is."""
    cold, put = bench_plot.rows(report.results)
    assert cold == ("cold process: import, one put, one get (ms)", {OURS: (1.0, "100"), OBSTORE: (4.0, "25.0")})
    assert put.bars == {OURS: (1.0, "1,500"), BOTO3: (0.1, "150")}


def test_plot(report, tmp_path):
    """The same figures make the same bytes: not many of them, with text that stays text."""
    pytest.importorskip("matplotlib", reason="the benchmark's own environment has it")
    paths = [tmp_path / "a.svg", tmp_path / "b.svg"]
    assert all(bench_plot.draw(bench_plot.rows(report.results), "caption", path) for path in paths)
    first, second = (path.read_text() for path in paths)
    assert first == second
    assert len(first) < 60_000
    assert "cold process: import, one put, one get (ms)" in first
    assert re.search(r"25\.0 (→|&#8594;)", first)


def test_nothing_to_draw(tmp_path):
    """Without a job that is shown there is no plot."""
    assert not bench_plot.draw([], "", tmp_path / "a.svg")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("value", "text"), [(0.5, "0.50"), (12.34, "12.3"), (-12.34, "-12.3"), (12345.6, "12,346")])
def test_numbers(value, text):
    """Three digits, or all before the point."""
    assert number(value) == text


def test_processor(tmp_path):
    """The processor is named, and how many there are."""
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nmodel name\t: Some CPU\n")
    assert re.fullmatch(r"\d+ cores of Some CPU", processor(path))


def test_quantities_of_a_kind():
    """A kind is a value: two of the same name, text and figure are one."""
    assert Kind("a", "b", "c") == Kind("a", "b", "c")
