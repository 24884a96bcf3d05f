"""No route of either app is open by mistake: every one is tried with no key, wrong keys and another archive's key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from tests.support.functions import call, load_function, proxy_event
from tests.support.moto_cloud import MotoCloud, moto_cloud

from maypacs.access.accounts import add_archive
from maypacs.access.keys import add_key
from maypacs.access.principals import Role

#: What may be asked for without a credential, by app: (method, template). Nothing else, ever, without a line here.
PUBLIC = {
    ("console", "POST", "/api/login"),
    ("console", "POST", "/api/token"),
    ("console", "POST", "/api/edges/enrol"),
}
VALUES = {
    "archive": "hosp1",
    "study": "1.2.3",
    "series": "1.2.3.4",
    "instance": "1.2.3.4.5",
    "frames": "1",
    "path+": "7FE00010",
    "user": "thu",
    "key": "0123456789abcdef",
    "edge": "0123456789abcdef",
    "arrival": "01J00000000000000000000000",
    "version": "0" * 32,
    "erasure": "01J00000000000000000000000",
    "item": "01J00000000000000000000000",
}
DECISIONS = {"/restore", "/decisions", "/erase", "/erasures/", "/quarantine"}
#: Routes of the console that name no archive: any live credential may ask, for what is its own.
OWN = {"/api/logout", "/api/me", "/api/me/password", "/api/archives"}


def routes() -> list[tuple[str, str, str]]:
    """(app, method, template) of everything that the two apps declare, read from the apps themselves."""
    console = load_function("console")
    found = [("console", method, path) for path, methods in console.app.routes.items() for method in methods]
    dicomweb = load_function("dicomweb")
    for template, operations in dicomweb.ROUTES.items():
        for method in {*operations, *({"HEAD"} if "GET" in operations else set())}:
            found.append(("dicomweb", method, f"/dicomweb/{{archive}}{template}"))
    return sorted(found)


ROUTES = routes()


def path_of(template: str, archive: str = "hosp1") -> str:
    values = {**VALUES, "archive": archive}
    return re.sub(r"\{([^}]+)\}", lambda found: values[found[1]], template)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoCloud]:
    with (
        pytest.MonkeyPatch.context() as monkeypatch,
        moto_cloud(Path(tmp_path_factory.mktemp("cloud")), monkeypatch) as made,
    ):
        add_archive(made.runtime.accounts, "hosp1")
        add_archive(made.runtime.accounts, "hosp10")
        yield made


@pytest.fixture(scope="module")
def apps(cloud: MotoCloud) -> dict[str, ModuleType]:
    return {name: load_function(name) for name in ("console", "dicomweb")}


@pytest.fixture(scope="module")
def foreign_admin(cloud: MotoCloud) -> str:
    return add_key(cloud.runtime.accounts, "hosp10", Role.ADMIN).key


def ask(app: ModuleType, method: str, path: str, authorization: str | None) -> tuple[int, dict[str, str], bytes]:
    headers = {} if authorization is None else {"Authorization": authorization}
    reply = call(app, proxy_event(method, path, headers=headers, body=b"{}" if method in {"POST", "PUT"} else None))
    return reply.status, dict(reply.headers), reply.body


def test_the_public_routes_are_those_of_the_list() -> None:
    """The console's own list says the same, and every public route exists."""
    assert {("console", *pair) for pair in load_function("console").PUBLIC} == PUBLIC
    assert set(ROUTES) >= PUBLIC
    assert len(ROUTES) > 50


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Basic YWRtaW46YWRtaW4=", "Bearer mpk_" + "A" * 43, "Bearer eyJhbGciOiJub25lIn0.e30."],
    ids=["none", "empty", "no credential", "another scheme", "unknown key", "unsigned token"],
)
@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_no_route_answers_without_a_credential_of_ours(
    apps: dict[str, ModuleType], route: tuple[str, str, str], authorization: str | None
) -> None:
    """401 with WWW-Authenticate, before anything else is looked at: not even whether there is such a study."""
    app, method, template = route
    status, headers, _ = ask(apps[app], method, path_of(template), authorization)
    if route in PUBLIC:
        assert status in {400, 401}  # an empty body is no login
    else:
        assert (status, "www-authenticate" in headers) == (401, True)


@pytest.mark.parametrize("route", [r for r in ROUTES if r not in PUBLIC and r[2] not in OWN], ids=" ".join)
def test_an_admin_of_another_archive_is_an_outsider_here(
    apps: dict[str, ModuleType], foreign_admin: str, route: tuple[str, str, str]
) -> None:
    """404, and word for word the same as for an archive that does not exist."""
    app, method, template = route
    here = ask(apps[app], method, path_of(template), f"Bearer {foreign_admin}")
    nowhere = ask(apps[app], method, path_of(template, "no-such-archive"), f"Bearer {foreign_admin}")
    assert here[0] == 404
    assert here[::2] == nowhere[::2]


@pytest.mark.parametrize(
    ("role", "refused"),
    [
        (
            Role.VIEWER,
            {
                "POST /dicomweb",
                "DELETE",
                *DECISIONS,
                "/uploads",
                "/boundaries",
                "/keys",
                "/users",
                "/edges",
                "/audit",
                "-codes",
                "/heartbeats",
                "/devices",
            },
        ),
        (Role.TECHNICIAN, {"DELETE", *DECISIONS, "/keys", "/users", "/edges", "/audit", "-codes", "/heartbeats"}),
        (Role.RADIOLOGIST, {"DELETE", *DECISIONS, "/keys", "/users", "/edges", "/audit", "-codes", "/heartbeats"}),
        (Role.ADMIN, {"/heartbeats", "/edges/{edge}/key", "/erase"}),  # a key is no person
    ],
)
def test_each_role_is_refused_what_is_not_its_own(
    apps: dict[str, ModuleType], cloud: MotoCloud, role: Role, refused: set[str]
) -> None:
    """403 on exactly the routes that the role's row of docs/security.md leaves out."""
    key = add_key(cloud.runtime.accounts, "hosp1", role).key
    for app, method, template in ROUTES:
        if (app, method, template) in PUBLIC or template in OWN:
            continue
        name = f"{method} {template}"
        status, _, _ = ask(apps[app], method, path_of(template), f"Bearer {key}")
        expected = any(part in name for part in refused)
        if "/workitems" in template:
            continue
        assert (status == 403) == expected, f"{name}: {status}"


@pytest.mark.parametrize(
    ("app", "path"), [("console", "/api/archives/hosp1/keys"), ("dicomweb", "/dicomweb/hosp1/studies")]
)
def test_a_preflight_needs_no_credential_and_tells_nothing(apps: dict[str, ModuleType], app: str, path: str) -> None:
    """The same answer for an archive that does not exist."""
    asked = {"Origin": "https://viewer.example.org", "Access-Control-Request-Method": "GET"}
    here = call(apps[app], proxy_event("OPTIONS", path, headers=asked))
    nowhere = call(apps[app], proxy_event("OPTIONS", path.replace("hosp1", "nowhere"), headers=asked))
    assert (here.status, here.body) == (204, b"")
    assert (nowhere.status, nowhere.headers) == (here.status, here.headers)
