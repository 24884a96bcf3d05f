"""The thumbnail of a series: one small JPEG, made once, of the instance in the middle (PS3.18 10.4.3.3.4)."""

from __future__ import annotations

from maypacs.errors import GoneError, ObjectNotFoundError
from maypacs.index import contents
from maypacs.uids import Uid
from maypacs.workspace import Workspace


def make_thumbnail(workspace: Workspace, study: Uid, series: Uid) -> bool:
    """Makes it unless it is there; True when it was made now. A series deleted meanwhile needs none.

    Raises NotFoundError while the series is not in the index yet: to be tried again.
    """
    from maypacs.small_pictures import keep_thumbnail, small_picture

    store = workspace.store
    key = store.thumbnail_key(study, series)
    try:
        store.objects.head(key)
        return False
    except ObjectNotFoundError:
        pass
    try:
        instances = contents.series_contents(workspace, study, series).instances
    except GoneError:
        return False
    middle = instances[len(instances) // 2]
    keep_thumbnail(workspace, middle, small_picture(workspace, middle, None))
    return True
