"""Real processes for the end-to-end tests and the benchmarks: a node, an edge, dcmtk's tools, Orthanc."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from maypacs_node import processes

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".venv" / "bin"

#: dcmtk and Orthanc: without it Nagle and delayed ACK cost ~50 ms an instance.
QUICK_TCP = {**os.environ, "TCP_NODELAY": "1"}
#: No two workers of one run look for ports in the same place, nor does the kernel for outgoing connections; and none is
#: given a second time before all others were.
_PORTS = 400
_FIRST_PORT = 10_000 + _PORTS * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw4")[2:]) % 5)
_NEXT = itertools.cycle(range(_FIRST_PORT, _FIRST_PORT + _PORTS))


def free_port() -> int:
    return next(port for port in itertools.islice(_NEXT, _PORTS) if processes.port_is_free(port))


def wait_until(condition: Callable[[], object], *, seconds: float = 30, what: str = "condition") -> None:
    """Polls until the condition holds; an AssertionError names what never came."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds:.0f} s still not: {what}")
        time.sleep(0.05)


class Child:
    """A child process with its output in a file; stopped, hard if need be, at the end of the block."""

    def __init__(self, command: Sequence[str | Path], *, log: Path, env: dict[str, str] | None = None) -> None:
        self.command = [str(word) for word in command]
        self.log = log
        self.env = env or dict(os.environ)
        self.process: subprocess.Popen[str] | None = None

    def spawn(self) -> subprocess.Popen[str]:
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, text=True, env=self.env, cwd=ROOT, start_new_session=True
            )
        return self.process

    def start(self, ready: str, *, seconds: float = 60) -> str:
        """Starts it and returns the first output line that matches ``ready``."""
        seen = self.log.stat().st_size if self.log.exists() else 0
        process = self.spawn()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with self.log.open() as log:
                log.seek(seen)
                if found := re.search(ready, log.read(), re.MULTILINE):
                    return found.string[found.start() :].partition("\n")[0]
            if process.poll() is not None:
                break
            time.sleep(0.05)
        self.kill()
        raise AssertionError(f"{self.command[0]} did not become ready:\n{self.log.read_text()[-3000:]}")

    def stop(self, *, seconds: float = 20) -> int:
        """SIGTERM, then the exit code; an AssertionError when it does not end by itself."""
        assert self.process is not None
        self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.command[0]} did not stop within {seconds} s") from None

    def kill(self) -> None:
        """kill -9 of the whole process group, as a power cut would."""
        if self.process is not None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None and self.process.poll() is None:
            if kind is None:
                self.stop()
            else:
                self.kill()


class Node(Child):
    """``maypacs up``, with what its command line can do."""

    def __init__(self, data: Path, *, port: int | None = None, limits: str = "none", workers: int = 2) -> None:
        self.data = data
        self.port = port or free_port()
        data.mkdir(parents=True, exist_ok=True)
        super().__init__(
            [str(BIN / "maypacs"), "up", "--data", str(data)]
            + ["--port", str(self.port), "--limits", limits, "--workers", str(workers)],
            log=data.with_suffix(".log"),
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.start(r"^ready http://")
        return self

    def maypacs(self, *words: str, seconds: float = 60) -> str:
        command = [BIN / "maypacs", *words, "--data", str(self.data)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=seconds)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def archive(self, name: str = "hosp1", role: str = "admin") -> str:
        """Makes an archive and returns an API key for it."""
        self.maypacs("archive", "add", name)
        return self.maypacs("key", "add", "--archive", name, "--role", role)


class Edge(Child):
    """``maypacs-edge run``, enrolled with a node."""

    def __init__(self, folder: Path, node: Node, *, archive: str = "hosp1", ae_title: str = "MAYEDGE") -> None:
        self.folder = folder
        self.config = folder / "edge.toml"
        self.ae_title = ae_title
        self.port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        if not self.config.exists():
            code = node.maypacs("edge", "code", "--archive", archive)
            subprocess.run(
                [str(BIN / "maypacs-edge"), "enroll", "--url", node.url, "--code", code, "--config", str(self.config)]
                + ["--aet", ae_title, "--port", str(self.port)],
                check=True,
                cwd=ROOT,
                capture_output=True,
                timeout=60,
            )
        # A real one waits a minute for the next image of an ultrasound: tests have less patience.
        text = self.config.read_text(encoding="utf-8")
        quick = re.sub(r"(?m)^# (quiet_seconds_by_modality) = .*$", r"\1 = { US = 1.0, ES = 1.0 }", text, count=1)
        self.config.write_text(quick, encoding="utf-8")
        super().__init__([BIN / "maypacs-edge", "run", "--config", self.config], log=folder / "edge.log")

    def __enter__(self) -> Self:
        self.start(r"^ready ")
        return self

    def status(self) -> dict[str, Any]:
        done = subprocess.run(
            [BIN / "maypacs-edge", "status", "--config", str(self.config), "--json"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    def send(self, *paths: Path, extra: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """dcmtk's storescu, every file or folder in one association."""
        return subprocess.run(
            ["storescu", "-aec", self.ae_title, "+sd", "+r", *extra, "127.0.0.1", str(self.port), *map(str, paths)],
            env=QUICK_TCP,
            capture_output=True,
            text=True,
            timeout=300,
        )
