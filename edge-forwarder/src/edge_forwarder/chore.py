"""Something that is done again and again in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

from edge_forwarder.logs import Log


class Chore:
    """``do`` returns the seconds until its next turn.

    Whatever goes wrong in one turn, the next one comes, after ``again`` seconds; it is said once, as ``complaint``,
    until a turn goes well.
    """

    def __init__(self, name: str, do: Callable[[], float], log: Log, *, again: float, complaint: str) -> None:
        self._do, self._log, self._again, self._complaint = do, log, again, complaint
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def is_over(self) -> bool:
        """For a turn that is long: whether to end it early."""
        return self._over.is_set()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Waits so long for the turn under way; what it leaves is done at the next start."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _run(self) -> None:
        complained = False
        while not self._over.is_set():
            try:
                pause = self._do()
                complained = False
            except Exception as error:
                pause = self._again
                if not complained:
                    self._log.warning(self._complaint, why=f"{type(error).__name__}: {error}")
                complained = True
            self._over.wait(pause)
