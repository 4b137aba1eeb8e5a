"""What answers at a store's port: whether it is S3, and what its clock says. One request, for `doctor`.

Clocks: RFC 9110, 6.6.1 (Date); 15 minutes are tolerated by AWS and MinIO.
"""

from __future__ import annotations

from time import perf_counter, time

from .answers import is_amazonian, parse_time, parse_xml
from .diagnosis import CONSOLE_SAYS, MAX_CLOCK_SKEW, diagnose
from .errors import CDNError, InvalidResponse, TransportError
from .exchange import MAX_ERROR_BYTES
from .findings import FAILED, OK, WARNING, Finding
from .ground import PROXY_ADVICE
from .retry import Retry
from .s3 import object_request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Dict, Tuple

    from .exchange import Exchange
    from .ground import Way
    from .reply import Answer

    Reply = Tuple[int, Dict[str, str], bytes]

_ANY = tuple(range(200, 600))  # statuses
_OFF = 60.0  # seconds by which a clock should not be wrong
_PATIENCE = 10.0  # seconds for a page that drips
ONCE = Retry(attempts=1)
# ValueError: something that a proxy would change; OSError: the authorities cannot be read.
FAILURES = (CDNError, OSError, ValueError)


class Store:
    """What is known of the store, whoever asks: by way of `exchange`, for a key in the bucket that nobody has.

    `headers` are its answer's; empty before `answered`.
    """

    def __init__(self, exchange: Exchange, bucket: str, key: str) -> None:
        self._exchange = exchange
        self._request = object_request("GET", bucket, key)
        self.headers: Mapping[str, str] = {}
        self._offset: float | None = None  # seconds that its clock is before this machine's

    def answered(self, way: Way) -> Finding:
        """Whether what answers is an S3 server."""
        request, tried = self._request, "make a request"
        exchange, begun, sent = self._exchange, perf_counter(), time()
        try:
            status, headers, text = exchange.begin(request, _reply, success=_ANY, patience=exchange.patience(ONCE))
        except FAILURES as error:
            is_odd = isinstance(error, TransportError) and error.cause in ("closed", "not http")
            if is_odd and exchange.endpoint.scheme == "http" and way.speaks_tls():
                return Finding(FAILED, "store", tried, "the port speaks TLS", "Begin the host with https://.")
            hint = getattr(error, "hint", None) or "Is this the store's port? Its log may say more."
            return Finding(FAILED, "store", tried, getattr(error, "message", None) or str(error), hint)
        taken = perf_counter() - begun
        self.headers = headers
        date = parse_time(headers.get("date"))
        if date is not None:  # whole seconds, of which half one has gone by
            self._offset = date.timestamp() + 0.5 - (sent + taken / 2)
        if status < 500 and (is_amazonian(headers) or _is_error(text)) and CONSOLE_SAYS.encode() not in text:
            name = headers.get("server") or "an S3 server that does not say its name"
            return Finding(OK, "store", tried, f"{name} answers, {taken * 1000:.0f} ms")
        wrong = diagnose(
            request, exchange.endpoint, status, headers, text, region="", now=exchange.now(), anonymous=True
        )
        what = f"HTTP {status} {wrong.code or headers.get('content-type', '')}".rstrip()
        advice = wrong.hint or "Something else than S3 answers: is this the store's port (MinIO: 9000 by default)?"
        if way.proxy:
            advice = f"{advice} Or it is the proxy that answers: {PROXY_ADVICE}"
        return Finding(FAILED, "store", tried, f"{what}: {wrong.message}", advice)

    def timed(self) -> Finding:
        """Whether the clocks agree."""
        tried = "compare the clocks"
        if self._offset is None:
            return Finding(WARNING, "clock", tried, "the store does not say its time", "Look at this machine's clock.")
        off = abs(self._offset)
        if off <= _OFF:
            return Finding(OK, "clock", tried, f"{off:.0f} s apart")
        text = f"this machine's is {_duration(off)} {'behind' if self._offset > 0 else 'ahead of'} the store's"
        advice = "Set this machine's clock."
        if off > MAX_CLOCK_SKEW:
            advice += " Until then the client corrects it by itself, with one request more; others are refused."
        return Finding(WARNING, "clock", tried, text, advice)


def _reply(answer: Answer) -> Reply:
    until = perf_counter() + _PATIENCE
    text = answer.read_some(MAX_ERROR_BYTES, lambda: perf_counter() > until)
    answer.close()
    return answer.status, dict(answer.headers), text


def _is_error(text: bytes) -> bool:
    """Whether this is an error of S3's."""
    try:
        return parse_xml(text, "Error").findtext("Code") is not None
    except InvalidResponse:
        return False


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
