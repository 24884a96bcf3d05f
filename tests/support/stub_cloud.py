"""A cloud in one process for the edge's tests: the console's upload API on loopback, and every way to misbehave.

It checks what the real one checks (key, arrival, length, SHA-256, one object a grant, the pack grammar) and keeps
what it was given, so that a test can compare it with what was sent.
"""

from __future__ import annotations

import hashlib
import json
import re
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support import stub_dicomweb
from ulid import ULID

KEY = "mpk_stub"
#: Of an upload in parts: small, so that tests are quick.
PART_BYTES = 1024 * 1024
CODE = "AAAAA-BBBBB-CCCCC-DDDDD"
ARCHIVE = "hosp1"

_PART_HEAD = re.compile(
    rb"Content-Type: application/dicom; transfer-syntax=([0-9.]+)\r\n"
    rb"Content-Length: (\d+)\r\n"
    rb"Content-Location: /dicomweb/([a-z0-9-]+)/studies/([0-9.]+)/series/([0-9.]+)/instances/([0-9.]+)\r\n\r\n"
)


@dataclass(frozen=True, slots=True)
class StubPart:
    """One part of a stored pack."""

    transfer_syntax_uid: str
    study: str
    series: str
    sop: str
    data: bytes


def parse_pack(body: bytes, boundary: str) -> list[StubPart]:
    """Read a pack strictly; an AssertionError names what breaks the grammar."""
    delimiter = b"--" + boundary.encode()
    parts, at = [], 0
    while True:
        assert body.startswith(delimiter, at), f"no delimiter at {at}"
        at += len(delimiter)
        if body[at:] == b"--\r\n":
            break
        assert body[at : at + 2] == b"\r\n"
        head = _PART_HEAD.match(body, at + 2)
        assert head, f"not our part header: {body[at : at + 200]!r}"
        assert head.end() - head.start() < 512
        syntax, length, archive, study, series, sop = (group.decode() for group in head.groups())
        assert archive == ARCHIVE
        data = body[head.end() : head.end() + int(length)]
        assert delimiter not in data
        at = head.end() + int(length)
        assert body[at : at + 2] == b"\r\n"
        at += 2
        parts.append(StubPart(syntax, study, series, sop, data))
    assert parts, "an empty pack"
    assert len({(p.study, p.series) for p in parts}) == 1, "more than one series"
    assert len({p.sop for p in parts}) == len(parts), "an instance twice"
    return parts


@dataclass(slots=True)
class Upload:
    """One grant and what came of it."""

    arrival: str
    length: int
    sha256: str
    content_type: str
    body: bytes | None = None
    state: str = "indexed"
    """What `status` will say once the body is here."""
    conflicts: list[dict[str, str]] = field(default_factory=list)
    failures: list[dict[str, str | None]] = field(default_factory=list)
    reason: str | None = None
    parts: dict[int, bytes] = field(default_factory=dict)
    """By number, of an upload in parts."""


#: As a node says it.
NOT_AS_GRANTED = {"title": "Bad Request", "detail": "the SHA-256 of the body is not the one of the grant"}


@dataclass(frozen=True, slots=True)
class Fault:
    """What to do instead of answering. ``status`` 0 cuts the connection, -1 says and takes nothing for as long as it
    lasts (the other end of a half-open one); ``after`` takes the request's effect first.
    """

    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b'{"title": "a fault of the test"}'
    after: bool = False


