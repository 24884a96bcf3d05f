"""Unsigned LEB128 integers, and signed ones by zigzag: what the compact tables are made of."""

from __future__ import annotations

from collections.abc import Iterable


def append_varint(out: bytearray, value: int) -> None:
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def unzigzag(value: int) -> int:
    return value >> 1 if not value & 1 else -((value + 1) >> 1)


def append_all(out: bytearray, values: Iterable[int]) -> None:
    for value in values:
        append_varint(out, value)


class VarintReader:
    """Reads what append_varint wrote. Raises ValueError at the end of the bytes or above 64 bits."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def varint(self) -> int:
        value = shift = 0
        while True:
            if self.at >= len(self.data) or shift > 63:
                raise ValueError("a compact table is damaged")
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def varints(self, count: int) -> list[int]:
        if count > len(self.data) - self.at:  # each takes a byte at least
            raise ValueError("a compact table is damaged")
        return [self.varint() for _ in range(count)]

    def take(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise ValueError("a compact table is damaged")
        taken = self.data[self.at : self.at + count]
        self.at += count
        return taken
