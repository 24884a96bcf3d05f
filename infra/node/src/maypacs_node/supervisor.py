"""`maypacs up`: starts the object store, the handler processes, the event loops and the background, and keeps them up.

    supervisor ── weed (SeaweedFS)
               ── handlers × N    one request at a time each, from the sockets `light` and `heavy` (lane.py)
               ── web × M         event loops sharing the public port
               ── ingest, chores  (background.py)

The kernel ends every child when the supervisor dies, however it dies; a start stops what is left all the same.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from maypacs_node import lane, processes
from maypacs_node.home import REPOSITORY, Home, Limits, NodeError
from maypacs_node.room import START_BYTES, Room
from maypacs_node.seaweed import SeaweedError, SeaweedFS, fetch

DEFAULT_PORT = 8080
#: A child that lived shorter than this is started again after a pause, not at once.
_SETTLED_SECONDS = 10.0
_LONGEST_PAUSE = 15.0
_READY_SECONDS = 60.0
_TRIM_SECONDS = 60.0
_LEFTOVER_SECONDS = 600.0
#: API Gateway waits 29 s for a function. A node need not be that strict.
_SECONDS = {"gateway": 29, "none": 300}


@dataclass(frozen=True, slots=True)
class UpOptions:
    host: str = "127.0.0.1"
    port: int | None = None  #: None: as last time, else 8080, else a free one
    workers: int = 0  #: handler processes; 0: by the number of cores
    limits: Limits = "none"
    behind_proxy: bool = False
    functions: Path = REPOSITORY / "functions"
    dashboard: Path = REPOSITORY / "frontend" / "dist"


@dataclass(slots=True)
class _Child:
    name: str
    command: list[str]
    env: Mapping[str, str]
    fds: tuple[int, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    start_at: float = 0.0


@dataclass(slots=True)
class Supervisor:
    home: Home
    options: UpOptions
    _children: list[_Child] = field(default_factory=list)
    _stopping: bool = False
    _store: SeaweedFS | None = None
    _store_failures: int = 0
    _store_start_at: float = 0.0
    _port: int = 0
    _lanes: Mapping[lane.Lane, int] = field(default_factory=dict)

    def run(self) -> int:
        """Until SIGTERM or Ctrl-C. Raises NodeError, SeaweedError."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop_signal)
        processes.let_others_first()
        self.home.create()
        with ExitStack() as stack:
            stack.enter_context(self.home.lock())
            if (free := Room.of(self.home.folder).free) < START_BYTES:
                raise NodeError(f"the disk of {self.home.folder} is full ({free // 1024**2} MiB free): make room first")
            self._stop_leftovers()
            port = self._choose_port()
            self._store = SeaweedFS(self.home.objects, run=self.home.run)
            stack.callback(self._store.stop)
            self._store.choose_ports()
            listeners = stack.enter_context(lane.listeners(self.home.run))
            stack.callback(self._stop_children)
            self._port = port
            self._lanes = {name: listener.fileno() for name, listener in listeners.items()}
            self._plan()
            # They import for a second or two: while the store starts. The background would look for it in vain.
            self._start_children(("handler-", "web-"))
            self._start_store(self._store)
            self._supervise(port)
        return 0

    def _stop_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._stopping:
            return
        self._stopping = True

    def _stop_leftovers(self) -> None:
        """Children of a predecessor that was killed: the kernel ends them at about the same time as it."""
        for pid_file in self.home.run.glob("*.pid"):
            marker = str(self.home.objects) if pid_file.stem == "seaweedfs" else "maypacs_node."
            processes.stop_leftover(pid_file, marker, seconds=3)
        # What they were writing when they were killed.
        for leftover in (*self.home.folder.glob("backup-*"), *self.home.run.glob("phantom-*")):
            if leftover.stat().st_mtime < time.time() - _LEFTOVER_SECONDS:  # the demo draws while we start
                shutil.rmtree(leftover, ignore_errors=True)

    def _choose_port(self) -> int:
        wanted, host = self.options.port, self.options.host
        if wanted:
            # A predecessor's sockets may need a moment to be gone.
            for _ in range(20):
                if processes.port_is_free(wanted, host):
                    return wanted
                time.sleep(0.1)
            raise NodeError(f"port {wanted} is in use: choose another with --port")
        for port in (self.home.memory().get("port"), DEFAULT_PORT):
            if port and processes.port_is_free(port, host):
                return int(port)
        return processes.free_port(host)

    def _environment(self, port: int) -> dict[str, str]:
        assert self._store is not None
        options = self.options
        # The settings of the functions come from here alone; of the caller's environment, what a process needs.
        kept = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONWARNINGS", "VIRTUAL_ENV", "SSL_CERT_FILE")
        passed = {name: value for name, value in os.environ.items() if name.startswith("MAYPACS_")}
        return {
            **{name: os.environ[name] for name in kept if name in os.environ},
            **passed,
            **self.home.settings(options.limits),
            **self._store.environment,
            "PYTHONUNBUFFERED": "1",
            "MAYPACS_NODE_HOST": options.host,
            "MAYPACS_NODE_PORT": str(port),
            "MAYPACS_NODE_FUNCTIONS": str(options.functions.resolve()),
            "MAYPACS_NODE_DASHBOARD": str(options.dashboard.resolve()),
            "MAYPACS_NODE_THUMBNAILS": str(self.home.thumbnail_queue),
            "MAYPACS_NODE_BULK_LOG": str(self.home.log_file("bulk")),
            "MAYPACS_NODE_BEHIND_PROXY": "1" if options.behind_proxy else "0",
            "MAYPACS_NODE_SECONDS": str(_SECONDS[options.limits]),
        }

    def _plan(self) -> None:
        lanes = self._lanes
        env = self._environment(self._port)
        self._children.clear()
        cores = os.cpu_count() or 1
        handlers = self.options.workers or max(2, min(8, cores))
        loops = max(1, min(4, handlers // 2))
        (self.home.run / "spool").mkdir(exist_ok=True)
        for leftover in (self.home.run / "spool").iterdir():
            leftover.unlink()

        def python(module: str, *words: str) -> list[str]:
            return [sys.executable, "-m", f"maypacs_node.{module}", *words]

        for number in range(handlers):
            # With two or more, the first one takes no heavy requests: searches never wait behind the last renderer.
            fds = (lanes["light"],) if number == 0 and handlers > 1 else (lanes["light"], lanes["heavy"])
            own = {**env, "MAYPACS_NODE_LISTENERS": ",".join(map(str, fds)), "MAYPACS_NODE_PRELOAD": "dicomweb console"}
            # The line of each request is in the access log of the event loops already.
            own["POWERTOOLS_LOG_LEVEL"] = os.environ.get("MAYPACS_LOG_LEVEL", "WARNING")
            self._children.append(_Child(f"handler-{number}", python("handlers"), own, fds))
        for number in range(loops):
            self._children.append(_Child(f"web-{number}", python("web"), env))
        self._children += [_Child(name, python("background", name), env) for name in ("ingest", "chores")]

    def _supervise(self, port: int) -> None:
        ready = False
        deadline = time.monotonic() + _READY_SECONDS
        trim_at = 0.0
        while not self._stopping:
            if time.monotonic() >= trim_at:
                self.home.trim_logs()
                trim_at = time.monotonic() + _TRIM_SECONDS
            self._start_what_is_down()
            if not ready:
                ready = self._is_ready(port)
                if ready:
                    self.home.remember(port=port, host=self.options.host, pid=os.getpid())
                    print(f"ready http://{_shown(self.options.host)}:{port}", flush=True)  # noqa: T201
                elif time.monotonic() > deadline:
                    raise NodeError(f"the node does not answer; see the logs in {self.home.logs}")
            time.sleep(0.3 if ready else 0.05)

    def _is_ready(self, port: int) -> bool:
        host = "127.0.0.1" if self.options.host in ("0.0.0.0", "::") else self.options.host  # noqa: S104
        # Both functions too: one that cannot be imported answers faults.
        asked = ("/health", "/api/me", "/dicomweb/none/studies")
        return all(fetch(port, path, host=host) is not None for path in asked)

    def _start_what_is_down(self) -> None:
        assert self._store is not None
        if not self._store.is_running() and time.monotonic() >= self._store_start_at:
            self._start_store_again(self._store)
        self._start_children()

    def _start_store_again(self, store: SeaweedFS) -> None:
        """It ran before: what keeps it from running (it was killed again, the disk is full) passes, so the node stays,
        answers 503 and tries again."""
        print("the object store ended: starting it again", file=sys.stderr, flush=True)  # noqa: T201
        try:
            self._start_store(store)
        except (SeaweedError, OSError) as error:
            self._store_failures += 1
            pause = min(_LONGEST_PAUSE, 2.0 ** (self._store_failures - 1))
            self._store_start_at = time.monotonic() + pause
            print(f"again in {pause:.0f} s: {error}", file=sys.stderr, flush=True)  # noqa: T201
            return
        self._store_failures = 0

    def _start_store(self, store: SeaweedFS) -> None:
        before = self._children[0].env["MAYPACS_S3_ENDPOINT"]
        store.start()
        if store.endpoint != before:  # somebody took its port meanwhile
            self._stop_children()
            self._plan()

    def _start_children(self, prefixes: tuple[str, ...] = ("",)) -> None:
        now = time.monotonic()
        for child in self._children:
            if not child.name.startswith(prefixes):
                continue
            if child.process is not None and child.process.poll() is None:
                continue
            if child.process is not None:
                lived = now - child.started
                child.failures = 1 if lived > _SETTLED_SECONDS else child.failures + 1
                child.start_at = now + (min(_LONGEST_PAUSE, 2.0 ** (child.failures - 2)) if child.failures > 1 else 0.0)
                code = child.process.returncode
                print(f"{child.name} ended (code {code}): starting it again", file=sys.stderr, flush=True)  # noqa: T201
                child.process = None
            if now >= child.start_at:
                child.started = now
                child.process = processes.spawn(
                    child.command,
                    env=child.env,
                    cwd=self.home.run,
                    log=self.home.log_file(child.name),
                    fds=child.fds,
                )
                (self.home.run / f"{child.name}.pid").write_text(str(child.process.pid))

    def _stop_children(self) -> None:
        """The event loops first: what is under way may end, and needs the others for it."""
        for prefixes, seconds in ((("web-",), 5.0), (("handler-", "ingest", "chores"), 3.0)):
            chosen = [child for child in self._children if child.name.startswith(prefixes) and child.process]
            for child in chosen:
                assert child.process is not None
                child.process.terminate()
            for child in chosen:
                assert child.process is not None
                processes.stop(child.process, seconds=seconds)
                (self.home.run / f"{child.name}.pid").unlink(missing_ok=True)


def _shown(host: str) -> str:
    if host == "0.0.0.0":  # noqa: S104
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
