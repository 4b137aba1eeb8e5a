"""Faults of the link and of HTTP: connections that break, stall or carry too much, and answers framed wrongly."""

from __future__ import annotations

import gzip
import threading
from typing import Callable

from memorystore import MemoryStore
from misbehaviour import Spoil
from rawhttp import Answer, RawRequest, chunked

STRAY = b"HTTP/1.1 200 OK\r\nETag: x\r\nx-amz-request-id: stray\r\nContent-Length: 5\r\n\r\nstray"
LAST_CHUNK = b"0\r\n\r\n"
MANY_HEADERS = [(f"X-{number}", "y") for number in range(10_000)]


def changed(change: Callable[[RawRequest, Answer], Answer]) -> Spoil:
    """Let the store act, and change its answer."""

    def spoil(request: RawRequest, store: MemoryStore) -> Answer:
        return change(request, store(request))

    return spoil


def flat(request: RawRequest, answer: Answer) -> tuple[bytes, bytes]:
    """Head and body of an answer as they would go over the wire."""
    return answer.parts(request.method)


def with_headers(answer: Answer, *, without: tuple[str, ...] = (), **added: str) -> Answer:
    """The answer with some headers less (whose names begin so, in lower case) and some more (`_` stands for `-`)."""
    kept = {name: value for name, value in dict(answer.headers).items() if not name.lower().startswith(without or "\0")}
    answer.headers = {**kept, **{name.replace("_", "-"): value for name, value in added.items()}}
    return answer


# -- connections


def never_asked(request: RawRequest, store: MemoryStore) -> Answer:
    """What a port that refuses would have to say: it is never asked."""
    raise AssertionError(f"{request} came through a port that refuses")


@changed
def reset_before_headers(request: RawRequest, answer: Answer) -> Answer:
    return Answer(reset=True)


@changed
def closed_before_headers(request: RawRequest, answer: Answer) -> Answer:
    return Answer(raw=b"", cut_after=0)


@changed
def reset_in_headers(request: RawRequest, answer: Answer) -> Answer:
    head, _ = flat(request, answer)
    return Answer(raw=head, cut_after=len(head) // 2, reset=True)


@changed
def closed_in_headers(request: RawRequest, answer: Answer) -> Answer:
    head, _ = flat(request, answer)
    return Answer(raw=head, cut_after=len(head) - 2)  # all but the empty line


@changed
def reset_after_headers(request: RawRequest, answer: Answer) -> Answer:
    answer.cut_after, answer.reset = 0, True
    return answer


def reset_in_upload(request: RawRequest, store: MemoryStore) -> Answer:
    """A connection that breaks while the body is still on its way: the store never has it whole."""
    return Answer(before_body=True, reset=True)


def cut_at(place: Callable[[int], int]) -> Spoil:
    """End the connection at the byte that `place` makes of the body's length, where there is one behind it."""

    def cut(request: RawRequest, answer: Answer) -> Answer:
        if place(len(answer.body)) < len(answer.body):
            answer.cut_after = place(len(answer.body))
        return answer

    return changed(cut)


@changed
def stall_before_headers(request: RawRequest, answer: Answer) -> Answer:
    answer.delay = threading.Event()
    return answer


@changed
def stall_in_headers(request: RawRequest, answer: Answer) -> Answer:
    head, body = flat(request, answer)
    return Answer(raw=head + body, delay=threading.Event(), delay_after=30)


@changed
def stall_in_body(request: RawRequest, answer: Answer) -> Answer:
    answer.delay, answer.delay_after = threading.Event(), len(answer.body) // 2
    return answer


def stall_in_upload(request: RawRequest, store: MemoryStore) -> Answer:
    """A store that stops reading: what it does not take fills the sockets, and then nothing moves."""
    return Answer(before_body=True, delay=threading.Event())


@changed
def closed_afterwards(request: RawRequest, answer: Answer) -> Answer:
    """A whole answer, behind which the connection ends without a word: the next request finds it dead."""
    answer.cut_after = len(answer.body)
    return answer


# -- framing


@changed
def stray_bytes(request: RawRequest, answer: Answer) -> Answer:
    """A second answer right behind the right one, in one piece: the next request must not take it for its own."""
    return Answer(raw=b"".join(flat(request, answer)) + STRAY)


@changed
def length_too_short(request: RawRequest, answer: Answer) -> Answer:
    answer.length = len(answer.body) // 2
    return answer


@changed
def length_too_long(request: RawRequest, answer: Answer) -> Answer:
    answer.length, answer.cut_after = len(answer.body) + 7, len(answer.body)
    return answer


@changed
def no_length(request: RawRequest, answer: Answer) -> Answer:
    answer.no_length = True
    return answer


@changed
def in_chunks(request: RawRequest, answer: Answer) -> Answer:
    answer.body = chunked(answer.body, 1 << 16)
    return with_headers(answer, Transfer_Encoding="chunked")


@changed
def chunks_cut_short(request: RawRequest, answer: Answer) -> Answer:
    answer.body = chunked(answer.body, 1 << 16)[: -len(LAST_CHUNK)]
    answer.cut_after = len(answer.body)
    return with_headers(answer, Transfer_Encoding="chunked")


@changed
def gzip_not_asked(request: RawRequest, answer: Answer) -> Answer:
    """A proxy that compresses what nobody wants compressed; a HEAD's answer then has no length."""
    answer.body = gzip.compress(answer.body, 0)  # stored, not squeezed: it is as wrong, and takes no time
    answer.no_length = request.method == "HEAD"
    return with_headers(answer, Content_Encoding="gzip")


def interim(status_line: bytes, times: int = 1, *, final: bool = True) -> Spoil:
    """Interim answers before the final one, or in its place."""

    def before(request: RawRequest, answer: Answer) -> Answer:
        raw = (status_line + b"\r\nLink: </a>; rel=preload\r\n\r\n") * times
        return Answer(raw=raw + b"".join(flat(request, answer))) if final else Answer(raw=raw, cut_after=len(raw))

    return changed(before)


CONTINUE, EARLY_HINTS = b"HTTP/1.1 100 Continue", b"HTTP/1.1 103 Early Hints"


@changed
def many_headers(request: RawRequest, answer: Answer) -> Answer:
    answer.headers = [*dict(answer.headers).items(), *MANY_HEADERS]
    return answer


@changed
def wide_header(request: RawRequest, answer: Answer) -> Answer:
    return with_headers(answer, X_Wide="y" * (1 << 20))


@changed
def flipped_status_line(request: RawRequest, answer: Answer) -> Answer:
    raw = bytearray(b"".join(flat(request, answer)))
    raw[0] ^= 1  # ITTP/1.1
    return Answer(raw=bytes(raw), cut_after=len(raw))
