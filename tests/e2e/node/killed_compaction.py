"""`python -m tests.e2e.node.killed_compaction DATA ARCHIVE STRIDE`: compaction of a node's archive, by processes
of which each is killed (SIGKILL) at a step of its own, in a series that nobody touched yet: at the first call of table
or store, STRIDE calls later, and so on. Then some that live finish all; the same for the clean-up.

Prints how many died at each of the two.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from itertools import count
from pathlib import Path
from typing import Any

from maypacs import compaction
from maypacs.archive.s3_client import s3_client
from maypacs.archive.store import ArchiveStore
from maypacs.index import merging
from maypacs.index.cascade import Effects
from maypacs.runtime import Runtime
from maypacs.uids import ArchiveId
from maypacs.workspace import Workspace
from maypacs_node import admin
from maypacs_node.home import Home

HOUR = 3600.0


class Counted:
    """The table or the store; the process dies at its n-th call."""

    def __init__(self, inner: Any, calls: Any, dies_at: int) -> None:
        self._inner, self._calls, self._dies_at = inner, calls, dies_at

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            if next(self._calls) == self._dies_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return found(*arguments, **named)

        return call


def work(runtime: Runtime, archive: ArchiveId, dies_at: int, hours: float) -> None:
    """A run of the compaction so many hours from now."""
    whole, calls = runtime.unscoped_workspace(archive), count(1)
    table, objects = (Counted(each, calls, dies_at) for each in (whole.table, runtime.archive_objects))
    store = ArchiveStore(archive, objects=objects, inbox=runtime.inbox_objects, pack_key=whole.store.pack_secret)
    effects = Effects(clock=lambda: time.time() + hours * HOUR)
    done = compaction.compact(Workspace(archive, table, store), quiet_hours=24, effects=effects)
    assert not done.failed, done.faults


def main(data: str, archive: str, stride: int) -> None:
    merging.MIN_PACKS = 2
    home, name = Home(Path(data)), ArchiveId(archive)
    with admin.object_store(home) as store:
        whole = admin.runtime(home, store)
        compaction.register(whole.unscoped_workspace(name))
        s3_client(store["MAYPACS_S3_ENDPOINT"])  # its model is read once, not in each process
        whole.index.close()  # type: ignore[attr-defined]  # SQLite's: no connection goes through a fork

        def forked(dies_at: int, hours: float) -> bool:
            """Whether it was killed."""
            if child := os.fork():
                status = os.waitpid(child, 0)[1]
                assert not os.WIFEXITED(status) or not os.WEXITSTATUS(status), "one that lived failed"
                return os.WIFSIGNALED(status)
            try:
                work(admin.runtime(home, store), name, dies_at, hours)
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr)
                os._exit(1)
            os._exit(0)

        for first in (48.0, 48.0 + 96.0):
            died = next(n for n in count() if not forked(1 + n * stride, first))
            for hours in (first + 1, first + 30):  # leases of the dead are over; what they touched is quiet
                assert not forked(0, hours)
            print(died, flush=True)
        for days in range(8, 12):
            assert not forked(0, 24.0 * days)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
