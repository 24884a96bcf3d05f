"""An encoder of JPEG Lossless, Process 14, Selection Value 1 (1.2.840.10008.1.2.4.70): each sample less its neighbour.

ISO/IEC 10918-1 annex H, with annex C's code tables; PS3.5 8.2.1, A.4.1: no JFIF marker is needed. It is here because no
codec of the lock writes it without risk: GDCM damages its heap over 8-bit pictures. numpy does the work, row by row.
"""

from __future__ import annotations

import heapq
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

#: Categories of a difference (H.1.2.2): its number of bits, 0 to 16.
_CATEGORIES = 17
#: Samples whose bits are laid out at once; bounds memory.
_CHUNK = 1 << 19


def encode(samples: Array, precision: int) -> bytes:
    """(rows, columns[, 3]) of whole numbers, of which the lowest `precision` bits (2 to 16) count, as a code stream."""
    import numpy as np

    rows, columns = samples.shape[:2]
    components = samples.shape[2] if samples.ndim == 3 else 1
    values = (samples.astype(np.int64) & (1 << precision) - 1).astype(np.int32).reshape(rows, columns, components)
    differences = _differences(values, precision).reshape(-1)
    size_of = np.array([number.bit_length() for number in range(32769)], np.uint8)
    categories = size_of[np.abs(differences)]
    lengths, codes = _code(np.bincount(categories, minlength=_CATEGORIES).tolist())
    head = b"".join(
        (
            b"\xff\xd8",
            _segment(0xC3, struct.pack(">BHHB", precision, rows, columns, components) + _components(components)),
            _segment(0xC4, _table(lengths)),
            _segment(0xDA, bytes([components]) + b"".join(bytes([n + 1, 0]) for n in range(components)) + b"\1\0\0"),
        )
    )
    return head + _entropy(differences, categories, lengths, codes) + b"\xff\xd9"


def _differences(values: Array, precision: int) -> Array:
    """Modulo 65536 as -32768 … 32767: to the left neighbour; in the first column to the one above (H.1.2.1)."""
    import numpy as np

    prediction = np.empty_like(values)
    prediction[:, 1:] = values[:, :-1]
    prediction[1:, 0] = values[:-1, 0]
    prediction[0, 0] = 1 << (precision - 1)
    return (values - prediction).astype(np.int16).astype(np.int32)


def _code(counts: list[int]) -> tuple[list[int], list[int]]:
    """Lengths and codes of the categories (annexes C and K.2): canonical, at most 16 bits, never ones alone.

    Every category has a code, and none counts less than a 512th: so no code is longer than 16 bits.
    """
    floor = sum(counts) // 512 + 1
    reserved = _CATEGORIES  # a symbol that never comes takes the code of ones
    heap: list[tuple[int, int, tuple[int, ...]]] = [
        (max(count, floor), symbol, (symbol,)) for symbol, count in enumerate(counts)
    ]
    heap.append((0, reserved, (reserved,)))
    heapq.heapify(heap)
    depth = [0] * (_CATEGORIES + 1)
    while len(heap) > 1:
        (a, _, left), (b, order, right) = heapq.heappop(heap), heapq.heappop(heap)
        for symbol in left + right:
            depth[symbol] += 1
        heapq.heappush(heap, (a + b, order, left + right))
    codes = [0] * _CATEGORIES
    code = length = 0
    for symbol in _canonical(depth):
        code <<= depth[symbol] - length
        length = depth[symbol]
        codes[symbol] = code
        code += 1
    return depth[:_CATEGORIES], codes


def _canonical(depth: list[int]) -> list[int]:
    return sorted(range(_CATEGORIES), key=lambda symbol: (depth[symbol], symbol))


def _table(lengths: list[int]) -> bytes:
    return bytes([0, *(lengths.count(bits) for bits in range(1, 17)), *_canonical(lengths)])


def _components(count: int) -> bytes:
    return b"".join(bytes([number + 1, 0x11, 0]) for number in range(count))


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _entropy(differences: Array, categories: Array, lengths: list[int], codes: list[int]) -> bytes:
    """The code of each category and the low bits of each difference, bytes of ones stuffed (F.1.2.3)."""
    import numpy as np

    extra_of = np.array([*range(16), 0], np.int64)  # category 16 is -32768 alone and needs no bits
    length_of, code_of = np.array(lengths, np.int64), np.array(codes, np.int64)
    left = np.empty(0, np.uint8)
    out = []
    for start in range(0, differences.size, _CHUNK):
        size, value = categories[start : start + _CHUNK], differences[start : start + _CHUNK].astype(np.int64)
        extra = extra_of[size]
        low = (value - (value < 0)) & ((1 << extra) - 1)
        word, bits = code_of[size] << extra | low, length_of[size] + extra
        ends = np.cumsum(bits)
        index = np.repeat(np.arange(size.size), bits)
        shift = ends[index] - 1 - np.arange(int(ends[-1]))
        laid = np.concatenate((left, (word[index] >> shift & 1).astype(np.uint8)))
        whole = laid.size // 8 * 8
        out.append(np.packbits(laid[:whole]).tobytes())
        left = laid[whole:]
    if left.size:
        out.append(np.packbits(np.concatenate((left, np.ones(8 - left.size, np.uint8)))).tobytes())
    return b"".join(out).replace(b"\xff", b"\xff\x00")
