"""`maypacs import`: files and folders of this machine into an archive, through the inbox, as every upload goes.

Files of a folder are sent together, as tars of up to 64 MiB: ingest makes packs by series of what comes together, and
a pack a file would be slow to read for ever. Bundles (zip, tar, tgz) and larger files go as they are. Keys and members
have numbers for names: a file's name may be a patient's. With the node stopped, this process takes the files in.
"""

from __future__ import annotations

import os
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from maypacs import arrivals
from maypacs.access import accounts
from maypacs.ingest import ingest_object
from maypacs.receipts import Receipt, read_receipt
from maypacs_node import notifications
from maypacs_node.admin import object_store, runtime
from maypacs_node.home import Home, NodeError

if TYPE_CHECKING:
    from maypacs.workspace import Workspace

LOT_BYTES = 64 * 1024 * 1024
LOT_FILES = 1_000
POLL_SECONDS = 0.5
_BUNDLES = (".zip", ".tar", ".tgz", ".tar.gz")


@dataclass(slots=True)
class Report:
    """What became of the files."""

    counts: Counter[str] = field(default_factory=Counter)  #: instances, by result
    failures: list[tuple[Path, str]] = field(default_factory=list)  #: with the reason's code
    left_out: list[Path] = field(default_factory=list)  #: neither DICOM nor an archive of files

    @property
    def complete(self) -> bool:
        return not self.failures


@dataclass(frozen=True, slots=True)
class Lot:
    """What is sent as one upload."""

    files: tuple[Path, ...]
    as_it_is: bool  #: one file, not in a tar of ours


def is_dicom(path: Path) -> bool:
    """By its first bytes: Part 10, or a data set that begins with group 0002 or 0008 of either byte order."""
    with path.open("rb") as file:
        first = file.read(132)
    return first[128:] == b"DICM" or first[:2] in (b"\x02\x00", b"\x08\x00", b"\x00\x02", b"\x00\x08")


def find(paths: Iterable[Path], report: Report) -> Iterator[Path]:
    """Files to send, in the order of their names, folder by folder. Raises NodeError when a path is not there."""
    for path in paths:
        if not path.exists():
            raise NodeError(f"there is no {path}")
        # Links to folders are not followed, so there is no circle.
        found = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
        for file in found:
            if file.name == "DICOMDIR":
                continue
            try:
                wanted = file.name.lower().endswith(_BUNDLES) or is_dicom(file)
            except OSError as error:
                report.failures.append((file, error.strerror or "cannot be read"))
                continue
            if wanted:
                yield file
            else:
                report.left_out.append(file)


def lots(files: Iterable[Path]) -> Iterator[Lot]:
    lot: list[Path] = []
    size = 0
    for file in files:
        length = file.stat().st_size
        if length > LOT_BYTES or file.name.lower().endswith(_BUNDLES):
            yield Lot((file,), as_it_is=True)
            continue
        if lot and (size + length > LOT_BYTES or len(lot) >= LOT_FILES):
            yield Lot(tuple(lot), as_it_is=False)
            lot, size = [], 0
        lot.append(file)
        size += length
    if lot:
        yield Lot(tuple(lot), as_it_is=len(lot) == 1)


@contextmanager
def opened(lot: Lot) -> Iterator[IO[bytes]]:
    """The bytes of an upload."""
    if lot.as_it_is:
        with lot.files[0].open("rb") as file:
            yield file
        return
    with tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as bundle:
            for number, path in enumerate(lot.files, 1):
                with path.open("rb") as source:
                    member = tarfile.TarInfo(str(number))
                    member.size = os.fstat(source.fileno()).st_size
                    bundle.addfile(member, source)
        file.seek(0)
        yield file


def import_paths(home: Home, archive: str, paths: Iterable[Path], say: Callable[[str], None]) -> Report:
    """Returns when all of it was taken in. Raises NodeError, NotFoundError (no such archive), StorageError."""
    running = home.is_locked()
    with object_store(home) as store:
        built = runtime(home, store)
        workspace = built.unscoped_workspace(accounts.get_archive(built.accounts, archive).archive_id)
        if not running:
            notifications.hook_boto(home.thumbnail_queue, wake=str(home.run / "chores.sock"))
        report = Report()
        waiting: dict[str, Lot] = {}
        for lot in lots(find(paths, report)):
            arrival = arrivals.new_arrival()
            key = workspace.store.upload_key(arrival)
            with opened(lot) as body:
                workspace.store.inbox.put(key, body)  # type: ignore[arg-type]
            waiting[arrival] = lot
            if not running:
                ingest_object(workspace, key)
            _take_receipts(workspace, waiting, report)
            say(f"{sum(report.counts.values())} images taken in")
        while waiting:
            _take_receipts(workspace, waiting, report)
            if waiting:
                if running and not home.is_locked():
                    raise NodeError("the node was stopped; it takes the rest in when it starts again")
                time.sleep(POLL_SECONDS)
        return report


def _take_receipts(workspace: Workspace, waiting: dict[str, Lot], report: Report) -> None:
    for arrival in list(waiting):
        receipt = read_receipt(workspace.table, workspace.archive_id, arrival)
        if receipt is not None:
            _count(receipt, waiting.pop(arrival), report)


def _count(receipt: Receipt, lot: Lot, report: Report) -> None:
    report.counts.update(receipt.counts)
    for _, reason, part in receipt.failures:
        path = lot.files[0]
        if not lot.as_it_is:
            with suppress(ValueError, IndexError):
                path = lot.files[int(part) - 1]
        report.failures.append((path, reason))


def summary(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {result}" for result, count in sorted(counts.items())) or "nothing to take in"
