"""Which instances a request of WADO-RS is about, and the reading of their bytes.

A resource is a study, a series of it or one instance of it; what is not under the study asked for is not found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from maypacs.errors import NotFoundError, TooLargeError
from maypacs.index.contents import InstanceRef, SeriesContents, series_contents, study_contents
from maypacs.uids import Uid
from maypacs.workspace import Workspace

#: An instance above this is never read as a whole: frames of it are, by range.
WHOLE_LIMIT = 256 << 20
#: What is before the pixel data, or after them, and is more than this is no header.
MAX_HEADER = 64 << 20


@dataclass(frozen=True, slots=True)
class Selection:
    series: tuple[SeriesContents, ...]
    instances: tuple[InstanceRef, ...]
    whole: bool  #: all that is in these series, not one instance of one

    @property
    def content(self) -> str:
        """Changes when the instances change, not when they are put into other packs."""
        state = ":".join(f"{each.summary.series_instance_uid} {each.content}" for each in self.series)
        one = "" if self.whole else f"{self.instances[0].sop_instance_uid} {self.instances[0].digest.hex()}"
        return hashlib.sha256(f"{state}\n{one}".encode()).hexdigest()[:32]

    @property
    def version(self) -> str:
        """Changes when what is selected changes; equal content deleted and stored again has the same."""
        state = hashlib.sha256()
        for series in self.series:
            state.update(series.summary.series_instance_uid.encode() + series.version.encode())
            state.update("".join(sorted(pack.pack_id for pack in series.packs)).encode())
        if not self.whole:
            state.update(self.instances[0].sop_instance_uid.encode() + self.instances[0].digest)
        return state.hexdigest()[:32]


def select(
    workspace: Workspace,
    study: Uid,
    series: Uid | None = None,
    instance: Uid | None = None,
    version: str | None = None,
) -> Selection:
    """``version``: of an instance, by its digest (hex), also one that is not current.

    Raises NotFoundError, GoneError.
    """
    if series is None:
        contents = study_contents(workspace, study).series
        return Selection(contents, tuple(ref for each in contents for ref in each.instances), True)
    found = series_contents(workspace, study, series)
    if instance is None:
        return Selection((found,), found.instances, True)
    if version is not None:
        return Selection((found,), (found.version_of(instance, version),), False)
    return Selection((found,), (found.instance(instance),), False)


def read_instance(workspace: Workspace, ref: InstanceRef) -> bytes:
    """The Part 10 file. Raises TooLargeError above `WHOLE_LIMIT`."""
    if ref.length > WHOLE_LIMIT:
        raise TooLargeError("the instance is too large to be read as a whole: ask for its frames")
    return read_range(workspace, ref, 0, ref.length)


def read_range(workspace: Workspace, ref: InstanceRef, offset: int, length: int) -> bytes:
    """Bytes [offset, offset + length) of the Part 10 file."""
    return workspace.store.get_range(
        ref.study_instance_uid, ref.series_instance_uid, ref.pack_id, ref.offset + offset, length
    )


def pack_key(workspace: Workspace, ref: InstanceRef) -> str:
    return workspace.store.pack_key(ref.study_instance_uid, ref.series_instance_uid, ref.pack_id)


def first_of(instances: Sequence[InstanceRef]) -> InstanceRef:
    if not instances:
        raise NotFoundError("nothing of that is here")
    return instances[0]
