"""Child processes that never outlive us: death signals, pid files, stopping in order, free ports."""

from __future__ import annotations

import ctypes
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1
#: As nice as this our session is to others: a third of their weight (sched(7)).
_SESSION_NICE = 5
_LIBC = ctypes.CDLL(None, use_errno=True) if hasattr(ctypes, "CDLL") else None


def _set_death_signal(number: int) -> None:
    if _LIBC is not None and hasattr(_LIBC, "prctl"):
        _LIBC.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)


def spawn(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    log: Path | None = None,
    fds: Sequence[int] = (),
    stdout: int | None = None,
    own_session: bool = False,
) -> subprocess.Popen[bytes]:
    """A child in a process group of its own (Ctrl-C of a terminal reaches us alone), killed by the kernel when we die.

    Linux shares the processor among sessions first (sched(7), autogroup). In one session the parts of a node take one
    share together, not one each, beside an edge that receives on the same machine; and `nice` means something among
    them. ``own_session``: the child is a program for itself.

    ``log`` takes what it writes (``stdout`` apart, when it is given).
    All our children may be killed at any time: what they acknowledged is on disk.
    Call it from the thread that lives as long as the process: the kernel watches the thread, not the process.
    """
    parent = os.getpid()

    def before_exec() -> None:
        _set_death_signal(signal.SIGKILL)
        if os.getppid() != parent:  # we died between fork and prctl
            os._exit(1)

    output = log.open("ab") if log else None
    try:
        return subprocess.Popen(
            list(command),
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output if stdout is None else stdout,
            stderr=output,
            start_new_session=own_session,
            process_group=None if own_session else 0,
            pass_fds=tuple(fds),
            preexec_fn=before_exec,
        )
    finally:
        if output:
            output.close()


def let_others_first() -> None:
    """Where others want the processor, too, this session takes a third of what each of theirs may: an edge on this
    machine receives before we file away what it sent. Alone we take all there is. Only of a session that is ours, not
    of a shell's.

    Where the kernel has no autogroups, or control groups share the processor (systemd, containers), nothing changes:
    there the edge's unit has a weight.
    """
    if os.getsid(0) == os.getpid():
        with suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(_SESSION_NICE))


def stop(process: subprocess.Popen[bytes], *, seconds: float = 10) -> None:
    """SIGTERM, then SIGKILL after a while; returns when the process is gone."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def is_running(pid: int, marker: str) -> bool:
    """Whether ``pid`` is a live process whose command line holds ``marker`` (pids are reused)."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z" and marker.encode() in command


def stop_leftover(pid_file: Path, marker: str, *, seconds: float = 10) -> bool:
    """Stops the process that a killed predecessor left behind, if it still runs. True when there was one."""
    try:
        pid = int(pid_file.read_text())
    except (OSError, ValueError):
        return False
    found = is_running(pid, marker)
    number = signal.SIGTERM
    deadline = time.monotonic() + seconds
    while is_running(pid, marker):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        if time.monotonic() > deadline:
            number = signal.SIGKILL
        time.sleep(0.05)
    pid_file.unlink(missing_ok=True)
    return found


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket() as probe:
        # As servers do: a port in TIME_WAIT is free, one that somebody listens on is not.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def free_port(
    host: str = "127.0.0.1", *, taken: frozenset[int] = frozenset(), within: range = range(10000, 12000)
) -> int:
    """A port below the kernel's ephemeral range, so that no outgoing connection takes it between now and the bind.

    Which one is a matter of chance: others who look at the same moment should not find the same.
    """
    start = secrets.randbelow(len(within))
    for offset in range(len(within)):
        port = within[(start + offset) % len(within)]
        if port not in taken and port_is_free(port, host):
            return port
    raise OSError("no free port")
