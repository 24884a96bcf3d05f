"""GDCM in a process of its own.

On some broken JPEG streams GDCM ends its process (a C++ exception that nobody catches; found by fuzzing). It is the
only decoder here of JPEG lossless and of 12-bit JPEG, so it runs in a child: what kills or hangs the child is a
PixelError, and the next frame gets a new child. The child ends when its input does, so it never outlives us.

One message: a line of JSON (with ``length``), then that many bytes; the answer alike.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from typing import IO, TYPE_CHECKING, Any

from maypacs.errors import PixelError
from maypacs.pixels.image import ImagePixel

if TYPE_CHECKING:
    from maypacs.pixels.decode import Array

#: Seconds for one frame, the child's start included.
TIMEOUT = 30.0
_LARGEST_HEADER = 4096


class _Child:
    """One child, started when first needed. Its lock makes it one question at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def ask(self, header: dict[str, Any], frame: bytes) -> tuple[dict[str, Any], bytes]:
        """Raises PixelError when the child ended, hung, or says that it failed."""
        with self._lock:
            if self._process is not None and self._process.poll() is not None:
                self._end()  # it died since the last question
            process = self._process = self._process or _start()
            assert process.stdin is not None
            assert process.stdout is not None
            timer = threading.Timer(TIMEOUT, process.kill)
            timer.daemon = True
            timer.start()
            try:
                send(process.stdin, header, frame)
                answer = receive(process.stdout)
            except (OSError, ValueError):
                answer = None
            finally:
                timer.cancel()
            if answer is None:
                self._end()
                raise PixelError("the decoder broke down over this frame")
            return answer

    def close(self) -> None:
        with self._lock:
            self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    try:
                        pipe.close()
                    except OSError:  # what was not sent cannot be any more
                        continue


_child = _Child()
atexit.register(_child.close)


def decode(frame: bytes, options: dict[str, Any]) -> tuple[Array, str]:
    """A frame by GDCM, and its photometric interpretation; ``options`` are those of pydicom. Raises PixelError."""
    import numpy as np

    header, samples = _child.ask({"options": options, "twelve": False}, frame)
    return _array(np.frombuffer(samples, header.get("dtype", "u1")), header), str(header.get("photometric"))


def decode_twelve_bits(frame: bytes, image: ImagePixel) -> Array:
    """(rows, columns) of a monochrome frame of 12-bit samples. Raises PixelError."""
    import numpy as np

    if image.samples != 1 or image.bits_allocated != 16:
        raise PixelError("JPEG of 12 bits is decoded for one sample a pixel of 16 bits")
    header, samples = _child.ask({"twelve": True, "rows": image.rows, "columns": image.columns}, frame)
    return _array(np.frombuffer(samples, "<u2"), header)


def _array(flat: Array, header: dict[str, Any]) -> Array:
    if "error" in header:
        raise PixelError(f"the frame cannot be decoded (GDCM: {header['error']})")
    return flat.reshape(header["shape"])


def _start() -> subprocess.Popen[bytes]:
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return subprocess.Popen(
        [sys.executable, "-m", "maypacs.pixels.gdcm_child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path},
    )


def send(pipe: IO[bytes], header: dict[str, Any], content: bytes) -> None:
    pipe.write(json.dumps({**header, "length": len(content)}).encode() + b"\n")
    pipe.write(content)
    pipe.flush()


def receive(pipe: IO[bytes]) -> tuple[dict[str, Any], bytes] | None:
    """None at the end of the stream, also in the middle of a message."""
    line = pipe.readline(_LARGEST_HEADER)
    if not line.endswith(b"\n"):
        return None
    header: dict[str, Any] = json.loads(line)
    content = pipe.read(header["length"])
    return (header, content) if len(content) == header["length"] else None
