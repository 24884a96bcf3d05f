"""The listening sockets, plain and TLS, and their associations: one thread each."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time

from edge_forwarder.dimse import negotiation
from edge_forwarder.dimse.association import Acceptor, Association
from edge_forwarder.ports import listen


class Listener:
    """The listening socket and its associations."""

    def __init__(self, acceptor: Acceptor, tls: ssl.SSLContext | None = None) -> None:
        """With ``tls``: the TLS port, beside or instead of the plain one. Raises ConfigError when a port is taken."""
        self._acceptor = acceptor
        self._lock = threading.Lock()
        self._open: dict[Association, threading.Thread] = {}
        self._stopping = False
        self._number = 0
        negotiation.other_classes()  # read now, so that the first caller need not wait for it
        config = acceptor.config
        doors: list[tuple[socket.socket, ssl.SSLContext | None]] = []
        self.host, self.port, self.tls_port = config.edge.bind, 0, 0
        try:
            if tls is None or not config.tls.only:
                doors.append((listen("edge", config.edge.bind, config.edge.port), None))
                self.host, self.port = doors[0][0].getsockname()[:2]
            if tls is not None:
                doors.append((listen("tls", config.edge.bind, config.tls.port), tls))
                self.host, self.tls_port = doors[-1][0].getsockname()[:2]
        except BaseException:
            for door, _ in doors:
                door.close()
            raise
        self._doors = doors
        self._threads = [
            threading.Thread(target=self._accept, args=door, name="listener", daemon=True) for door in self._doors
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    @property
    def is_alive(self) -> bool:
        return all(thread.is_alive() for thread in self._threads)

    @property
    def open_count(self) -> int:
        return len(self._open)

    def _accept(self, door: socket.socket, tls: ssl.SSLContext | None) -> None:
        while not self._stopping:
            try:
                connection, address = door.accept()
            except OSError:
                if self._stopping:
                    return
                time.sleep(0.1)  # out of file descriptors: associations that end give some back
                continue
            _tune(connection)
            with self._lock:
                self._number += 1
                congested = len(self._open) >= self._acceptor.config.dimse.max_associations
                association = Association(
                    self._acceptor, connection, str(address[0]), self._number, congested=congested, tls=tls
                )
                name = f"association {self._number}"
                thread = threading.Thread(target=self._serve, args=(association,), name=name, daemon=True)
                self._open[association] = thread
            thread.start()

    def _serve(self, association: Association) -> None:
        try:
            association.run()
        finally:
            with self._lock:
                self._open.pop(association, None)

    def stop(self, seconds: float = 10.0) -> None:
        """Accept no more; let each association finish the message it is in, then end it."""
        self._stopping = True
        self._acceptor.stopping.set()
        for door, _ in self._doors:
            with contextlib.suppress(OSError):
                door.shutdown(socket.SHUT_RDWR)
            door.close()
        deadline = time.monotonic() + seconds
        while (open_now := self._snapshot()) and time.monotonic() < deadline:
            for association in open_now:
                if not association.busy:
                    association.hang_up()
            next(iter(open_now.values())).join(0.1)
        for association, thread in self._snapshot().items():
            association.close()
            thread.join(1.0)

    def _snapshot(self) -> dict[Association, threading.Thread]:
        with self._lock:
            return dict(self._open)


def _tune(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):
            # A half-open connection is noticed in two minutes, not in two hours.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)
