"""A request to the console, and what every use case asks of it: who, which archive, which members of the body."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from maypacs.access.principals import Action, Principal
from maypacs.errors import BadRequestError
from maypacs.runtime import Runtime
from maypacs.uids import ArchiveId, Uid
from maypacs.workspace import Workspace

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    runtime: Runtime
    headers: Mapping[str, str]
    address: str  #: the client's, for lockouts
    parameters: Mapping[str, str]  #: of the path
    query: Mapping[str, str]
    body: Mapping[str, Any]

    # Who, and where

    def caller(self) -> Principal:
        """Raises UnauthenticatedError."""
        return self.runtime.gatekeeper.authenticate(self.headers, self.address)

    def open(self, action: Action, study: Uid | None = None) -> tuple[Principal, Workspace]:
        """The caller and the archive of the path. Raises UnauthenticatedError, ForbiddenError, NotFoundError."""
        principal = self.caller()
        workspace = self.runtime.gatekeeper.workspace(principal, action, self.parameters["archive"], study)
        return principal, workspace

    def manage(self, detail: str = "") -> tuple[Principal, ArchiveId]:
        """The caller, who may manage the archive of the path; it is recorded with ``detail``."""
        principal, workspace = self.open(Action.MANAGE)
        self.runtime.gatekeeper.audit.record(principal, Action.MANAGE, workspace.archive_id, detail=detail)
        return principal, workspace.archive_id

    # Members of the body; each raises BadRequestError that names the member, never its value

    def text(self, name: str, default: str | None = None) -> str:
        value = self.body.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            raise BadRequestError(f"{name}: a text is needed")
        return value

    def optional_text(self, name: str) -> str | None:
        return None if self.body.get(name) is None else self.text(name)

    def integer(self, name: str) -> int:
        value = self.body.get(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise BadRequestError(f"{name}: a whole number is needed")
        return value

    def entries(self, name: str, *, at_most: int) -> list[Any]:
        value = self.body.get(name)
        if not isinstance(value, list) or not 1 <= len(value) <= at_most:
            raise BadRequestError(f"{name}: a list of 1 to {at_most} is needed")
        return value

    def texts(self, name: str, *, at_most: int) -> list[str]:
        value = self.body.get(name)
        if not isinstance(value, list) or len(value) > at_most or not all(isinstance(v, str) for v in value):
            raise BadRequestError(f"{name}: a list of up to {at_most} texts is needed")
        return value


def parse_body(raw: bytes) -> Mapping[str, Any]:
    """The JSON object of a body; an empty body is an empty object. Raises BadRequestError."""
    try:
        document = json.loads(raw or b"{}")
    except (ValueError, RecursionError):
        raise BadRequestError("the body is not JSON") from None
    if not isinstance(document, dict):
        raise BadRequestError("the body must be a JSON object")
    return document
