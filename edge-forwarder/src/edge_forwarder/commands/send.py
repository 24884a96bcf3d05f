"""``maypacs-edge send``: folders, zips and discs into the archive."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from edge_forwarder.commands import Command
from edge_forwarder.config import load
from edge_forwarder.errors import ConfigError
from edge_forwarder.importing.company import company
from edge_forwarder.importing.sending import Report, Sending
from edge_forwarder.importing.sources import Source, Unusable, find
from edge_forwarder.progress import Progress, size_text

#: So many files are named on the terminal; --report names all.
_SHOWN = 50

_MANUAL = """
PATH is a file, a folder with everything below it, a .zip, or the DICOMDIR of a disc (or the disc:
its DICOMDIR is then compared with what is there). Files are only read. Those that are not DICOM are
passed over; the others go up as they are, to the byte (a file without a header gets one; its data
set stays).

With an edge running on this configuration, that one uploads them, after what the modalities send.
With none, this command uploads them itself; `maypacs-edge run` cannot start meanwhile.

It may be stopped or killed at any time: started again with the same PATH, it goes on, and sends
nothing twice. What was handed over goes up in any case. It waits, rather than fill the disk: twice
[spool] min_free_mib stays free, and never more than 2 GiB of the import are in the spool.

Exit code 0: everything is in the cloud. 1: some files failed; they are named. 130: Ctrl-C.
"""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="a file, folder, .zip or DICOMDIR")
    parser.add_argument("--again", action="store_true", help="send also what an earlier run of this import sent")
    parser.add_argument("--no-wait", action="store_true", help="end when all is handed over to the running edge")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write every file that was passed over or failed")


def _run(options: argparse.Namespace) -> int:
    config = load(options.config)
    if missing := [path for path in options.paths if not path.exists()]:
        raise ConfigError(f"there is no {missing[0]}")
    total = sum(isinstance(item, Source) for item in find(options.paths))
    progress = Progress(sys.stderr, "files", total)
    stopped = False
    with company(config) as alone, Sending(config, progress, again=options.again) as sending:
        try:
            sending.send(options.paths)
            if alone or not options.no_wait:
                sending.wait()
        except KeyboardInterrupt:
            stopped = True
    progress.end()
    _print(sending.report)
    if options.report:
        options.report.write_text("".join(_lines(sending.report)), encoding="utf-8")
    return 130 if stopped else 1 if sending.report.failed else 0


def _print(report: Report) -> None:
    for title, items in (("passed over", report.skipped), ("FAILED", report.failed)):
        for item in items[:_SHOWN]:
            print(f"{title}: {item.name}: {item.reason}")
        if len(items) > _SHOWN:
            print(f"{title}: {len(items) - _SHOWN} more (--report FILE names all)")
    print(
        f"{report.sent} images sent ({size_text(report.sent_bytes)}), {report.there} were there already, "
        f"{len(report.skipped)} files passed over, {len(report.failed)} failed."
    )
    if report.waiting:
        print(
            f"{report.waiting} are in the spool: the edge sends them. The same command again tells what became of them."
        )


def _lines(report: Report) -> Iterable[str]:
    def line(kind: str, item: Unusable) -> str:
        return f"{kind}\t{item.name}\t{item.reason}\n"

    yield from (line("passed over", item) for item in report.skipped)
    yield from (line("failed", item) for item in report.failed)


COMMAND = Command("send", "Send a folder, a zip or a disc to the archive.", _run, _arguments, _MANUAL)
