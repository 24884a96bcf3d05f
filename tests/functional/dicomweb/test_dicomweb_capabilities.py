"""Retrieve Capabilities and the OpenAPI description: they follow the table of routes, and answers follow them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.functional.dicomweb import make
from tests.functional.dicomweb.client import HOST, Client, Reply

from maypacs.dicomweb.capabilities import WADL, openapi
from maypacs.dicomweb.routes import ROUTES

NAMESPACE = {"w": "http://wadl.dev.java.net/2009/02"}
DOCUMENT: dict[str, Any] = openapi(ROUTES, "")


def template_of(path: str) -> str:
    return path.replace("{path}", "{path+}")


def test_options_describes_a_resource_and_the_root_all_of_them(client: Client) -> None:
    """WADL by default and by name, OpenAPI as JSON, 406 else; nobody needs a credential, every archive looks alike."""
    anybody = dataclasses.replace(client, key="")
    for headers in ({}, {"Accept": WADL}, {"Accept": "*/*"}):
        reply = anybody.send("OPTIONS", "/studies", headers)
        assert (reply.status, reply.headers["content-type"]) == (200, WADL)
        assert reply.headers["allow"] == "GET, POST, HEAD, OPTIONS"
        (resource,) = ElementTree.fromstring(reply.body).findall(".//w:resource", NAMESPACE)
        assert [method.get("name") for method in resource.findall("w:method", NAMESPACE)] == ["GET", "POST"]
    root = ElementTree.fromstring(anybody.send("OPTIONS", "").body)
    (base,) = [each.get("base") for each in root.findall("w:resources", NAMESPACE)]
    assert base == f"https://{HOST}/dicomweb/{client.archive}/"
    found = {
        (method.get("name"), "/" + str(resource.get("path")))
        for resource in root.findall(".//w:resource", NAMESPACE)
        for method in resource.findall("w:method", NAMESPACE)
    }
    assert found == {
        (method, template.replace("{path+}", "{path}")) for template in ROUTES for method in ROUTES[template]
    }
    as_json = anybody.send("OPTIONS", "/studies", {"Accept": "application/json"})
    assert list(as_json.json()["paths"]) == ["/studies"]
    assert anybody.send("OPTIONS", "/studies", {"Accept": "image/png"}).status == 406
    nowhere = dataclasses.replace(anybody, archive="nowhere-1")
    assert nowhere.send("OPTIONS", "/studies").status == 200
    assert anybody.send("GET", "").status == 405
    assert dataclasses.replace(anybody, archive="NO").send("OPTIONS", "/studies").status == 400


def test_the_description_names_every_route_and_each_once() -> None:
    """Operation ids are unique; each parameter of a path is declared."""
    paths = DOCUMENT["paths"]
    assert {template_of(path) for path in paths} == {template for template in ROUTES if ROUTES[template]}
    names = [operation["operationId"] for path in paths.values() for m, operation in path.items() if m != "parameters"]
    assert len(names) == len(set(names))
    for path, entry in paths.items():
        assert {each["name"] for each in entry.get("parameters", [])} == set(re.findall(r"\{(\w+)\}", path))


def test_the_whole_is_had_at_openapi_json(client: Client) -> None:
    """With a credential, as everything that is no preflight."""
    reply = client.get("/openapi.json")
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert reply.json() == openapi(ROUTES, f"https://{HOST}/dicomweb/{client.archive}")
    assert dataclasses.replace(client, key="").get("/openapi.json").status == 401


def assert_as_described(path: str, method: str, reply: Reply) -> None:
    """A status that the description has, with one of its media types; never a fault."""
    responses = DOCUMENT["paths"][path][method.lower()]["responses"]
    assert reply.status != 500, reply.body
    assert str(reply.status) in responses, (method, path, reply.status, reply.body[:200])
    content = responses[str(reply.status)].get("content", {})
    media = reply.headers.get("content-type", "").split(";")[0]
    kinds = {name.split(";")[0] for name in content}
    if reply.body or content:
        assert media in kinds or f"{media.split('/')[0]}/*" in kinds, (method, path, reply.status, media)


OPERATIONS = [
    (path, method.upper()) for path, entry in DOCUMENT["paths"].items() for method in entry if method != "parameters"
]


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_what_is_described_is_what_is_answered(make_client: Callable[..., Client], path: str, method: str) -> None:
    """Every operation on what is there and on what is not, with each media type it says it has."""
    client = make_client()
    client.stow(make.instance())
    here = re.sub(r"\{(\w+)\}", lambda found: make.IN_PATHS[found[1]], path)
    responses = DOCUMENT["paths"][path][method.lower()]["responses"]
    for accept in ("*/*", "image/tiff", *responses.get("200", {}).get("content", {})):
        body = make.instance(2) if method == "POST" else b""
        assert_as_described(
            path, method, client.send(method, here, {"Accept": accept, "Content-Type": "x/y"}, body, follow=False)
        )
    for values in (
        dict.fromkeys(make.IN_PATHS, "1.2.9"),
        dict.fromkeys(make.IN_PATHS, "x"),
        dict.fromkeys(make.IN_PATHS, "%00%2F..%2f"),
    ):
        nowhere = re.sub(r"\{(\w+)\}", lambda found, values=values: values[found[1]], path)  # type: ignore[misc]
        assert_as_described(path, method, client.send(method, nowhere, {}, b"", follow=False))


def parameters_of(path: str, method: str) -> list[str]:
    return [each["name"] for each in DOCUMENT["paths"][path][method.lower()].get("parameters", [])]


_VALUES = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["", "1", "-1", "0", "1e9", "*", "?", "\\", "20260101-", "a,b,c", "true", "\0", "\r\nX-Y: z", "%", "'\";"]
    ),
    st.integers(-(10**20), 10**20).map(str),
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_walk_of_the_description_meets_a_fault(make_client: Callable[..., Client], data: st.DataObject) -> None:
    """Any operation that changes nothing, with any values of its parameters: a described status and media type."""
    client = _walked(make_client)
    path, method = data.draw(st.sampled_from([pair for pair in OPERATIONS if pair[1] == "GET"]))
    odd = st.one_of(
        st.sampled_from(["1.2", "0", "-1", "1,1", "%2e%2e", "é"]), st.text(max_size=8).map(lambda t: quote(t, ""))
    )
    values = {
        name: data.draw(st.one_of(st.just(value), st.just(value), odd)) or "x" for name, value in make.IN_PATHS.items()
    }
    names = st.sampled_from([*parameters_of(path, method), "Rows", "00100010", "0040A730.00080100", "nonsense"])
    query = data.draw(st.lists(st.tuples(names, _VALUES), max_size=4))
    text = "&".join(f"{quote(name)}={quote(value, '')}" for name, value in query)
    here = re.sub(r"\{(\w+)\}", lambda found: values[found[1]], path)
    reply = client.send(method, f"{here}?{text}", {}, b"", follow=False)
    assert_as_described(path, method, reply)


_CLIENTS: dict[int, Client] = {}


def _walked(make_client: Callable[..., Client]) -> Client:
    """One archive with one instance for all examples of a test."""
    if id(make_client) not in _CLIENTS:
        _CLIENTS.clear()
        _CLIENTS[id(make_client)] = client = make_client()
        client.stow(make.instance())
    return _CLIENTS[id(make_client)]
