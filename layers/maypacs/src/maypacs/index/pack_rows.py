"""Rows of one pack: its head (what summaries are computed from) and its instance table (protocols: keys).

A head is at most 4 KB, so that recomputing a series reads little. A table up to 8 KB has a row; a larger one lives with
the sidecar. Choices (what a decision says about one instance) have a row each: ``4#{series}#{sop}``.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from maypacs.index.rows import SCHEMA_VERSION, Attributes, instance_table_sk, pack_head_sk, study_pk
from maypacs.index.table import Item
from maypacs.uids import ArchiveId, Uid

if TYPE_CHECKING:
    from maypacs.pack.instance_table import InstanceRow

#: An encoded instance table above this is not in the table.
TABLE_ROW_LIMIT = 8 * 1024
#: Above this many instances a head names none of them: the table is opened instead.
HASHED_INSTANCES = 256
HASH_SIZE = 8


@dataclass(frozen=True, slots=True)
class PackHead:
    """Row ``{a}#S#{study}`` / ``2#{series}#{pack}``."""

    archive_id: ArchiveId
    study_instance_uid: Uid
    series_instance_uid: Uid
    pack_id: str
    arrival: str  #: of the pack; of one that was put together out of several: the last of its instances'
    size: int  #: bytes of the object
    instance_bytes: int  #: bytes of its Part 10 files
    count: int
    boundary: str
    joinable: bool
    replaces: tuple[str, ...]  #: `life_id` of packs that readers ignore when this one is there
    attributes: Attributes  #: patient-, study- and series-level, the first non-empty value in pack order
    sop_classes: tuple[str, ...]
    transfer_syntaxes: tuple[str, ...]
    patient_ids: tuple[str, ...]
    patient_names: tuple[str, ...]
    accession_numbers: tuple[str, ...]
    uid_hashes: bytes  #: sorted 8-byte hashes of the SOP Instance UIDs; b"" above `HASHED_INSTANCES`
    table_in_row: bool
    earliest: str = ""  #: arrival of the first of its instances, where they came at several times

    @property
    def first_arrival(self) -> str:
        """No instance in it came before."""
        return self.earliest or self.arrival

    @property
    def life(self) -> str:
        """Names the pack since it came: the same bytes that arrive again after a removal are not replaced with it."""
        return f"{self.pack_id}@{self.arrival}"

    @property
    def life_id(self) -> str:
        """The life, short enough for a head to name hundreds."""
        return life_id(self.life)

    @property
    def hashes(self) -> frozenset[bytes] | None:
        """The instances it may hold, None when only the table tells."""
        if not self.uid_hashes:
            return None
        hashes = self.uid_hashes
        return frozenset(hashes[at : at + HASH_SIZE] for at in range(0, len(hashes), HASH_SIZE))

    def to_item(self) -> Item:
        found = {
            "attributes": self.attributes,
            "sop_classes": self.sop_classes,
            "transfer_syntaxes": self.transfer_syntaxes,
            "patient_ids": self.patient_ids,
            "patient_names": self.patient_names,
            "accession_numbers": self.accession_numbers,
        }
        return {
            "pk": study_pk(self.archive_id, self.study_instance_uid),
            "sk": pack_head_sk(self.series_instance_uid, self.pack_id),
            "v": SCHEMA_VERSION,
            "arrival": self.arrival,
            "size": self.size,
            "bytes": self.instance_bytes,
            "count": self.count,
            "boundary": self.boundary,
            "joinable": self.joinable,
            "replaces": b"".join(bytes.fromhex(each) for each in self.replaces),
            "found": zlib.compress(orjson.dumps(found), 9),
            "hashes": self.uid_hashes,
            "table": self.table_in_row,
            **({"first": self.earliest} if self.earliest else {}),
        }

    @classmethod
    def from_item(cls, item: Item) -> PackHead:
        archive_id, _, study = item["pk"].partition("#S#")
        _, series, pack_id = item["sk"].split("#")
        found = orjson.loads(zlib.decompress(item["found"]))
        return cls(
            archive_id=ArchiveId(archive_id),
            study_instance_uid=Uid(study),
            series_instance_uid=Uid(series),
            pack_id=pack_id,
            arrival=item["arrival"],
            size=item["size"],
            instance_bytes=item["bytes"],
            count=item["count"],
            boundary=item["boundary"],
            joinable=item["joinable"],
            replaces=_replaces(item["replaces"]),
            attributes=found["attributes"],
            sop_classes=tuple(found["sop_classes"]),
            transfer_syntaxes=tuple(found["transfer_syntaxes"]),
            patient_ids=tuple(found["patient_ids"]),
            patient_names=tuple(found["patient_names"]),
            accession_numbers=tuple(found["accession_numbers"]),
            uid_hashes=bytes(item["hashes"]),
            table_in_row=item["table"],
            earliest=item.get("first", ""),
        )


def life_id(life: str) -> str:
    """16 hex digits of a life; what is short already stays."""
    return hashlib.sha256(life.encode()).hexdigest()[: 2 * HASH_SIZE] if "@" in life else life


def _replaces(stored: bytes | Iterable[str]) -> tuple[str, ...]:
    """Rows of an older version name whole lives."""
    if isinstance(stored, (list, tuple)):
        return tuple(life_id(each) for each in stored)
    hashes = bytes(stored)  # type: ignore[arg-type]
    return tuple(hashes[at : at + HASH_SIZE].hex() for at in range(0, len(hashes), HASH_SIZE))


def arrival_of(head: PackHead, row: InstanceRow) -> str:
    """When an instance arrived: what a removal's cut-off is compared with."""
    return row.arrival or head.arrival


def table_item(head: PackHead, encoded: bytes) -> Item:
    """Row ``3#{series}#{pack}``: the encoded instance table."""
    return {
        "pk": study_pk(head.archive_id, head.study_instance_uid),
        "sk": instance_table_sk(head.series_instance_uid, head.pack_id),
        "v": SCHEMA_VERSION,
        "table": encoded,
    }


def choice_prefix(series: Uid) -> str:
    return f"4#{series}#"


@dataclass(frozen=True, slots=True)
class Choice:
    """What a decision says about one instance: which version is current, which others are equal to it in content.

    A version is ``{transfer syntax}:{digest, hex}`` (`resolution.version`).
    """

    current: str
    equal: tuple[str, ...] = ()
    #: Of two choices the larger holds: the later life of the instance, then the later promotion of a person.
    order: str = "!"

    def to_item(self, archive_id: ArchiveId, study: Uid, series: Uid, instance: Uid) -> Item:
        return {
            "pk": study_pk(archive_id, study),
            "sk": f"{choice_prefix(series)}{instance}",
            "v": SCHEMA_VERSION,
            "current": self.current,
            "equal": list(self.equal),
            "order": self.order,
        }

    @classmethod
    def from_item(cls, item: Item) -> Choice:
        return cls(current=item["current"], equal=tuple(item["equal"]), order=item.get("order", "!"))
