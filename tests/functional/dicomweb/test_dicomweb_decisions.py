"""What an archive's admin decides about images, as requests: rejection, holds, promotion, erasure, quarantine."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.functional.dicomweb import make
from tests.functional.dicomweb.client import STORED, Client, Reply

from maypacs import erase
from maypacs.access import accounts
from maypacs.access.principals import Role
from maypacs.access.sessions import Sessions
from maypacs.errors import TableError
from maypacs.index.cascade import Effects
from maypacs.runtime import Runtime
from maypacs.uids import ArchiveId

STUDY = f"/studies/{make.STUDY}"
LATER = Effects(sleep=lambda seconds: None, clock=lambda: time.time() + 7200)
PASSWORD = "mật khẩu thử nghiệm"


def post(client: Client, path: str, **document: Any) -> Reply:
    return client.send("POST", path, {"Content-Type": "application/json"}, json.dumps(document).encode())


def person(client: Client) -> Client:
    """A user who is admin of the archive: what a key may not do."""
    runtime: Runtime = client.runtime
    user = f"admin-{client.archive}"
    accounts.add_user(runtime.accounts, user, archive=client.archive, role=Role.ADMIN, password=PASSWORD)
    session = Sessions(runtime.accounts, runtime.gatekeeper.tokens, time.time).log_in(user, PASSWORD, address="::1")
    return dataclasses.replace(client, key=session.access_token)


def bytes_of(client: Client, path: str) -> set[bytes]:
    return {content for _, content in client.get(path, STORED).parts()}


def recorded(client: Client, action: str) -> list[str]:
    day = time.strftime("%Y%m%d", time.gmtime())
    records = client.runtime.gatekeeper.audit.read(ArchiveId(client.archive), day)
    return [record.study_instance_uid for record in records if record.action == action]


# Holds and refusals


def test_what_is_held_is_not_deleted_until_it_is_released(client: Client) -> None:
    """409 that names the hold; the list of holds says why; the release goes by its id."""
    client.stow(make.instance())
    state = post(client, f"{make.url(1)}/decisions", kind="hold", reason="tòa án 12").json()
    (held,) = state["holds"]
    assert (held["instance"], held["reason"]) == (make.sop(1), "tòa án 12")
    for target in (STUDY, make.url(), make.url(1)):
        reply = client.send("DELETE", target)
        assert reply.status == 409
        assert held["id"] in reply.json()["detail"]
        assert "tòa án" not in reply.body.decode()
    assert client.get(f"{STUDY}/decisions").json()["holds"] == [held]
    assert post(client, f"{STUDY}/decisions", kind="release", hold="nothing").status == 404
    assert post(client, f"{STUDY}/decisions", kind="release", hold=held["id"]).json()["holds"] == []
    assert client.send("DELETE", STUDY).status == 204


def test_what_is_rejected_is_refused_until_that_is_lifted(client: Client) -> None:
    """STOW says that it ignored it; after the lift it can be stored, or restored."""
    client.stow(make.instance(1), make.instance(2))
    state = post(client, f"{make.url(1)}/decisions", kind="reject", reason="nhầm bệnh nhân").json()
    assert state["refused"] == [{"series": make.SERIES, "instance": make.sop(1), "mode": "rejected", "erasure": None}]
    assert client.get(make.url(1)).status == 410
    refused = client.stow(make.instance(1), make.instance(3))
    assert refused.status == 202
    (failed,) = refused.json()["00081198"]["Value"]
    assert failed["00081155"]["Value"] == [make.sop(1)]
    assert failed["00081197"]["Value"] == [0x0110]
    alone = client.stow(make.instance(1))
    assert alone.status == 409
    assert alone.json()["00081198"]["Value"] == [failed]
    assert client.get(make.url(1)).status == 410
    assert client.send("POST", f"{make.url(1)}/restore").status == 409
    assert post(client, f"{make.url(1)}/decisions", kind="lift").json()["refused"] == []
    assert post(client, f"{make.url(1)}/decisions", kind="lift").status == 409
    assert client.send("POST", f"{make.url(1)}/restore").status == 204
    assert bytes_of(client, STUDY) == {make.instance(n) for n in (1, 2, 3)}


# Conflicts


def test_a_person_sees_both_versions_and_makes_one_current(client: Client) -> None:
    """Listed by archive and study; each can be looked at; the choice changes every answer and its ETag."""
    first, second = make.instance(1), make.instance(1, PatientComments="another")
    client.stow(first, make.instance(2))
    assert client.get("/conflicts").json() == {"studies": [], "more": False}
    client.stow(second)
    assert client.get("/conflicts").json() == {"studies": [make.STUDY], "more": False}
    (conflict,) = client.get(f"{STUDY}/conflicts").json()["conflicts"]
    assert (conflict["series"], conflict["instance"]) == (make.SERIES, make.sop(1))
    current, other = conflict["versions"]
    assert (current["current"], other["current"]) == (True, False)
    for version, data in ((current, first), (other, second)):
        below = f"{make.url(1)}/versions/{version['version']}"
        assert bytes_of(client, below) == {data}
        said = client.metadata(below)[0].get("00104000", {}).get("Value")
        assert said == (["another"] if data == second else None)
        assert client.get(f"{below}/rendered").headers["content-type"] == "image/jpeg"
    assert client.get(f"{make.url(1)}/versions/{'0' * 32}").status == 404
    before = client.get(make.url(1), STORED).headers["etag"], client.get(make.url(), STORED).headers["etag"]
    reply = post(client, f"{make.url(1)}/decisions", kind="promote", version=other["version"], reason="đúng")
    assert reply.status == 200
    assert bytes_of(client, make.url(1)) == {second}
    assert bytes_of(client, STUDY) == {second, make.instance(2)}
    assert client.metadata(make.url(1))[0]["00104000"]["Value"] == ["another"]
    after = client.get(make.url(1), STORED).headers["etag"], client.get(make.url(), STORED).headers["etag"]
    assert not set(before) & set(after)
    (conflict,) = client.get(f"{STUDY}/conflicts").json()["conflicts"]
    assert [each["version"] for each in conflict["versions"]] == [other["version"], current["version"]]
    assert post(client, f"{STUDY}/decisions", kind="promote", version=other["version"]).status == 400
    assert post(client, f"{make.url(2)}/decisions", kind="promote", version=other["version"]).status == 404
    client.send("DELETE", make.url(1))
    assert client.get("/conflicts").json()["studies"] == []


# Erasure


@pytest.mark.parametrize(
    ("target", "uid"), [(STUDY, make.STUDY), (make.url(), make.SERIES), (make.url(1), make.sop(1))]
)
def test_what_is_erased_is_404_and_the_proof_says_what_went(client: Client, target: str, uid: str) -> None:
    """A person with a reason, who typed the UID; 410 until the eraser has done it; refused until lifted."""
    client.stow(make.instance(1))
    admin = person(client)
    assert post(client, f"{target}/erase", reason="yêu cầu", confirm=uid).status == 403, "a key is no person"
    assert post(admin, f"{target}/erase", reason="yêu cầu", confirm="1.2").status == 400
    assert post(admin, f"{target}/erase", reason="", confirm=uid).status == 400
    assert client.get(target).status == 200
    begun = post(admin, f"{target}/erase", reason="yêu cầu", confirm=uid)
    assert (begun.status, begun.json()["state"]) == (202, "pending")
    assert client.get(target).status == 410
    assert client.get("/erasures").json()["erasures"][0]["erasure_id"] == begun.json()["erasure_id"]
    assert recorded(client, "erase") == [make.STUDY]
    workspace = client.runtime.unscoped_workspace(ArchiveId(client.archive))
    assert erase.carry_on(workspace, effects=LATER) == {"erased": 1, "erasing": 0}
    assert client.get(target).status == 404
    shown = admin.get(f"/erasures/{begun.json()['erasure_id']}").json()
    assert (shown["state"], shown["proof"]["instances"]) == ("done", [make.sop(1)])
    assert shown["found"]
    assert "yêu cầu" not in json.dumps(shown, ensure_ascii=False)
    left = [head.key for head in client.runtime.archive_objects.list("") if f"/{client.archive}/" in head.key]
    assert {key.split("/")[0] for key in left} <= {"decisions", "meta"}
    client.stow(make.instance(1))
    assert client.get(target).status == 404
    assert post(admin, f"{target}/decisions", kind="lift").status == 200
    client.stow(make.instance(1))
    assert client.get(target).status == 200


def test_edges_read_what_was_erased_from_where_they_were(make_client: Callable[..., Client]) -> None:
    """In order, by page: to empty their caches."""
    client = make_client()
    admin, ids = person(client), []
    for study in ("1.2.71", "1.2.72", "1.2.73"):
        client.stow(make.instance(1, study=study))
        ids.append(post(admin, f"/studies/{study}/erase", reason="x", confirm=study).json()["erasure_id"])
    edge = make_client(archive=client.archive, role=Role.TECHNICIAN)
    page = edge.get("/erasures?limit=2").json()["erasures"]
    assert [each["erasure_id"] for each in page] == ids[:2]
    rest = edge.get(f"/erasures?after={ids[1]}").json()["erasures"]
    assert [(each["erasure_id"], each["study"]) for each in rest] == [(ids[2], "1.2.73")]
    assert edge.get("/erasures?limit=0").status == 400
    assert edge.get("/erasures?after=%F1%9B%A9%91").json() == {"erasures": []}
    assert edge.get(f"/erasures/{ids[0]}").status == 403


# Quarantine


def test_what_is_in_quarantine_is_looked_into_tried_again_and_discarded(client: Client) -> None:
    """By those who may decide."""
    arrival = "01J00000000000000000000001"
    store = client.runtime.archive_store(ArchiveId(client.archive))
    store.quarantine(arrival, make.instance(1), {"reason": "poison"})
    store.quarantine(arrival, b"broken", {"reason": "not-dicom"}, "2")
    items = client.get("/quarantine").json()["items"]
    assert [(each["item"], each["reason"]) for each in items] == [(arrival, "poison"), (f"{arrival}-2", "not-dicom")]
    assert client.get(f"/quarantine?after={arrival}").json()["items"] == items[1:]
    assert client.get(f"/quarantine/{arrival}-2").body == b"broken"
    assert post(client, f"/quarantine/{arrival}-2", kind="discard").status == 400, "with a reason"
    assert post(client, f"/quarantine/{arrival}-2", kind="discard", reason="rác").status == 204
    assert post(client, f"/quarantine/{arrival}", kind="redrive").json() == {"arrival": arrival}
    assert client.get("/quarantine").json()["items"] == []
    assert [head.key for head in store.inbox.list(store.inbox_prefix)] == [store.upload_key(arrival)]
    assert client.get(f"/quarantine/{arrival}").status == 404


# All of them


@pytest.mark.parametrize("document", [b"", b"[]", b"{", b"[" * 100_000, b'{"kind": 1}', b'{"kind": "other"}', b"\xff"])
def test_a_body_that_is_no_decision_is_400_and_changes_nothing(client: Client, document: bytes) -> None:
    client.stow(make.instance(1))
    for path in (f"{STUDY}/decisions", f"{make.url(1)}/decisions", "/quarantine/01J00000000000000000000001"):
        assert client.send("POST", path, {"Content-Type": "application/json"}, document).status == 400
    assert client.get(STUDY).status == 200


@pytest.mark.parametrize(
    ("method", "path"), [("DELETE", STUDY), ("POST", f"{STUDY}/decisions"), ("POST", f"{STUDY}/erase")]
)
def test_what_cannot_be_recorded_is_not_done(
    client: Client, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    """Fails closed, before anything is touched."""
    client.stow(make.instance(1))
    admin = person(client)

    def broken(*arguments: object, **named: object) -> None:
        raise TableError("the accounts are away")

    with monkeypatch.context() as patch:
        patch.setattr(type(client.runtime.gatekeeper.audit), "record", broken)
        document = {"kind": "reject", "reason": "x", "confirm": make.STUDY}
        assert admin.send(method, path, {}, json.dumps(document).encode()).status == 503
    assert client.get(STUDY).status == 200
    assert not list(client.runtime.archive_store(ArchiveId(client.archive)).decisions())


@pytest.mark.parametrize("accept", [STORED, None], ids=["as stored", "converted"])
def test_an_export_made_while_its_study_is_deleted_is_not_given_away(
    make_client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch, accept: str | None
) -> None:
    """The deletion runs whole between the choice of what is composed and the writing of it: nothing of it is left."""
    client = make_client()
    client.stow(*(make.instance(number, syntax="1.2.840.10008.1.2") for number in (1, 2, 3)))
    client.stow(make.instance(1, series=make.SERIES + ".7"))
    client = make_client(archive=client.archive, inline_limit=900)
    objects, done = type(client.runtime.archive_objects), threading.Event()
    for name in ("put", "join"):
        real = getattr(objects, name)

        def meanwhile(self: Any, *arguments: Any, real: Any = real, **named: Any) -> Any:
            key = next((a for a in arguments if isinstance(a, str) and a.startswith("blobs/exports/")), "")
            if key and not done.is_set():
                done.set()
                pieces = [
                    self.get(a.key) for each in arguments if isinstance(each, list) for a in each if hasattr(a, "key")
                ]
                assert client.send("DELETE", make.url(2)).status == 204
                if pieces:  # storage had copied already
                    return self.put(key, b"".join(pieces))
            return real(self, *arguments, **named)

        monkeypatch.setattr(objects, name, meanwhile)
    reply = client.send("GET", STUDY, {"Accept": accept} if accept else {}, follow=False)
    assert done.is_set()
    assert reply.status == 307
    assert make.sop(2).encode() not in client.blob(reply).body
    left = [head.key for head in client.runtime.archive_objects.list(f"blobs/exports/{client.archive}/")]
    assert make.sop(2).encode() not in b"".join(client.runtime.archive_objects.get(key) for key in left)
