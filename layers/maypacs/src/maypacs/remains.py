"""What is left of something that is to be erased: every version of every object that may hold it.

Of a study or a series all that lies below its keys; of an instance what is found to hold it by its content: packs by
their Content-Locations, sidecars and tables by their entries. What is in quarantine is searched for the UID.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from maypacs import arrivals, bundles, incoming
from maypacs.archive import sidecar
from maypacs.archive.objects import ObjectVersion
from maypacs.archive.store import ArchiveStore
from maypacs.errors import ObjectNotFoundError, PackError
from maypacs.incoming import Incoming
from maypacs.index.rows import pack_head_sk, study_pk
from maypacs.pack import grammar, instance_table
from maypacs.uids import Uid
from maypacs.workspace import Workspace

_LOCATIONS = re.compile(rb"\r\nContent-Location: [!-~]{1,300}/instances/([0-9.]{1,64})\r\n\r\n")
#: A pack that no row tells of: its delivery has ended by then, one way or the other.
ORPHAN_AGE = timedelta(hours=1)
_CHUNK = 1 << 20
#: A bundle that nobody reads by range any more (it is no current object) is searched up to this size.
_BUNDLE_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Target:
    study: Uid
    series: Uid | None
    instance: Uid | None

    @property
    def below(self) -> str:
        """Of the keys of its packs, after the archive's id."""
        return f"{self.study}/{self.series}/" if self.series else f"{self.study}/"

    def mention(self) -> re.Pattern[bytes]:
        """Its UID, and not the beginning of another one."""
        narrowest = self.instance or self.series or self.study
        return re.compile(rb"(?<![0-9.])" + re.escape(narrowest.encode()) + rb"(?![0-9.])")

    def is_of(self, read: Incoming) -> bool:
        return (
            read.study == self.study and self.series in (None, read.series) and (self.instance in (None, read.instance))
        )


@dataclass(frozen=True, slots=True)
class Remain:
    """A version that goes. ``others``: it is in the trash, and holds something else that stays there."""

    version: ObjectVersion
    sha256: str = ""  #: of its bytes; "" of a mark, and of what is larger than a pack
    instances: tuple[str, ...] = ()  #: SOP Instance UIDs that a pack has, of those that go
    others: bool = False


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why it cannot all go now."""

    why: str  #: delivery, inbox, quarantine
    key: str


def remains(workspace: Workspace, target: Target, now: datetime) -> Iterator[Remain | Obstacle]:
    """Packs of the trash first: what they hold beside is kept with the help of their sidecars."""
    store = workspace.store
    trash = store.trash_key("")
    roots = [f"{trash}blobs/packs", f"{trash}meta", "blobs/packs", "meta"]
    for root in roots:
        for version in _versions(store, f"{root}/{store.archive_id}/{target.below}"):
            yield from _of_pack(workspace, target, version, now)
    for root in (f"{trash}blobs/thumbs", "blobs/thumbs"):
        for version in _versions(store, f"{root}/{store.archive_id}/{target.study}/"):
            name = version.key.rpartition("/")[2]
            if target.series is None or name == f"{target.series}.jpg":
                yield from _derived(store, version, is_kept=root == "blobs/thumbs")
    for version in _versions(store, store.export_key(f"{target.study}/")):
        yield from _derived(store, version, is_kept=True)
    for version in _versions(store, store.export_key("quarantine/")):  # downloads, of whatever
        yield from _derived(store, version, is_kept=False)
    yield from _in_quarantine(store, target)
    for version in _versions(store, store.spill_key("", "").removesuffix("-")):
        if target.mention().search(_bytes(store, version, _CHUNK)):
            yield Obstacle("delivery", version.key) if version.is_latest else Remain(version)


def waiting_since(store: ArchiveStore, before: datetime) -> Iterator[Obstacle]:
    """What was uploaded before and is not taken in yet: it may be anything."""
    for head in store.inbox.list(store.inbox_prefix):
        if head.last_modified <= before:
            yield Obstacle("inbox", head.key)


def unsearchable(store: ArchiveStore) -> list[str]:
    """Keys in quarantine that nobody can look into: encrypted, damaged."""
    found = []
    for version in store.objects.versions(store.quarantine_key("")):
        if not version.is_marker and arrivals.kind_of(_bytes(store, version, arrivals.SNIFF)) in ("zip", "tar"):
            try:
                _bundled(store, version, re.compile(rb"(?!)"))
            except bundles.BundleError:
                found.append(version.key)
    return sorted(set(found))


def _versions(store: ArchiveStore, prefix: str) -> Iterator[ObjectVersion]:
    """What is not gone already; marks of deletions only where nothing else of the object is left."""
    listed = list(store.objects.versions(prefix))
    real = {version.key for version in listed if not version.is_marker}
    return (version for version in listed if not version.is_marker or version.key not in real)


def _of_pack(
    workspace: Workspace, target: Target, version: ObjectVersion, now: datetime
) -> Iterator[Remain | Obstacle]:
    """A pack, a sidecar or a table; of what is not in the trash, the current one only when it is nobody's."""
    store = workspace.store
    if version.is_marker:
        yield Remain(version)
        return
    try:
        body = _bytes(store, version, None if version.size <= grammar.MAX_BYTES else 1024)
    except ObjectNotFoundError:  # gone since it was listed
        return
    digest = hashlib.sha256(body).hexdigest() if len(body) == version.size else ""
    held = _instances(version.key, body)
    gone = tuple(uid for uid in held if target.instance in (None, uid))
    if target.instance and not gone:
        return
    in_trash = version.key.startswith("trash/")
    if version.is_latest and not in_trash and not _is_orphan(workspace, target, version, now):
        yield Obstacle("delivery", version.key)
        return
    is_pack = "blobs/packs/" in version.key
    yield Remain(version, digest, gone if is_pack else (), in_trash and is_pack and len(gone) < len(held))


