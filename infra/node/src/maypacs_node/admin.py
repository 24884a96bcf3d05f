"""What the command line does to archives, users, keys and the index: with the node running or stopped.

SQLite in WAL mode takes several processes at once; the object store is needed by `reindex` alone, which starts it
when the node does not run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from maypacs import compaction
from maypacs.access import accounts, edges, keys
from maypacs.access.accounts import Archive, NewUser
from maypacs.access.principals import Role, role
from maypacs.compact_series import Compacted
from maypacs.index.due import row_of, waiting
from maypacs.index.table import Table
from maypacs.reindex import Reindexed, reindex
from maypacs.runtime import Runtime
from maypacs.uids import archive_id
from maypacs_node.home import Home, NodeError
from maypacs_node.seaweed import SeaweedFS

#: Where compaction by the clock is switched off.
DEFAULT_QUIET_HOURS = 24


def runtime(home: Home, store: Mapping[str, str] | None = None) -> Runtime:
    home.create()
    if store is not None:
        # boto3 reads its credentials from the environment of the process.
        os.environ.update(store)
    return Runtime.from_environment({**home.settings(), **(store or {})})


def accounts_table(home: Home) -> Table:
    return runtime(home).accounts


def add_archive(home: Home, archive: str, name: str = "") -> Archive:
    return accounts.add_archive(accounts_table(home), archive, name=name)


def list_archives(home: Home) -> list[Archive]:
    return accounts.list_archives(accounts_table(home))


def add_key(home: Home, archive: str, role_name: str, *, name: str = "", days: int | None = None) -> str:
    expires = None if days is None else int(time.time()) + days * 86_400
    return keys.add_key(accounts_table(home), archive, role(role_name), name=name, expires_at=expires).key


def add_user(
    home: Home,
    user: str,
    *,
    archive: str | None = None,
    role_name: str | None = None,
    operator: bool = False,
    password: str | None = None,
    name: str = "",
) -> NewUser:
    table = accounts_table(home)
    if operator and archive is not None:
        raise NodeError("an operator is over all archives: leave --archive and --role out")
    chosen = Role.OPERATOR if operator else None if role_name is None else role(role_name)
    return accounts.add_user(table, user, archive=archive, role=chosen, name=name, password=password)


def set_password(home: Home, user: str, password: str | None = None) -> str | None:
    return accounts.set_password(accounts_table(home), user, password)


def enrolment_code(home: Home, archive: str, *, name: str = "") -> str:
    return edges.add_enrolment_code(accounts_table(home), archive, name=name).code


@contextmanager
def object_store(home: Home) -> Iterator[Mapping[str, str]]:
    """The environment to reach the store with: the running node's, or one of our own for the while."""
    home.create()
    if home.is_locked():
        yield SeaweedFS(home.objects, run=home.run).remembered_environment()
        return
    with home.lock(), SeaweedFS(home.objects, run=home.run) as store:
        yield store.environment


def reindex_archives(home: Home, archive: str | None = None) -> Iterator[tuple[str, Reindexed]]:
    with object_store(home) as store:
        built = runtime(home, store)
        chosen = [archive_id(archive)] if archive else [a.archive_id for a in accounts.list_archives(built.accounts)]
        for each in chosen:
            yield each, reindex(built.unscoped_workspace(each))


def compact_archives(
    home: Home, archive: str | None = None, *, every: bool = False, now: bool = False, dry_run: bool = False
) -> Iterator[tuple[str, Compacted]]:
    """``every``: looks at all series, not only at those that wait. ``now``: quiet or not."""
    with object_store(home) as store:
        built = runtime(home, store)
        chosen = [archive_id(archive)] if archive else [a.archive_id for a in accounts.list_archives(built.accounts)]
        quiet = 0 if now else built.settings.compact_after_hours or DEFAULT_QUIET_HOURS
        for each in chosen:
            workspace = built.unscoped_workspace(each)
            if dry_run:
                rows = set(waiting(workspace.table, each))
                if every:
                    known = {row.key for row in rows}
                    found = (row_of(heads, 0) for heads in compaction.wanting(workspace))
                    rows |= {row for row in found if row.key not in known}
                yield each, compaction.plan_only(workspace, rows)
                continue
            if every:
                compaction.register(workspace)
            yield each, compaction.compact(workspace, quiet_hours=quiet, at_once=True)
