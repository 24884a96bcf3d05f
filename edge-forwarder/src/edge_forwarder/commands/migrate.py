"""``maypacs-edge migrate``: everything of another PACS into the archive."""

from __future__ import annotations

import argparse
import csv
import sys
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from edge_forwarder.commands import Command
from edge_forwarder.config import load
from edge_forwarder.dimse import tls
from edge_forwarder.dimse.negotiation import STORE
from edge_forwarder.dimse.peers import advice, peer_of
from edge_forwarder.errors import ConfigError, NotAssociatedError
from edge_forwarder.importing.company import company
from edge_forwarder.migrating.periods import Days, Window, per_hour
from edge_forwarder.migrating.run import Migrating, Plan
from edge_forwarder.migrating.source_pacs import SourcePacs
from edge_forwarder.migrating.state import Fate, MigrationState, StudyState
from edge_forwarder.progress import Progress
from edge_forwarder.spool.lock import is_locked

#: So many studies, and images of each, are named on the terminal; --report names all.
_SHOWN = 20

_MANUAL = """
The source is a [[device]] with a host and a port. It is asked day by day, newest first, for its
studies and their images (C-FIND, Study Root); what the archive does not have is fetched, study by
study; what did not come is asked for again, series by series, image by image.

--method move  The source sends to the edge that runs (C-MOVE). It must know our AE title, address
               and port. Every PACS can; the default.
--method get   The images come on this command's own association (C-GET). Nothing has to be entered
               there; no edge need run.

It may be stopped, and killed, at any time: the next run goes on. What it cannot have is tried again
by every run. Run it again on the last day: it fetches what is new. It leaves the modalities their
room: twice [spool] min_free_mib stays free, and no more than 5,000 of its images wait for the
uplink. What comes by --method get goes up after everything else; for --method move, name the source
in [upload] bulk_devices.

At the end it reports what differs: what the source lists and counts, what arrived, what is in the
cloud, and every image that is missing, by name. Images are compared by UID, series and SOP class;
those that the archive had before are not fetched to compare their bytes. Exit code 0: nothing
differs. 1: something does, or the source could not be used. 130: Ctrl-C.
"""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--from", dest="source", required=True, metavar="AET", help="the AE title of the [[device]]")
    parser.add_argument(
        "--dates", metavar="YYYYMMDD-YYYYMMDD", help="study dates (default: all, and those without one)"
    )
    parser.add_argument("--method", choices=("move", "get"), default="move", help="default: move")
    parser.add_argument("--rate", metavar="N/h", help="at most so many images an hour")
    parser.add_argument("--window", metavar="HH:MM-HH:MM", help="only in these hours, by the clock of this machine")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write all studies and what differs, as CSV")


def _run(options: argparse.Namespace) -> int:
    config = load(options.config)
    device = config.callable(options.source)
    if device is None:
        raise ConfigError(f"no [[device]] with ae_title {options.source}, a host and a port")
    plan = Plan(
        Days.parse(options.dates, datetime.now().astimezone().date()),
        undated=options.dates is None,
        by_get=options.method == "get",
        per_hour=per_hour(options.rate) if options.rate else 0.0,
        window=Window.parse(options.window) if options.window else None,
    )
    if not plan.by_get and not is_locked(config.spool_folder):
        raise ConfigError("no edge is running that the source could send to: start it, or use --method get")
    if not plan.by_get and STORE not in config.rights(device.ae_title.strip(), device.host):
        raise ConfigError(f"{device.ae_title.strip()} may not store: add it to rights of its [[device]]")
    peer = peer_of(config, device, tls.client_context(config) if device.tls else None)
    progress = Progress(sys.stderr, "studies")
    code = 130
    with ExitStack() as stack:
        if plan.by_get:
            stack.enter_context(company(config))
        source = SourcePacs(peer, config.edge.ae_title)
        run = stack.enter_context(Migrating(config, source, device.ae_title, plan, progress))
        try:
            run.run()
            code = 0
        except KeyboardInterrupt:
            pass
        except NotAssociatedError as error:
            raise ConfigError(f"{error}{advice(error, peer)}") from None
        finally:
            progress.end()
            differs = _print(run.state)
            if options.report:
                _write(run.state, options.report)
    return 1 if differs and not code else code


def _print(state: MigrationState) -> bool:
    """Whether something differs."""
    totals = state.totals()
    words = {
        StudyState.DONE: "are in the cloud as the source has them",
        StudyState.ARRIVED: "are on their way: the edge uploads them",
        StudyState.OPEN: "are not fetched yet",
        StudyState.DIFFERS: "DIFFER",
    }
    for name, text in words.items():
        if name in totals:
            studies, images, indexed, there = totals[name]
            print(f"{studies} studies {text}: {images} images there, {indexed} in the cloud ({there} of them before).")
    if known := sum(there for *_, there in totals.values()):
        print(f"{known} images were in the cloud before: compared by UID, series and SOP class, not byte for byte.")
    differing = state.studies(StudyState.DIFFERS)
    for study in differing[:_SHOWN]:
        at_source = "an unknown number" if study.at_source is None else study.at_source
        cloud = study.indexed + study.there
        print(f"  {study.uid}: {at_source} there, {study.arrived} arrived, {cloud} in the cloud. {study.note}")
        wanting = [image for image in state.images(study.uid) if image.fate not in (Fate.INDEXED, Fate.THERE)]
        for image in wanting[:_SHOWN]:
            print(f"    {image.sop}: {image.fate}")
        if len(wanting) > _SHOWN:
            print(f"    {len(wanting) - _SHOWN} more (--report FILE names all)")
    if len(differing) > _SHOWN:
        print(f"  {len(differing) - _SHOWN} more (--report FILE names all)")
    incomplete = state.incomplete_days()
    for day in incomplete:
        print(f"The source did not list all studies of {day or 'no date'}: it ends its answers early.")
    if not totals:
        print("The source has no studies of these dates.")
    return bool(differing or incomplete)


def _write(state: MigrationState, path: Path) -> None:
    """UIDs and numbers alone: no patient's name or id."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(
            ("study", "date", "counted", "listed", "arrived", "in the cloud", "state", "image", "fate", "note")
        )
        for study in state.studies(*StudyState):
            cloud = study.indexed + study.there
            numbers = (study.counted, study.listed, study.arrived, cloud)
            rows.writerow((study.uid, study.day, *numbers, study.state, "", "", study.note))
            for image in state.images(study.uid):
                rows.writerow((study.uid, study.day, *numbers, study.state, image.sop, image.fate, ""))


COMMAND = Command("migrate", "Fetch everything of another PACS into the archive.", _run, _arguments, _MANUAL)
