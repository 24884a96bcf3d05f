"""`make simulate`: a hospital's day in 12 minutes; writes docs/hospital-day.md. Exit code 1: a goal was missed."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from tests.simulate.day import simulate
from tests.simulate.report import markdown
from tests.support.processes import ROOT

#: After the warm-up: how much more memory, as a part of it, and how many more open files there may be.
MEMORY, FILES = 0.05, 8


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulate", description=__doc__)
    parser.add_argument("--minutes", type=float, default=12, help="how long the day takes (default 12)")
    parser.add_argument("--share", type=float, default=1.0, help="of the exams (default 1, all)")
    parser.add_argument("--seed", type=int, default=400)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "hospital-day.md")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="maypacs-day-"))
    try:
        day = simulate(folder, minutes=options.minutes, seed=options.seed, share=options.share)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    text = markdown(day, share=options.share, seed=options.seed)
    options.output.write_text(text, encoding="utf-8")
    print(text)
    memory, files = day.growth()
    lost = sum(sent.refused for sent in day.sent.values())
    return int(memory >= MEMORY or files >= FILES or lost > 0)


if __name__ == "__main__":
    sys.exit(main())
