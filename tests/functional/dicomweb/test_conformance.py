"""docs/conformance.md is read literally: tests exist, routes are in rows, what is not built says so."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest
from tests.conftest import ROOT
from tests.functional.dicomweb import make
from tests.functional.dicomweb.client import Client

from maypacs.dicomweb.routes import ROUTES

STATEMENT = ROOT / "docs" / "conformance.md"


@dataclass(frozen=True)
class Row:
    id: str
    method: str
    template: str  #: without the query
    query: str
    headers: dict[str, str]
    status: str
    note: str


def _rows() -> list[Row]:
    found = []
    for line in STATEMENT.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 5 or not re.fullmatch(r"[A-Z][0-9]+", cells[0]):
            continue
        request, *headers = re.findall(r"`([^`]+)`", cells[1])
        method, _, target = request.partition(" ")
        template, question, query = target.partition("?")
        pairs = dict(header.split(": ", 1) for header in headers)
        found.append(Row(cells[0], method, template, question + query, pairs, cells[3], cells[4]))
    return found


ROWS = _rows()
NOT_YET = [row for row in ROWS if row.status == "not yet"]


def test_the_statement_has_rows_with_ids_of_their_own_and_known_statuses() -> None:
    """A table that lost its form would pass everything else."""
    assert len(ROWS) > 60
    assert len({row.id for row in ROWS}) == len(ROWS)
    assert {row.status for row in ROWS} == {"yes", "not yet", "deviation"}


@pytest.mark.parametrize("row", [r for r in ROWS if r.status != "not yet"], ids=lambda row: row.id)
def test_what_is_claimed_names_a_test_that_exists(row: Row) -> None:
    """tests/…::test_name, a function of that file."""
    found = re.fullmatch(r"`(tests/[\w/]+\.py)::(test_\w+)`", row.note)
    assert found, row.note
    assert re.search(rf"^def {found[2]}\(", (ROOT / found[1]).read_text(encoding="utf-8"), re.MULTILINE), row.note


def test_every_resource_and_method_of_the_handler_is_in_a_row() -> None:
    """And no row names a resource that is not there."""
    routes = {(method, template) for template, operations in ROUTES.items() for method in operations}
    named = {(row.method, row.template) for row in ROWS}
    assert routes - named == set()
    assert {pair for pair in named - routes if pair[0] != "OPTIONS"} == set()


@pytest.mark.parametrize("row", NOT_YET, ids=lambda row: row.id)
def test_what_is_not_built_says_so(client: Client, row: Row) -> None:
    """4xx or 501 with problem details, never something wrong; the status is the one of the row."""
    client.stow(make.instance())
    path = re.sub(r"\{([^}]+)\}", lambda found: make.IN_PATHS[found[1]], row.template)
    body = make.instance() if row.method == "POST" else b""
    reply = client.send(row.method, path + row.query, row.headers, body)
    assert reply.status == int(row.note)
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["detail"]
