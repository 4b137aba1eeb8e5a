"""What is tried again, how often, and after how long: the table, the waits, the two budgets and the shared quota.

All of it without a server: clock and random source are arguments. What the client does with it is in the tests of
each fault (test_faults.py).
"""

import inspect

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import StillTime

from cdn_sigv4 import (
    AccessDenied,
    ClockError,
    Event,
    IntegrityError,
    InvalidResponse,
    NotFound,
    ObjectChanged,
    OutcomeUnknown,
    PreconditionFailed,
    RedirectRefused,
    ResponseError,
    Retry,
    SourceError,
    TransportError,
    failures,
    retry,
)
from cdn_sigv4.retry import JITTER, NEVER, ONCE, RULES, STEADY, Patience, Quota, reason_for

same_each_run = settings(derandomize=True, database=None, deadline=None, max_examples=200)


def refused():
    return transport("refused")


def transport(cause, kind=TransportError):
    error = kind("no")
    error.cause = cause
    return error


def answered(status, code=None, kind=ResponseError, **evidence):
    error = kind("no", status=status, code=code)
    for name, value in evidence.items():
        setattr(error, name, value)
    return error


def patience_of(options=None, *, quota=None, random=0.5, time=None):
    time = StillTime() if time is None else time
    drawn = random if callable(random) else lambda: random
    return Patience(options or Retry(), quota or Quota(), time.monotonic, drawn), time


def waits(patience, time, error, takes=0.0):
    """All waits until it gives up, where every attempt takes `takes` seconds and fails in the same way."""
    found = []
    for _ in range(10_000):
        time.now += takes
        seconds = patience.wait(error)
        if seconds is None:
            return found
        found.append(seconds)
        time.now += seconds
    raise AssertionError("it never gives up")


# -- the table


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (transport("refused"), "refused"),
        (transport("stalled", OutcomeUnknown), "stalled"),
        (answered(503), 503),
        (answered(503, "SlowDownWrite"), 503),
        (answered(200, "SlowDown"), "SlowDown"),
        (answered(200, "Oops"), "other"),
        (answered(400, "RequestTimeout"), "RequestTimeout"),
        (answered(400, "refused"), "other"),
        (answered(400, "clock"), "other"),
        (answered(503, "stalled"), 503),
        (answered(403, "RequestTimeTooSkewed", AccessDenied, server_time=1.0), "clock"),
        (answered(400, "AuthorizationHeaderMalformed", region="eu"), "region"),
        (answered(403, "AccessDenied", AccessDenied), "other"),
        (answered(404, "NoSuchKey", NotFound), "other"),
        (answered(412, None, PreconditionFailed), "other"),
        (answered(301, None, RedirectRefused), "other"),
        (answered(501), "other"),
        (answered(409), "other"),
        (IntegrityError("no"), "IntegrityError"),
        (InvalidResponse("no"), "InvalidResponse"),
        (SourceError("no"), "other"),
        (ObjectChanged("no"), "changed"),
        (ClockError("no"), "certificate"),
        (TransportError("no"), "other"),
    ],
)
def test_every_error_has_its_row(error, reason):
    """Each error falls under one row of the table, and what a server calls its error cannot name another."""
    assert reason_for(error) == reason
    assert reason in RULES


def test_every_row_says_why():
    """A row is: how often, how the wait is drawn, and the reason in words."""
    for times, steady, why in RULES.values():
        assert times in (NEVER, ONCE, retry.MORE)
        assert steady in (JITTER, STEADY)
        assert len(why.split()) >= 3


def test_every_cause_of_a_transport_error_has_a_row():
    """The names that failures.py gives to what the network did are rows of the table."""
    named = {line[1] for line in failures._FAILURES} | {"unknown host", "closed", "proxy refuses"}
    assert named <= set(RULES)
    assert {kind.cause for kind in (TransportError, OutcomeUnknown, ObjectChanged, ClockError)} <= set(RULES)


@pytest.mark.parametrize("reason", RULES, ids=str)
def test_each_row_is_obeyed(reason):
    """Never is never, once is once, and more is up to the attempts; the number of attempts counts the first."""
    patience, time = patience_of(Retry(attempts=5, budget=1000))
    kind = {"IntegrityError": IntegrityError, "InvalidResponse": InvalidResponse}.get(reason)
    if kind is not None:
        error = kind("no")
    elif reason == "clock":
        error = answered(403, server_time=1.0)
    elif reason == "region":
        error = answered(400, region="eu")
    elif isinstance(reason, int):
        error = answered(reason)
    else:
        error = answered(400, reason) if reason[0].isupper() else transport(reason)
    times = RULES[reason][0]
    assert len(waits(patience, time, error)) == min(times, 4)
    assert patience.attempts == 1 + min(times, 4)


