"""What a power cut leaves of a folder, at any moment of a process's life: by its system calls, which strace records.

A disk keeps what was synced: the content of a file as of its last fsync, the names of a folder as of the folder's. What
was not synced may be there, or not, or in part, and a name may outlive the content that it stands for. `Disk.after`
builds each of these. POSIX promises no more; file systems mostly keep more.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

_CALLS: Final = (
    "open,openat,creat,write,pwrite64,writev,pwritev,ftruncate,truncate,fallocate,fsync,fdatasync,sync_file_range,"
    "rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir,sendto,sendmsg"
)
_LINE: Final = re.compile(r"(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)")
_STRING: Final = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
_FD_PATH: Final = re.compile(r"(\d+|AT_FDCWD)<((?:\\x[0-9a-f]{2})*)>")
_RESULT: Final = re.compile(r"\) += (-?\d+)")

Survives = Literal["synced", "names", "random"]
"""What else than the synced is on the disk: nothing; every change of a name, which so overtakes the content; or all up
to some moment before the cut, when the system last wrote back, and of what came later the dice's choice.
"""
#: (moment, offset or None for the end, data), or (moment, length, no data) for a truncation.
_Write = tuple[int, int | None, bytes]


def traced(trace: Path) -> list[str]:
    """What to put before a command so that its system calls are recorded there."""
    words = ["strace", "-f", "-qq", "-yy", "-xx", "-s", "16777216", "--seccomp-bpf", "-e", f"trace={_CALLS}"]
    return [*words, "-e", "signal=none", "-o", str(trace)]


@dataclass(frozen=True, slots=True)
class Call:
    """One system call. ``place``: of the descriptor it is about, or of the first path; ``data``: what it wrote."""

    name: str
    place: str
    data: bytes = b""
    at: int | None = None
    """Offset; None: at the end."""
    target: str = ""
    socket: str = ""
    flags: str = ""
    begun: bool = True
    ended: bool = True


def read(trace: Path) -> Iterator[Call]:
    """The calls that succeeded, in order: one that another thread interrupts is there twice, begun and then ended."""
    open_calls: dict[str, tuple[str, str]] = {}
    with trace.open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            if (match := _LINE.match(line)) is None:
                continue
            thread, resumed, name, rest = match.groups()
            if resumed:
                name, head = open_calls.pop(thread, (resumed, ""))
                rest = head + rest
            elif rest.rstrip().endswith("<unfinished ...>"):
                rest = rest.rstrip().removesuffix("<unfinished ...>").rstrip()
                open_calls[thread] = (name, rest)
                yield _call(name, rest, ended=False)
                continue
            result = _RESULT.search(rest)
            if result is not None and int(result[1]) >= 0:
                yield _call(name, rest, begun=not resumed)


def _call(name: str, rest: str, *, begun: bool = True, ended: bool = True) -> Call:
    strings = [bytes.fromhex(text.replace("\\x", "")) for text, _ in _STRING.findall(rest)]
    descriptors = [bytes.fromhex(text.replace("\\x", "")).decode() for _, text in _FD_PATH.findall(rest)]
    socket = ""
    if name in ("sendto", "sendmsg"):
        socket = rest[: rest.index(",")] if "," in rest else rest
    if name.startswith(("open", "creat", "rename", "link", "unlink", "mkdir", "rmdir", "truncate")):
        paths = [text.decode() for text in strings]
        target = paths[1] if len(paths) > 1 else ""
        return Call(name, paths[0] if paths else "", target=target, flags=rest, begun=begun, ended=ended)
    place = descriptors[0] if descriptors else ""
    numbers = [int(n) for n in re.findall(r"(?<=, )(\d+)(?=[,)])", _STRING.sub('""', rest))]
    at = numbers[-1] if name in ("pwrite64", "pwritev", "ftruncate") and numbers else None
    return Call(name, place, b"".join(strings), at, socket=socket, flags=rest, begun=begun, ended=ended)


@dataclass(slots=True)
class _File:
    base: bytes = b""
    writes: list[_Write] = field(default_factory=list)
    synced: int = 0
    syncing: int = 0

    def content(self, writes: list[_Write]) -> bytes:
        data = bytearray(self.base)
        for _, at, piece in writes:
            if not piece:
                length = at or 0
                data = data[:length] + bytes(max(0, length - len(data)))
                continue
            start = len(data) if at is None else at
            data += bytes(max(0, start - len(data)))
            data[start : start + len(piece)] = piece
        return bytes(data)


#: (moment, path, what it stands for, whether it is there).
_Change = tuple[int, str, _File | None, bool]


class Disk:
    """The folder ``root`` as the calls change it: what processes see, and what is safe."""

    def __init__(self, root: Path, before: dict[str, bytes]) -> None:
        """``before``: its files by path, when the recording begins; they are safe."""
        self._root = str(root)
        self._names: dict[str, _File | None] = {name: _File(data) for name, data in before.items()}
        for name in before:  # and their folders; None stands for a folder
            self._names.update((str(parent), None) for parent in Path(name).parents if parent.is_relative_to(root))
        self._safe = dict(self._names)
        self._changes: dict[str, list[_Change]] = {}
        """By folder, what is not safe yet."""
        self._now = 0
        self._syncing: dict[str, int] = {}

    def take(self, call: Call) -> None:
        if not call.place.startswith(self._root) and not call.target.startswith(self._root):
            return
        self._now += 1
        if call.name in ("fsync", "fdatasync"):
            self._sync(call)
        elif not call.ended:
            return
        elif call.name in ("write", "pwrite64", "writev", "pwritev", "ftruncate"):
            if isinstance(file := self._names.get(call.place), _File):
                file.writes.append((self._now, call.at, call.data))
        elif call.name.startswith("open") or call.name == "creat":
            if "O_CREAT" in call.flags and call.place not in self._names:
                self._change(call.place, _File(), there=True)
            elif "O_TRUNC" in call.flags and isinstance(file := self._names.get(call.place), _File):
                file.writes.append((self._now, 0, b""))
        elif call.name.startswith("mkdir"):
            self._change(call.place, None, there=True)
        elif call.name.startswith("rename"):
            moved = self._names[call.place]
            self._change(call.target, moved, there=True)
            self._change(call.place, moved, there=False)
        elif call.name.startswith("link"):
            self._change(call.target, self._names[call.place], there=True)
        elif call.name.startswith(("unlink", "rmdir")):
            self._change(call.place, self._names.get(call.place), there=False)
        else:
            raise AssertionError(f"the model does not know {call.name} of {call.place}")

    def _change(self, path: str, file: _File | None, *, there: bool) -> None:
        if there:
            self._names[path] = file
        else:
            self._names.pop(path, None)
        self._changes.setdefault(str(Path(path).parent), []).append((self._now, path, file, there))

    def _sync(self, call: Call) -> None:
        """Of what was done before it began; safe when it has ended."""
        file = self._names.get(call.place)
        if isinstance(file, _File):
            if call.begun:
                file.syncing = len(file.writes)
            if call.ended:
                file.synced = max(file.synced, file.syncing)
            return
        changes = self._changes.get(call.place, [])
        if call.begun:
            self._syncing[call.place] = len(changes)
        if call.ended:
            count = self._syncing.get(call.place, 0)
            _apply(self._safe, changes[:count])
            self._changes[call.place] = changes[count:]
            self._syncing[call.place] = 0

    def after(self, survives: Survives, dice: random.Random, below: str = "") -> dict[str, bytes]:
        """The files of the folder after a cut now: those with ``below`` in their path. Empty folders are left out."""
        names = dict(self._safe)
        written_back = dice.randint(0, self._now) if survives == "random" else 0
        for changes in self._changes.values():
            least = sum(moment <= written_back for moment, *_ in changes)
            most = 0 if survives == "synced" else len(changes)
            _apply(names, changes[: most if survives == "names" else dice.randint(least, most)])
        files = {}
        for path, file in names.items():
            parents = [str(p) for p in Path(path).parents if str(p).startswith(self._root) and str(p) != self._root]
            if file is None or below not in path or not all(parent in names for parent in parents):
                continue
            writes = file.writes[: file.synced]
            if survives == "random":
                later = dice.choice((0.0, 0.0, 0.5))
                writes += [w for w in file.writes[file.synced :] if w[0] <= written_back or dice.random() < later]
            files[path] = file.content(writes)
        return files

    def everything(self) -> dict[str, bytes]:
        """The files as processes see them now."""
        return {path: file.content(file.writes) for path, file in self._names.items() if file is not None}


def _apply(names: dict[str, _File | None], changes: list[_Change]) -> None:
    for _, path, file, there in changes:
        if there:
            names[path] = file
        else:
            names.pop(path, None)