class StubCloud:
    """Use as a context manager; `url` is its address. Faults are queued by route: boundaries, uploads, known,
    in-parts, parts, complete, status, put, part, enrol, dicomweb.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.uploads: dict[str, Upload] = {}
        self.faults: dict[str, deque[Fault]] = {}
        self.standing_fault: Callable[[str], Fault | None] = lambda route: None
        """Asked for every request after the queue is empty."""
        self.requests: list[str] = []
        self.decide: Callable[[Upload], None] = lambda upload: None
        """Called with each complete upload: may set its state, conflicts, failures."""
        self.before_part: Callable[[int], None] = lambda number: None
        """Called before a part is taken, without the lock: may block."""
        self.hold = threading.Event()
        self.hold.set()
        """While it is clear, `status` says pending."""
        self.looks = True
        """Whether it says of named instances, before it grants an upload, which it has."""
        self.says_which = True
        """Whether it says which of the versions that are named it has."""
        self.refuse_key = False
        self.key_digests = {hashlib.sha256(KEY.encode()).hexdigest()}
        """SHA-256 of the keys that are good."""
        self.heartbeats: list[dict[str, Any]] = []
        self.heartbeat_seconds = 60.0
        self.clock_ahead = 0.0
        """How far the cloud's clock is before the edge's, in seconds."""
        self.deleted: set[str] = set()
        """SOP Instance UIDs that DICOMweb does not know any more."""
        self._server: ThreadingHTTPServer | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> StubCloud:
        self.come_back()
        return self

    def __exit__(self, *_: object) -> None:
        self.go_away()

    def come_back(self) -> None:
        """Listen (again), on the same port."""
        self._server = _Server(("127.0.0.1", self._port), _handler(self))
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def go_away(self) -> None:
        """Stop listening: connections are refused."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @contextmanager
    def always(self, fault: Fault, *routes: str) -> Iterator[None]:
        before = self.standing_fault
        self.standing_fault = lambda route: fault if route in routes else None
        try:
            yield
        finally:
            self.standing_fault = before

    def fail(self, route: str, *faults: Fault) -> None:
        with self.lock:
            self.faults.setdefault(route, deque()).extend(faults)

    def fault(self, route: str) -> Fault | None:
        with self.lock:
            self.requests.append(route)
            queue = self.faults.get(route)
            found = queue.popleft() if queue else self.standing_fault(route)
            self.changed.notify_all()
            return found

    def wait_for(self, condition: Callable[[], object], seconds: float = 30.0) -> None:
        """Until it holds; looked at after each request and answer."""
        with self.lock:
            assert self.changed.wait_for(condition, seconds), f"not within {seconds} s"

    def seen(self, route: str) -> int:
        with self.lock:
            return self.requests.count(route)

    def stored(self) -> list[Upload]:
        with self.lock:
            return [upload for upload in self.uploads.values() if upload.body is not None]

    def packs(self) -> list[list[StubPart]]:
        """Every complete pack, each checked against the grammar."""
        found = []
        for upload in self.stored():
            if upload.content_type.startswith("multipart/related"):
                assert upload.body is not None
                found.append(parse_pack(upload.body, upload.content_type.rpartition("boundary=")[2]))
        return found

    def parts(self) -> list[StubPart]:
        return [part for pack in self.packs() for part in pack]

    def files(self) -> list[bytes]:
        return [u.body for u in self.stored() if u.content_type == "application/dicom" and u.body is not None]


def boundary_of(study: str) -> str:
    return hashlib.sha256(study.encode()).hexdigest()[:40]


