"""One version of an object on its way into a file: over one connection from the front, over others from the end.

The first answer is the whole object's, and its body is used until it meets what the others have fetched. These ask for
ranges, from the end backwards, each smaller than the one before; they only help: what they cannot get is left to the
first. Bytes are written where they belong. The file is sparse meanwhile: to reserve its room beforehand writes all of
it twice where a file system cannot do it otherwise (FAT, NFS).
"""

from __future__ import annotations

from . import ranges
from .body import BLOCK
from .checksums import Crc32, combined_crc32
from .crew import Crew
from .errors import CDNError, ObjectChanged, TransportError
from .files import buffer, read_at, write_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO, Union

    from .checksums import Verifier
    from .progress import Meter
    from .ranges import Ranges
    from .retrieval import Retrieval

    Taker = Union[Crc32, Verifier]

_MIB = 1 << 20
_LEAST, _MOST = 4 * _MIB, 64 * _MIB  # bytes of a range: a request costs a round trip, what breaks or is late waits
PATIENCE = 2.0  # seconds after which what a helper has not got is fetched by the first connection
HELP_AFTER = 0.1  # seconds after which another connection joins, and then the next
_FAST = 500e6  # bytes a second: where as many come two keep the processor busy, and more disturb it
NOTE_EVERY = _MIB  # bytes after which it is noted what is here: where a run is killed, it costs the next one no more


class _Span:
    """Bytes that one connection fetches: from `first` up to `end`, which may come nearer; written up to `at`.

    `asked`: where the end was when they were asked for.
    """

    def __init__(self, first: int, end: int, taker: Taker | None) -> None:
        self.first = self.at = first
        self.end = self.asked = end
        self.taker = taker  # of the bytes, in their order
        self.is_busy = False  # with a block that is read, and not counted in `at` yet


