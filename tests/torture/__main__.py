"""`make torture`: random faults against real processes until the time is over; exit code 1 when anything was lost.

python -m tests.torture [--minutes 30] [--storm 120] [--cut 120] [--instances 1000] [--seed N] [--keep]

Runs one storm after another, each with a seed that it prints; ``--seed`` runs that one alone, once.
"""

from __future__ import annotations

import argparse
import random
import sys
import time

from tests.torture.run import once


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30, help="begin no new storm after so long (default 30)")
    parser.add_argument("--storm", type=float, default=120, help="seconds of one storm (default 120)")
    parser.add_argument("--cut", type=float, default=120, help="seconds without the cloud before each (default 120)")
    parser.add_argument("--instances", type=int, default=1000, help="images of one storm (default 1000)")
    parser.add_argument("--seed", type=int, help="this storm alone")
    parser.add_argument("--keep", action="store_true", help="keep the folder of a run in which something was wrong")
    parser.add_argument("--quiet", action="store_true", help="print the outcomes alone")
    options = parser.parse_args()
    began, failed, runs = time.monotonic(), [], 0

    def say(text: str) -> None:
        if not options.quiet:
            print(f"{time.monotonic() - began:7.1f} {text}", flush=True)

    while runs == 0 or (options.seed is None and time.monotonic() < began + options.minutes * 60):
        seed = options.seed if options.seed is not None else random.SystemRandom().getrandbits(32)
        runs += 1
        try:
            outcome = once(
                seed, seconds=options.storm, cut=options.cut, instances=options.instances, keep=options.keep, say=say
            )
        except Exception as error:
            print(f"seed {seed}: FAILED: {type(error).__name__}: {error}", flush=True)
            failed.append(seed)
            continue
        print(outcome.text(), flush=True)
        if outcome.faults:
            failed.append(seed)
    print(f"{runs} storms, {len(failed)} of them with faults{f': seeds {failed}' if failed else ''}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