def test_what_has_come_is_not_gone_at_once():
    """A 404 is final, unless bytes of the object have come in this very operation: then it is asked for again."""
    gone = answered(404, "NoSuchKey", NotFound)
    patience, time = patience_of(Retry(attempts=5, budget=1000))
    patience.moved(0)
    assert waits(patience, time, gone) == []
    patience, time = patience_of(Retry(attempts=5, budget=1000), random=0.0)
    patience.moved(1)
    assert waits(patience, time, gone) == [0.125, 0.25, 0.5, 1]


def test_two_reasons_are_counted_each():
    """Damage is worth one more try, whatever else went wrong before and after."""
    patience, _ = patience_of(Retry(attempts=10, budget=1000))
    assert patience.wait(refused()) is not None
    assert patience.wait(IntegrityError("no")) is not None
    assert patience.wait(refused()) is not None
    assert patience.wait(IntegrityError("no")) is None


# -- the waits


def test_full_jitter():
    """A wait is drawn between nothing and a ceiling that doubles up to the cap."""
    for random, share in ((0.0, 0.0), (0.5, 0.5), (1.0, 1.0)):
        patience, time = patience_of(Retry(attempts=9, budget=1000, cap=5), random=random)
        ceilings = [0.25, 0.5, 1, 2, 4, 5, 5, 5]
        assert waits(patience, time, transport("stalled")) == [share * ceiling for ceiling in ceilings]


def test_where_nobody_listens_half_of_the_wait_is_certain():
    """A server that restarts takes its time: chance may not use the attempts up before."""
    patience, time = patience_of(Retry(attempts=9, budget=1000, cap=5), random=0.0)
    assert waits(patience, time, refused()) == [0.125, 0.25, 0.5, 1, 2, 2.5, 2.5, 2.5]


@same_each_run
@given(
    drawn=st.lists(st.floats(0, 1), min_size=9, max_size=9),
    failure=st.sampled_from([refused(), transport("closed"), answered(502), answered(503), answered(504)]),
)
def test_the_default_outlives_a_restart_of_ten_seconds(drawn, failure):
    """Whatever is drawn, the last of ten attempts at a server that restarts is made after ten seconds, not before."""
    numbers = iter(drawn)
    patience, time = patience_of(random=lambda: next(numbers))
    found = waits(patience, time, failure)
    assert len(found) == 9
    assert sum(found) > 10


@pytest.mark.parametrize(
    ("asked", "wait"), [(None, 0.1875), (0.0, 0.1875), (0.1, 0.1875), (1.0, 1.0), (5.0, 5.0), (60.0, 3.75), (1e9, 3.75)]
)
def test_retry_after_is_obeyed_up_to_the_cap(asked, wait):
    """The server may ask for more time than was drawn; for more than the cap it gets most of that, drawn.

    MinIO says 60 and is back in 2; and who all waited for exactly the cap would come back all at once.
    """
    patience, _ = patience_of()
    assert patience.wait(answered(503, retry_after=asked)) == wait


def test_what_was_learnt_is_not_waited_for():
    """After the clock or the region was learnt the next attempt is another request: there is nothing to wait for."""
    patience, _ = patience_of()
    assert patience.wait(answered(403, server_time=1.0, retry_after=60.0)) == 0
    assert patience.wait(answered(400, region="eu")) == 0


# -- the budgets


@pytest.mark.parametrize("attempts", [1, 2, 10])
def test_attempts(attempts):
    """`attempts` counts requests, the first among them."""
    patience, time = patience_of(Retry(attempts=attempts, budget=1000))
    assert len(waits(patience, time, refused())) == attempts - 1


def test_budget_counts_from_the_first_failure():
    """The first attempt may last as long as it likes; from its failure on, `budget` seconds are spent on the others."""
    patience, time = patience_of(Retry(attempts=100, budget=30, cap=5))
    time.now += 500
    begun = time.now
    found = waits(patience, time, transport("closed"))
    assert time.now - begun <= 30
    assert time.now - begun + 5 > 30
    assert len(found) > 5


