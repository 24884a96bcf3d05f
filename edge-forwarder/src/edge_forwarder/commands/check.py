"""``maypacs-edge check``: is everything as it must be?"""

from __future__ import annotations

import argparse

from edge_forwarder import checks
from edge_forwarder.commands import Command
from edge_forwarder.config import load

_MANUAL = """
Looks at the configuration, the credentials, room on the disk, the port, whether the cloud takes our
key, this clock against the cloud's, certificates (ours and the cloud's), and calls every [[device]]
that has a host and a port by C-ECHO. Works beside a running edge, and changes nothing.

ok     it is as it must be
LOOK   it works, but somebody should do something
WRONG  it does not work; the line says what to do

Exit code 1 if anything is WRONG.
"""


def _run(options: argparse.Namespace) -> int:
    wrong = False
    for check in checks.everything(load(options.config)):
        print(f"{check.level:<6} {check.text}", flush=True)
        wrong = wrong or check.level == checks.Level.WRONG
    return 1 if wrong else 0


COMMAND = Command("check", "Check the configuration, the disk, the cloud and every device.", _run, manual=_MANUAL)
