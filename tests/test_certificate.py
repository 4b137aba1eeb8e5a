"""Proves what certificate.py reads from a certificate, how it gets at one, and when it says that the clock is wrong.

`cryptography` makes the certificates, of any age, and its own reading of them is the oracle. No byte of a request may
go out, and no bytes that a server shows may raise anything.
"""

import calendar
import contextlib
import datetime as dt
import re
import socket

import kit
import kit_tls
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit_tls import Certified
from rawserver import RawServer

from cdn_sigv4 import certificate
from cdn_sigv4.certificate import clock_trouble, presented, validity

NOW = 1_790_000_000.0  # 2026-09-21 14:13:20 UTC


def at(year, month=1, day=1, hour=0, minute=0, second=0):
    return float(calendar.timegm((year, month, day, hour, minute, second)))


YEARS = [
    (at(1950), at(1969, 12, 31, 23, 59, 59)),
    (at(1970), at(1970, 1, 1, 0, 0, 1)),
    (at(1999, 12, 31, 23, 59, 59), at(2000)),
    (at(2024, 2, 29, 12, 30, 15), at(2049, 12, 31, 23, 59, 59)),
    (at(2049), at(2050)),
    (at(2050), at(2051, 6, 30)),
    (at(1970), at(9999, 12, 31, 23, 59, 59)),  # RFC 5280, 4.1.2.5: no end
]


@pytest.mark.parametrize(("begins", "ends"), YEARS)
def test_dates_are_read(begins, ends):
    """Both dates are read to the second, on either side of 2050, where the year's form changes."""
    made = Certified(begins, ends)
    assert validity(made.der) == (begins, ends) == by_oracle(made.der)


def by_oracle(der):
    """What cryptography reads."""
    read = kit_tls.x509.load_der_x509_certificate(der)
    with contextlib.suppress(AttributeError):  # cryptography before 42, which Python 3.8's may be
        return read.not_valid_before_utc.timestamp(), read.not_valid_after_utc.timestamp()
    zone = dt.timezone.utc
    return tuple(each.replace(tzinfo=zone).timestamp() for each in (read.not_valid_before, read.not_valid_after))


@given(begins=st.integers(int(at(1950)), int(at(9999))), seconds=st.integers(0, 2**36))
def test_any_dates_are_read(begins, seconds):
    """Any two dates that a certificate can bear are read as cryptography reads them."""
    made = Certified(begins, min(begins + seconds, at(9999, 12, 31, 23, 59, 59)))
    assert validity(made.der) == by_oracle(made.der)


def test_many_names():
    """Lengths of one, two and three bytes are followed, before the dates and after."""
    made = Certified(at(2026), at(2027), names=tuple(f"{number}.{'x' * 60}.test" for number in range(1200)))
    assert len(made.der) > 65536
    assert validity(made.der) == (at(2026), at(2027))


@given(st.binary(max_size=400))
def test_random_bytes_are_no_certificate(data):
    """Bytes that are no certificate give None, and never an exception."""
    assert validity(data) is None


GOOD = Certified(at(2026, 1, 5), at(2026, 4, 5)).der


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255), st.integers(0, len(GOOD)))
def test_damaged_certificates_do_not_raise(place, byte, length):
    """A certificate with one byte changed, or cut short, gives two dates or None, and never an exception."""
    damaged = (GOOD[:place] + bytes([byte]) + GOOD[place + 1 :])[:length]
    dates = validity(damaged)
    assert dates is None or (isinstance(dates[0], float) and isinstance(dates[1], float))
    if length <= GOOD.index(b"260405000000Z"):
        assert dates is None


def element(tag, content):
    """One element in DER, with a short length."""
    assert len(content) < 128
    return bytes([tag, len(content)]) + content


def with_dates(*dates, version=b""):
    """A certificate of no more than what stands before the dates, and these."""
    before = version + element(2, b"\x01") + element(0x30, b"") + element(0x30, b"")
    return element(0x30, element(0x30, before + element(0x30, b"".join(dates))))


OLD = element(0x17, b"700101000000Z")


def test_the_least_certificate():
    """Version 1 leaves the version out; what the tests below change is a certificate to begin with."""
    assert validity(with_dates(OLD, OLD)) == (0.0, 0.0)
    assert validity(with_dates(OLD, OLD, version=element(0xA0, element(2, b"\x02")))) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("tag", "text", "expected"),
    [
        (0x17, b"491231235959Z", at(2049, 12, 31, 23, 59, 59)),
        (0x17, b"500101000000Z", at(1950)),
        (0x17, b"991231235959Z", at(1999, 12, 31, 23, 59, 59)),
        (0x17, b"000101000000Z", at(2000)),
        (0x18, b"20491231235959Z", at(2049, 12, 31, 23, 59, 59)),  # not as RFC 5280 wants it, but clear
        (0x18, b"19500101000000Z", at(1950)),
        (0x18, b"99991231235959Z", at(9999, 12, 31, 23, 59, 59)),
    ],
)
def test_two_digits_and_four(tag, text, expected):
    """RFC 5280, 4.1.2.5: 50 to 99 are 1950 to 1999, and 00 to 49 are 2000 to 2049; four digits are themselves."""
    assert validity(with_dates(OLD, element(tag, text))) == (0.0, expected)