def test_two_stalls_of_a_minute_are_two_attempts():
    """An attempt that stalls for longer than the budget is worth one more, and no third."""
    patience, time = patience_of(Retry(attempts=10, budget=30))
    assert len(waits(patience, time, transport("stalled"), takes=60)) == 1


def test_a_body_on_its_way_is_given_its_time():
    """A large body that breaks after minutes is sent again: seconds in which it moved are none of the budget's."""
    patience, time = patience_of(Retry(attempts=5, budget=30))
    for _ in range(4):
        time.now += 600
        patience.heard(1 << 20)
        assert patience.wait(transport("closed")) is not None
    patience.heard(1 << 20)
    assert patience.wait(transport("closed")) is None, "five attempts are five"


def test_a_body_that_stalled_long_ago_is_not():
    """Seconds since its last byte do count: what stalls for longer than the budget is tried twice in all."""
    patience, time = patience_of(Retry(attempts=5, budget=30))
    for again in (True, False):
        patience.heard(1 << 20)
        time.now += 60
        assert (patience.wait(transport("stalled")) is not None) is again


def test_no_attempt_begins_after_the_budget():
    """A wait that would end behind the budget is not begun."""
    patience, time = patience_of(Retry(attempts=10, budget=3, cap=100))
    assert waits(patience, time, answered(503, retry_after=4.0)) == []


def test_a_download_that_gets_on_is_counted_anew():
    """A link that cuts every 64 KiB may do so for ever: what moves has no limit, neither in attempts nor in seconds."""
    patience, time = patience_of(Retry(attempts=2, budget=1), quota=Quota(10_000))
    for _ in range(1000):
        patience.moved(40_000)
        patience.moved(40_000)
        time.now += 10
        assert patience.wait(transport("closed")) is not None
    assert patience.attempts == 1001


def test_a_trickle_is_no_progress():
    """A server that gives fewer than 64 KiB with each attempt does not keep a client for ever."""
    patience, _ = patience_of(Retry(attempts=4))
    given = 0
    while patience.wait(transport("closed")) is not None:
        patience.moved((64 << 10) - 1)
        given += 1
    assert given == 3


# -- the quota


def test_the_quota_is_shared():
    """A hundred operations of one client that all fail make no more repetitions together than the quota has."""
    quota = Quota(30)
    made = 0
    for _ in range(100):
        patience, time = patience_of(quota=quota)
        made += len(waits(patience, time, refused()))
    assert made == 30
    assert quota.left == 0


def test_what_ends_well_gives_back():
    """Each operation that ends well gives one repetition back, up to what there was at first."""
    quota = Quota(2)
    patience, time = patience_of(quota=quota)
    assert len(waits(patience, time, refused())) == 2
    patience.done()
    assert quota.left == 1
    for _ in range(5):
        patience.done()
    assert quota.left == 2


def test_32_threads_outlive_one_outage():
    """The default quota has nine repetitions for each of as many threads as a client keeps connections for."""
    quota = Quota()
    for _ in range(32):
        patience, time = patience_of(quota=quota)
        assert len(waits(patience, time, refused())) == 9


# -- what users see


@pytest.mark.parametrize(
    "options",
    [
        {"attempts": 0},
        {"attempts": -1},
        {"attempts": True},
        {"attempts": 2.0},
        {"attempts": "3"},
        {"budget": -1},
        {"budget": "30"},
        {"budget": float("nan")},
        {"budget": float("inf")},
        {"budget": None},
        {"cap": -0.1},
        {"cap": True},
    ],
    ids=str,
)
def test_wrong_settings(options):
    """A setting that cannot be is a ValueError that names it."""
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
        Retry(**options)


def test_the_defaults():
    """Ten attempts, thirty seconds, five at a time: what the README says."""
    assert repr(Retry()) == "Retry(attempts=10, budget=30.0, cap=5.0)"
    assert list(inspect.signature(Retry).parameters) == ["attempts", "budget", "cap"]


def test_an_event_is_a_line():
    """What `on_event` is given prints as one line that says what happened and what comes next."""
    error = answered(503)
    error.operation, error.bucket, error.key = "GET", "models", "a"
    event = Event("retry", error, 1.25, 2)
    assert str(event) == "retry: attempt 2 in 1.2 s, because GET models/a: 503: no"
    assert (event.operation, event.bucket, event.key, event.attempt) == ("GET", "models", "a", 2)
