"""What `doctor` finds, as values, and how it is told: lines for people, or JSON for programs, each at once.

Imported only by it. JSON Lines: https://jsonlines.org.
"""

from __future__ import annotations

import sys

from .diagnosis import unsigned
from .errors import printable
from .s3 import Value

OK, WARNING, FAILED, SKIPPED = "ok", "warning", "failed", "skipped"
_COLUMNS = 9, 12  # characters that level and check take, with the blank behind them


class Finding(Value):
    """One check: its `level`, its name, what was `tried`, the `result`, and what to do (`advice`, None: nothing)."""

    def __init__(self, level: str, check: str, tried: str, result: str, advice: str | None = None) -> None:
        self.level = level
        self.check = check
        self.tried = _shown(tried)
        self.result = _shown(result)
        self.advice = None if advice is None else _shown(advice)

    def __str__(self) -> str:
        line = f"{self.level:<{_COLUMNS[0]}}{self.check:<{_COLUMNS[1]}}{self.tried}: {self.result}"
        return line if self.advice is None else f"{line}\n{' ' * sum(_COLUMNS)}-> {self.advice}"


class Report:
    """Tells each finding as soon as it is there, and a verdict at the end."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._found: list[Finding] = []

    def tell(self, finding: Finding) -> None:
        """Print one line, or two where there is something to do."""
        self._found.append(finding)
        if self._as_json:
            import json

            text = json.dumps(vars(finding))
        else:
            encoding = sys.stdout.encoding or "ascii"  # it may not know the key's letters
            text = str(finding).encode(encoding, "backslashreplace").decode(encoding)
        print(text, flush=True)  # noqa: T201

    def end(self, cause: Finding | None = None) -> int:
        """Tell the verdict, which names `cause`, else the first that is wrong; 1 where something has failed, else 0."""
        failed, warnings, skipped = (
            [each for each in self._found if each.level == level] for level in (FAILED, WARNING, SKIPPED)
        )
        counts = ((len(failed), "failed"), (len(warnings), "to look at"), (len(skipped), "skipped"))
        text = ", ".join(f"{count} {what}" for count, what in counts if count) or "all is well"
        level = FAILED if failed else WARNING if warnings else OK
        advice = None
        for first in [cause] if cause is not None else (failed or warnings)[:1]:
            text += (
                f"; {'the cause' if cause is not None else 'the first'} is {first.check}, {first.tried}: {first.result}"
            )
            advice = first.advice
        self.tell(
            Finding(
                level, "verdict", f"{len(self._found)} checks" if len(self._found) != 1 else "1 check", text, advice
            )
        )
        return 1 if failed else 0


def _shown(text: str) -> str:
    """On one line, and without what a server repeats of a request."""
    return printable(unsigned(text))
