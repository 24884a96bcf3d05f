"""Every resource of DICOMweb below an archive's root, and what answers it (PS3.18 Tables 10.4.1-1 to 10.6.1-1).

`docs/conformance.md` has a row for each; a test compares the two. HEAD is GET without the body.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from maypacs.access.principals import Action
from maypacs.bulk_resources import retrieve_all, retrieve_value
from maypacs.dicomweb import decision_requests as decisions
from maypacs.dicomweb.capabilities import retrieve_description
from maypacs.dicomweb.request import Request
from maypacs.dicomweb.transactions import delete, not_yet, restore, searching
from maypacs.frames import retrieve_frames
from maypacs.http.answers import Answer
from maypacs.metadata import retrieve_metadata
from maypacs.rendered import retrieve_rendered
from maypacs.rendered_many import retrieve_rendered_many
from maypacs.retrieve import retrieve
from maypacs.small_pictures import retrieve_thumbnail
from maypacs.store import store
from maypacs.wado_uri import retrieve_wado_uri

STUDIES = "/studies"
STUDY = "/studies/{study}"
ALL_SERIES = STUDY + "/series"
SERIES = STUDY + "/series/{series}"
INSTANCES = SERIES + "/instances"
INSTANCE = INSTANCES + "/{instance}"
FRAMES = INSTANCE + "/frames/{frames}"


VERSION = INSTANCE + "/versions/{version}"


@dataclass(frozen=True, slots=True)
class Operation:
    action: Action
    answer: Callable[[Request], Answer]

    @property
    def acts(self) -> bool:
        """Does it change or give away what nobody can take back? Then it is recorded before anything is done."""
        return self.action in (Action.DELETE, Action.DECIDE, Action.ERASE)


def _search(level: str) -> Operation:
    return Operation(Action.SEARCH, searching(level))  # type: ignore[arg-type]


def _read(answer: Callable[[Request], Answer]) -> Operation:
    return Operation(Action.READ, answer)


_DELETE = Operation(Action.DELETE, delete)
_RESTORE = {"POST": Operation(Action.DELETE, restore)}
_DECIDE = Operation(Action.DECIDE, decisions.decide)
_ERASE = {"POST": Operation(Action.ERASE, decisions.erase_it)}


#: Template below /dicomweb/{archive} -> method -> operation. The root has capabilities alone (OPTIONS, as every one).
ROUTES: Mapping[str, Mapping[str, Operation]] = {
    "": {},
    "/openapi.json": {"GET": Operation(Action.SEARCH, retrieve_description)},
    STUDIES: {"GET": _search("study"), "POST": Operation(Action.STORE, store)},
    "/series": {"GET": _search("series")},
    "/instances": {"GET": _search("instance")},
    ALL_SERIES: {"GET": _search("series")},
    STUDY + "/instances": {"GET": _search("instance")},
    INSTANCES: {"GET": _search("instance")},
    STUDY: {
        "GET": _read(retrieve),
        "POST": Operation(Action.STORE, store),
        "DELETE": _DELETE,
    },
    SERIES: {"GET": _read(retrieve), "DELETE": _DELETE},
    INSTANCE: {"GET": _read(retrieve), "DELETE": _DELETE},
    STUDY + "/restore": _RESTORE,
    SERIES + "/restore": _RESTORE,
    INSTANCE + "/restore": _RESTORE,
    STUDY + "/decisions": {"GET": Operation(Action.DECIDE, decisions.state), "POST": _DECIDE},
    SERIES + "/decisions": {"POST": _DECIDE},
    INSTANCE + "/decisions": {"POST": _DECIDE},
    STUDY + "/erase": _ERASE,
    SERIES + "/erase": _ERASE,
    INSTANCE + "/erase": _ERASE,
    "/erasures": {"GET": Operation(Action.SEARCH, decisions.list_erasures)},
    "/erasures/{erasure}": {"GET": Operation(Action.DECIDE, decisions.show_erasure)},
    "/conflicts": {"GET": Operation(Action.SEARCH, decisions.list_conflicts)},
    STUDY + "/conflicts": {"GET": _read(decisions.conflicts_of)},
    VERSION: {"GET": _read(retrieve)},
    VERSION + "/metadata": {"GET": _read(retrieve_metadata)},
    VERSION + "/rendered": {"GET": _read(retrieve_rendered)},
    "/quarantine": {"GET": Operation(Action.DECIDE, decisions.list_quarantine)},
    "/quarantine/{item}": {
        "GET": Operation(Action.DECIDE, decisions.show_quarantined),
        "POST": Operation(Action.DECIDE, decisions.decide_quarantined),
    },
    STUDY + "/metadata": {"GET": _read(retrieve_metadata)},
    SERIES + "/metadata": {"GET": _read(retrieve_metadata)},
    INSTANCE + "/metadata": {"GET": _read(retrieve_metadata)},
    FRAMES: {"GET": _read(retrieve_frames)},
    FRAMES + "/rendered": {"GET": _read(retrieve_rendered)},
    FRAMES + "/thumbnail": {"GET": _read(retrieve_thumbnail)},
    STUDY + "/rendered": {"GET": _read(retrieve_rendered_many)},
    SERIES + "/rendered": {"GET": _read(retrieve_rendered_many)},
    INSTANCE + "/rendered": {"GET": _read(retrieve_rendered)},
    STUDY + "/thumbnail": {"GET": _read(retrieve_thumbnail)},
    SERIES + "/thumbnail": {"GET": _read(retrieve_thumbnail)},
    INSTANCE + "/thumbnail": {"GET": _read(retrieve_thumbnail)},
    STUDY + "/bulkdata": {"GET": _read(retrieve_all("bulkdata"))},
    SERIES + "/bulkdata": {"GET": _read(retrieve_all("bulkdata"))},
    INSTANCE + "/bulkdata": {"GET": _read(retrieve_all("bulkdata"))},
    INSTANCE + "/bulkdata/{path+}": {"GET": _read(retrieve_value)},
    STUDY + "/pixeldata": {"GET": _read(retrieve_all("pixeldata"))},
    SERIES + "/pixeldata": {"GET": _read(retrieve_all("pixeldata"))},
    INSTANCE + "/pixeldata": {"GET": _read(retrieve_all("pixeldata"))},
    "/wado": {"GET": _read(retrieve_wado_uri)},
    "/workitems": {
        "GET": Operation(Action.SEARCH, not_yet("UPS-RS")),
        "POST": Operation(Action.STORE, not_yet("UPS-RS")),
    },
}


def methods(template: str) -> tuple[str, ...]:
    """What a resource allows, for Allow and for preflights."""
    own = list(ROUTES[template])
    return (*own, *(["HEAD"] if "GET" in own else []), "OPTIONS")
