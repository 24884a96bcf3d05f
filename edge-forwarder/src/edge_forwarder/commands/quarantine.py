"""``maypacs-edge quarantine``: what the cloud did not take as it is, for a person to decide on."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from edge_forwarder.commands import Command
from edge_forwarder.config import load
from edge_forwarder.errors import EdgeError
from edge_forwarder.progress import size_text
from edge_forwarder.spool import attention
from edge_forwarder.spool.attention import Entry
from edge_forwarder.spool.layout import Layout
from edge_forwarder.spool.lock import is_locked
from edge_forwarder.spool.reasons import in_words, told

_MANUAL = """
list     what lies there: the name of the upload, since when, how many images, why (the default)
show     each image of uploads: its SOP Instance UID, size, why
export   copy the files and the reason to a folder; they stay in quarantine, too
release  upload them again, as `maypacs-edge retry` does
discard  delete them here, after a question; the cloud keeps what it did not take in its own
         quarantine, or beside the image that it is in conflict with; but what is
         unreadable-here or spoilt-here never went there: the device may have it still.
         What is spoilt does not go up when it is released either: it comes back here

NAME is the name of an upload, or how it begins. Works beside a running edge.
"""


def _arguments(parser: argparse.ArgumentParser) -> None:
    actions = ("list", "show", "export", "release", "discard")
    parser.add_argument("action", nargs="?", choices=actions, default="list", help="default: list")
    parser.add_argument("names", nargs="*", metavar="NAME", help="uploads, as `list` names them")
    parser.add_argument("--all", action="store_true", help="all of them")
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="where `export` copies to")
    parser.add_argument("--yes", action="store_true", help="`discard` without a question")


def _run(options: argparse.Namespace) -> int:
    spool = load(options.config).spool_folder
    entries = attention.entries(Layout(spool).attention)
    if options.action == "list":
        for entry in entries:
            print(_line(entry))
        print(f"{sum(len(e.files) for e in entries)} images of {len(entries)} uploads need a person.")
        return 0
    wanted = entries if options.all else _wanted(entries, options.names)
    images = sum(len(entry.files) for entry in wanted)
    if options.action == "show":
        for entry in wanted:
            _show(entry)
    elif options.action == "export":
        if options.to is None:
            raise EdgeError("export needs --to FOLDER")
        copied = sum(attention.export(entry, options.to) for entry in wanted)
        print(f"{copied} images copied to {options.to}: patients' data, handle them so.")
    elif options.action == "release":
        done = sum(attention.release(entry, entry.files, spool) for entry in wanted)
        print(f"{done} images are uploaded again {'now' if is_locked(spool) else 'when the edge is started'}.")
    elif options.yes or _is_sure(images):
        print(f"{sum(attention.discard(entry) for entry in wanted)} images deleted here.")
    else:
        print("Nothing was deleted.")
        return 1
    return 0


def _wanted(entries: list[Entry], names: list[str]) -> list[Entry]:
    if not names:
        raise EdgeError("which uploads? Name them, or say --all")
    found = []
    for name in names:
        meant = [entry for entry in entries if entry.name.startswith(name)]
        if len(meant) != 1:
            raise EdgeError(f"{'no upload' if not meant else 'more than one upload'} begins with {name}")
        found += meant
    return list({entry.name: entry for entry in found}.values())


def _is_sure(images: int) -> bool:
    if not sys.stdin.isatty():
        raise EdgeError("nobody is there to answer: say --yes")
    return input(f"Delete {images} images from this machine? Type yes: ").strip().lower() == "yes"


def _line(entry: Entry) -> str:
    since = datetime.fromtimestamp(entry.at, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
    return f"{entry.name}  {since}  {len(entry.files):>5} images  {told(entry.reasons, entry.state)}"


def _show(entry: Entry) -> None:
    print(_line(entry))
    for file in entry.files:
        uid = attention.sop_instance_uid(file)
        own = entry.reason_of.get(uid)
        why = in_words(own) if own else told(entry.reasons, entry.state)
        print(f"  {uid or 'no UID can be read'}  {size_text(file.stat().st_size)}  {why}")


COMMAND = Command(
    "quarantine", "List, show, export, release or discard what the cloud did not take.", _run, _arguments, _MANUAL
)