class Filling:
    """The bytes of one object, `size` of them, into `file`.

    `in_order` takes all bytes in their order, so that one connection fetches them; `with_crc` keeps the CRC32 of what
    each has fetched. `note` is called now and then, `meter` told of the bytes that come.
    """

    def __init__(
        self,
        file: BinaryIO,
        size: int,
        *,
        in_order: Taker | None,
        with_crc: bool,
        note: Callable[[], object],
        meter: Meter,
        clock: Callable[[], float],
    ) -> None:
        from threading import RLock

        self._file = file
        self._size = size
        self._in_order = in_order
        self._with_crc = with_crc
        self._note = note
        self._meter = meter
        self._clock = clock
        self._lock = RLock()  # Ctrl-C may strike between a block's end and the release: `here` is asked all the same
        self._gaps: Ranges = [(0, size)]  # what nobody fetches
        self._spans: list[_Span] = []
        self._front: _Span | None = None  # of these, the one whose end may come nearer
        self._pieces: dict[int, tuple[int, bytes]] = {}  # what is here: by its first byte, its end and its CRC32
        self._unnoted = 0
        self._arrived = 0  # bytes, more or less
        self._looks: dict[int, int] = {}
        self.is_abandoned = False  # a thread has not ended that could still write to the file
        self.is_shared = False  # by several connections
        self.moved = 0  # bytes that helpers have brought

    # -- what is here

    def take_over(self, here: Ranges) -> bool:
        """Go on with bytes that are in the file already; False where they cannot be read."""
        for first, end in here:
            taker, at = self._taker(), first
            while taker is not None and at < end:
                block = read_at(self._file, min(end - at, BLOCK), at)
                if not block:  # somebody makes it shorter: nothing of it is to be trusted
                    return False
                taker.update(block)
                at += len(block)
            self._pieces[first] = end, _crc32_of(taker)
        self._gaps = ranges.missing(here, self._size)
        self._meter.add(ranges.total(here))
        return True

    def here(self) -> Ranges:
        """The bytes that are written."""
        with self._lock:
            pieces = [(first, end) for first, (end, _) in self._pieces.items()]
            return ranges.merged([*pieces, *((span.first, span.at) for span in self._spans)])

    def crc32(self) -> bytes:
        """The CRC32 of the whole, once all of it is here."""
        value = Crc32().digest()
        for first, (end, piece) in sorted(self._pieces.items()):
            value = combined_crc32(value, piece, end - first)
        return value

    def _taker(self) -> Taker | None:
        return Crc32() if self._with_crc else self._in_order

    # -- fetching

    def run(
        self,
        retrieval: Retrieval,
        *,
        workers: int,
        range_size: int | None,
        is_open: bool,
        helper: Callable[[], Retrieval],
    ) -> None:
        """Fetch what is missing, by `retrieval` and others that `helper` makes; `is_open`: that gives the first of it.

        `range_size`: bytes of a helper's range, else chosen by what is left.
        """
        self._range_size = range_size
        self._workers = workers
        self._begun = self._clock()
        self._helpers = 0
        self._helper = helper
        self._most = 1 if self._in_order is not None else min(workers, ranges.total(self._gaps) // (2 * self._least))
        self.is_shared = self._most > 1
        self._crew = Crew(max(self._most, 1))
        try:
            with self._crew:
                self._run(retrieval, is_open=is_open)
        finally:
            self.is_abandoned = not self._crew.is_empty

    def _run(self, retrieval: Retrieval, *, is_open: bool) -> None:
        front = self._claim_front()
        while front is not None:
            self._fetch(front, retrieval, is_open=is_open)
            is_open = False
            front = self._claim_front()
            while front is None and not (self._crew.wait(PATIENCE) or self._is_whole()):
                front = self._claim_front() or self._claim_stuck()
            front = front or self._claim_front()  # what a helper could not get

    def _call_for_help(self) -> None:
        """Let others join one by one where it takes long: a link that one connection fills is no faster with more."""
        while self._helpers < self._most - 1:
            seconds = self._clock() - self._begun
            is_fast = self._helpers > 0 and self._arrived > _FAST * seconds > 0
            if is_fast or seconds < HELP_AFTER * (self._helpers + 1):
                return
            self._helpers += 1
            self._crew.start(lambda: self._help(self._helper()))

    def _help(self, retrieval: Retrieval) -> None:
        span = self._claim_back()
        while span is not None:
            try:
                self._fetch(span, retrieval)
            except ObjectChanged:  # one connection is to fetch it then, also where a store mistakes the condition
                raise
            except CDNError:  # left to the first connection, which says what is wrong, if it is
                return
            span = self._claim_back()

    @property
    def _least(self) -> int:
        return self._range_size or _LEAST

    def _claim_front(self) -> _Span | None:
        with self._lock:
            self._front = None
            if not self._gaps:
                return None
            first, end = self._gaps.pop(0)
            self._front = _Span(first, end, self._taker())
            self._spans.append(self._front)
            return self._front

    def _claim_stuck(self) -> _Span | None:
        """What a helper was to get that has not got on since the last look: its connection may be dead."""
        with self._lock:
            looks, self._looks = self._looks, {id(span): span.at for span in self._spans}
            for span in self._spans:
                if looks.get(id(span)) == span.at < span.end and not span.is_busy:
                    self._front = _Span(span.at, span.end, self._taker())
                    span.end = span.at
                    self._finish(span)
                    self._spans.append(self._front)
                    return self._front
        return None

    def _is_whole(self) -> bool:
        with self._lock:
            return not self._gaps and all(span.at == span.end for span in self._spans)

    def _claim_back(self) -> _Span | None:
        """A range for a helper: of the last that nobody fetches, or of what the first connection has not come to."""
        with self._lock:
            front, least = self._front, self._least
            left = ranges.total(self._gaps) + (0 if front is None else front.end - front.at)
            size = self._range_size or min(max(left // (2 * self._workers), least), _MOST)
            if self._gaps:
                first, end = self._gaps.pop()
                begin = max(first, ranges.aligned(end - size))
                if begin - first < least:
                    begin = first
                elif first < begin:
                    self._gaps.append((first, begin))
            elif front is not None and front.end - front.at >= size + max(least, 2 * BLOCK):
                end = front.end
                begin = front.end = ranges.aligned(end - size)
            else:
                return None
            span = _Span(begin, end, self._taker())
            self._spans.append(span)
            return span

    def _fetch(self, span: _Span, retrieval: Retrieval, *, is_open: bool = False) -> None:
        moved = retrieval.moved
        try:
            if not is_open:
                retrieval.ask_for(span.first, span.end, may_skip=span is self._front)
            with buffer(min(span.end - span.first, BLOCK)) as view:
                while span.at < span.end:
                    if span is self._front:
                        self._call_for_help()
                    self._take(span, view, retrieval)
        finally:
            retrieval.close()
            with self._lock:
                self._finish(span)
                if span is not self._front:
                    self.moved += retrieval.moved - moved

    def _finish(self, span: _Span) -> None:
        """Nobody goes on with this."""
        if span not in self._spans:
            return
        self._spans.remove(span)
        if span.first < span.at:
            self._pieces[span.first] = span.at, _crc32_of(span.taker)
        if span.at < span.end:
            self._gaps = ranges.merged([*self._gaps, (span.at, span.end)])
            self._give_back()

    def _give_back(self) -> None:
        """Leave to the first connection what it comes to anyway: its answer has the bytes that a helper could not get.

        Nothing is asked for once more, which a store that knows no ranges would refuse.
        """
        front = self._front
        for gap in self._gaps:
            if front in self._spans and front is not None and gap[0] == front.end and gap[1] <= front.asked:
                self._gaps.remove(gap)
                front.end = gap[1]
                return

    def _take(self, span: _Span, view: memoryview, retrieval: Retrieval) -> None:
        """Read until half of the memory is full, as what a receive gives may be little, and write that."""
        filled = 0
        try:
            while filled <= len(view) // 2:
                self._crew.check()
                room = view[filled : max(span.end - span.at, filled)]
                if not room:
                    break
                count = retrieval.readinto(room)
                self._crew.check()  # the read may have hung until the file was another version's
                if not count:
                    raise TransportError("the body ended before its length")
                filled += count
                self._arrived += count
                self._meter.add(count)
        except CDNError:
            self._put(span, view[:filled])
            raise
        self._put(span, view[:filled])

    def _put(self, span: _Span, block: memoryview) -> None:
        with self._lock:
            block = block[: span.end - span.at]  # what is behind is another's by now
            span.is_busy = bool(block)
        if not block:
            return
        if span.taker is not None:
            span.taker.update(block)
        write_at(self._file, block, span.at)
        with self._lock:
            span.is_busy = False
            span.at += len(block)
            self._unnoted += len(block)
            is_due = self._unnoted >= NOTE_EVERY
            if is_due:
                self._unnoted = 0
        if is_due:
            self._note()


def _crc32_of(taker: Taker | None) -> bytes:
    return taker.digest() if isinstance(taker, Crc32) else b""
