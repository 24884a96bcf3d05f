"""The cloud's inbox, over `client.Cloud`: what it has already, leave to upload, the upload itself, what became of it.

Every failure is one of errors.CloudError.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urljoin

from edge_forwarder.cloud.client import STORED, Cloud, refusal, text
from edge_forwarder.errors import CloudAwayError, GrantExpiredError, NotAsGrantedError
from edge_forwarder.packing.packs import Digest

#: If-None-Match did not hold: an earlier try had arrived, and only its answer was lost.
_THERE_ALREADY: Final = 412
_BAD_REQUEST: Final = 400
#: What S3 and a node call other bytes than those of the grant. A 400 may also be a stall (S3: RequestTimeout).
_NOT_AS_GRANTED: Final = (b"BadDigest", b"XAmzContentSHA256Mismatch", b"the SHA-256 of the body")
Version = tuple[str, str, str]
"""SOPInstanceUID, transfer syntax, SHA-256 of the data set."""
#: The cloud's answers that mean: not with that arrival id. Without it, a fresh grant is to be had.
ARRIVAL_REFUSED: Final = frozenset({404, 409})
#: A question about what is held names at most so many versions of instances.
ASKED: Final = 1000
#: A status request names at most so many arrivals.
BATCH: Final = 100


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave to PUT one body. ``url`` is absolute; ``headers`` must be sent exactly."""

    arrival: str
    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Begun:
    """An upload in parts: their size (bytes; the last is smaller) and count, the numbers (1 the first) of those that
    the cloud holds, and whether nothing is left to do.
    """

    arrival: str
    part_bytes: int
    parts: int
    held: frozenset[int]
    complete: bool


@dataclass(frozen=True, slots=True)
class Held:
    """What the cloud has of instances that it was asked for, by SOPInstanceUID: those that it has byte for byte, and of
    those that it has with other bytes, the arrival id of these.
    """

    known: frozenset[str]
    others: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Named:
    """The instances of a body, all of one series, each in the versions of which any will do; at most `ASKED`."""

    study: str
    series: str
    instances: tuple[Version, ...]

    def document(self) -> dict[str, Any]:
        names = ("sop_instance_uid", "transfer_syntax_uid", "sha256")
        asked = [dict(zip(names, each, strict=True)) for each in self.instances]
        return {"study_instance_uid": self.study, "series_instance_uid": self.series, "instances": asked}


class KnownError(Exception):
    """No failure: the cloud has these of the instances that were named, byte for byte, so the body is to be another."""

    def __init__(self, known: Mapping[str, str | None]) -> None:
        super().__init__("the cloud has some of it")
        self.known = known
        """SOPInstanceUIDs, and the transfer syntax in which it has each; None: it does not say."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One instance that the cloud did not take as it is; no SOPInstanceUID: not known which."""

    sop_instance_uid: str | None
    reason: str
    is_conflict: bool = False


@dataclass(frozen=True, slots=True)
class UploadStatus:
    """What became of one upload. ``state`` is pending, indexed, partial, quarantined or unknown."""

    arrival: str
    state: str
    in_inbox: bool
    reason: str | None
    problems: tuple[Problem, ...]
    unlisted: bool = False
    """Whether there are more problems than these: the cloud lists the first ones only."""
    unlisted_failures: bool = False
    """Whether there are more failures among them."""


