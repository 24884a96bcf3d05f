"""Which instances go into which pack, and when a pack is closed. Pure: the time comes in by argument.

A pack holds one series, at most 64 MiB and 1,000 instances (protocols: pack grammar). It is closed by size, by count,
by a quiet time, by age, or at once when the last association that sent to it ends: but a modality that makes one image
a minute, each in an association of its own (ultrasound), has a quiet time that outlasts them. An instance that is too
large to be answered inline is a pack of its own, so that the cloud can redirect to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from edge_forwarder.config import MIB, PackingConfig
from edge_forwarder.dicom.peek import Identity

#: The largest answer of an API gateway (bytes): a larger instance is served by redirect, which needs a pack of its own.
INLINE_LIMIT: Final = 4_400_000
#: At most this much of a pack is delimiter and part headers, for each part (bytes).
PART_OVERHEAD: Final = 600


@dataclass(frozen=True, slots=True)
class Limits:
    """When a pack is closed; bytes, counts and seconds."""

    max_bytes: int = 64 * MIB
    max_instances: int = 1000
    single_bytes: int = INLINE_LIMIT
    max_open: int = 256
    quiet: float = 5.0
    quiet_by_modality: Mapping[str, float] = field(default_factory=dict)
    """Modalities whose packs stay open so long after the last image, whether associations end or not."""
    longest: float = 300.0
    """No pack is open for longer, however its images come."""

    @classmethod
    def of(cls, config: PackingConfig) -> Limits:
        return cls(
            max_bytes=config.max_mib * MIB,
            max_instances=config.max_instances,
            max_open=config.max_open,
            quiet=config.quiet_seconds,
            quiet_by_modality=config.quiet_seconds_by_modality,
            longest=config.longest_seconds,
        )


@dataclass(frozen=True, slots=True)
class Received:
    """One spooled instance, identified; ``association`` is the number of the association it came by, if that is
    still open; ``stat``: its pack waits for nothing.
    """

    name: str
    size: int
    identity: Identity
    association: int | None = None
    stat: bool = False


@dataclass(frozen=True, slots=True)
class ClosedPack:
    """The instances of one pack, in the order of their parts: by InstanceNumber, then SOPInstanceUID."""

    members: tuple[Received, ...]

    @property
    def study_instance_uid(self) -> str:
        return self.members[0].identity.study_instance_uid

    @property
    def series_instance_uid(self) -> str:
        return self.members[0].identity.series_instance_uid

    @property
    def modality(self) -> str:
        return self.members[0].identity.modality

    @property
    def stat(self) -> bool:
        return any(member.stat for member in self.members)


@dataclass(slots=True)
class _OpenPack:
    modality: str
    first: float
    members: dict[str, Received] = field(default_factory=dict)
    """By SOPInstanceUID: a pack never holds one twice."""
    stat: bool = False
    size: int = 0
    last: float = 0.0
    associations: set[int] = field(default_factory=set)

    def close(self) -> ClosedPack:
        by_number = sorted(
            self.members.values(), key=lambda r: (r.identity.instance_number, r.identity.sop_instance_uid)
        )
        return ClosedPack(tuple(by_number))


class Planner:
    """The open packs. Every call returns or yields the packs it closes. One thread calls it; only `configure` may come
    from another.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open: dict[tuple[str, str], _OpenPack] = {}

    def configure(self, limits: Limits) -> None:
        """Other limits, from the next instance on; what is open is measured by them when it is looked at."""
        self._limits = limits

    @property
    def open_count(self) -> int:
        return len(self._open)

    def add(self, received: Received, now: float) -> list[ClosedPack]:
        """Take one instance in; ``now`` in seconds of a clock that never goes back."""
        limits, identity = self._limits, received.identity
        if received.size > min(limits.single_bytes, limits.max_bytes - PART_OVERHEAD):
            return [ClosedPack((received,))]
        key = (identity.study_instance_uid, identity.series_instance_uid)
        size = received.size + PART_OVERHEAD
        closed: list[ClosedPack] = []
        pack = self._open.get(key)
        if pack and (pack.size + size > limits.max_bytes or identity.sop_instance_uid in pack.members):
            closed.append(self._open.pop(key).close())
            pack = None
        if pack is None:
            if len(self._open) >= limits.max_open:
                closed.append(self._open.pop(min(self._open, key=lambda k: self._open[k].last)).close())
            pack = self._open[key] = _OpenPack(identity.modality, now)
        pack.members[identity.sop_instance_uid] = received
        pack.size += size
        pack.last = now
        pack.stat |= received.stat
        if received.association is not None:
            pack.associations.add(received.association)
        if len(pack.members) >= limits.max_instances:
            closed.append(self._open.pop(key).close())
        return closed

    def association_ended(self, association: int) -> list[ClosedPack]:
        """Close at once what this association sent, unless another that is still open sent to it too, or its modality
        goes on in the next one.
        """
        ended = [key for key, pack in self._open.items() if association in pack.associations]
        for key in ended:
            self._open[key].associations.discard(association)
        return [
            self._open.pop(key).close()
            for key in ended
            if not self._open[key].associations and not self._lingers(self._open[key])
        ]

    def due(self, now: float) -> Iterator[ClosedPack]:
        """Close what has been quiet for long enough."""
        for key in [k for k, pack in self._open.items() if now >= self._due_at(pack)]:
            yield self._open.pop(key).close()

    def close_all(self) -> Iterator[ClosedPack]:
        while self._open:
            yield self._open.popitem()[1].close()

    def clear(self) -> None:
        """Forget the open packs: somebody will add their instances again."""
        self._open.clear()

    def next_due(self) -> float | None:
        """When `due` will next have something; None if nothing is open."""
        return min((self._due_at(pack) for pack in self._open.values()), default=None)

    def _lingers(self, pack: _OpenPack) -> bool:
        return pack.modality in self._limits.quiet_by_modality and not pack.stat

    def _due_at(self, pack: _OpenPack) -> float:
        limits = self._limits
        quiet = limits.quiet_by_modality[pack.modality] if self._lingers(pack) else limits.quiet
        return min(pack.last + quiet, pack.first + limits.longest)
