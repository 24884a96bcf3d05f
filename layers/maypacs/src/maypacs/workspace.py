"""What a use case works on: one archive's rows and objects, and nothing else.

Made by `maypacs.access` alone (a handler never builds one), or unscoped by the housekeeper and the node's command line.
"""

from __future__ import annotations

from dataclasses import dataclass

from maypacs.archive.store import ArchiveStore
from maypacs.index.table import Table
from maypacs.uids import ArchiveId


@dataclass(frozen=True, slots=True)
class Workspace:
    archive_id: ArchiveId
    table: Table  #: refuses partition keys of other archives
    store: ArchiveStore  #: builds keys of this archive only
