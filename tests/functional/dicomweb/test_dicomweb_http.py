"""What holds for every resource: credentials, methods, CORS, public URLs, no patient in a log."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import re
import subprocess
import sys
from collections.abc import Callable

import pytest
from functions.dicomweb import handler as dicomweb
from tests.conftest import ROOT
from tests.functional.dicomweb import make
from tests.functional.dicomweb.client import Client
from tests.functional.dicomweb.conftest import new_archive, new_key

from maypacs.access.principals import Role
from maypacs.dicomweb.routes import ROUTES, methods
from maypacs.http.answers import Answer
from maypacs.settings import Settings

DELETION = ("DELETE", f"/studies/{make.STUDY}")
EVERY = [(template, method) for template, operations in ROUTES.items() for method in operations]


def _path(template: str) -> str:
    return re.sub(r"\{([^}]+)\}", lambda found: make.IN_PATHS[found[1]], template)


@pytest.mark.parametrize(("template", "method"), EVERY)
def test_every_resource_needs_a_credential_of_its_archive(
    make_client: Callable[..., Client], template: str, method: str
) -> None:
    """No key and a wrong key: 401. A key of another archive: 404, as if there were none."""
    owner = make_client()
    owner.stow(make.instance())
    stranger = new_key(owner.runtime, new_archive(owner.runtime))
    for key, status in (("", 401), ("mpk_wrong", 401), (stranger, 404)):
        visitor = dataclasses.replace(owner, key=key)
        reply = visitor.send(method, _path(template))
        assert reply.status == status, (key, reply.body)
        assert reply.json()["status"] == status
        if status == 401:
            assert reply.headers["www-authenticate"].startswith("Bearer")
    assert owner.get(make.url(1)).status == 200


@pytest.mark.parametrize(
    ("role", "allowed", "refused"),
    [
        (
            Role.VIEWER,
            [("GET", "/studies"), ("GET", make.url(1))],
            [("POST", "/studies"), ("DELETE", f"/studies/{make.STUDY}")],
        ),
        (Role.TECHNICIAN, [("GET", "/studies")], [("DELETE", f"/studies/{make.STUDY}")]),
    ],
)
def test_a_role_does_what_it_may(
    make_client: Callable[..., Client],
    role: Role,
    allowed: list[tuple[str, str]],
    refused: list[tuple[str, str]],
) -> None:
    """403 says that the role is too small; nothing happens."""
    owner = make_client()
    owner.stow(make.instance())
    member = dataclasses.replace(owner, key=new_key(owner.runtime, owner.archive, role))
    assert [member.send(method, path).status for method, path in allowed] == [200] * len(allowed)
    for method, path in refused:
        assert member.send(method, path, {"Content-Type": "application/dicom"}, make.instance(5)).status == 403
    assert len(owner.metadata(make.url())) == 1


@pytest.mark.parametrize("template", ROUTES)
def test_a_method_that_is_not_there_is_405_with_allow(client: Client, template: str) -> None:
    """And a preflight needs no credential."""
    missing = next(m for m in ("PUT", "PATCH", "DELETE", "POST") if m not in methods(template))
    reply = client.send(missing, _path(template))
    assert reply.status == 405
    assert reply.headers["allow"] == ", ".join(methods(template))
    anybody = dataclasses.replace(client, key="")
    headers = {"Origin": "https://viewer.example", "Access-Control-Request-Method": "GET"}
    preflight = anybody.send("OPTIONS", _path(template), headers)
    assert preflight.status == 204
    assert preflight.headers["access-control-allow-methods"] == ", ".join(methods(template))
    assert "Authorization" in preflight.headers["access-control-allow-headers"]


def test_cors_is_on_every_answer(make_client: Callable[..., Client]) -> None:
    """Success, error, redirect, unknown path, no credential."""
    client = make_client(inline_limit=100, limits="none")
    client.stow(make.instance())
    anybody = dataclasses.replace(client, key="")
    replies = [
        client.get("/studies"),
        client.get("/studies/1.2.3"),
        client.get("/nowhere"),
        anybody.get("/studies"),
        client.send("GET", make.url(1), {"Accept": "application/dicom; transfer-syntax=*"}, follow=False),
        client.send("PUT", "/studies"),
    ]
    assert [reply.status for reply in replies] == [200, 404, 404, 401, 307, 405]
    for reply in replies:
        assert reply.headers["access-control-allow-origin"] == "*"
        assert "ETag" in reply.headers["access-control-expose-headers"]


def test_a_listed_origin_is_named_and_others_get_nothing(make_client: Callable[..., Client]) -> None:
    """MAYPACS_CORS_ORIGINS."""
    client = make_client(cors_origins=("https://viewer.example",))
    assert client.get("/studies", Origin="https://viewer.example").headers["access-control-allow-origin"] == (
        "https://viewer.example"
    )
    other = client.get("/studies", Origin="https://evil.example")
    assert "access-control-allow-origin" not in other.headers
    assert "Origin" in other.headers["vary"]


def test_urls_follow_a_proxy_only_when_it_is_ours(make_client: Callable[..., Client]) -> None:
    """X-Forwarded-* and Forwarded (RFC 7239) of a client mean nothing otherwise."""
    older = {"X_Forwarded_Host": "public.example", "X_Forwarded_Proto": "http"}
    standard = {"Forwarded": 'for=192.0.2.7;host="public.example";proto=http'}
    for trusted, start in ((True, "http://public.example/"), (False, "https://pacs.example/")):
        client = make_client(trust_forwarded=trusted)
        client.stow(make.instance())
        for forwarded in (older, standard):
            (item,) = client.get("/studies", **forwarded).json()
            assert item["00081190"]["Value"][0].startswith(start)


#: What DICOMweb has: not our own answers, nor WADO-URI, which names its media type in the query.
OTHERS = re.compile(r".*/(openapi\.json|wado|workitems|quarantine|erasures|conflicts|decisions|versions)\b.*")
NEGOTIATED = [template for template, method in EVERY if method == "GET" and not OTHERS.fullmatch(template)]


@pytest.mark.parametrize("template", NEGOTIATED)
def test_no_accept_is_anything_unless_the_archive_is_strict(make_client: Callable[..., Client], template: str) -> None:
    """8.7.5 asks for 406, and MAYPACS_STRICT_ACCEPT gives it: an empty header says nothing either, */* says enough."""
    lenient = make_client()
    lenient.stow(make.instance())
    strict = make_client(archive=lenient.archive, strict_accept=True)
    path = _path(template)
    assert [strict.get(path).status, strict.get(path, Accept="").status] == [406, 406]
    assert strict.get(path, "*/*").status == strict.get(f"{path}?accept=*/*").status == 200


def test_a_strict_archive_stores_nothing_for_who_accepts_nothing(make_client: Callable[..., Client]) -> None:
    """406 before anything is done, and the setting is read from the environment."""
    client = make_client(strict_accept=True)
    sent = {"Content-Type": "application/dicom"}
    assert client.send("POST", "/studies", sent, make.instance()).status == 406
    assert client.get("/studies", "*/*").status == 204
    assert client.send("POST", "/studies", sent | {"Accept": "application/dicom+json"}, make.instance()).status == 200
    needed = ("INDEX_TABLE", "ACCOUNTS_TABLE", "ARCHIVE_BUCKET", "INBOX_BUCKET", "SECRETS")
    environment = {f"MAYPACS_{name}": "x" for name in needed}
    assert not Settings.read(environment).strict_accept
    assert Settings.read(environment | {"MAYPACS_STRICT_ACCEPT": "1"}).strict_accept


