"""scripts/soak runs, in its smallest form, and says what it has seen."""

import re
import subprocess
import sys

from harness import soak
from harness.environment import ROOT


def run_soak(*arguments):
    """The script's own output and exit code, with the store that needs nothing."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "soak"), "--loopback", "--seed", "1", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        encoding="utf-8",
        timeout=120,
    )
    return done.returncode, done.stdout


def test_the_smallest_soak():
    """Two kills and fifty requests hold, and the figures are those of two kills and fifty requests."""
    code, text = run_soak("--kills", "2", "--requests", "50")
    assert code == 0, text
    assert re.search("^kills: 2 ", text, re.MULTILINE)
    assert re.search("^calls: 50,", text, re.MULTILINE)
    assert re.search("^seconds: ", text, re.MULTILINE)
    assert text.endswith("nothing was wrong\n")


def test_the_smallest_slow_run():
    """One MiB goes up and down a link of so many Mbit/s, and takes the time that it must."""
    code, text = run_soak("--slow", "20", "--megabytes", "1")
    assert code == 0, text
    for way in ("up", "down"):
        rate = re.search(rf"^{way}: 1 MiB in .* s, link (.*) Mbit/s,", text, re.MULTILINE)
        assert 1 < float(rate.group(1)) <= 20.5
    assert text.endswith("nothing was wrong\n")


def test_memory_that_grows_is_wrong():
    """Where a soak ends with far more memory than it had after a tenth, that is said; a little more is not."""
    assert soak.too_much_memory((100_000, 110_000)) == []
    assert len(soak.too_much_memory((100_000, 300_000))) == 1
