"""The pack: one multipart/related message of unmodified instances, to the byte (protocols: "Pack grammar").

    --B CRLF
    Content-Type: application/dicom; transfer-syntax=<uid> CRLF
    Content-Length: <exact> CRLF
    Content-Location: /dicomweb/<archive>/studies/<s>/series/<se>/instances/<i> CRLF CRLF
    <Part 10 file> CRLF
    … the next part …
    --B-- CRLF

No preamble, no epilogue, at least one part; each header block in exactly this spelling and under 512 bytes.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from maypacs.errors import PackError
from maypacs.uids import ArchiveId, Uid, uid

MAX_BYTES = 64 << 20  #: of a whole pack; one larger instance is a pack of its own
MAX_INSTANCES = 1_000
MAX_HEADER_BYTES = 511
CONTENT_TYPE = 'multipart/related; type="application/dicom"; boundary={}'
FORMAT_VERSION = 1

_BOUNDARY = re.compile(rb"--([A-Za-z0-9-]{1,60})\r\n")
#: The header block of one part, after its delimiter line.
_PART_HEADER = re.compile(
    rb"Content-Type: application/dicom; transfer-syntax=([0-9.]{1,64})\r\n"
    rb"Content-Length: (0|[1-9][0-9]{0,15})\r\n"
    rb"Content-Location: (/dicomweb/[a-z0-9-]{3,32}"
    rb"/studies/[0-9.]{1,64}/series/[0-9.]{1,64}/instances/[0-9.]{1,64})\r\n"
    rb"\r\n"
)
_LOCATION = re.compile(r"/dicomweb/([^/]+)/studies/([^/]+)/series/([^/]+)/instances/([^/]+)\Z")


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance to write: its Part 10 file and what its part's headers say."""

    data: bytes | memoryview
    transfer_syntax_uid: str
    study_instance_uid: Uid
    series_instance_uid: Uid
    sop_instance_uid: Uid


@dataclass(frozen=True, slots=True)
class Part:
    """``pack[offset:offset + length]`` is the Part 10 file, ``pack[start:end]`` the part with its delimiter line and
    its last CRLF."""

    transfer_syntax_uid: str
    content_location: str
    start: int
    offset: int
    length: int
    end: int

    @property
    def uids(self) -> tuple[Uid, Uid, Uid]:
        """Study, series and SOP Instance UID of the Content-Location."""
        match = _LOCATION.match(self.content_location)
        if match is None:
            raise PackError("a Content-Location names no instance")
        return uid(match[2]), uid(match[3]), uid(match[4])


@dataclass(frozen=True, slots=True)
class PackPlan:
    """A pack as chunks (headers and the instances' own buffers), so that 64 MiB are not copied to be written."""

    chunks: tuple[bytes | memoryview, ...]
    boundary: str
    joinable: bool
    parts: tuple[Part, ...]
    size: int

    @property
    def content_type(self) -> str:
        return CONTENT_TYPE.format(self.boundary)

    def digest_id(self) -> str:
        digest = hashlib.sha256()
        for chunk in self.chunks:
            digest.update(chunk)
        return digest.hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class WrittenPack:
    data: bytes
    boundary: str
    joinable: bool  #: False: ``--B`` of the study's own boundary occurs in an instance, so B is another one
    parts: tuple[Part, ...]

    @property
    def content_type(self) -> str:
        return CONTENT_TYPE.format(self.boundary)


@dataclass(frozen=True, slots=True)
class ScannedPack:
    boundary: str
    parts: tuple[Part, ...]


def boundary(secret: bytes, archive_id: str, study_instance_uid: str) -> str:
    """The boundary of a study: 40 hex digits keyed by a secret, so that no instance can be made to hold it."""
    key = hmac.digest(secret, b"maypacs pack boundary\0" + archive_id.encode(), "sha256")
    return hmac.new(key, study_instance_uid.encode(), "sha256").hexdigest()[:40]


def content_location(archive_id: str, study: str, series: str, instance: str) -> str:
    return f"/dicomweb/{archive_id}/studies/{study}/series/{series}/instances/{instance}"


def pack_id(data: bytes | memoryview) -> str:
    """The name of a pack: the first 32 hex digits of its SHA-256."""
    return hashlib.sha256(data).hexdigest()[:32]


def plan_pack(instances: Sequence[Instance], *, archive_id: ArchiveId, secret: bytes) -> PackPlan:
    """A pack of instances of one series. Raises PackError: none, too many, too large, or of several series."""
    if not instances:
        raise PackError("a pack has at least one instance")
    if len(instances) > MAX_INSTANCES:
        raise PackError(f"a pack has at most {MAX_INSTANCES} instances")
    first = instances[0]
    if any(
        (i.study_instance_uid, i.series_instance_uid) != (first.study_instance_uid, first.series_instance_uid)
        for i in instances
    ):
        raise PackError("a pack holds one series")
    own = boundary(secret, archive_id, first.study_instance_uid)
    chosen, joinable = own, True
    attempt = 0
    while any(contains_delimiter(instance.data, chosen) for instance in instances):
        joinable = False
        attempt += 1
        chosen = hmac.new(own.encode(), attempt.to_bytes(4, "big"), "sha256").hexdigest()[:40]
    chunks: list[bytes | memoryview] = []
    parts: list[Part] = []
    position = 0
    for instance in instances:
        location = content_location(
            archive_id, instance.study_instance_uid, instance.series_instance_uid, instance.sop_instance_uid
        )
        head = part_head(chosen, instance.transfer_syntax_uid, len(instance.data), location)
        offset = position + len(head)
        end = offset + len(instance.data) + 2
        parts.append(Part(instance.transfer_syntax_uid, location, position, offset, len(instance.data), end))
        chunks += (head, instance.data, b"\r\n")
        position = end
    chunks.append(closing(chosen))
    size = position + len(chunks[-1])
    if size > MAX_BYTES and len(instances) > 1:
        raise PackError(f"a pack of several instances has at most {MAX_BYTES} bytes")
    return PackPlan(tuple(chunks), chosen, joinable, tuple(parts), size)


