"""Which route a path belongs to."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maypacs.http.routing import Routes

ROUTES = Routes(["/api/a", "/api/a/{id}", "/api/a/{id}/uploads/{arrival}", "/api/a/{id}/uploads/status", "/api/a.b"])


@pytest.mark.parametrize(
    ("path", "template", "parameters"),
    [
        ("/api/a", "/api/a", {}),
        ("/api/a/", "/api/a", {}),
        ("/api/a/x", "/api/a/{id}", {"id": "x"}),
        ("/api/a/x%2Fy", "/api/a/{id}", {"id": "x/y"}),
        ("/api/a/x/uploads/status", "/api/a/{id}/uploads/status", {"id": "x"}),
        ("/api/a/x/uploads/1", "/api/a/{id}/uploads/{arrival}", {"id": "x", "arrival": "1"}),
    ],
)
def test_a_path_finds_its_template_and_literals_win(path: str, template: str, parameters: dict[str, str]) -> None:
    """Percent-decoded once; a slash at the end is forgiven."""
    found = ROUTES.match(path)
    assert found is not None
    assert (found.template, dict(found.parameters)) == (template, parameters)


@pytest.mark.parametrize(
    "path", ["", "/", "/api", "/api/aXb", "/api/a//uploads/1", "/api/a/x/uploads", "/x/api/a", "/api/a\n"]
)
def test_what_is_no_route_is_none(path: str) -> None:
    """Dots are dots, and an empty segment is no value."""
    assert ROUTES.match(path) is None


@given(st.text(min_size=1, max_size=20))
def test_a_parameter_is_what_was_encoded_and_never_spans_segments(value: str) -> None:
    """Whatever a client puts into it."""
    found = ROUTES.match(f"/api/a/{quote(value, safe='')}/uploads/1")
    assert found is not None
    assert found.parameters == {"id": value, "arrival": "1"}
