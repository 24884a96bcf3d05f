"""A storage SCU on a bare socket: it sends the data sets of files byte for byte and remembers what was acknowledged.

It shares no code with the edge, is quick, and knows what to do when the other side dies in mid-sentence: it stops.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pydicom

_PIECE = 100_000


@dataclass(frozen=True, slots=True)
class Instance:
    """What travels: a data set in a transfer syntax, and what the command says of it."""

    sop_class: str
    transfer_syntax: str
    sop_instance: str
    data_set: bytes

    @classmethod
    def of(cls, path: Path) -> Instance:
        """The data set of a file, byte for byte."""
        data = path.read_bytes()
        meta = pydicom.filereader.read_file_meta_info(path)
        uids = (str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID), str(meta.MediaStorageSOPInstanceUID))
        return cls(*uids, data[144 + int.from_bytes(data[140:144], "little") :])


def send(
    port: int,
    paths: Iterable[Path],
    *,
    called: str = "MAYEDGE",
    calling: str = "THU-CT1",
    acknowledged: Callable[[int], None] = lambda count: None,
) -> dict[Path, int]:
    """The DIMSE status of each file sent in one association, up to where the other side rejected, closed or died.

    ``acknowledged`` is called with the number of answers so far. An AssertionError when a context is not accepted.
    """
    files = list(paths)
    pairs = set()
    for path in files:
        meta = pydicom.filereader.read_file_meta_info(path)
        pairs.add((str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)))
    instances = map(Instance.of, files)
    statuses = transmit(port, pairs, instances, called=called, calling=calling, acknowledged=acknowledged)
    return dict(zip(files, statuses, strict=False))


def transmit(
    port: int,
    pairs: Iterable[tuple[str, str]],
    instances: Iterable[Instance],
    *,
    called: str = "MAYEDGE",
    calling: str = "THU-CT1",
    acknowledged: Callable[[int], None] = lambda count: None,
) -> list[int]:
    """The same for instances that are made as they are sent; ``pairs``: the (SOP class, transfer syntax) among them."""
    ids = {pair: 2 * n + 1 for n, pair in enumerate(sorted(set(pairs)))}
    statuses: list[int] = []
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(_associate(ids, called, calling))
            kind, body = _read_pdu(connection)
            if kind != 2:
                return statuses
            accepted = _accepted(body)
            for instance in instances:
                pair = (instance.sop_class, instance.transfer_syntax)
                assert ids[pair] in accepted, f"{pair} is not accepted"
                statuses.append(_store(connection, ids[pair], instance))
                acknowledged(len(statuses))
            connection.sendall(struct.pack(">BxI4x", 5, 4))
            _read_pdu(connection)
    except (OSError, EOFError):
        pass
    return statuses


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def _associate(ids: dict[tuple[str, str], int], called: str, calling: str) -> bytes:
    contexts = b"".join(
        _item(0x20, bytes((number, 0, 0, 0)) + _item(0x30, sop_class.encode()) + _item(0x40, syntax.encode()))
        for (sop_class, syntax), number in ids.items()
    )
    user = _item(0x50, _item(0x51, struct.pack(">I", 16384)) + _item(0x52, b"2.25.999"))
    head = struct.pack(">H2x16s16s32x", 1, called.ljust(16).encode(), calling.ljust(16).encode())
    body = head + _item(0x10, b"1.2.840.10008.3.1.1.1") + contexts + user
    return struct.pack(">BxI", 1, len(body)) + body


def _accepted(body: bytes) -> set[int]:
    at, found = 68, set()
    while at < len(body):
        kind, length = struct.unpack_from(">BxH", body, at)
        if kind == 0x21 and body[at + 6] == 0:
            found.add(body[at + 4])
        at += 4 + length
    return found


def _read_pdu(connection: socket.socket) -> tuple[int, bytes]:
    kind, length = struct.unpack(">BxI", _exactly(connection, 6))
    return kind, _exactly(connection, length)


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _element(element: int, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HHI", 0, element, len(value)) + value


def _pdata(context: int, control: int, piece: bytes) -> bytes:
    return struct.pack(">BxIIBB", 4, len(piece) + 6, len(piece) + 2, context, control) + piece


def _store(connection: socket.socket, context: int, instance: Instance) -> int:
    command = (
        _element(0x0002, instance.sop_class.encode())
        + _element(0x0100, struct.pack("<H", 1))
        + _element(0x0110, struct.pack("<H", 7))
        + _element(0x0700, struct.pack("<H", 0))
        + _element(0x0800, struct.pack("<H", 1))
        + _element(0x1000, instance.sop_instance.encode())
    )
    command = _element(0x0000, struct.pack("<I", len(command))) + command
    data = instance.data_set
    connection.sendall(_pdata(context, 3, command))
    for at in range(0, max(len(data), 1), _PIECE):
        connection.sendall(_pdata(context, 2 if at + _PIECE >= len(data) else 0, data[at : at + _PIECE]))
    kind, body = _read_pdu(connection)
    if kind != 4:
        raise EOFError
    at = 6
    while at < len(body):
        _, element, length = struct.unpack_from("<HHI", body, at)
        if element == 0x0900:
            (status,) = struct.unpack_from("<H", body, at + 8)
            return int(status)
        at += 8 + length
    raise EOFError
