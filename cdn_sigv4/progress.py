"""How far a transfer is: one number that never goes back, whatever is tried again, beside another, or was here before.

Each part of a transfer counts by itself; what it has to do again does not count until it is further than it ever was.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Optional

    Progress = Callable[[int, Optional[int]], object]


class Raised(BaseException):
    """What `progress` has raised while bytes are moved, where an OSError would pass for the network's."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


def check_progress(progress: Progress | None) -> None:
    """TypeError for what cannot be called."""
    if progress is not None and (not callable(progress) or isinstance(progress, type)):
        raise TypeError("progress must be callable with the bytes done and the bytes in all (None: not known yet)")


class Meter:
    """Tells `progress` how many bytes of how many are done: one call at a time, from whichever thread moves them.

    The last byte is told of in `end`, when all went well. `total` None: not known yet. `moved`: bytes over the wire,
    those that went twice among them.
    """

    def __init__(self, progress: Progress | None, total: int | None = None) -> None:
        from threading import Lock

        self._progress = progress
        self._lock = Lock()
        self._told = -1
        self.moved = 0
        self.total = total
        self._done = 0

    def part(self) -> Callable[[int], None]:
        """What one part of the transfer calls with the number of its bytes that are done. See `Raised`."""
        furthest = last = 0

        def at(done: int) -> None:
            nonlocal furthest, last
            more, furthest = max(done - furthest, 0), max(done, furthest)
            self.add(more, done - last if done > last else done)
            last = done

        return at

    def add(self, done: int, moved: int = 0) -> None:
        """Count so many bytes more that are done, and so many that went over the wire for it. See `Raised`."""
        with self._lock:
            self.moved += moved
            self._done += done
            try:
                self._tell(self._done if self.total is None else min(self._done, self.total - 1))
            except Exception as error:  # noqa: BLE001 - goes on its way as it is
                raise Raised(error) from None

    def _tell(self, done: int) -> None:
        if self._progress is not None and done > self._told:
            self._told = done
            self._progress(done, self.total)

    def again(self, total: int | None) -> None:
        """All of it comes once more, perhaps as another object: what was told of the same size stays told."""
        with self._lock:
            if total != self.total:
                self._told = -1
            self.total, self._done = total, 0

    def end(self, total: int) -> None:
        """Everything is done: `total` bytes of as many."""
        with self._lock:
            if total != self.total:  # it was not known before that this is all
                self._told = -1
            self.total = total
            self._tell(total)


class ProgressBar:
    """A progress bar of tqdm's, as a context manager that gives a `progress` for one transfer.

        with ProgressBar("model.bin") as progress:
            client.download_file("models", "model.bin", "model.bin", progress=progress)

    `description` stands before the bar; `options` are tqdm's own. ImportError where tqdm is not installed:
    pip install 'cdn-sigv4[progress]'.
    """

    def __init__(self, description: str | None = None, **options: Any) -> None:
        try:
            from tqdm import tqdm  # type: ignore[import-untyped,unused-ignore]
        except ImportError:
            raise ImportError("a progress bar needs tqdm: pip install 'cdn-sigv4[progress]'") from None
        settings = {"unit": "B", "unit_scale": True, "unit_divisor": 1024, "desc": description, **options}
        self._bar = tqdm(**settings)

    def __call__(self, bytes_done: int, bytes_total: int | None) -> None:
        """Move the bar: bytes done, and those in all (None: not known yet)."""
        self._bar.total = bytes_total
        self._bar.update(bytes_done - self._bar.n)

    def __enter__(self) -> ProgressBar:  # noqa: PYI034 - Self needs typing_extensions
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
