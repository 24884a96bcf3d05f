"""`python -m maypacs_node.demo --data DIR`: what `make run` starts. A node, one edge, and sample studies sent by DIMSE.

The first run makes an archive, a user and an edge, and sends the samples with real C-STOREs; later runs find them.
Everything is in the data folder; Ctrl-C stops all of it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any

from maypacs_node import admin, processes
from maypacs_node.home import REPOSITORY, Home, NodeError
from maypacs_node.seaweed import write_private
from maypacs_node.senders import Uid, search_instances, send_folder

ARCHIVE = "demo"
USER = "demo"
AE_TITLE = "MAYPACS"
SLICES = 120


class Stopped(Exception):
    """Ctrl-C or SIGTERM."""


class Demo:
    def __init__(self, data: Path, port: int, edge_port: int, host: str = "127.0.0.1") -> None:
        self.home = Home(data)
        self.host = host
        self.port = port
        self.edge_port = edge_port
        self.edge_config = self.home.folder / "edge" / "edge.toml"
        self._memory_file = self.home.folder / "demo.json"

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def run(self) -> None:
        """Until Ctrl-C. Raises NodeError, Stopped."""
        self.home.create()
        if self.home.is_locked():
            raise NodeError(f"a node runs on {self.home.folder} already")
        self.port = self._free("the dashboard", self.port)
        self.edge_port = self._free("the edge", self.edge_port)
        with ExitStack() as stack:
            say("Starting the node …")
            drawing = None if self._memory().get("sent") else self._draw(stack)
            words = [sys.executable, "-m", "maypacs_node.cli", "up", "--data", str(self.home.folder)]
            node = self._start(stack, "node", [*words, "--host", self.host, "--port", str(self.port)], r"^ready http")
            memory = self._set_up()
            words = [str(Path(sys.executable).parent / "maypacs-edge"), "run", "--config", str(self.edge_config)]
            edge = self._start(stack, "edge", words, r"^ready ")
            if drawing is not None:
                self._send_samples(memory, drawing)
            say(self._text(memory))
            while node.poll() is None and edge.poll() is None:
                time.sleep(0.3)
            raise NodeError(f"a part of it ended; see the logs in {self.home.logs}")

    def _free(self, what: str, port: int) -> int:
        """The port, or another one when it is taken, which is said."""
        if processes.port_is_free(port, self.host):
            return port
        other = processes.free_port(self.host)
        say(f"Port {port} is in use; {what} takes {other} instead.")
        return other

    def _start(self, stack: ExitStack, name: str, command: list[str], ready: str) -> subprocess.Popen[bytes]:
        """A child whose output goes to its log, once it has said that it is ready."""
        reading, writing = os.pipe()
        log = self.home.log_file(name)
        process = processes.spawn(command, env=os.environ, cwd=self.home.run, log=log, stdout=writing, own_session=True)
        os.close(writing)
        stack.callback(os.close, reading)
        stack.callback(processes.stop, process, seconds=20)
        said = b""
        deadline = time.monotonic() + 90
        while not re.search(ready, said.decode("utf-8", "replace"), re.MULTILINE):
            if select.select([reading], [], [], 0.2)[0]:
                said += os.read(reading, 4096)
            if process.poll() is not None or time.monotonic() > deadline:
                raise NodeError(f"the {name} did not start; see {log}:\n{log.read_text(errors='replace')[-1500:]}")
        return process

    def _set_up(self) -> dict[str, Any]:
        """The archive, the user, the edge: made the first time, found later."""
        memory = self._memory()
        if "password" not in memory:
            admin.add_archive(self.home, ARCHIVE, "MayPACS demo")
            added = admin.add_user(self.home, USER, archive=ARCHIVE, role_name="admin", name="Demo")
            # It was there, and its password forgotten: the file beside the data is gone.
            memory["password"] = added.password or admin.set_password(self.home, USER)
            admin.add_user(self.home, USER, operator=True)
            self._remember(memory)
        if not self.edge_config.with_name("credentials.json").exists():
            self.edge_config.unlink(missing_ok=True)
            code = admin.enrolment_code(self.home, ARCHIVE, name="demo edge")
            words = [str(Path(sys.executable).parent / "maypacs-edge"), "enroll", "--config", str(self.edge_config)]
            words += ["--url", self.url, "--code", code, "--aet", AE_TITLE, "--port", str(self.edge_port)]
            done = subprocess.run(words, capture_output=True, text=True, timeout=60)
            if done.returncode:
                raise NodeError(f"the edge could not be enrolled: {done.stderr.strip()}")
        self._point_edge()
        return memory

    def _point_edge(self) -> None:
        """The ports of this run into the edge's configuration; what a person changed there stays."""
        text = self.edge_config.read_text(encoding="utf-8")
        text = re.sub(r"(?m)^url = .*$", f'url = "{self.url}"', text, count=1)
        text = re.sub(r"(?m)^port = .*$", f"port = {self.edge_port}", text, count=1)
        # The example listens on every address; the demo is for this machine, unless somebody says otherwise.
        text = re.sub(r'(?m)^# bind = "0\.0\.0\.0"$', f'bind = "{self.host}"', text, count=1)
        # Nobody examines here: an ultrasound image need not wait for the next one.
        text = re.sub(r"(?m)^# quiet_seconds_by_modality = .*$", "quiet_seconds_by_modality = {}", text, count=1)
        write_private(self.edge_config, text)

    def _draw(self, stack: ExitStack) -> tuple[Path, subprocess.Popen[bytes]]:
        """The CT phantom, drawn by a process of its own while the node starts."""
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="phantom-", dir=self.home.run)))
        words = [sys.executable, str(REPOSITORY / "samples" / "phantom.py"), str(folder), "--slices", str(SLICES)]
        log = self.home.log_file("phantom")
        process = processes.spawn(words, env=os.environ, cwd=self.home.run, log=log)
        stack.callback(processes.stop, process)
        return folder, process

    def _send_samples(self, memory: dict[str, Any], drawing: tuple[Path, subprocess.Popen[bytes]]) -> None:
        phantom, process = drawing
        if process.poll() is None:
            say("Drawing a CT phantom …")
        if process.wait():
            raise NodeError(f"the phantom could not be drawn; see {self.home.logs / 'phantom.log'}")
        say("Sending the sample studies by DICOM C-STORE …")
        started = time.monotonic()
        sent: set[Uid] = set()
        for folder in [phantom, *sorted((REPOSITORY / "samples" / "studies").glob("*"))]:
            sent |= send_folder(folder, self.host, self.edge_port, AE_TITLE)
        took = time.monotonic() - started
        say(f"{len(sent)} images acknowledged by the edge in {took:.1f} s; waiting until they can be found …")
        key = admin.add_key(self.home, ARCHIVE, "viewer", name="demo: the first look", days=1)
        deadline = time.monotonic() + 120
        while not sent <= search_instances(f"{self.url}/dicomweb/{ARCHIVE}", key, {study for study, _ in sent}):
            if time.monotonic() > deadline:
                say(f"Some are not there yet; they are safe with the edge. Its log: {self.home.logs / 'edge.log'}")
                return
            time.sleep(0.2)
        say(f"All can be found, {time.monotonic() - started - took:.1f} s after the last acknowledgement.")
        shutil.rmtree(phantom, ignore_errors=True)  # 60 MB that nobody needs any more
        memory["sent"] = True
        self._remember(memory)

    def _memory(self) -> dict[str, Any]:
        memory: dict[str, Any] = json.loads(self._memory_file.read_text()) if self._memory_file.exists() else {}
        return memory

    def _remember(self, memory: dict[str, Any]) -> None:
        write_private(self._memory_file, json.dumps({"user": USER, **memory}, indent=1))

    def _text(self, memory: dict[str, Any]) -> str:
        at = f"{self.host} {self.edge_port}"
        on = f"--archive {ARCHIVE} --data {shlex.quote(str(self.home.folder))}"
        return f"""
  MayPACS runs. Ctrl-C stops it; the next start finds the data again.

  Dashboard    {self.url}/
  User         {USER}
  Password     {memory["password"]}
  DICOMweb     {self.url}/dicomweb/{ARCHIVE}
  a key for it .venv/bin/maypacs key add --role viewer {on}
  Edge         {AE_TITLE}@{self.host}:{self.edge_port}
  send files   storescu -aec {AE_TITLE} +sd +r {at} FOLDER
               .venv/bin/python -m pynetdicom storescu {at} FOLDER -aec {AE_TITLE} -r
  or           .venv/bin/maypacs import FOLDER {on}
  Data         {self.home.folder}
"""


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def _stop(_number: int, _frame: FrameType | None) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the stopping itself is not interrupted
    raise Stopped


def main() -> int:
    parser = argparse.ArgumentParser(prog="maypacs-demo", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--edge-port", type=int, default=11112)
    parser.add_argument("--host", default="127.0.0.1")
    arguments = parser.parse_args()
    os.umask(0o077)  # the data folder and all in it are the owner's alone
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        Demo(arguments.data, arguments.port, arguments.edge_port, arguments.host).run()
    except Stopped:
        say("Stopped.")
    except (NodeError, OSError) as error:
        print(f"maypacs: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
