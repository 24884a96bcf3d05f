"""Child processes: the sessions in which they share the processor."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from maypacs_node import processes

_SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
_TELL = """
import sys
from pathlib import Path
from maypacs_node.processes import let_others_first
let_others_first()
group = Path("/proc/self/autogroup")
print((group.read_text().split() or ["none"])[-1] if group.exists() else "none")
"""


@pytest.mark.parametrize("own_session", [False, True])
def test_a_child_is_out_of_reach_of_ctrl_c_and_in_our_session_unless_it_is_a_program_for_itself(
    tmp_path: Path, own_session: bool
) -> None:
    child = processes.spawn(_SLEEP, env=os.environ, cwd=tmp_path, own_session=own_session)
    try:
        assert os.getpgid(child.pid) == child.pid
        assert os.getsid(child.pid) == (child.pid if own_session else os.getsid(0))
    finally:
        processes.stop(child)


@pytest.mark.parametrize("leads", [False, True])
def test_only_a_session_of_our_own_lets_others_first(tmp_path: Path, leads: bool) -> None:
    """Never that of the shell from which a person starts a node."""
    outer = Path("/proc/self/autogroup")  # not there, or empty, where the kernel has no autogroups
    before = outer.read_text() if outer.exists() else ""
    said = subprocess.run(
        [sys.executable, "-c", _TELL], capture_output=True, text=True, check=True, cwd=tmp_path, start_new_session=leads
    ).stdout.strip()
    assert said in (("5", "none") if leads else (before.split()[-1] if before else "none",))
    assert (outer.read_text() if before else "") == before
