"""What to say when a certificate is refused for its dates: when it is valid, and what this machine's clock says.

An edge box that boots in 1970 cannot learn the time from a server whose certificate it refuses for that very reason.
OpenSSL says "certificate is not yet valid" and neither date, and Python gives out a certificate only after a handshake
that succeeded. So a second handshake is made, in which the certificate is shown and nothing is sent. Nothing is
trusted either: the dates go into an error's text, and nowhere else.

Rules: RFC 5280, 4.1 (what stands where) and 4.1.2.5 (the dates); X.690, 8.1 (how DER is taken apart). Imported only
when a certificate was refused for its dates.
"""

from __future__ import annotations

import re
import socket
import ssl
from datetime import datetime, timedelta, timezone

_INTEGER, _UTC_TIME, _GENERALIZED_TIME, _SEQUENCE, _VERSION = 0x02, 0x17, 0x18, 0x30, 0xA0  # tags in DER
_LONGEST = 4  # bytes that a length may take here: certificates are no larger
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def clock_trouble(host: str, port: int, now: float, timeout: float) -> str | None:
    """The sentence that names both dates, in UTC, when `now` lies outside the validity of the server's certificate.

    None when it lies inside, so that it is another certificate of the chain that has the wrong dates, or when nothing
    can be found out. `now`: this machine's clock, without any correction that was learnt: OpenSSL knows of none.
    """
    der = presented(host, port, timeout)
    dates = None if der is None else validity(der)
    if dates is None or dates[0] <= now <= dates[1]:
        return None
    begins, ends = (_in_utc(each) for each in dates)
    return (
        f"this machine's clock says {_in_utc(now)} UTC, the certificate of {host} is valid from {begins} to {ends} UTC"
    )


def _in_utc(seconds: float) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat(" ", "minutes")


def presented(host: str, port: int, timeout: float) -> bytes | None:
    """The certificate, in DER, that the server shows in a handshake that proves nothing; None when there is none.

    The connection is closed without a byte of a request on it. `timeout`: seconds to connect, and for the handshake.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    host = host.strip("[]")
    name = host.rstrip(".")  # where it is an address `ssl` leaves it out of the handshake (RFC 6066, 3)
    try:
        with socket.create_connection((host, port), timeout) as sock, context.wrap_socket(
            sock, server_hostname=name
        ) as secured:
            return secured.getpeercert(binary_form=True)
    except (OSError, ValueError, OverflowError):
        return None


def validity(der: bytes) -> tuple[float, float] | None:
    """From when to when a certificate is valid, in seconds since 1970; None for bytes that are no certificate."""
    try:
        certificate, _ = _element(der, _SEQUENCE)
        rest, _ = _element(certificate, _SEQUENCE)
        if rest[0] == _VERSION:  # left out in version 1
            _, rest = _element(rest, _VERSION)
        for tag in (_INTEGER, _SEQUENCE, _SEQUENCE):  # serial number, signature algorithm, issuer
            _, rest = _element(rest, tag)
        dates, _ = _element(rest, _SEQUENCE)
        begins, dates = _time(dates)
        ends, _ = _time(dates)
    except (ValueError, IndexError):
        return None
    return begins, ends


def _element(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """The content of the first element of `data`, which must have this tag, and what comes after it."""
    if data[0] != tag:
        raise ValueError
    length, start = data[1], 2
    if length >= 0x80:  # that many bytes, without the highest bit, hold the length (X.690, 8.1.3.5)
        start += length - 0x80
        if not 2 < start <= 2 + _LONGEST:
            raise ValueError
        length = int.from_bytes(data[2:start], "big")
    end = start + length
    if end > len(data):
        raise ValueError
    return data[start:end], data[end:]


def _time(data: bytes) -> tuple[float, bytes]:
    """The first date of `data`, in seconds since 1970, and what comes after it."""
    tag = _UTC_TIME if data[0] == _UTC_TIME else _GENERALIZED_TIME
    content, rest = _element(data, tag)
    text = content.decode("ascii")
    if tag == _UTC_TIME:  # two digits for the year: 50 to 99 are 1950 to 1999 (4.1.2.5.1)
        text = ("19" if text >= "50" else "20") + text
    if re.fullmatch("[0-9]{14}Z", text) is None:  # the one form, with seconds and in UTC, that is allowed there
        raise ValueError
    date = datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=timezone.utc)
    return (date - _EPOCH).total_seconds(), rest
