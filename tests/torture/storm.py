"""The storm: one fault after another, some at once, in an order that the dice give."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable

from tests.support.processes import Node
from tests.torture.hospital import MIB, MIN_FREE, TorturedEdge, fill, start, storage_pid
from tests.torture.proxy import Proxy, Weather


class Storm:
    """Faults against one hospital. Each method is one fault, from its beginning to its end."""

    def __init__(
        self,
        node: Node,
        edge: TorturedEdge,
        proxy: Proxy,
        dice: random.Random,
        *,
        own_disk: bool,
        say: Callable[[str], None],
    ) -> None:
        self._node, self._edge, self._proxy, self._dice = node, edge, proxy, dice
        self._own_disk, self._say = own_disk, say
        self.happened: Counter[str] = Counter()
        self.longest_cut = 0.0
        self._faults: list[tuple[int, str, Callable[[float], None]]] = [
            (5, "edge killed", self._kill_edge),
            (2, "edge stopped", self._stop_edge),
            (1, "edge killed, its journal lost", self._lose_journal),
            (3, "node killed", self._kill_node),
            (1, "node stopped", self._stop_node),
            (4, "storage killed", self._kill_storage),
            (1, "edge frozen", lambda s: self._freeze(edge.process.pid if edge.process else None, s)),
            (1, "storage frozen", lambda s: self._freeze(storage_pid(node), s)),
            *((2, f"uplink: {weather}", self._uplink(weather)) for weather in Weather if weather is not Weather.FAIR),
            *([(4, "disk full", self._disk_full)] if own_disk else []),
        ]

    def blow(self, seconds: float, cut: float = 0.0) -> None:
        """For so long, after the cloud was away for ``cut``; afterwards everything runs and the weather is fair."""
        if cut:
            self._long_cut(cut)
        end = time.monotonic() + seconds
        longest = max(2.0, seconds / 10)
        # Each kind comes once, in a random order, before the dice choose freely.
        first = [(name, fault) for _, name, fault in self._faults]
        self._dice.shuffle(first)
        uplink: threading.Thread | None = None
        while (left := end - time.monotonic()) > 0:
            if first:
                name, fault = first.pop()
            else:
                ((_, name, fault),) = self._dice.choices(self._faults, [weight for weight, _, _ in self._faults])
            lasts = min(left, self._dice.uniform(0.5, longest))
            self._say(f"{name} ({lasts:.1f} s)")
            self.happened[name] += 1
            if name.startswith("uplink"):
                # The line may be bad while something else happens.
                if uplink is not None:
                    uplink.join()
                uplink = threading.Thread(target=fault, args=(lasts,), daemon=True)
                uplink.start()
            else:
                fault(lasts)
            time.sleep(max(0.0, min(self._dice.expovariate(2.0), end - time.monotonic())))
        if uplink is not None:
            uplink.join()
        self._proxy.weather = Weather.FAIR

    def _long_cut(self, seconds: float) -> None:
        """The cloud is away for minutes, whatever else happens meanwhile."""
        end = time.monotonic() + seconds
        here = [(weight, name, fault) for weight, name, fault in self._faults if not name.startswith("uplink")]
        self._say(f"uplink: cut, for long ({seconds:.0f} s)")
        self._proxy.weather = Weather.CUT
        while (left := end - time.monotonic()) > 0:
            ((_, name, fault),) = self._dice.choices(here, [weight for weight, _, _ in here])
            self._say(f"{name}, meanwhile")
            self.happened[name] += 1
            fault(min(left, self._dice.uniform(0.5, 5.0)))
            time.sleep(max(0.0, min(self._dice.expovariate(0.2), end - time.monotonic())))
        self._proxy.weather = Weather.FAIR
        self.longest_cut = seconds

    def _uplink(self, weather: Weather) -> Callable[[float], None]:
        def change(seconds: float) -> None:
            self._proxy.weather = weather
            time.sleep(seconds)
            self._proxy.weather = Weather.FAIR
            if weather in (Weather.CUT, Weather.SILENT):
                self.longest_cut = max(self.longest_cut, seconds)

        return change

    def _kill_edge(self, seconds: float) -> None:
        time.sleep(self._dice.uniform(0, seconds))
        self._edge.kill()
        self._edge.run()

    def _stop_edge(self, seconds: float) -> None:
        time.sleep(self._dice.uniform(0, seconds / 2))
        assert self._edge.stop(seconds=60) == 0
        time.sleep(self._dice.uniform(0, seconds / 2))
        self._edge.run()

    def _lose_journal(self, seconds: float) -> None:
        self._edge.kill()
        for path in self._edge.spool.glob("journal.sqlite*"):
            path.unlink()
        self._edge.run()

    def _kill_node(self, seconds: float) -> None:
        time.sleep(self._dice.uniform(0, seconds / 2))
        self._node.kill()
        time.sleep(self._dice.uniform(0, seconds / 2))
        start(self._node)

    def _stop_node(self, seconds: float) -> None:
        assert self._node.stop(seconds=60) == 0
        time.sleep(self._dice.uniform(0, seconds))
        start(self._node)

    def _kill_storage(self, seconds: float) -> None:
        time.sleep(self._dice.uniform(0, seconds / 2))
        if (pid := storage_pid(self._node)) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @staticmethod
    def _freeze(pid: int | None, seconds: float) -> None:
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    def _disk_full(self, seconds: float) -> None:
        """Down to what the spool must leave, or to the last byte; with a kill in the middle, now and then."""
        ballast = fill(self._edge.spool.parent, self._dice.choice((0, 0, MIB, (MIN_FREE - 1) * MIB)))
        time.sleep(seconds / 2)
        if self._dice.random() < 0.3:
            self._edge.kill()
            time.sleep(seconds / 2)
            ballast.unlink()
            self._edge.run()
        else:
            time.sleep(seconds / 2)
            ballast.unlink()
