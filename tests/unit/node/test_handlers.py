"""A handler process: how functions are loaded and called, and what ends it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from maypacs_node import handlers, lane
from maypacs_node.handlers import Functions

SLEEPS = "import time\ndef handler(event, context):\n    time.sleep(60)\n"
#: A call that never comes back to the interpreter, as a decoder in an endless loop.
SPINS = "import ctypes\ndef handler(event, context):\n    ctypes.PyDLL(None).sleep(60)\n"
CALL = """
import sys
from pathlib import Path
from maypacs_node.handlers import Functions
Functions(Path(sys.argv[1])).call("made", {"patient": "CANARY"}, seconds=0.3)
"""
REQUEST = lane.Call(
    function="made",
    resource="/dicomweb/{proxy+}",
    method="GET",
    path="/dicomweb/x",
    query="",
    headers=(),
    client="127.0.0.1",
    scheme="http",
    behind_proxy=False,
    body_length=0,
)


def made(folder: Path, source: str) -> Path:
    (folder / "made").mkdir()
    (folder / "made" / "handler.py").write_text(source)
    return folder


@pytest.mark.parametrize("source", [SLEEPS, SPINS], ids=["sleeping", "holding the interpreter"])
def test_a_call_that_takes_longer_than_its_time_ends_the_process(tmp_path: Path, source: str) -> None:
    """Whatever it does; the log says where it was, and no value."""
    done = subprocess.run(
        [sys.executable, "-c", CALL, made(tmp_path, source)], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == -signal.SIGALRM
    assert "handler.py" in done.stderr
    assert "CANARY" not in done.stderr


def test_a_function_is_loaded_once_and_sees_the_event_and_its_time(tmp_path: Path) -> None:
    """Its module's globals live as long as the process, as on Lambda."""
    source = (
        "calls = []\n"
        "def handler(event, context):\n"
        "    calls.append(event)\n"
        "    return [len(calls), context.get_remaining_time_in_millis() > 0, context.function_name]\n"
    )
    functions = Functions(made(tmp_path, source))
    assert functions.call("made", {}, seconds=10) == [1, True, "made"]
    assert functions.call("made", {}, seconds=10) == [2, True, "made"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def handler(event, context): raise ValueError('CANARY')", "it raises"),
        ("def handler(event, context): return 'CANARY'", "a malformed answer"),
        ("import nothing_of_that_name", "it cannot be imported"),
    ],
)
def test_a_function_that_fails_is_502_for_its_client_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str, reason: str
) -> None:
    """A problem document with nothing of the exception's text, in the log neither."""
    functions = Functions(made(tmp_path, source))
    response = handlers.answer(functions, REQUEST, b"", limits="none", seconds=10)
    assert response.status == 502
    assert ("access-control-allow-origin", "*") in response.headers
    assert b"CANARY" not in response.body
    assert "CANARY" not in capsys.readouterr().err
