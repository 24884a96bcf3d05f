"""schemathesis walks the OpenAPI description that we publish: every operation, valid and invalid values, on a node.

What the description allows is neither refused nor a fault, and every answer has a status, a media type and a body that
the description names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from tests.e2e.clients.conftest import Archive
from tests.functional.dicomweb import make

from maypacs.dicomweb.capabilities import openapi
from maypacs.dicomweb.routes import ROUTES

#: Each request is made again for what is there: identifiers that are made up meet nothing but 404.
_HERE = {"study": make.STUDY, "series": make.SERIES, "instance": make.sop(1), "frames": "1"}
_NAMED = {"studyUID": make.STUDY, "seriesUID": make.SERIES, "objectUID": make.sop(1)}
# 406: a media type may be asked for that this instance has not; 501: worklists are declared as not built.
_ACCEPTED = ["2xx", "3xx", "404", "406", "409", "410", "415", "501"]
# An instance is more than JSON Schema can describe, WADO-URI's windowCenter and windowWidth go together, and whether a
# viewport's region lies in the image depends on the image.
_ACCEPTED_OR_NOT = {"checks": {"positive_data_acceptance": {"expected-statuses": [*_ACCEPTED, "400"]}}}
_CONFIG = {
    "cache": {"enabled": False},
    "checks": {
        "positive_data_acceptance": {"expected-statuses": _ACCEPTED},
        "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", "501", "503"]},
        # Search ignores a parameter that it does not know, with a Warning (PS3.18 8.3.4), rather than refusing it.
        "negative_data_rejection": {"enabled": False},
    },
    "operations": [
        {"include-method": "POST", **_ACCEPTED_OR_NOT},
        {"include-path-regex": "/(wado|rendered)$", **_ACCEPTED_OR_NOT},
    ],
}
# What deletes would leave nothing to ask for: deletion and restoration have suites of their own. A key never erases.
DESCRIBED = (
    schemathesis.openapi.from_dict(openapi(ROUTES, ""), config=schemathesis.Config.from_dict(_CONFIG))
    .exclude(method="DELETE")
    .exclude(path_regex="/(restore|erase)$")
)


@schemathesis.serializer("application/dicom", "multipart/related")
def _binary(_: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


@pytest.fixture(scope="module")
def archive(new_archive: Callable[[], Archive]) -> Archive:
    """With one instance."""
    archive = new_archive()
    headers = {"Content-Type": "application/dicom"}
    assert archive.session().post(f"{archive.root}/studies", data=make.instance(), headers=headers).status_code == 200
    assert archive.session().get(f"{archive.root}/openapi.json").json() == openapi(ROUTES, archive.root)
    return archive


@DESCRIBED.parametrize()
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_as_the_description_says(case: Any, archive: Archive) -> None:
    asked = {"base_url": archive.root, "headers": {"Authorization": f"Bearer {archive.key}"}}
    case.call_and_validate(**asked)
    for there, given in ((_HERE, case.path_parameters), (_NAMED, case.query)):
        named = {name: value for name, value in there.items() if name in (given or {})}
        if named:
            given.update(named)
            case.call_and_validate(**asked)