class Inbox:
    """Threads may share it."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def known(self, study: str, series: str, instances: Iterable[Version]) -> frozenset[str]:
        """Of instances of one series, as `held`: the SOPInstanceUIDs of those that need not be sent, as indexed as if
        they had been. Raises CloudError.
        """
        return self.held(study, series, instances).known

    def held(self, study: str, series: str, instances: Iterable[Version]) -> Held:
        """Of instances of one series, at most `ASKED` versions: which of them the cloud has, and keeps. One of
        several versions is known if any of them is. Raises CloudError.
        """
        named = Named(study, series, tuple(instances))
        answer = self._cloud.post(self._cloud.archive("uploads/known"), named.document())
        known, others = answer.get("known"), answer.get("others", [])
        if not isinstance(known, list) or not all(isinstance(uid, str) for uid in known):
            raise CloudAwayError("the answer does not say what is known")
        if not isinstance(others, list) or not all(isinstance(other, dict) for other in others):
            raise CloudAwayError("the answer does not say what else is there")
        arrivals = {text(other, "sop_instance_uid"): text(other, "arrival") for other in others}
        return Held(frozenset(known), arrivals)

    def grant(self, digest: Digest, content_type: str, arrival: str | None, named: Named | None = None) -> Grant:
        """Leave to upload one body; with the arrival id of an earlier try, for the same object. Raises CloudError, and
        KnownError if the cloud has some of the instances that are named (one of an earlier version does not look).
        """
        answer = self._wish("uploads", digest, content_type, arrival, named)
        return self._grant(text(answer, "arrival"), answer)

    def _wish(
        self, route: str, digest: Digest, content_type: str, arrival: str | None, named: Named | None
    ) -> Mapping[str, Any]:
        wanted: dict[str, Any] = {"length": digest.length, "sha256": digest.sha256, "content_type": content_type}
        if arrival:
            wanted["arrival"] = arrival
        elif named is not None:
            wanted |= named.document()
        answer = self._cloud.post(self._cloud.archive(route), wanted)
        if named is not None and answer.get("known"):
            raise KnownError(_known(answer, named.instances))
        return answer

    def _grant(self, arrival: str, answer: Mapping[str, Any]) -> Grant:
        headers = answer.get("headers")
        if not isinstance(headers, dict) or answer.get("method", "PUT") != "PUT":
            raise CloudAwayError("the answer is not an upload grant")
        url = urljoin(self._cloud.base + "/", text(answer, "url"))
        return Grant(arrival, url, {str(name): str(value) for name, value in headers.items()})

    def begin(self, digest: Digest, content_type: str, arrival: str | None, named: Named | None = None) -> Begun:
        """Begin an upload in parts; with the arrival id of an earlier try, go on with it. Raises as `grant`."""
        answer = self._wish("uploads/in-parts", digest, content_type, arrival, named)
        size, count, held = answer.get("part_bytes"), answer.get("parts"), answer.get("held")
        if not isinstance(size, int) or not isinstance(count, int) or not isinstance(held, list):
            raise CloudAwayError("the answer is no upload in parts")
        if size < 1 or count != -(-digest.length // size):
            raise CloudAwayError("the answer's parts do not make the whole")
        return Begun(text(answer, "arrival"), size, count, frozenset(held), answer.get("complete") is True)

    def part_grant(self, arrival: str, number: int, sha256: str) -> Grant:
        """Leave to upload one part. Raises CloudError."""
        wanted = {"parts": [{"number": number, "sha256": sha256}]}
        parts = self._cloud.post(self._cloud.archive(f"uploads/{arrival}/parts"), wanted).get("parts")
        if not isinstance(parts, list) or len(parts) != 1 or not isinstance(parts[0], dict):
            raise CloudAwayError("the answer is not a grant for a part")
        return self._grant(arrival, parts[0])

    def complete(self, arrival: str) -> None:
        """All parts are there: make them one. Raises CloudError."""
        answer = self._cloud.post(self._cloud.archive(f"uploads/{arrival}/complete"), {})
        if answer.get("complete") is not True:
            raise CloudAwayError("the answer does not say that the upload is complete")

    def put(self, grant: Grant, chunks: Iterable[bytes], length: int) -> None:
        """Stream one body to where the grant says. Success too if it is there already. Raises CloudError, and what the
        chunks raise.
        """
        headers = {**grant.headers, "Content-Length": str(length)}
        response = self._cloud.request("PUT", grant.url, headers, iter(chunks))
        if "html" in response.headers.get("Content-Type", ""):
            raise CloudAwayError("what answered is not the cloud: a web page")
        if response.status in STORED or response.status == _THERE_ALREADY:
            return
        if response.status == 403:
            raise GrantExpiredError("the upload grant is not accepted")
        if response.status == _BAD_REQUEST and any(word in response.data for word in _NOT_AS_GRANTED):
            raise NotAsGrantedError("what arrived is not what was granted", response.status)
        raise refusal(response, "the upload")

    def status(self, arrivals: Sequence[str]) -> list[UploadStatus]:
        """What became of at most `BATCH` uploads. Raises CloudError."""
        answer = self._cloud.post(self._cloud.archive("uploads/status"), {"arrivals": list(arrivals)})
        uploads = answer.get("uploads")
        if not isinstance(uploads, list):
            raise CloudAwayError("the answer has no uploads")
        return [_status(item) for item in uploads if isinstance(item, dict)]


def _known(answer: Mapping[str, Any], asked: Sequence[Version]) -> dict[str, str | None]:
    """One of an earlier version does not say which version it has, unless it was asked for one only."""
    known, at = answer["known"], answer.get("known_at", [])
    if not isinstance(known, list) or not {uid for uid, *_ in asked}.issuperset(known):
        raise CloudAwayError("the answer does not say what is known")
    if not isinstance(at, list) or not all(type(n) is int and 0 <= n < len(asked) for n in at):
        raise CloudAwayError("the answer does not say which version is known")
    as_it_is = {asked[n][0]: asked[n][1] for n in at}
    return {uid: as_it_is.get(uid) for uid in known}


def _status(item: Mapping[str, Any]) -> UploadStatus:
    problems = tuple(
        Problem(
            entry.get("sop_instance_uid"), f"{kind}: {entry.get('reason') or 'no reason given'}", kind == "conflict"
        )
        for kind, member in (("conflict", "conflicts"), ("failed", "failures"))
        for entry in item.get(member) or ()
        if isinstance(entry, dict)
    )
    counts = item.get("counts")
    conflicts, failures = (_count(counts, name) for name in ("conflict", "failed"))
    listed = sum(not problem.is_conflict for problem in problems)
    return UploadStatus(
        unlisted=conflicts + failures > len(problems),
        unlisted_failures=failures > listed,
        arrival=str(item.get("arrival", "")),
        state=str(item.get("state", "unknown")),
        in_inbox=bool(item.get("in_inbox", True)),
        reason=item.get("reason"),
        problems=problems,
    )


def _count(counts: object, name: str) -> int:
    value = counts.get(name) if isinstance(counts, dict) else None
    return value if isinstance(value, int) else 0