def _is_orphan(workspace: Workspace, target: Target, version: ObjectVersion, now: datetime) -> bool:
    """Of a delivery that ended before its rows: what else it holds is still in the inbox, or in quarantine."""
    if target.instance is None or now - version.last_modified < ORPHAN_AGE:
        return False  # what is wholly removed is taken by `delete.sweep`
    place = workspace.store.locate(version.key)
    sk = pack_head_sk(place.series, place.pack_id)
    return workspace.table.get(study_pk(workspace.archive_id, place.study), sk) is None


def _instances(key: str, body: bytes) -> list[str]:
    """SOP Instance UIDs of a pack, a sidecar or a table, in order."""
    try:
        if key.endswith(".json.gz"):
            datasets = sidecar.decode(body).datasets
            return [str((each.get("00080018", {}).get("Value") or [""])[0]) for each in datasets]
        if key.endswith(".table"):
            return [row.sop_instance_uid for row in instance_table.decode(body)]
    except PackError:
        return []
    return [found.decode() for found in _LOCATIONS.findall(body)]


def _derived(store: ArchiveStore, version: ObjectVersion, *, is_kept: bool) -> Iterator[Remain]:
    """Thumbnails and exports, made of what there is: the current ones show what lives."""
    if version.is_latest and not version.is_marker and is_kept:
        return
    body = b"" if version.is_marker or version.size > grammar.MAX_BYTES else _bytes(store, version)
    yield Remain(version, hashlib.sha256(body).hexdigest() if body else "")


def _in_quarantine(store: ArchiveStore, target: Target) -> Iterator[Remain | Obstacle]:
    for version in _versions(store, store.quarantine_key("")):
        if version.is_marker or version.key.endswith(".reason.json"):
            continue
        data = _bytes(store, version, arrivals.SNIFF)
        alone = arrivals.kind_of(data) == "instance"
        try:
            found = _is_it(store, target, version) if alone else _bundled(store, version, target.mention())
        except bundles.BundleError:
            continue  # the proof names it: `unsearchable`
        if found and version.is_latest and not alone:
            yield Obstacle("quarantine", version.key)  # with others: for a person to redrive or discard
        elif found:
            yield Remain(version)
            for reason in store.objects.versions(f"{version.key}.reason.json"):
                yield Remain(reason)


def _is_it(store: ArchiveStore, target: Target, version: ObjectVersion) -> bool:
    """A single file: by its UIDs, or where they cannot be read, by the one that is looked for anywhere in it."""
    if version.size <= grammar.MAX_BYTES:
        read = incoming.read(_bytes(store, version))
        if isinstance(read, Incoming):
            return target.is_of(read)
    return _found(store.objects.stream(version.key, version_id=version.version_id), target.mention())


def _bundled(store: ArchiveStore, version: ObjectVersion, mention: re.Pattern[bytes]) -> bool:
    """Several files in one. Raises BundleError."""
    kind = arrivals.kind_of(_bytes(store, version, arrivals.SNIFF))
    if kind not in ("zip", "tar"):
        return _found(store.objects.stream(version.key, version_id=version.version_id), mention)
    if version.size > _BUNDLE_BYTES:
        raise bundles.BundleError("too-large")
    file = io.BytesIO(_bytes(store, version))
    found = False
    for member in bundles.members(kind, file, version.size):  # type: ignore[arg-type]
        if member.reason:
            raise bundles.BundleError(member.reason)
        found = _found(iter(lambda body=member.body: body.read(_CHUNK), b""), mention) or found  # type: ignore[misc]
    return found


def _found(chunks: Iterator[bytes], mention: re.Pattern[bytes]) -> bool:
    tail = b""
    for chunk in chunks:
        data = tail + chunk
        for match in mention.finditer(data):
            if match.end() < len(data):  # else the UID may go on in the next chunk
                return True
        tail = data[-80:]
    return bool(mention.search(tail))


def _bytes(store: ArchiveStore, version: ObjectVersion, length: int | None = None) -> bytes:
    stop = version.size if length is None else min(length, version.size)
    return b"".join(store.objects.stream(version.key, length=stop, version_id=version.version_id))
