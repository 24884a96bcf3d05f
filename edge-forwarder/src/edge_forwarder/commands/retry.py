"""``maypacs-edge retry``: once more, now."""

from __future__ import annotations

import argparse

from edge_forwarder.commands import Command
from edge_forwarder.config import load
from edge_forwarder.errors import EdgeError
from edge_forwarder.spool import attention, handover
from edge_forwarder.spool.layout import Layout
from edge_forwarder.spool.lock import is_locked

_MANUAL = """
Without UIDs: what failed and waits for its next try is tried at once, and everything that the cloud
did not take as it is (`maypacs-edge quarantine`) is uploaded anew. With UIDs, of studies, series or
instances, or with names of uploads: only those of the latter.

An image that is in conflict with another one under its UID stays in conflict until somebody decides
in the console; then its retry ends the matter. What the cloud does not take again is set aside
again.

Works beside a running edge. With none running, it is done at the next start.
"""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("uids", nargs="*", metavar="UID", help="a study, series or instance, or the name of an upload")


def _run(options: argparse.Namespace) -> int:
    config = load(options.config)
    spool = config.spool_folder
    done, met = 0, set()
    for entry in attention.entries(Layout(spool).attention):
        files = attention.chosen(entry, options.uids) if options.uids else entry.files
        done += attention.release(entry, files, spool) if files else 0
        met |= {entry.name} if files else set()
    if options.uids and not met:
        raise EdgeError("nothing of that name was set aside: see maypacs-edge quarantine")
    if not options.uids:
        handover.hurry(spool)
    when = "now" if is_locked(spool) else "when the edge is started"
    print(f"{done} images that were set aside are uploaded again {when}.")
    if not options.uids:
        print(f"What failed before is tried {when}.")
    return 0


COMMAND = Command("retry", "Upload again, now, what failed or was not taken.", _run, _arguments, _MANUAL)
