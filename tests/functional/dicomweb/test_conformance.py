"""docs/conformance.md is read literally: tests exist, routes are in rows, what is not built says so."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass

import pytest
from tests.conftest import ROOT
from tests.functional.dicomweb import make
from tests.functional.dicomweb.client import Client

from maypacs.dicom import transfer_syntaxes
from maypacs.dicomweb.capabilities import openapi
from maypacs.dicomweb.routes import ROUTES
from maypacs.http.problems import TITLES

STATEMENT = ROOT / "docs" / "conformance.md"


@dataclass(frozen=True)
class Row:
    id: str
    method: str
    template: str  #: without the query
    query: str
    headers: dict[str, str]
    what: str
    status: str
    note: str

    @property
    def tests(self) -> list[str]:
        """`tests/…/test_x.py::test_a`, `::test_b`: the second is of the same file."""
        named: list[str] = []
        for found in re.findall(r"`([^`]+)`", self.note):
            file = found.partition("::")[0] or named[-1].partition("::")[0]
            named.append(f"{file}::{found.partition('::')[2]}")
        return named


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
        found.append(Row(cells[0], method, template, question + query, pairs, *cells[2:]))
    return found


ROWS = _rows()
NOT_YET = [row for row in ROWS if row.status == "not yet"]


def test_the_statement_has_rows_with_ids_of_their_own_and_known_statuses() -> None:
    """A table that lost its form would pass everything else."""
    assert len(ROWS) > 60
    assert len({row.id for row in ROWS}) == len(ROWS)
    assert {row.status for row in ROWS} == {"yes", "not yet", "deviation"}


#: What pytest makes of the files that are named: each test, and whether a mark keeps a case of it from running.
_COLLECT = """
import collections, json, sys
import pytest

class Found:
    def pytest_collection_finish(self, session):
        found = collections.defaultdict(bool)
        for item in session.items:
            marks = {mark.name for mark in item.iter_markers()}
            found[item.nodeid.partition("[")[0]] |= bool(marks & {"skip", "skipif", "xfail"})
        print("\\nFOUND", json.dumps(found))

sys.exit(pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", *sys.argv[1:]], plugins=[Found()]))
"""


@pytest.mark.timeout(400)  # it imports a third of the suite
def test_what_is_claimed_names_tests_that_exist_and_run() -> None:
    """By collection: a name that is none is found out, and so is a test (or a case of it) that is skipped."""
    claimed = [row for row in ROWS if row.status != "not yet"]
    for row in claimed:
        assert re.fullmatch(r"`tests/[\w/]+\.py::test_\w+`(, `(tests/[\w/]+\.py)?::test_\w+`)*", row.note), row
    files = sorted({test.partition("::")[0] for row in claimed for test in row.tests})
    done = subprocess.run([sys.executable, "-c", _COLLECT, *files], cwd=ROOT, capture_output=True, text=True)
    found = re.search(r"^FOUND (.*)$", done.stdout, re.MULTILINE)
    assert found, done.stdout[-2000:] + done.stderr[-2000:]
    skipped: dict[str, bool] = json.loads(found[1])
    assert {(row.id, test) for row in claimed for test in row.tests if test not in skipped} == set()
    assert {(row.id, test) for row in claimed for test in row.tests if skipped[test]} == set()


def test_every_resource_and_method_of_the_handler_is_in_a_row() -> None:
    """And no row names a resource that is not there."""
    routes = {(method, template) for template, operations in ROUTES.items() for method in operations}
    named = {(row.method, row.template) for row in ROWS}
    assert routes - named == set()
    assert {pair for pair in named - routes if pair[0] != "OPTIONS"} == set()


def test_the_status_codes_are_those_of_the_errors_and_of_the_description() -> None:
    """None is missing and none is made up; the words are those that a client reads. 502 is the gateway's."""
    listed = {int(row.id[1:]): row.what for row in ROWS if row.id.startswith("H")}
    operations = [
        each for path in openapi(ROUTES, "")["paths"].values() for m, each in path.items() if m != "parameters"
    ]
    described = {(int(s), each["description"]) for one in operations for s, each in one["responses"].items()}
    assert set(listed) == set(TITLES) | {status for status, _ in described} | {502}
    for status, words in described | set(TITLES.items()):
        assert words in listed[status], status


def test_every_parameter_and_media_type_is_named() -> None:
    """Of the description that clients read, and of the syntaxes that frames are stored in."""
    operations = [
        each for path in openapi(ROUTES, "")["paths"].values() for m, each in path.items() if m != "parameters"
    ]
    parameters = {parameter["name"] for one in operations for parameter in one.get("parameters", [])}
    bodies = [body for one in operations for body in (one.get("requestBody", {}), *one["responses"].values())]
    types = {re.sub(r'.*type="(.*)"', r"\1", name) for body in bodies for name in body.get("content", {})}
    types |= {syntax.frame_media_type for syntax in transfer_syntaxes.known()}
    words = set(re.findall(r"[\w*+./-]*\w", STATEMENT.read_text(encoding="utf-8")))
    assert parameters - words == set()
    assert {name for name in types if "*" not in name} - words == set()


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
