"""Which route a path belongs to: for a framework that leaves that to API Gateway, and for tests of both apps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote


@dataclass(frozen=True, slots=True)
class RouteMatch:
    template: str  #: as declared: /archives/{archive}
    parameters: Mapping[str, str]  #: percent-decoded


class Routes:
    """Templates with ``{name}`` segments. Literal segments win over parameters; one segment never spans a slash."""

    def __init__(self, templates: Iterable[str]) -> None:
        ordered = sorted(templates, key=lambda t: [part.startswith("{") for part in t.split("/")])
        self._patterns = [(template, _pattern(template)) for template in ordered]

    def match(self, path: str) -> RouteMatch | None:
        for template, pattern in self._patterns:
            found = pattern.match(path)
            if found:
                return RouteMatch(template, {name: unquote(value) for name, value in found.groupdict().items()})
        return None


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"(\{[^}]+\})", template)
    return re.compile("".join(f"(?P<{p[1:-1]}>[^/]+)" if p.startswith("{") else re.escape(p) for p in parts) + r"/?\Z")