@pytest.mark.parametrize(
    "date",
    [
        *(
            element(0x17, text)
            for text in (
                b"",
                b"2601050000Z",
                b"260105000000",
                b"260105000000+0100",
                b"260105000000z",
                b"261305000000Z",
                b"260230000000Z",
                b"260105240000Z",
                b"260105000060Z",
                b"2601050000 0Z",
                b"26010500000\xb2Z",
                b"260105000000Z\n",
                b"26_105000000Z",
                b"20260105000000Z",
            )
        ),
        *(
            element(0x18, text)
            for text in (b"", b"260105000000Z", b"20260105000000.5Z", b"00000105000000Z", b"+2260105000000Z")
        ),
        element(0x04, b"260105000000Z"),
        b"\x17",
        b"\x17\x80260105000000Z",
        b"\x17\x8d260105000000Z",
        b"",
    ],
    ids=repr,
)
def test_other_forms_of_a_date_are_not_guessed_at(date):
    """Whatever is no date in the one form that RFC 5280 allows gives None, wherever it stands."""
    assert validity(with_dates(OLD, date)) is None
    assert validity(with_dates(date, OLD)) is None


@pytest.fixture(scope="module")
def made():
    """A certificate that was valid in the first quarter of 2026."""
    return Certified(at(2026, 1, 5), at(2026, 4, 5))


@pytest.fixture
def shown(made, tmp_path):
    """A server that shows it."""
    with RawServer(tls=made.context(tmp_path)) as server:
        yield server
        # The server would have recorded a request, and raised for anything else that came after the handshake.
        assert server.requests == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "store.test", "store.test.", "ü.test", "a_b.test"])
def test_certificate_is_shown_to_whoever_asks(host, shown, made, monkeypatch):
    """It comes from a server whose certificate nobody vouches for, for another name and out of date."""
    kit.lead_to(monkeypatch, shown, host)
    assert presented(host, shown.port, 5) == made.der
    assert shown.connections == 1


@pytest.mark.parametrize(
    ("host", "name"),
    [("127.0.0.1", None), ("localhost", "localhost"), ("store.test.", "store.test"), ("STORE.test", "STORE.test")],
)
def test_server_name_in_the_handshake(host, name, made, tmp_path, monkeypatch):
    """A server with many names is told which one is meant; an address is none (RFC 6066, 3)."""
    context, names = made.context(tmp_path), []
    context.sni_callback = lambda _sock, name, _context: names.append(name)
    with RawServer(tls=context) as server:
        kit.lead_to(monkeypatch, server, host)
        assert presented(host, server.port, 5) == made.der
    assert names == [name]


def test_ipv6(made, tmp_path):
    """An IPv6 address is taken as it stands in a URL, in brackets, and without them."""
    with RawServer(host="::1", tls=made.context(tmp_path)) as server:
        assert presented("[::1]", server.port, 5) == presented("::1", server.port, 5) == made.der


@pytest.mark.parametrize("host", ["", "store.invalid", "x" * 64 + ".test", "a..b", ".a", "nul\0.test", "999.1.1.1"])
def test_no_host_no_certificate(host):
    """A host that cannot be reached or cannot be one has no certificate, and is no exception."""
    assert presented(host, 1, 1) is None


@pytest.mark.parametrize("port", [0, 70_000, -1])
def test_no_port_no_certificate(port):
    """Nor has a port that is none."""
    assert presented("127.0.0.1", port, 1) is None


def test_no_tls_no_certificate():
    """A port where nobody listens, one that is silent, and one that speaks something else, have none."""
    with kit.deaf() as dead:
        assert presented("127.0.0.1", int(dead.rpartition(":")[2]), 1) is None
    with socket.create_server(("127.0.0.1", 0)) as silent, kit.within(5, least=0.3):
        assert presented("127.0.0.1", silent.getsockname()[1], 0.3) is None
    with RawServer(timeout=0.3) as plain:
        assert presented("127.0.0.1", plain.port, 5) is None
        assert clock_trouble("127.0.0.1", plain.port, NOW, 5) is None
        plain.stop()
        plain.errors.clear()  # a handshake is no HTTP


@pytest.mark.parametrize(
    ("now", "clock"),
    [
        (0.0, "1970-01-01 00:00"),
        (223.5, "1970-01-01 00:03"),
        (at(2026, 1, 5) - 1, "2026-01-04 23:59"),
        (at(2026, 4, 5) + 1, "2026-04-05 00:00"),
        (NOW, "2026-09-21 14:13"),
        (at(2038, 1, 19, 3, 14, 8), "2038-01-19 03:14"),
    ],
)
def test_both_dates_are_named(now, clock, shown):
    """A clock outside the validity is a sentence with its date and the certificate's two, in UTC."""
    assert clock_trouble("127.0.0.1", shown.port, now, 5) == (
        f"this machine's clock says {clock} UTC,"
        " the certificate of 127.0.0.1 is valid from 2026-01-05 00:00 to 2026-04-05 00:00 UTC"
    )


@pytest.mark.parametrize("now", [at(2026, 1, 5), at(2026, 2, 1), at(2026, 4, 5)])
def test_a_clock_inside_is_not_to_blame(now, shown):
    """Within the validity, its first and last second included (RFC 5280, 4.1.2.5), there is nothing to say."""
    assert clock_trouble("127.0.0.1", shown.port, now, 5) is None


def test_a_certificate_that_cannot_be_read(shown, monkeypatch):
    """Dates that cannot be read are not made up."""
    monkeypatch.setattr(certificate, "presented", lambda *_: b"garbage")
    assert clock_trouble("127.0.0.1", shown.port, NOW, 5) is None


def test_the_local_zone_plays_no_part(shown, monkeypatch):
    """All dates are UTC, wherever the machine stands."""
    import time

    here = clock_trouble("127.0.0.1", shown.port, 0.0, 5)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert clock_trouble("127.0.0.1", shown.port, 0.0, 5) == here
        assert re.search("1970-01-01 00:00 UTC", here)
    finally:
        monkeypatch.undo()
        time.tzset()