def test_a_fault_is_500_with_a_support_id_and_nothing_else(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has the id and where it happened; neither has what the exception said."""

    def fails(request: object) -> Answer:
        raise ValueError("Nguyễn^Văn Thử")

    operation = ROUTES["/studies"]["GET"]
    monkeypatch.setitem(ROUTES["/studies"], "GET", dataclasses.replace(operation, answer=fails))  # type: ignore[arg-type]
    with caplog.at_level(logging.INFO, logger="dicomweb"):
        reply = client.get("/studies")
    assert reply.status == 500
    assert "Nguy" not in reply.body.decode()
    (fault,) = [record for record in caplog.records if record.message == "fault"]
    assert fault.support_id == reply.json()["support_id"]
    assert fault.fault == "ValueError"


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What the function's logger writes."""
    stream = io.StringIO()
    monkeypatch.setattr(dicomweb.logger.registered_handler, "stream", stream)
    return stream


def test_no_patient_is_in_a_log_a_metric_a_header_or_an_error(
    client: Client, log: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    """A canary goes through every transaction; searches, errors and redirects included."""
    canary, canary_id = "Canary^Zwölfzig", "CANARY-4711"
    assert client.stow(make.instance(PatientName=canary, PatientID=canary_id)).status == 200
    replies = [
        client.get("/studies?PatientName=Canary*&PatientID=CANARY-4711"),
        client.get("/studies?PatientName=Canary*&limit=x"),
        client.get("/studies?CANARY-4711=1"),
        client.get(f"{make.url()}/metadata"),
        client.get(f"{make.url(1)}/rendered?window=CANARY-4711"),
        client.get("/studies/CANARY-4711"),
        client.send("POST", "/studies", {"Content-Type": "CANARY-4711"}, b"x"),
    ]
    captured = capsys.readouterr()
    headers = " ".join(str(reply.headers) for reply in replies)
    errors = " ".join(reply.body.decode() for reply in replies if reply.status >= 400)
    for text in (log.getvalue(), captured.out, captured.err, headers, errors):
        assert "anary" not in text
        assert "CANARY" not in text
    assert '"route":"/studies"' in log.getvalue()


def test_log_lines_have_only_the_keys_of_the_list(client: Client, log: io.StringIO) -> None:
    """The template of the path, never the path; no query string."""
    client.get(f"{make.url(1)}/metadata?x=1")
    (line,) = [json.loads(text) for text in log.getvalue().splitlines()]
    assert line.keys() == {
        *("level", "location", "message", "timestamp", "service"),
        *("method", "route", "status", "bytes", "ms"),
    }
    assert make.STUDY not in json.dumps(line)


def test_every_access_to_a_study_is_in_the_audit_log(client: Client) -> None:
    """Principal, action, study; once in ten minutes."""
    client.stow(make.instance())
    client.get(make.url(1))
    client.get(f"{make.url(1)}/frames/1")
    import time

    from maypacs.uids import archive_id

    day = time.strftime("%Y%m%d", time.gmtime())
    records = client.runtime.gatekeeper.audit.read(archive_id(client.archive), day)
    assert ("read", make.STUDY) in {(record.action, record.study_instance_uid) for record in records}


def test_a_trailing_slash_and_an_encoded_frame_list_are_taken(client: Client) -> None:
    """Clients write both."""
    client.stow(make.instance(NumberOfFrames=2, PixelData=bytes(16 * 16 * 2 * 2)))
    assert client.get("/studies/").status == 200
    assert len(client.get(f"{make.url(1)}/frames/1%2C2").parts()) == 2


def test_the_function_starts_without_pixels_and_pydicom() -> None:
    """Cold start: numpy, pydicom and Pillow come with the first picture that is decoded, not with the import."""
    heavy = {"numpy", "pydicom", "PIL", "gdcm"}
    script = f"import sys, functions.dicomweb.handler; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
