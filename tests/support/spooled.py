"""Images of a device in an edge's spool, and what became of them there."""

from __future__ import annotations

from pathlib import Path

from tests.support.stub_edge import write_ct

from edge_forwarder.databases.journal import Journal, PackState
from edge_forwarder.query_retrieve.cache import Instance
from edge_forwarder.spool.folder import Spool
from edge_forwarder.spool.naming import SpooledFile


def put(spool: Spool, data: bytes, title: str = "THU-CT1") -> SpooledFile:
    writer = spool.begin(title)
    writer.write(data)
    return writer.commit()


def put_ct(spool: Spool, folder: Path, number: int) -> SpooledFile:
    """The slice of that number; ``folder`` is where it is made."""
    return put(spool, write_ct(folder / f"{number}.dcm", sop=f"2.25.{number}", number=number).read_bytes())


def packed(journal: Journal) -> set[str]:
    """The files that are in packs which wait for an upload."""
    return {member.name for pack in journal.packs(PackState.PACKED) for member in journal.members(pack.id)}


def cached(number: int, study: str = "1.2") -> Instance:
    """An instance as the cache names it."""
    return Instance(study, "1.3", f"1.4.{number}", "1.2.840.10008.5.1.4.1.1.2")