def data_set_sha256(part10: bytes) -> str:
    """Of what follows group 0002."""
    return hashlib.sha256(part10[144 + int.from_bytes(part10[140:144], "little") :]).hexdigest()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that the edge was killed on is no news."""


def _handler(cloud: StubCloud) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def log_message(self, *_: object) -> None: ...

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string(int(time.time() + cloud.clock_ahead))

        def answer(self, status: int, value: Any, headers: tuple[tuple[str, str], ...] = ()) -> None:
            body = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            for name, text in (("Content-Type", "application/json"), ("Content-Length", str(len(body))), *headers):
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(body)

        def misbehave(self, fault: Fault) -> None:
            self.close_connection = True
            if fault.status < 0:
                given_up = select.poll()
                given_up.register(self.connection, select.POLLRDHUP | select.POLLHUP | select.POLLERR)
                given_up.poll(30_000)
            elif fault.status:
                self.answer(fault.status, fault.body, fault.headers)
            else:
                self.connection.close()

        def read(self) -> bytes:
            return self.rfile.read(int(self.headers["Content-Length"]))

        def do_GET(self) -> None:
            if not self.path.startswith("/dicomweb/"):
                return self.answer(200, {"status": "ok"})
            fault = cloud.fault("dicomweb")
            if fault:
                return self.misbehave(fault)
            if not self.known_key():
                return self.answer(401, {"title": "who are you?"})
            assert self.path.startswith(f"/dicomweb/{ARCHIVE}/"), self.path
            files = [p.data for p in cloud.parts() if p.sop not in cloud.deleted]
            status, body, headers = stub_dicomweb.respond(self.path, self.headers["Accept"], files)
            self.send_response(status)
            for name, text in (*headers, ("Content-Length", str(len(body)))):
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(body)
            with cloud.lock:
                cloud.changed.notify_all()
            return None

        def do_POST(self) -> None:
            body = json.loads(self.read())
            route = self.path.rpartition("/")[2]
            fault = cloud.fault(route)
            if fault and not fault.after:
                return self.misbehave(fault)
            status, answer = self.respond(route, body)
            if fault:
                return self.misbehave(fault)
            self.answer(status, answer)
            with cloud.lock:
                cloud.changed.notify_all()
            return None

        def respond(self, route: str, body: dict[str, Any]) -> tuple[int, Any]:
            if route == "enrol":
                if body["code"] != CODE:
                    return 401, {"title": "the code is not valid"}
                with cloud.lock:
                    cloud.refuse_key = False
                    cloud.key_digests = {hashlib.sha256(KEY.encode()).hexdigest()}
                return 201, {"edge": "edge-1", "key": KEY, "archive": ARCHIVE, "archive_name": "Thử", "limits": {}}
            if not self.known_key():
                return 401, {"title": "who are you?"}
            assert self.path.startswith(f"/api/archives/{ARCHIVE}/"), self.path
            if route == "key":
                with cloud.lock:
                    cloud.key_digests = {body["sha256"]}
                return 204, b""
            if route == "boundaries":
                return 200, {"boundaries": {study: boundary_of(study) for study in body["study_instance_uids"]}}
            is_named = route in ("uploads", "in-parts") and cloud.looks and "instances" in body
            if is_named and (there := self.known(body))["known"]:
                return 201, {name: there[name] for name in there.keys() & {"known", "known_at"}}
            if route == "uploads":
                return self.grant(body)
            if route == "heartbeats":
                with cloud.lock:
                    cloud.heartbeats.append(body)
                return 200, {"now": time.time() + cloud.clock_ahead, "next_seconds": cloud.heartbeat_seconds}
            if route == "in-parts":
                return self.begin(body)
            if route == "parts":
                return self.grant_parts(body)
            if route == "complete":
                return self.complete()
            if route == "known":
                return 200, self.known(body)
            assert route == "status"
            return 200, {"uploads": [self.state(arrival) for arrival in body["arrivals"]]}

        def known_key(self) -> bool:
            digest = hashlib.sha256(self.headers["Authorization"].removeprefix("Bearer ").encode()).hexdigest()
            return digest in cloud.key_digests and not cloud.refuse_key

        def known(self, body: dict[str, Any]) -> dict[str, Any]:
            """Of what is indexed and was neither deleted nor in conflict."""
            assert 1 <= len(body["instances"]) <= 1000
            place = (body["study_instance_uid"], body["series_instance_uid"])
            with cloud.lock:
                there = {
                    part.sop: (part.transfer_syntax_uid, data_set_sha256(part.data), upload.arrival)
                    for upload in reversed(cloud.stored())  # the first of several is current
                    if upload.state != "quarantined" and upload.content_type.startswith("multipart/") and upload.body
                    for part in parse_pack(upload.body, upload.content_type.rpartition("boundary=")[2])
                    if (part.study, part.series) == place
                    and part.sop not in cloud.deleted
                    and part.sop not in {each["sop_instance_uid"] for each in (*upload.conflicts, *upload.failures)}
                }
            known, at, others = [], [], []
            for n, each in enumerate(body["instances"]):
                *current, arrival = there.get(each["sop_instance_uid"], ("", "", ""))
                if current == [each["transfer_syntax_uid"], each["sha256"]]:
                    known.append(each["sop_instance_uid"])
                    at.append(n)
                elif arrival:
                    others.append({"sop_instance_uid": each["sop_instance_uid"], "arrival": arrival})
            return {"known": known, "others": others} | ({"known_at": at} if cloud.says_which else {})

        def grant(self, body: dict[str, Any]) -> tuple[int, Any]:
            with cloud.lock:
                arrival = body.get("arrival") or str(ULID())
                known = cloud.uploads.get(arrival)
                if body.get("arrival") and known is None:
                    return 404, {"title": "not ours"}
                if known and (known.length, known.sha256) != (body["length"], body["sha256"]):
                    return 409, {"title": "another body"}
                if known is None:
                    cloud.uploads[arrival] = Upload(arrival, body["length"], body["sha256"], body["content_type"])
            headers = {"Content-Type": body["content_type"], "x-checksum": body["sha256"], "If-None-Match": "*"}
            return 201, {"arrival": arrival, "url": f"/uploads/{arrival}", "method": "PUT", "headers": headers}

        def begin(self, body: dict[str, Any]) -> tuple[int, Any]:
            status, answer = self.grant(body)
            if status != 201:
                return status, answer
            upload = cloud.uploads[answer["arrival"]]
            count = -(-upload.length // PART_BYTES)
            done = upload.body is not None
            held = list(range(1, count + 1)) if done else sorted(upload.parts)
            about = {"part_bytes": PART_BYTES, "parts": count, "held": held, "complete": done}
            return 201, {"arrival": upload.arrival, **about}

        def grant_parts(self, body: dict[str, Any]) -> tuple[int, Any]:
            arrival = self.path.split("/")[-2]
            grants = [
                {
                    "number": part["number"],
                    "url": f"/uploads/{arrival}/{part['number']}",
                    "method": "PUT",
                    "headers": {"x-checksum": part["sha256"]},
                }
                for part in body["parts"]
            ]
            return 200, {"parts": grants}

        def complete(self) -> tuple[int, Any]:
            upload = cloud.uploads[self.path.split("/")[-2]]
            whole = b"".join(upload.parts[number] for number in sorted(upload.parts))
            if len(whole) != upload.length:
                return 409, {"title": "parts are missing"}
            assert hashlib.sha256(whole).hexdigest() == upload.sha256
            with cloud.lock:
                upload.body = whole
                cloud.decide(upload)
            return 200, {"complete": True}

        def state(self, arrival: str) -> dict[str, Any]:
            with cloud.lock:
                upload = cloud.uploads.get(arrival)
                if upload is None:
                    return {"arrival": arrival, "state": "unknown"}
                done = upload.body is not None and cloud.hold.is_set()
                return {
                    "arrival": arrival,
                    "state": upload.state if done else "pending",
                    "in_inbox": upload.body is not None,
                    "reason": upload.reason if done else None,
                    "conflicts": upload.conflicts if done else [],
                    "failures": upload.failures if done else [],
                }

        def do_PUT(self) -> None:
            arrival, number = (*self.path.removeprefix("/uploads/").split("/"), "0")[:2]
            fault = cloud.fault("part" if int(number) else "put")
            if fault and not fault.after:
                return self.misbehave(fault)
            if int(number):
                cloud.before_part(int(number))
            body = self.read()
            upload = cloud.uploads[arrival]
            if int(number):
                good = hashlib.sha256(body).hexdigest() == self.headers["x-checksum"]
                if good:
                    upload.parts[int(number)] = body
                if fault:
                    return self.misbehave(fault)
                return self.answer(200, {}) if good else self.answer(400, NOT_AS_GRANTED)
            whole = len(body) == upload.length and hashlib.sha256(body).hexdigest() == upload.sha256
            if not whole or self.headers["x-checksum"] != upload.sha256:
                self.close_connection = True
                return self.answer(400, NOT_AS_GRANTED)
            with cloud.lock:
                again = upload.body is not None
                upload.body = body
                cloud.decide(upload)
                cloud.changed.notify_all()
            if fault:
                return self.misbehave(fault)
            self.answer(412 if again else 200, {})
            return None

    return Handler
