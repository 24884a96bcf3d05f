"""How far a long command is: a bar that is drawn over on a terminal, else a line now and then."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import Final, TextIO

_DRAW_SECONDS: Final = 0.2
_LINE_SECONDS: Final = 10.0
_BAR: Final = 24


def size_text(size: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


class Progress:
    """``total``: how many there will be, 0 when nobody knows."""

    def __init__(
        self, stream: TextIO, noun: str, total: int = 0, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream, self._noun, self._total, self._clock = stream, noun, total, clock
        self._is_terminal = stream.isatty()
        self._next = clock()
        self._width = 0

    def show(self, done: int, note: str = "", *, now: bool = False) -> None:
        """``note``: what else is to be known; ``now``: however short ago the last one was."""
        at = self._clock()
        if at < self._next and not now:
            return
        self._next = at + (_DRAW_SECONDS if self._is_terminal else _LINE_SECONDS)
        text = self.text(done, note)
        if not self._is_terminal:
            print(text, file=self._stream, flush=True)
            return
        columns = shutil.get_terminal_size().columns - 1
        text = text[:columns]
        print("\r" + text.ljust(min(self._width, columns)), end="", file=self._stream, flush=True)
        self._width = len(text)

    def text(self, done: int, note: str) -> str:
        words = f"{done} of {self._total} {self._noun}" if self._total else f"{done} {self._noun}"
        if self._is_terminal and self._total:
            full = _BAR * min(done, self._total) // self._total
            words = f"[{'#' * full}{'.' * (_BAR - full)}] {words}"
        return f"{words}; {note}" if note else words

    def end(self) -> None:
        """Leave what is shown, and begin a new line."""
        if self._is_terminal and self._width:
            print(file=self._stream, flush=True)
            self._width = 0
