"""The pack grammar, to the byte, streamed from the spool's files (protocols: pack grammar).

A pack is ``multipart/related; type="application/dicom"``: for each part ``--B``, its media type with the transfer
syntax, its exact length, its location, an empty line, one unmodified Part 10 file, CRLF; at the end ``--B--``, CRLF.
It is never written to disk: its length and SHA-256 are computed by reading the files once, and the upload reads them
again.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edge_forwarder.dicom import part10
from edge_forwarder.errors import SpoolError

CHUNK: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Part:
    """One instance of a pack: its UIDs, its file, and the file's size in bytes."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    path: Path
    size: int


@dataclass(frozen=True, slots=True)
class Digest:
    """What an upload grant covers: length in bytes and lower-case hex SHA-256 of the body; and the SHA-256 of each
    file's data set, what follows group 0002.
    """

    length: int
    sha256: str
    data_sets: Mapping[Path, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Body:
    """A request body made of literals and files. ``boundary`` is empty for a single file."""

    segments: tuple[bytes | Path, ...]
    length: int
    boundary: str = ""

    @property
    def content_type(self) -> str:
        if not self.boundary:
            return "application/dicom"
        return f'multipart/related; type="application/dicom"; boundary={self.boundary}'

    def chunks(self) -> Iterator[bytes]:
        """The bytes, at most `CHUNK` at a time. Raises SpoolError, which no HTTP client takes for its own."""
        try:
            for segment in self.segments:
                if isinstance(segment, bytes):
                    yield segment
                    continue
                with segment.open("rb", buffering=0) as file:
                    while chunk := file.read(CHUNK):
                        yield chunk
        except OSError as error:
            raise SpoolError(f"a spooled file cannot be read: {error.strerror}") from None

    def part(self, offset: int, length: int) -> bytes:
        """So many bytes of the body from there, fewer at its end. Raises SpoolError."""
        pieces: list[bytes] = []
        at = 0
        try:
            for segment in self.segments:
                size = len(segment) if isinstance(segment, bytes) else segment.stat().st_size
                start, stop = max(offset - at, 0), min(offset + length - at, size)
                at += size
                if start >= stop:
                    continue
                if isinstance(segment, bytes):
                    pieces.append(segment[start:stop])
                    continue
                with segment.open("rb", buffering=0) as file:
                    file.seek(start)
                    while start < stop and (piece := file.read(stop - start)):
                        pieces.append(piece)
                        start += len(piece)
        except OSError as error:
            raise SpoolError(f"a spooled file cannot be read: {error.strerror}") from None
        return b"".join(pieces)

    def digest(self) -> Digest:
        """Raises OSError, also when the files are not as long as they were."""
        sha, length = hashlib.sha256(), 0
        data_sets: dict[Path, str] = {}
        for segment in self.segments:
            if isinstance(segment, bytes):
                sha.update(segment)
                length += len(segment)
                continue
            data_set, start = hashlib.sha256(), -1
            with segment.open("rb", buffering=0) as file:
                while chunk := file.read(CHUNK):
                    if start < 0:
                        start = part10.dataset_offset(chunk)
                    sha.update(chunk)
                    data_set.update(memoryview(chunk)[start:])
                    length += len(chunk)
                    start = 0
            data_sets[segment] = data_set.hexdigest()
        if length != self.length:
            raise OSError("a spooled file changed its size")
        return Digest(length, sha.hexdigest(), data_sets)

    def boundary_occurs(self) -> bool:
        """Whether ``--B`` occurs inside a part. Delimiter lines and headers cannot make one with a part: they
        end in LF.
        """
        needle = b"--" + self.boundary.encode("ascii")
        return any(_occurs(needle, segment) for segment in self.segments if isinstance(segment, Path))


def _occurs(needle: bytes, path: Path) -> bool:
    tail = b""
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(CHUNK):
            if needle in chunk or needle in tail + chunk[: len(needle)]:
                return True
            tail = chunk[-len(needle) + 1 :] if len(chunk) >= len(needle) else (tail + chunk)[-len(needle) + 1 :]
    return False


def data_set_sha256(path: Path) -> str:
    """Of what follows group 0002, as `Digest.data_sets` has it. Raises OSError."""
    size = path.stat().st_size
    (digest,) = single(path, size).digest().data_sets.values()
    return digest


def pack(archive: str, parts: tuple[Part, ...], boundary: str) -> Body:
    """The body of a pack."""
    segments: list[bytes | Path] = []
    length = 0
    lead = b""
    for part in parts:
        head = lead + (
            f"--{boundary}\r\n"
            f"Content-Type: application/dicom; transfer-syntax={part.transfer_syntax_uid}\r\n"
            f"Content-Length: {part.size}\r\n"
            f"Content-Location: /dicomweb/{archive}/studies/{part.study_instance_uid}/series/{part.series_instance_uid}"
            f"/instances/{part.sop_instance_uid}\r\n\r\n"
        ).encode("ascii")
        segments += [head, part.path]
        length += len(head) + part.size
        lead = b"\r\n"
    end = f"\r\n--{boundary}--\r\n".encode("ascii")
    return Body((*segments, end), length + len(end), boundary)


def single(path: Path, size: int) -> Body:
    """The body of one file that no pack can hold, for its UIDs cannot be read."""
    return Body((path,), size)


def other_boundary() -> str:
    """A boundary of our own, for a study whose data contain the archive's: such a pack is not joinable, but right."""
    return f"edge-{secrets.token_hex(20)}"
