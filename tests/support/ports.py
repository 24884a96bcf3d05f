"""A port that stays free until somebody of ours listens on it."""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Self


class ReservedPort:
    """Bound, but not listening: a server that sets SO_REUSEADDR can still have it, an outgoing connection cannot."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.number: int = self._socket.getsockname()[1]

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()