def write_pack(instances: Sequence[Instance], *, archive_id: ArchiveId, secret: bytes) -> WrittenPack:
    """`plan_pack`, put together into one buffer."""
    plan = plan_pack(instances, archive_id=archive_id, secret=secret)
    return WrittenPack(b"".join(plan.chunks), plan.boundary, plan.joinable, plan.parts)


def iter_write(plan: PackPlan, chunk_size: int = 1 << 20) -> Iterator[bytes]:
    """The bytes of a planned pack in pieces of at most ``chunk_size``, for hashing and streaming uploads."""
    for chunk in plan.chunks:
        view = memoryview(chunk)
        for at in range(0, len(view), chunk_size):
            yield bytes(view[at : at + chunk_size])


def part_head(boundary: str, transfer_syntax_uid: str, length: int, location: str) -> bytes:
    """Delimiter line and header block of one part. Raises PackError when they would not be of the grammar."""
    head = (
        f"Content-Type: application/dicom; transfer-syntax={transfer_syntax_uid}\r\n"
        f"Content-Length: {length}\r\nContent-Location: {location}\r\n\r\n"
    ).encode()
    if not _PART_HEADER.fullmatch(head) or len(head) > MAX_HEADER_BYTES:
        raise PackError("the headers of a part would not be of the pack grammar")
    return f"--{boundary}\r\n".encode() + head


def closing(boundary: str) -> bytes:
    return f"--{boundary}--\r\n".encode()


def contains_delimiter(data: bytes | memoryview, boundary: str) -> bool:
    """Whether ``--B`` occurs in the bytes of an instance, or at its border with the CRLF that follows or precedes it.

    ``--B`` has no CR or LF, so it cannot straddle either border: the part's own bytes decide.
    """
    return _occurs(data, f"--{boundary}".encode(), 0, len(data))


def _occurs(data: bytes | memoryview, needle: bytes, start: int, end: int) -> bool:
    if isinstance(data, bytes):
        return data.find(needle, start, end) >= 0
    window = 1 << 20  # a memoryview has no find, and is not copied whole
    return any(needle in bytes(data[at : min(end, at + window + len(needle) - 1)]) for at in range(start, end, window))


def scan_pack(data: bytes | memoryview, *, limits: bool = True) -> ScannedPack:
    """The parts of a pack, strictly to the grammar. Raises PackError, whatever the bytes.

    ``limits`` False: of a whole joined message, which may have more parts and bytes than a pack.
    """
    match = _BOUNDARY.match(bytes(data[:64]))
    if match is None:
        raise PackError("a pack begins with its boundary")
    name = match[1].decode()
    delimiter, close, needle = match[0], closing(name), match[0][:-2]
    parts: list[Part] = []
    position, size = 0, len(data)
    while True:
        if bytes(data[position : position + len(delimiter)]) != delimiter:
            if parts and size - position == len(close) and bytes(data[position:]) == close:
                break
            raise PackError(f"no boundary where part {len(parts) + 1} should begin, at byte {position}")
        if limits and len(parts) >= MAX_INSTANCES:
            raise PackError(f"a pack has at most {MAX_INSTANCES} instances")
        header_at = position + len(delimiter)
        header = _PART_HEADER.match(bytes(data[header_at : header_at + MAX_HEADER_BYTES]))
        if header is None:
            raise PackError(f"the headers of part {len(parts) + 1} are not of the pack grammar")
        offset = header_at + header.end()
        length = int(header[2])
        end = offset + length + 2
        if end > size or bytes(data[offset + length : end]) != b"\r\n":
            raise PackError(f"part {len(parts) + 1} has not the length it says")
        if _occurs(data, needle, offset, offset + length):
            raise PackError(f"part {len(parts) + 1} contains the boundary")
        parts.append(Part(header[1].decode(), header[3].decode(), position, offset, length, end))
        position = end
    if limits and size > MAX_BYTES and len(parts) > 1:
        raise PackError(f"a pack of several instances has at most {MAX_BYTES} bytes")
    return ScannedPack(name, tuple(parts))


def one_series(parts: Iterable[Part]) -> tuple[Uid, Uid]:
    """Study and series UID of all parts. Raises PackError when they are several."""
    found = {part.uids[:2] for part in parts}
    if len(found) != 1:
        raise PackError("a pack holds one series")
    return found.pop()
