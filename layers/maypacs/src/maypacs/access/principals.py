"""Who asks, as what, and for what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from maypacs.errors import BadRequestError
from maypacs.uids import ArchiveId


class Role(StrEnum):
    """What a principal is in one archive; OPERATOR is over all archives and belongs to users alone."""

    VIEWER = "viewer"
    TECHNICIAN = "technician"
    RADIOLOGIST = "radiologist"
    ADMIN = "admin"
    OPERATOR = "operator"


class Action(StrEnum):
    """What a principal wants to do to an archive, or to one study in it."""

    SEARCH = "search"  #: lists: studies, series, instances
    READ = "read"  #: metadata, pixels, thumbnails, bulk data
    STORE = "store"  #: STOW-RS, upload grants and their receipts
    DELETE = "delete"  #: into the trash, and out of it
    DECIDE = "decide"  #: reject and lift, hold and release, promote a version; what is in quarantine
    ERASE = "erase"  #: for good; people alone
    MONITOR = "monitor"  #: how edges and devices are: no patient's data
    MANAGE = "manage"  #: users, keys and edges of the archive, and its audit log
    OPERATE = "operate"  #: archives themselves; operators


PrincipalKind = Literal["user", "key", "edge"]


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller. Made by the gatekeeper alone."""

    kind: PrincipalKind
    id: str  #: user name, key id or edge id: never a secret, never a patient's data
    name: str = ""  #: for people
    roles: Mapping[ArchiveId, Role] = field(default_factory=dict)
    operator: bool = False

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"

    def role_in(self, archive_id: ArchiveId) -> Role | None:
        return self.roles.get(archive_id) or (Role.OPERATOR if self.operator else None)


def role(value: str) -> Role:
    """A role by its name. Raises BadRequestError."""
    try:
        return Role(value)
    except ValueError:
        raise BadRequestError(f"not a role: one of {', '.join(Role)} is needed") from None
