"""One hospital and its cloud: a node, an edge that reaches it through the proxy, and disks that can be filled."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from tests.support.processes import BIN, ROOT, Child, Node
from tests.torture.proxy import Proxy

AET = "MAYEDGE"
MIB = 1024 * 1024
#: What the edge must leave free of its disk, and the size of that disk where we may mount one (MiB).
MIN_FREE = 12
DISK = 256

SETTINGS = {
    "bind": '"127.0.0.1"',
    "min_free_mib": str(MIN_FREE),
    "retry_max_seconds": "1.5",
    "status_poll_seconds": "1.0",
    "connect_timeout_seconds": "3.0",
    "read_timeout_seconds": "5.0",
    "network_timeout_seconds": "20.0",
    "quiet_seconds": "1.0",
    "quiet_seconds_by_modality": "{ US = 3.0, ES = 3.0 }",
    "longest_seconds": "20.0",
}


#: What is under [compress]: the default, and what is otherwise for the synthetic images, which are all CT.
Rules = tuple[str, str]


def rules(dice: random.Random) -> Iterator[Rules]:
    """For each start of an edge: those of before, or others. With none at first, now and then, the cloud has images as
    they came that are sent again under a rule.
    """
    codecs = ["none", "jpeg-ls", *(["htj2k"] if find_spec("imagecodecs") else [])]
    holds = dice.choice(codecs), dice.choice(codecs)
    while True:
        yield holds
        if dice.random() < 0.3:
            holds = dice.choice(codecs), dice.choice(codecs)


class TorturedEdge(Child):
    """``maypacs-edge run`` on a spool that may be a disk of its own."""

    def __init__(
        self,
        folder: Path,
        proxy: Proxy,
        code: str,
        spool: Path,
        settings: dict[str, str],
        devices: str,
        port: int,
        rules: Iterator[Rules],
    ) -> None:
        self.folder, self.spool, self.port = folder, spool, port
        self.config = folder / "edge.toml"
        folder.mkdir(parents=True)
        command = [str(BIN / "maypacs-edge"), "enroll", "--url", proxy.url, "--code", code]
        command += ["--config", str(self.config), "--aet", AET, "--port", str(self.port)]
        subprocess.run(command, check=True, cwd=ROOT, capture_output=True, timeout=60)
        self.set({**SETTINGS, **settings, "spool": f'"{spool}"'})
        with self.config.open("a") as config:
            config.write(devices)
        super().__init__([BIN / "maypacs-edge", "run", "--config", self.config], log=folder / "edge.log")
        self.env["PYTHONFAULTHANDLER"] = "1"
        self._rules = rules
        self.gate = threading.Lock()
        """Held while the edge starts: a command by itself would have its spool."""
        self._beside: dict[str, subprocess.Popen[bytes]] = {}
        """By name, the commands that were started last."""

    def beside(self, words: Sequence[str]) -> subprocess.Popen[bytes]:
        """One of ``maypacs-edge``, beside the running edge or, when that is down, by itself."""
        line = [str(BIN / "maypacs-edge"), *words, "--config", str(self.config)]
        with self.gate, (self.folder / f"{words[0]}.log").open("ab") as log:
            started = subprocess.Popen(line, stdout=log, stderr=log, cwd=ROOT, stdin=subprocess.DEVNULL)
            self._beside[words[0]] = started
            return started

    def set(self, settings: dict[str, str]) -> None:
        """Give settings that stand in edge.toml as comments a value."""
        lines = []
        for line in self.config.read_text().splitlines():
            name = line.removeprefix("# ").partition(" = ")[0]
            lines.append(f"{name} = {settings[name]}" if line.startswith("# ") and name in settings else line)
        self.config.write_text("\n".join(lines) + "\n")

    def _compress(self, default: str, ct: str) -> None:
        text = re.sub("^(# )?default = .*", f'default = "{default}"', self.config.read_text(), count=1, flags=re.M)
        lines = f'by_modality = {{ CT = "{ct}" }}'
        self.config.write_text(re.sub("^(# )?by_modality = .*", lines, text, count=1, flags=re.M))

    def run(self) -> None:
        with self.gate:
            for command in self._beside.values():
                command.kill()
                command.wait()
            self._compress(*next(self._rules))
            self.start(r"^ready ", seconds=120)

    def stop(self, *, seconds: float = 60) -> int:
        """One that does not stop says first, in its log, where each thread is."""
        assert self.process is not None
        self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            self.process.wait(10)
            raise AssertionError(f"the edge did not stop within {seconds:.0f} s") from None

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def waiting(self) -> list[str]:
        """What is in received/ and incoming/."""
        return [p.name for place in ("received", "incoming") for p in (self.spool / place).iterdir()]

    def descriptors(self) -> list[str]:
        """What its file descriptors point to."""
        assert self.process is not None
        links = []
        for entry in os.scandir(f"/proc/{self.process.pid}/fd"):
            with contextlib.suppress(OSError):
                links.append(os.readlink(entry.path))
        return links

    def threads(self) -> int:
        assert self.process is not None
        return len(os.listdir(f"/proc/{self.process.pid}/task"))


@contextlib.contextmanager
def disk(folder: Path) -> Iterator[bool]:
    """A file system of `DISK` MiB at that place, where we may mount one: whether we may."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}m", "maypacs-torture", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], capture_output=True)


def fill(folder: Path, leave: int) -> Path:
    """A file that leaves so many bytes free on that disk."""
    ballast = folder / "ballast"
    stat = os.statvfs(folder)
    with ballast.open("wb") as file, contextlib.suppress(OSError):
        os.posix_fallocate(file.fileno(), 0, max(stat.f_bavail * stat.f_frsize - leave, 1))
    return ballast


def start(node: Node) -> None:
    """As systemd would: again, should it give up because this machine has too much else to do."""
    for last in (False, False, True):
        try:
            node.start(r"^ready http://", seconds=180)
            return
        except AssertionError:
            if last:
                raise


def storage_pid(node: Node) -> int | None:
    """The object store of this node."""
    return next((pid for pid, name in processes_of(node.data).items() if name == "weed"), None)


def processes_of(folder: Path) -> dict[int, str]:
    """Programs with that folder in their command line, by process id (Linux)."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if int(entry.name) != os.getpid() and any(str(folder).encode() in word for word in words):
                found[int(entry.name)] = Path(words[0].decode()).name
    return found
