"""`maypacs erase`, `erasures` and `quarantine`: what an operator decides about images at the command line.

As the same requests do: recorded in the audit log before anything is done, decisions first, the rest by the eraser.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from getpass import getuser
from typing import Any

from maypacs_node.home import Home, NodeError


def register(commands: Any, data: argparse.ArgumentParser) -> None:
    """Adds the commands."""
    one = argparse.ArgumentParser(add_help=False, parents=[data])
    one.add_argument("--archive", required=True)

    erase = commands.add_parser("erase", parents=[one], help="destroy every copy of a study, a series or an instance")
    erase.add_argument("study", metavar="STUDY", help="its Study Instance UID")
    erase.add_argument("series", nargs="?", metavar="SERIES", help="only this series of it")
    erase.add_argument("instance", nargs="?", metavar="INSTANCE", help="only this instance of the series")
    erase.add_argument("--reason", required=True, help="why; it is kept with the decision")
    erase.add_argument("--yes", action="store_true", help="do not ask for the UID once more")
    erase.set_defaults(run=_erase)

    listed = commands.add_parser("erasures", parents=[one], help="what was erased, and how far that is")
    listed.set_defaults(run=_erasures)

    aside = commands.add_parser("quarantine", help="what could not be taken in").add_subparsers(required=True)
    aside.add_parser("list", parents=[one], help="list it, with the reasons").set_defaults(run=_quarantine_list)
    again = aside.add_parser("retry", parents=[one], help="send something back to the inbox")
    again.add_argument("item")
    again.set_defaults(run=_quarantine_retry)
    away = aside.add_parser("discard", parents=[one], help="remove something for good")
    away.add_argument("item")
    away.add_argument("--reason", required=True)
    away.set_defaults(run=_quarantine_discard)


@contextmanager
def _opened(arguments: argparse.Namespace, action: str, study: str | None = None) -> Iterator[tuple[Any, str]]:
    """The archive's workspace, and who we are, recorded."""
    from maypacs.access.accounts import find_archive
    from maypacs.access.audit import AuditLog
    from maypacs.access.principals import Action, Principal
    from maypacs.uids import archive_id, uid
    from maypacs_node import admin

    home, archive = Home(arguments.data), archive_id(arguments.archive)
    with admin.object_store(home) as store:
        built = admin.runtime(home, store)
        if find_archive(built.accounts, archive) is None:
            raise NodeError(f"there is no archive {archive}")
        who = Principal("user", f"console-{getuser()}"[:64], "command line", operator=True)
        AuditLog(built.accounts).record(who, Action(action), archive, uid(study) if study else None)
        yield built.unscoped_workspace(archive), str(who)


def _erase(arguments: argparse.Namespace) -> int:
    from maypacs.erase import erase
    from maypacs.uids import uid

    levels = [uid(each) for each in (arguments.study, arguments.series, arguments.instance) if each]
    if not arguments.yes:
        print("Nobody can bring it back. Its UID once more, to erase it: ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip() != levels[-1]:
            raise NodeError("that is another UID: nothing was erased")
    study, series, instance = (*levels, None, None)[:3]
    assert study is not None
    with _opened(arguments, "erase", study) as (workspace, who):
        begun = erase(workspace, study, series, instance, by=who, reason=arguments.reason)
    print(f"{begun.erasure_id}\t{begun.state}")
    return 0


def _erasures(arguments: argparse.Namespace) -> int:
    from maypacs.erasures import erasures

    with _opened(arguments, "decide") as (workspace, _):
        for each in erasures(workspace.table, workspace.archive_id):
            what = "/".join(level for level in (each.study, each.series, each.instance) if level)
            state = f"{each.state} ({each.waits})" if each.waits else each.state
            print(f"{each.erasure_id}\t{each.at}\t{state}\t{what}")
    return 0


def _quarantine_list(arguments: argparse.Namespace) -> int:
    from maypacs.quarantine import in_quarantine

    with _opened(arguments, "decide") as (workspace, _):
        after = ""
        while page := in_quarantine(workspace, after=after):
            for each in page:
                print(f"{each.item}\t{each.at}\t{each.size}\t{each.reason}")
            after = page[-1].item
    return 0


def _quarantine_retry(arguments: argparse.Namespace) -> int:
    from maypacs.quarantine import redrive

    with _opened(arguments, "decide") as (workspace, _):
        print(redrive(workspace, arguments.item))
    return 0


def _quarantine_discard(arguments: argparse.Namespace) -> int:
    from maypacs.quarantine import discard

    with _opened(arguments, "decide") as (workspace, who):
        discard(workspace, arguments.item, by=who, reason=arguments.reason)
    return 0
