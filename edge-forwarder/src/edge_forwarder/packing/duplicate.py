"""The same bytes twice in the spool: one of them is enough."""

from __future__ import annotations

import filecmp

from edge_forwarder.databases.journal import Journal
from edge_forwarder.dicom.peek import Identity
from edge_forwarder.spool.folder import Spool
from edge_forwarder.spool.naming import SpooledFile


def duplicate_of(spool: Spool, journal: Journal, file: SpooledFile, identity: Identity) -> str | None:
    """The file with the very same bytes that waits in the spool already."""
    path = spool.path(file.name)
    for other in journal.same_sop(identity):
        if other.size == file.size and other.name != file.name:
            try:
                if filecmp.cmp(path, spool.path(other.name), shallow=False):
                    return other.name
            except OSError:
                continue
    return None
