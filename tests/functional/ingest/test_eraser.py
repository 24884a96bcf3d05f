"""The function eraser, called as Lambda calls it, on moto's versioned bucket and DynamoDB."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.functions import Context, load_function
from tests.support.instances import slice_of
from tests.support.moto_cloud import MotoCloud, moto_cloud

from maypacs import arrivals, erasures, trash
from maypacs import erase as erasing
from maypacs.access.accounts import add_archive
from maypacs.delete import delete_instance, delete_study
from maypacs.erase import erase
from maypacs.ingest import store_instances
from maypacs.uids import ArchiveId, Uid
from maypacs.workspace import Workspace

STUDY, SERIES = Uid("1.2.3"), Uid("1.2.3.1")


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MotoCloud]:
    with moto_cloud(tmp_path, monkeypatch, MAYPACS_TRASH_DAYS="7") as made:
        for archive in ("hosp1", "hosp10"):
            add_archive(made.runtime.accounts, archive)
            workspace = made.runtime.unscoped_workspace(ArchiveId(archive))
            store_instances(workspace, arrivals.new_arrival(), [slice_of(number=n) for n in (1, 2)])
        yield made


def workspace_of(cloud: MotoCloud, archive: str = "hosp1") -> Workspace:
    return cloud.runtime.unscoped_workspace(ArchiveId(archive))


def versions(cloud: MotoCloud, archive: str = "hosp1") -> list[str]:
    """Of everything but decisions, by S3's own word."""
    answer = cloud.s3.list_object_versions(Bucket="archive")
    listed = [*answer.get("Versions", []), *answer.get("DeleteMarkers", [])]
    return [v["Key"] for v in listed if f"/{archive}/" in v["Key"] and not v["Key"].startswith("decisions/")]


def test_an_erasure_is_carried_on_until_no_version_is_left(cloud: MotoCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of that archive; another one with the same UIDs keeps all it has."""
    eraser, other = load_function("eraser"), versions(cloud, "hosp10")
    delete_instance(workspace_of(cloud), STUDY, SERIES, Uid(f"{SERIES}.1"), "user:thu")
    begun = erase(workspace_of(cloud), STUDY, None, None, by="user:thu", reason="yêu cầu")
    assert eraser.handler({}, Context()) == {"erased": 0, "erasing": 1, "expired": 0, "failed": 0}
    assert erasures.find(workspace_of(cloud), begun.erasure_id).waits == "settling"
    assert versions(cloud) == []
    monkeypatch.setattr(erasing, "SETTLE_SECONDS", 0)
    assert eraser.handler({}, Context()) == {"erased": 1, "erasing": 0, "expired": 0, "failed": 0}
    assert eraser.handler({}, Context()) == {"erased": 0, "erasing": 0, "expired": 0, "failed": 0}
    assert versions(cloud, "hosp10") == other


def test_the_trash_is_emptied_after_the_days_of_the_setting(cloud: MotoCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every archive."""
    eraser = load_function("eraser")
    for archive in ("hosp1", "hosp10"):
        delete_study(workspace_of(cloud, archive), STUDY, "user:thu")
    assert eraser.handler({}, Context())["expired"] == 0
    later = replace(trash.DEFAULT_EFFECTS, clock=lambda: time.time() + 8 * 86_400)
    monkeypatch.setattr(eraser, "expire_trash", lambda where, days: trash.expire_trash(where, days, effects=later))
    assert eraser.handler({}, Context())["expired"] > 0
    assert [
        key for archive in ("hosp1", "hosp10") for key in versions(cloud, archive) if key.startswith("trash/")
    ] == []


def test_an_archive_whose_storage_is_at_fault_keeps_no_other_waiting(
    cloud: MotoCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is counted, and tried again the next time."""
    eraser, real = load_function("eraser"), erasing.carry_on
    monkeypatch.setattr(erasing, "SETTLE_SECONDS", 0)
    for archive in ("hosp1", "hosp10"):
        erase(workspace_of(cloud, archive), STUDY, None, None, by="user:thu", reason="yêu cầu")

    def broken(workspace: Workspace) -> dict[str, int]:
        from maypacs.errors import StorageError

        if workspace.archive_id == "hosp1":
            raise StorageError("away")
        return real(workspace)

    monkeypatch.setattr(eraser, "carry_on", broken)
    assert eraser.handler({}, Context()) == {"erased": 1, "erasing": 0, "expired": 0, "failed": 1}
    monkeypatch.setattr(eraser, "carry_on", real)
    assert eraser.handler({}, Context())["erased"] == 1
