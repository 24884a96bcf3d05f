"""Rendered resources and WADO-URI under parameters that nobody means well: an answer with words, never a fault."""

from __future__ import annotations

from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.functional.dicomweb import make
from tests.functional.dicomweb.client import Client

NUMBERS = st.one_of(
    st.integers(-(10**12), 10**12).map(str),
    st.floats().map(str),
    st.sampled_from(["", " ", "1", "8", "16", "0", "-1", "1e9", "nan", "inf", "٣", "0x10", "1_0", "9" * 400, "\u0000"]),
)
LISTS = st.lists(NUMBERS, max_size=7).map(",".join)
VALUES = st.one_of(NUMBERS, LISTS, st.text(max_size=20), st.sampled_from(["patient", "srgb", "linear", "../../etc"]))
RENDERED = ("window", "viewport", "quality", "annotation", "iccprofile", "accept", "presentationUID")
URI = (
    "contentType",
    "transferSyntax",
    "frameNumber",
    "rows",
    "columns",
    "region",
    "windowCenter",
    "windowWidth",
    "imageQuality",
    "annotation",
    "charset",
    "presentationUID",
    "presentationSeriesUID",
    "anonymize",
    "studyUID",
)


def _ask(client: Client, path: str, fields: dict[str, str]) -> None:
    sign = "&" if "?" in path else "?"
    query = "&".join(f"{name}={quote(value.encode('utf-8', 'replace'))}" for name, value in fields.items())
    reply = client.get(f"{path}{sign}{query}")
    assert reply.status in {200, 206, 400, 404, 406, 501}, (reply.status, reply.body[:300])
    if reply.status != 200:
        assert reply.json()["detail"]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(RENDERED), VALUES, max_size=4))
def test_no_parameter_of_a_rendered_instance_is_a_fault(client: Client, fields: dict[str, str]) -> None:
    """Numbers that are none, lists that are too long, text of any kind."""
    client.stow(make.instance())
    _ask(client, f"{make.url(1)}/rendered", fields)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(URI), VALUES, max_size=5))
def test_no_parameter_of_wado_uri_is_a_fault(client: Client, fields: dict[str, str]) -> None:
    """The same, and UIDs that are none."""
    client.stow(make.instance())
    uids = {"studyUID": make.STUDY, "seriesUID": make.SERIES, "objectUID": make.sop(1)}
    _ask(client, "/wado", {"requestType": "WADO", **uids, **fields})
