"""A client that costs little: what is measured is the server, though both share the machine. Linux for the usage."""

from __future__ import annotations

import http.client
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    size: int
    redirected: bool


class Client:
    """One kept connection to one server; bodies are read and dropped."""

    def __init__(self, root: str, headers: dict[str, str]) -> None:
        parts = urlsplit(root)
        self._connection = http.client.HTTPConnection(parts.netloc, timeout=120)
        self._path, self._headers = parts.path, headers
        self._buffer = bytearray(1 << 20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def request(self, method: str, path: str, headers: dict[str, str], body: bytes | None = None) -> Answer:
        self._connection.request(method, self._path + path, body, {**self._headers, **headers})
        answer = self._connection.getresponse()
        size = self._drop(answer)
        redirected = answer.status in (302, 307)
        if redirected:
            self._connection.request(method, answer.headers["Location"])
            answer = self._connection.getresponse()
            size = self._drop(answer)
        return Answer(answer.status, size, redirected)

    def get(self, path: str, accept: str) -> Answer:
        """Raises RuntimeError for another status than 200."""
        # gzip for JSON alone: Orthanc compresses pixels too for whoever names it (48 ms of CPU a frame instead of 2),
        # as it does for browsers; that would flatter us.
        encoding = {"Accept-Encoding": "gzip"} if "json" in accept else {}
        answer = self.request("GET", path, {"Accept": accept, **encoding})
        if answer.status != 200:
            raise RuntimeError(f"{answer.status} for a GET as {accept}")
        return answer

    def _drop(self, answer: http.client.HTTPResponse) -> int:
        size = 0
        while count := answer.readinto(self._buffer):
            size += count
        return size


@dataclass
class Server:
    """A DICOMweb server under test, and the process that all its processes descend from."""

    name: str
    root: str
    pid: int
    headers: dict[str, str] = field(default_factory=dict)

    def client(self) -> Client:
        return Client(self.root, self.headers)

    def cpu_seconds(self) -> float:
        """User and system seconds of all its processes."""
        return cpu_seconds(self.pid)


@dataclass(frozen=True, slots=True)
class Process:
    kind: str
    seconds: float  #: of CPU
    peak: float  #: resident, in MB


def cpu_seconds(root: int) -> float:
    return sum(process.seconds for process in processes(root))


def processes(root: int) -> list[Process]:
    """A process and all that descend from it."""
    ticks = os.sysconf("SC_CLK_TCK")
    parents: dict[int, int] = {}
    seconds: dict[int, float] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            pid = int(stat.parent.name)
            parents[pid], seconds[pid] = int(fields[1]), (int(fields[11]) + int(fields[12])) / ticks
    found = []
    for pid in parents:
        ancestor: int | None = pid
        while ancestor and ancestor != root:
            ancestor = parents.get(ancestor)
        if ancestor == root:
            with suppress(OSError):
                found.append(Process(_kind(pid), seconds[pid], _peak(pid)))
    return found


def _kind(pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    if module := next((word for word in words if word.startswith(("maypacs_node.", "maypacs."))), ""):
        return module.rpartition(".")[2]
    if any(Path(word).name == "maypacs-edge" for word in words):
        return "edge"
    return {"weed": "store"}.get(Path(words[0]).name) or ("supervisor" if "up" in words else Path(words[0]).name)


def _peak(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def repeated(server: Server, call: Callable[[], Answer], *, times: int) -> tuple[list[float], float, bool]:
    """Seconds of each call after one to warm up, CPU milliseconds a call, and whether an answer was a redirect."""
    call()
    taken, before, redirected = [], server.cpu_seconds(), False
    for _ in range(times):
        start = time.perf_counter()
        redirected |= call().redirected
        taken.append(time.perf_counter() - start)
    return sorted(taken), (server.cpu_seconds() - before) / times * 1000, redirected


@dataclass(frozen=True, slots=True)
class Rate:
    a_second: float
    cpu: float  #: milliseconds an answer
    redirected: bool  #: at least one


def rate(server: Server, paths: list[str], accept: str, *, clients: int, seconds: float = 5) -> Rate:
    """Answers a second of so many clients, each on a connection of its own."""
    with server.client() as client:
        client.get(paths[0], accept)
    before, start = server.cpu_seconds(), time.perf_counter()
    deadline = start + seconds

    def work(number: int) -> tuple[int, bool]:
        count, redirected = 0, False
        with server.client() as client:
            while time.perf_counter() < deadline:
                redirected |= client.get(paths[(number * 37 + count) % len(paths)], accept).redirected
                count += 1
        return count, redirected

    with ThreadPoolExecutor(clients) as pool:
        done = list(pool.map(work, range(clients)))
    count = sum(each for each, _ in done)
    spent = (server.cpu_seconds() - before) / count * 1000
    return Rate(count / (time.perf_counter() - start), spent, any(redirected for _, redirected in done))
