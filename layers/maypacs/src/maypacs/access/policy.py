"""The one place that decides: (principal, action, archive, study?).

| role        | search, read | store, monitor | delete, decide | erase  | manage | operate |
|-------------|--------------|----------------|----------------|--------|--------|---------|
| viewer      | yes          |                |                |        |        |         |
| technician  | yes          | yes            |                |        |        |         |
| radiologist | yes          | yes            |                |        |        |         |
| admin       | yes          | yes            | yes            | people | yes    |         |
| operator    | yes          | yes            | yes            | people | yes    | yes     |

An edge is a technician of its archive. A role holds for every study of the archive. What cannot be undone is decided by
a person: an API key never erases.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from maypacs.access.principals import Action, Principal, Role
from maypacs.uids import ArchiveId, Uid

_SEE = frozenset({Action.SEARCH, Action.READ})
_CONTRIBUTE = _SEE | {Action.STORE, Action.MONITOR}
_ADMINISTER = _CONTRIBUTE | {Action.DELETE, Action.DECIDE, Action.ERASE, Action.MANAGE}

ALLOWED: Mapping[Role, frozenset[Action]] = {
    Role.VIEWER: _SEE,
    Role.TECHNICIAN: _CONTRIBUTE,
    Role.RADIOLOGIST: _CONTRIBUTE,
    Role.ADMIN: _ADMINISTER,
    Role.OPERATOR: _ADMINISTER | {Action.OPERATE},
}


class Decision(Enum):
    ALLOWED = "allowed"
    FORBIDDEN = "forbidden"  #: a member of the archive whose role is too small: may be told so
    OUTSIDER = "outsider"  #: must not learn whether the archive exists


def decide(principal: Principal, action: Action, archive_id: ArchiveId, study: Uid | None = None) -> Decision:
    """``study`` is None for what concerns the whole archive. Grants of single studies will be decided here too."""
    del study  # every role of today covers all studies of its archive
    role = principal.role_in(archive_id)
    if role is None:
        return Decision.OUTSIDER
    if action is Action.ERASE and principal.kind != "user":
        return Decision.FORBIDDEN
    return Decision.ALLOWED if action in ALLOWED[role] else Decision.FORBIDDEN


def actions_in(principal: Principal, archive_id: ArchiveId) -> tuple[Action, ...]:
    """What a principal may do in an archive, in the order of the enum; for the dashboard's buttons."""
    return tuple(a for a in Action if decide(principal, a, archive_id) is Decision.ALLOWED)
