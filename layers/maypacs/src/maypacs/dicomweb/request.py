"""One DICOMweb request as the use cases see it: no framework, no event, no credential.

Path parameters are UIDs from the wire: they become `Uid` here or the request is a bad one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from maypacs.errors import BadRequestError, NotAcceptableError
from maypacs.http.media_types import MediaType, parse_accept
from maypacs.settings import Settings
from maypacs.uids import Uid, uid
from maypacs.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Request:
    workspace: Workspace
    settings: Settings
    sign: Callable[[str], str]  #: key of an object below blobs/ to a signed path on our origin
    root: str  #: absolute URL of the archive's DICOMweb root, or a path when our own name is unknown
    principal: str = ""  #: for decisions: who it was, never a patient's data
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Sequence[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)  #: names in lower case
    body: bytes | memoryview = b""  #: a large one is a file that is mapped: take windows of it, no copy

    @property
    def study(self) -> Uid:
        return uid(self.path["study"])

    @property
    def series(self) -> Uid:
        return uid(self.path["series"])

    @property
    def instance(self) -> Uid:
        return uid(self.path["instance"])

    @property
    def version(self) -> str | None:
        """The digest of a version of the instance, where the path names one."""
        return self.path.get("version")

    @property
    def has(self) -> frozenset[str]:
        """Which levels the path names: study, series, instance."""
        return frozenset(self.path)

    @property
    def accept(self) -> tuple[MediaType, ...]:
        """Best first. Raises BadRequestError, and NotAcceptableError for nothing at all when the setting is strict."""
        header, query = self.headers.get("accept"), tuple(self.query.get("accept", ()))
        if self.settings.strict_accept and not any(text.strip() for text in (header or "", *query)):
            raise NotAcceptableError("this archive needs an Accept header (PS3.18 8.7.5); */* is one")
        return _accepted(header, query)

    @property
    def if_none_match(self) -> str | None:
        return self.headers.get("if-none-match")

    def parameter(self, name: str) -> str | None:
        """A query parameter that may be given once. Raises BadRequestError when it is given twice."""
        values = self.query.get(name, ())
        if len(values) > 1:
            raise BadRequestError(f"the parameter {name} is given twice")
        return values[0] if values else None


@functools.lru_cache(maxsize=128)
def _accepted(header: str | None, query: tuple[str, ...]) -> tuple[MediaType, ...]:
    """A viewer says the same with every frame."""
    return parse_accept(header, query)
