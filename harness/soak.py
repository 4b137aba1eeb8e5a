"""The long tests: downloads that are killed, many requests over a bad link, and a link that is slow; with figures."""

from __future__ import annotations

import argparse
import random
import time

from . import soak_store
from .processes import signals_as_interrupt
from .soak_kills import Killer
from .soak_requests import Requester
from .soak_slow import MIB, Slow
from .values import HarnessError

MEMORY_GROWTH = 64 << 10  # KiB after a tenth of the requests that are more than what Python keeps for itself
SHOWN = 10  # claims that did not hold


def main(arguments: list[str], usage: str | None) -> int:
    """Run both parts, print the figures, return the exit code: 1 if anything was wrong."""
    options = parsed(arguments, usage)
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    say(f"seed: {seed}")
    start = time.monotonic()
    try:
        with signals_as_interrupt(), soak_store.start(say, loopback=options.loopback) as store:
            if options.slow:
                slow = Slow(store, seed, options.slow, int(options.megabytes * MIB), say)
                slow.run()
                return ended(slow.wrong)
            killer, requester = Killer(store, seed), Requester(store, seed)
            rounds = run(options, start, killer, requester)
    except HarnessError as error:
        say(f"FAILED: {error}")
        return 1
    except KeyboardInterrupt as reason:
        say(f"interrupted {reason}".rstrip())
        return 130
    for line in [*killer.figures.lines(), *requester.figures.lines()]:
        say(line)
    say(f"seconds: {time.monotonic() - start:.0f}, rounds: {rounds}")
    return ended([*killer.figures.wrong, *requester.figures.wrong, *too_much_memory(requester.figures.memory)])


def ended(wrong: list[str]) -> int:
    """Say what was wrong, if anything; the exit code."""
    for claim in wrong[:SHOWN]:
        say(f"WRONG: {claim}")
    say("something was wrong" if wrong else "nothing was wrong")
    return 1 if wrong else 0


def parsed(arguments: list[str], usage: str | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="scripts/soak", description=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20, help="downloads to kill in each round (20)")
    parser.add_argument("--requests", type=int, default=1000, help="calls over the bad link in each round (1000)")
    parser.add_argument("--minutes", type=float, default=0.0, help="rounds until so many minutes have gone by (one)")
    parser.add_argument("--seed", type=int, default=None, help="the same moments and bytes again, as far as time lets")
    parser.add_argument("--loopback", action="store_true", help="the tests' own store, although there is a MinIO")
    parser.add_argument("--slow", type=float, default=0.0, help="only this: up and down at so many Mbit/s, really")
    parser.add_argument("--megabytes", type=float, default=12.0, help="MiB of the file for --slow (12)")
    options = parser.parse_args(arguments)
    if options.slow < 0 or options.megabytes <= 0:
        parser.error("--slow and --megabytes take positive numbers")
    return options


def run(options: argparse.Namespace, start: float, killer: Killer, requester: Requester) -> int:
    """One round, or as many as the minutes allow; their number."""
    rounds = 0
    while rounds == 0 or time.monotonic() - start < 60 * options.minutes:
        rounds += 1
        killer.run(options.kills * rounds)
        requester.run(options.requests)
        if killer.figures.wrong or requester.figures.wrong:
            break
    return rounds


def too_much_memory(memory: tuple[int, int]) -> list[str]:
    """The claim that memory did not grow, where it did."""
    before, after = memory
    return [f"memory grew from {before:,} to {after:,} KiB"] if after - before > MEMORY_GROWTH else []


def say(text: str) -> None:
    """Print at once, even into a pipe."""
    print(text, flush=True)
