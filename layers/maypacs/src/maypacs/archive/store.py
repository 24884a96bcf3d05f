"""`ArchiveStore`: the objects of one archive. It builds keys of its own archive only (protocols: keys).

What can be served lives below ``blobs/`` and nothing else does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from maypacs.archive.objects import CopyRange, ObjectHead, Objects
from maypacs.errors import ObjectNotFoundError, PreconditionFailedError
from maypacs.uids import ArchiveId, Uid, archive_id

FORMAT_VERSION = "1"
SIDECAR_SUFFIX = ".json.gz"
TABLE_SUFFIX = ".table"


@dataclass(frozen=True, slots=True)
class PackLocation:
    study: Uid
    series: Uid
    pack_id: str


def place_of(key: str) -> tuple[ArchiveId, PackLocation] | None:
    """Archive and pack of a key of a pack or sidecar; None of any other key."""
    root = next((root for root in ("blobs/packs/", "meta/") if key.startswith(root)), None)
    parts = key.removeprefix(root or "").split("/")
    if root is None or len(parts) != 4:
        return None
    return archive_id(parts[0]), ArchiveStore.locate(key)


class ArchiveStore:
    def __init__(self, archive_id: ArchiveId, *, objects: Objects, inbox: Objects, pack_key: bytes) -> None:
        self.archive_id = archive_id
        self.objects = objects
        self.inbox = inbox
        #: Secret of this archive's pack boundaries (`maypacs.pack.grammar.boundary`).
        self.pack_secret = pack_key

    # Keys.
    def pack_key(self, study: Uid, series: Uid, pack_id: str) -> str:
        return f"blobs/packs/{self.archive_id}/{study}/{series}/{pack_id}"

    def sidecar_key(self, study: Uid, series: Uid, pack_id: str) -> str:
        return f"meta/{self.archive_id}/{study}/{series}/{pack_id}{SIDECAR_SUFFIX}"

    def table_key(self, study: Uid, series: Uid, pack_id: str) -> str:
        """The instance table beside the sidecar, when it is too large for its header."""
        return f"meta/{self.archive_id}/{study}/{series}/{pack_id}{TABLE_SUFFIX}"

    def thumbnail_key(self, study: Uid, series: Uid) -> str:
        return f"blobs/thumbs/{self.archive_id}/{study}/{series}.jpg"

    def export_key(self, name: str) -> str:
        """``name`` says the content (a digest): the same answer has the same key."""
        return f"blobs/exports/{self.archive_id}/{name}"

    def decision_key(self, name: str) -> str:
        return f"decisions/{self.archive_id}/{name}.json"

    def quarantine_key(self, arrival: str, part: str = "") -> str:
        return f"quarantine/{self.archive_id}/{arrival}{'-' + part if part else ''}"

    def trash_key(self, key: str) -> str:
        return f"trash/{self.archive_id}/{key}"

    def spill_key(self, arrival: str, part: str) -> str:
        """A large member of a bundle, while it is being taken in."""
        return f"spill/{self.archive_id}/{arrival}-{part}"

    def upload_key(self, arrival: str) -> str:
        """Key, in the inbox, of a granted upload."""
        return f"{self.archive_id}/uploads/{arrival}"

    @property
    def inbox_prefix(self) -> str:
        return f"{self.archive_id}/"

    def boundary(self, study: Uid) -> str:
        from maypacs.pack.grammar import boundary

        return boundary(self.pack_secret, self.archive_id, study)

    # Packs and sidecars.
    def get_sidecar(self, study: Uid, series: Uid, pack_id: str) -> bytes:
        """The gzip member as stored."""
        return self.objects.get(self.sidecar_key(study, series, pack_id))

    def get_range(self, study: Uid, series: Uid, pack_id: str, offset: int, length: int) -> bytes:
        return self.objects.get(self.pack_key(study, series, pack_id), offset=offset, length=length)

    def get_table(self, study: Uid, series: Uid, pack_id: str) -> bytes:
        """The encoded instance table of a pack whose row does not hold it."""
        from maypacs.archive import sidecar

        table = sidecar.table_of(self.objects.get(self.sidecar_key(study, series, pack_id), length=65_536 + 12))
        return table if table is not None else self.objects.get(self.table_key(study, series, pack_id))

    def packs(self, study: Uid | None = None) -> Iterator[PackLocation]:
        """Every pack that exists as an object, in key order."""
        prefix = f"blobs/packs/{self.archive_id}/" + (f"{study}/" if study else "")
        for head in self.objects.list(prefix):
            yield self.locate(head.key)

    @staticmethod
    def locate(key: str) -> PackLocation:
        """The pack of a key below ``blobs/packs/`` or ``meta/``."""
        *_, study, series, name = key.split("/")
        return PackLocation(Uid(study), Uid(series), name.split(".")[0])

    # Decisions.
    def put_decision(self, name: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """Writes the decision unless there is one of that name; returns the one that holds (the first writer's)."""
        key = self.decision_key(name)
        try:
            self.objects.put(
                key,
                orjson.dumps(document, option=orjson.OPT_SORT_KEYS),
                content_type="application/json",
                only_if_absent=True,
            )
        except PreconditionFailedError:
            held: Mapping[str, Any] = orjson.loads(self.objects.get(key))
            return held
        return document

    def get_decision(self, name: str) -> Mapping[str, Any]:
        document: Mapping[str, Any] = orjson.loads(self.objects.get(self.decision_key(name)))
        return document

    def decisions(self, names: str = "") -> Iterator[Mapping[str, Any]]:
        """All of them, or those whose names begin so, in the order of their names."""
        for head in self.objects.list(f"decisions/{self.archive_id}/{names}"):
            yield orjson.loads(self.objects.get(head.key))

    # Quarantine and trash.
    def quarantine(self, arrival: str, body: bytes, reason: Mapping[str, Any], part: str = "") -> None:
        key = self.quarantine_key(arrival, part)
        self.objects.put(key, body)
        self._put_reason(key, reason)

    def quarantine_inbox_object(self, arrival: str, inbox_key: str, reason: Mapping[str, Any]) -> None:
        """By server-side copy: whatever it is, it is not read."""
        self._quarantine(CopyRange(inbox_key, bucket=self.inbox.bucket), self.quarantine_key(arrival), reason)

    def quarantine_object(self, arrival: str, key: str, reason: Mapping[str, Any], part: str) -> None:
        self._quarantine(CopyRange(key), self.quarantine_key(arrival, part), reason)

    def _quarantine(self, source: CopyRange, key: str, reason: Mapping[str, Any]) -> None:
        self.objects.copy(source, key, content_type="application/octet-stream", metadata={})
        self._put_reason(key, reason)

    def _put_reason(self, key: str, reason: Mapping[str, Any]) -> None:
        self.objects.put(f"{key}.reason.json", orjson.dumps(reason), content_type="application/json")

    def move_to_trash(self, key: str, *, unless_after: str | None = None) -> None:
        """Idempotent: what is gone was moved before. A pack that arrived anew, after that arrival, stays."""
        try:
            head = self.objects.head(key)
            if unless_after is not None and head.metadata.get("arrival", "") > unless_after:
                return
            self.objects.copy(
                CopyRange(key), self.trash_key(key), content_type=head.content_type, metadata=head.metadata
            )
        except ObjectNotFoundError:
            return
        self.objects.delete(key)

    def objects_of(self, study: Uid, series: Uid | None = None) -> Iterator[ObjectHead]:
        """Packs, sidecars and thumbnails of a study, or of one of its series."""
        below = f"{self.archive_id}/{study}/" + (f"{series}/" if series else "")
        for root in ("blobs/packs", "meta"):
            yield from self.objects.list(f"{root}/{below}")
        thumbnails = self.thumbnail_key(study, series) if series else f"blobs/thumbs/{below}"
        yield from self.objects.list(thumbnails)

    def trashed_packs(self, study: Uid, series: Uid | None = None) -> Iterator[ObjectHead]:
        """Packs of a study, or of one of its series, that lie in the trash."""
        below = f"{self.archive_id}/{study}/" + (f"{series}/" if series else "")
        yield from self.objects.list(self.trash_key(f"blobs/packs/{below}"))
