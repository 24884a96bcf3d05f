"""ministack (an emulator of AWS) in a process of its own, on loopback, gone when the test is."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from localstack_client.session import Session
from tests.support.processes import free_port

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv-ministack"
REGION = "eu-central-1"
START_SECONDS = 60


def ministack_program() -> Path:
    """ministack in a virtual environment of its own (it pins its own botocore), made on first use."""
    program = VENV / "bin" / "ministack"
    lock = ROOT / "requirements" / "ministack.lock"
    ready = VENV / ".ready"
    if not ready.exists() or ready.stat().st_mtime < lock.stat().st_mtime:
        import sys

        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        pip = [str(VENV / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--require-hashes", "-r", str(lock)], check=True)
        ready.touch()
    return program


@contextmanager
def ministack(*, enforce_iam: bool) -> Iterator[Session]:
    """A running emulator and the session that reaches it. ``enforce_iam``: roles' policies are really looked at."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="ministack-") as folder:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "TMPDIR": folder,
            "GATEWAY_PORT": str(port),
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_HOST": "127.0.0.1",
            "MINISTACK_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "IOT_MTLS_ENABLED": "0",  # else it opens a port on every interface
            "AUTH": "true" if enforce_iam else "false",
        }
        log = Path(folder) / "ministack.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(ministack_program())], env=environment, cwd=folder, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            _wait_until_up(endpoint, process, log)
            with _environ({"AWS_ENDPOINT_URL": endpoint}):
                yield Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=REGION)
        finally:
            process.terminate()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            keep = os.environ.get("MAYPACS_EMULATOR_LOG")
            if keep:
                Path(keep).write_bytes(log.read_bytes())


@contextmanager
def _environ(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _wait_until_up(endpoint: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"ministack ended: {log.read_text(errors='replace')[-2000:]}")
        try:
            with urllib.request.urlopen(f"{endpoint}/_localstack/health", timeout=2):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    raise RuntimeError(f"ministack did not start: {log.read_text(errors='replace')[-2000:]}")
