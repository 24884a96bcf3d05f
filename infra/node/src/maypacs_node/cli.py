"""The command `maypacs`: a private node, and its archives, users and keys."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from maypacs_node import decide
from maypacs_node.cost import command as cost
from maypacs_node.home import Home, NodeError

#: Errors of the data folder that a person can mend; others are ours, and show where.
_EXPLAINED = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT),
    *(errno.ENOTDIR, errno.EEXIST),
}
ROLES = ("viewer", "technician", "radiologist", "admin")


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    os.umask(0o077)  # whatever is made from here on, by our children too, is the owner's alone
    from maypacs.errors import MayPACSError
    from maypacs_node.seaweed import SeaweedError

    try:
        return int(arguments.run(arguments))
    except (NodeError, MayPACSError, SeaweedError) as error:
        print(f"maypacs: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno not in (
            errno.EACCES,
            errno.EPERM,
            errno.EROFS,
            errno.ENOSPC,
            errno.EDQUOT,
            errno.ENOTDIR,
            errno.EEXIST,
        ):
            raise
        print(f"maypacs: {error.strerror}: {error.filename or arguments.data}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    data = argparse.ArgumentParser(add_help=False)
    data.add_argument("--data", type=Path, required=True, metavar="DIR", help="the data folder of the node")
    parser = argparse.ArgumentParser(prog="maypacs", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    up = commands.add_parser("up", parents=[data], help="run the node in the foreground, until Ctrl-C")
    up.add_argument("--port", type=int, help="the public port (default: as last time, else 8080 or a free one)")
    up.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: loopback only)")
    up.add_argument("--workers", type=int, default=0, metavar="N", help="handler processes (default: by the cores)")
    up.add_argument(
        "--limits",
        choices=("gateway", "none"),
        default="none",
        help="gateway: as small as API Gateway and Lambda, to try what works on AWS (default: none)",
    )
    up.add_argument("--behind-proxy", action="store_true", help="believe X-Forwarded-*: a proxy of yours is in front")
    up.set_defaults(run=_up)

    archive = commands.add_parser("archive", help="archives: the data of one hospital each").add_subparsers(
        required=True
    )
    add = archive.add_parser("add", parents=[data], help="add an archive (or find it there already)")
    add.add_argument("name", help="its id: 3 to 32 of a-z, 0-9, '-'")
    add.add_argument("--title", default="", help="its name for people")
    add.set_defaults(run=_archive_add)
    archive.add_parser("list", parents=[data], help="list the archives").set_defaults(run=_archive_list)

    key = commands.add_parser("key", help="API keys of programs").add_subparsers(required=True)
    add = key.add_parser("add", parents=[data], help="add a key and print it: it is shown this once")
    add.add_argument("--archive", required=True)
    add.add_argument("--role", required=True, choices=ROLES)
    add.add_argument("--days", type=int, help="days until it expires (default: never)")
    add.add_argument("--name", default="", help="what it is for")
    add.set_defaults(run=_key_add)

    user = commands.add_parser("user", help="people").add_subparsers(required=True)
    add = user.add_parser("add", parents=[data], help="add a user, or a role; prints the generated password")
    add.add_argument("name", help="the name to log in with")
    add.add_argument("--archive", help="with --role: the archive of the role")
    add.add_argument("--role", choices=ROLES)
    add.add_argument("--operator", action="store_true", help="over all archives")
    add.add_argument("--password-stdin", action="store_true", help="read the password instead of generating one")
    add.add_argument("--title", default="", help="the name for people")
    add.set_defaults(run=_user_add)
    password = user.add_parser("password", parents=[data], help="a new password; ends the user's sessions")
    password.add_argument("name")
    password.add_argument("--password-stdin", action="store_true", help="read the password instead of generating one")
    password.set_defaults(run=_user_password)

    edge = commands.add_parser("edge", help="edge forwarders").add_subparsers(required=True)
    code = edge.add_parser("code", parents=[data], help="print an enrolment code: ten minutes, one use")
    code.add_argument("--archive", required=True)
    code.add_argument("--name", default="", help="the edge's name")
    code.set_defaults(run=_edge_code)

    take = commands.add_parser("import", parents=[data], help="take files and folders into an archive")
    take.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="DICOM files, zip, tar, tgz; folders of them")
    take.add_argument("--archive", required=True)
    take.set_defaults(run=_import)

    again = commands.add_parser("reindex", parents=[data], help="build the image index anew from the objects")
    again.add_argument("--archive", help="this archive only (default: all)")
    again.set_defaults(run=_reindex)

    cost.register(commands)
    decide.register(commands, data)

    few = commands.add_parser("compact", parents=[data], help="put the many small packs of quiet series together")
    few.add_argument("--archive", help="this archive only (default: all)")
    few.add_argument("--all", action="store_true", help="look at every series: what was stored by an older version too")
    few.add_argument("--now", action="store_true", help="series that were written to lately too")
    few.add_argument("--dry-run", action="store_true", help="only say what it would do")
    few.set_defaults(run=_compact)

    backup = commands.add_parser("backup", help="backups of users, keys and audit").add_subparsers(required=True)
    backup.add_parser("now", parents=[data], help="take one now and print its name").set_defaults(run=_backup_now)
    backup.add_parser("list", parents=[data], help="list them, the oldest first").set_defaults(run=_backup_list)
    restore = backup.add_parser("restore", parents=[data], help="put one back; the node must be stopped")
    restore.add_argument("name")
    restore.set_defaults(run=_backup_restore)
    return parser


def _up(arguments: argparse.Namespace) -> int:
    from maypacs_node.supervisor import Supervisor, UpOptions

    options = UpOptions(
        host=arguments.host,
        port=arguments.port,
        workers=arguments.workers,
        limits=arguments.limits,
        behind_proxy=arguments.behind_proxy,
    )
    return Supervisor(Home(arguments.data), options).run()


def _archive_add(arguments: argparse.Namespace) -> int:
    from maypacs_node import admin

    archive = admin.add_archive(Home(arguments.data), arguments.name, arguments.title)
    print(archive.archive_id)
    return 0


def _archive_list(arguments: argparse.Namespace) -> int:
    from maypacs_node import admin

    for archive in admin.list_archives(Home(arguments.data)):
        print(f"{archive.archive_id}\t{archive.name}")
    return 0


def _key_add(arguments: argparse.Namespace) -> int:
    from maypacs_node import admin

    home = Home(arguments.data)
    print(admin.add_key(home, arguments.archive, arguments.role, name=arguments.name, days=arguments.days))
    return 0


def _user_add(arguments: argparse.Namespace) -> int:
    from maypacs_node import admin

    added = admin.add_user(
        Home(arguments.data),
        arguments.name,
        archive=arguments.archive,
        role_name=arguments.role,
        operator=arguments.operator,
        password=_password(arguments),
        name=arguments.title,
    )
    if added.password is not None:
        print(added.password)
    elif not added.created:
        print(f"the user {added.user} was there already; the password stays", file=sys.stderr)
    return 0


def _user_password(arguments: argparse.Namespace) -> int:
    from maypacs_node import admin

    generated = admin.set_password(Home(arguments.data), arguments.name, _password(arguments))
    if generated is not None:
        print(generated)
    return 0


def _password(arguments: argparse.Namespace) -> str | None:
    if not arguments.password_stdin:
        return None
    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise NodeError("no password came on the standard input")
    return password


def _edge_code(arguments: argparse.Namespace) -> int:
    from maypacs_node import admin

    print(admin.enrolment_code(Home(arguments.data), arguments.archive, name=arguments.name))
    return 0


def _import(arguments: argparse.Namespace) -> int:
    from maypacs_node import importing

    def say(text: str) -> None:
        if sys.stderr.isatty():
            print(f"\r{text}", end="", file=sys.stderr, flush=True)

    report = importing.import_paths(Home(arguments.data), arguments.archive, arguments.paths, say)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    for path, reason in report.failures:
        print(f"{path}: {reason}", file=sys.stderr)
    if report.left_out:
        print(f"{len(report.left_out)} files are not DICOM and were left out", file=sys.stderr)
    print(importing.summary(report.counts))
    return 0 if report.complete else 1


def _backup_now(arguments: argparse.Namespace) -> int:
    from maypacs_node import backups

    home = Home(arguments.data)
    with backups.store_of(home) as objects:
        print(backups.take(home.accounts, objects))
    return 0


def _backup_list(arguments: argparse.Namespace) -> int:
    from maypacs_node import backups

    with backups.store_of(Home(arguments.data)) as objects:
        print("\n".join(backups.names(objects)))
    return 0


def _backup_restore(arguments: argparse.Namespace) -> int:
    from maypacs_node import backups

    home = Home(arguments.data)
    with backups.store_of(home, alone=True) as objects:
        before = backups.restore(home.accounts, objects, arguments.name)
    if before is not None:
        print(f"what was there before is {before}", file=sys.stderr)
    return 0


def _reindex(arguments: argparse.Namespace) -> int:
    from maypacs_node import admin

    for archive, done in admin.reindex_archives(Home(arguments.data), arguments.archive):
        print(f"{archive}: {done.studies} studies, {done.packs} packs, {done.unreadable_packs} unreadable")
    return 0


def _compact(arguments: argparse.Namespace) -> int:
    from maypacs_node import admin

    failed, dry = 0, " (dry run)" if arguments.dry_run else ""
    for archive, done in admin.compact_archives(
        Home(arguments.data), arguments.archive, every=arguments.all, now=arguments.now, dry_run=arguments.dry_run
    ):
        failed += done.failed
        faults = f", {done.failed} failed ({', '.join(sorted(set(done.faults)))})" if done.failed else ""
        print(
            f"{archive}{dry}: {done.series} series, {done.packs} packs into {done.into}, "
            f"{done.bytes_written / 1e6:.1f} MB written, {done.cleaned} replaced packs taken away{faults}"
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
