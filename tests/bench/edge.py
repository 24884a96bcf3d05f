"""`python -m tests.bench.edge`: the edge's C-STORE beside dcmtk's storescp and Orthanc; writes docs/benchmarks-edge.md.

One run, one machine, the same slices, `TCP_NODELAY=1` for all; dcmtk's storescu sends. The edge answers after fsync,
rename and fsync of the folder; the others without. Ratios and CPU matter, absolute rates are this machine's.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import platform
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
from samples.phantom import write_ct
from tests.bench.client import Server, cpu_seconds
from tests.bench.made import workplace
from tests.bench.sending import is_searchable
from tests.bench.table import load, number, today
from tests.support import orthanc as peer
from tests.support.processes import QUICK_TCP, ROOT, Child, Edge, Node, free_port, wait_until
from tests.torture.proxy import Proxy, Weather

#: Rules of edge.toml for lossless compression: the codec's module, its name, what to call it.
_COMPRESSION = (("jpeg_ls", "jpeg-ls", "JPEG-LS"), ("imagecodecs", "htj2k", "HTJ2K"))


@dataclass
class Receiver:
    """A storage SCP under test and what it did: images a second, and CPU in milliseconds an image."""

    name: str
    note: str
    ae_title: str = ""
    port: int = 0
    pid: int = 0
    rates: dict[int, list[float]] = field(default_factory=dict)
    """By number of associations at once."""
    cpu: list[float] = field(default_factory=list)


@dataclass
class Figures:
    receivers: list[Receiver] = field(default_factory=list)
    lines: list[tuple[str, str, str]] = field(default_factory=list)
    """(what, value, note)"""


class Storescp(Child):
    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.port = free_port()
        super().__init__(
            ["storescp", "-v", "-od", str(folder), "--fork", str(self.port)],
            log=folder.with_suffix(".log"),
            env=QUICK_TCP,
        )


def cpu_of(receiver: Receiver) -> float:
    """Seconds, of everything that descends from it, ended or not."""
    fields = Path(f"/proc/{receiver.pid}/stat").read_text().rpartition(")")[2].split()
    return cpu_seconds(receiver.pid) + (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def measure(receiver: Receiver, folders: list[Path], settled: Callable[[], object] = lambda: True) -> None:
    """One storescu a folder, all at once; CPU until ``settled``."""
    count = sum(len(list(folder.iterdir())) for folder in folders)
    before, start = cpu_of(receiver), time.perf_counter()
    senders = [
        subprocess.Popen(
            ["storescu", "-aec", receiver.ae_title, "+sd", "+r", "127.0.0.1", str(receiver.port), str(folder)],
            env=QUICK_TCP,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for folder in folders
    ]
    codes = [sender.wait() for sender in senders]
    seconds = time.perf_counter() - start
    assert codes == [0] * len(folders), f"{receiver.name} refused something"
    wait_until(settled, seconds=300, what="an empty spool")
    receiver.rates.setdefault(len(folders), []).append(count / seconds)
    receiver.cpu.append((cpu_of(receiver) - before) / count * 1000)


def quarters(folder: Path, slices: list[Path]) -> list[Path]:
    """The same slices, by hard links, in four folders."""
    found = []
    for n in range(4):
        part = folder / f"quarter{n}"
        part.mkdir()
        for path in slices[n::4]:
            os.link(path, part / path.name)
        found.append(part)
    return found


@contextlib.contextmanager
def edge_of(folder: Path, node: Node, proxy: Proxy, settings: dict[str, str], archive: str = "hosp1") -> Iterator[Edge]:
    edge = Edge(folder, node, archive=archive)
    text = edge.config.read_text().replace(f'url = "{node.url}"', f'url = "{proxy.url}"')
    lines = []
    for line in text.splitlines():
        name = line.removeprefix("# ").partition(" = ")[0]
        lines.append(f"{name} = {settings[name]}" if name in settings else line)
    edge.config.write_text("\n".join(lines) + "\n")
    with edge:
        yield edge


def in_turn(figures: Figures, folder: Path, slices: int, repeats: int) -> None:
    """Each receiver gets the same slices, one after the other, so that all share the weather; each time new ones."""
    with contextlib.ExitStack() as stack:
        node = stack.enter_context(Node(folder / "node"))
        key = node.archive("hosp1", "admin")
        assert node.process is not None
        server = Server("node", f"{node.url}/dicomweb/hosp1", node.process.pid, {"Authorization": f"Bearer {key}"})
        lines = [Proxy(node.port, n) for n in range(2)]
        for line in lines:
            stack.callback(line.close)
        names = ("edge, the cloud away", "edge, uploading to a node here")
        edges = [stack.enter_context(edge_of(folder / f"edge{n}", node, line, {})) for n, line in enumerate(lines)]
        lines[0].weather = Weather.CUT
        figures.receivers = list(others(stack, folder))
        for name, edge in zip(names, edges, strict=True):
            assert edge.process is not None
            figures.receivers.append(Receiver(name, "after fsync", edge.ae_title, edge.port, edge.process.pid))
        spool = edges[1].folder / "spool" / "received"
        received = 0
        for turn in range(repeats):
            for count in (1, 4):
                ct = write_ct(folder / "ct", slices=slices, seed=10 * turn + count, patient_id=f"MAY-{turn}{count}")
                received += sum(path.stat().st_size for path in ct)
                sent = [folder / "ct"] if count == 1 else quarters(folder, ct)
                for receiver in figures.receivers:
                    settled = (lambda: not any(spool.iterdir())) if receiver.name == names[1] else (lambda: True)
                    measure(receiver, sent, settled)
                for each in {folder / "ct", *sent}:
                    shutil.rmtree(each)
        figures.lines.append(("bytes on the wire for a byte received", f"{lines[1].passed / received:.3f}", "as sent"))
        figures.lines.append(("last C-STORE answer to searchable", _searchable(server, folder, edges[1]), "20 slices"))
        for module, rule, name in _COMPRESSION:
            if importlib.util.find_spec(module):
                wire, cpu = _compressed(folder / rule, node, slices, rule)
                figures.lines.append(("bytes on the wire, CT compressed without loss", f"{wire:.3f}", name))
                figures.lines.append(("CPU ms an image, received, compressed, compared, sent", number(cpu), name))


def others(stack: contextlib.ExitStack, folder: Path) -> Iterator[Receiver]:
    """Those of the others that are installed."""
    if shutil.which("storescp"):
        scp = Storescp(folder / "storescp")
        stack.callback(scp.kill)
        process = scp.spawn()
        time.sleep(0.5)
        yield Receiver("dcmtk storescp", "no fsync, no index", "STORESCP", scp.port, process.pid)
    if peer.executable():
        orthanc = stack.enter_context(peer.Orthanc(folder / "orthanc"))
        assert orthanc.process is not None
        yield Receiver("Orthanc", "no fsync; indexed", "ORTHANC", orthanc.dicom_port, orthanc.process.pid)


def _searchable(server: Server, folder: Path, edge: Edge) -> str:
    """Of small studies that are sent one after the other."""
    taken = []
    for turn in range(5):
        place = folder / f"small{turn}"
        (first, *_) = write_ct(place, slices=20, seed=50 + turn, patient_id=f"MAY-5{turn}", study_date="20261120")
        study = str(pydicom.dcmread(first, stop_before_pixels=True).StudyInstanceUID)
        assert edge.send(place).returncode == 0
        start = time.perf_counter()
        wait_until(lambda study=study: is_searchable(server, study, 20), what="a study in the search")  # type: ignore[misc]
        taken.append(time.perf_counter() - start)
    return f"{statistics.median(taken):.2f} s"


def _compressed(folder: Path, node: Node, slices: int, rule: str) -> tuple[float, float]:
    """Bytes on the wire for a byte received, and CPU in milliseconds an image; of slices that the cloud has not."""
    proxy, archive = Proxy(node.port, 2), rule.replace("-", "")
    try:
        node.maypacs("archive", "add", archive)
        ct = write_ct(folder / "ct", slices=slices, seed=99, patient_id="MAY-99")
        with edge_of(folder / "edge", node, proxy, {"default": f'"{rule}"'}, archive) as edge:
            assert edge.process is not None
            spool, before = edge.folder / "spool" / "received", cpu_seconds(edge.process.pid)
            assert edge.send(folder / "ct").returncode == 0
            wait_until(lambda: not any(spool.iterdir()), seconds=300, what="an empty spool")
            cpu = cpu_seconds(edge.process.pid) - before
        return proxy.passed / sum(path.stat().st_size for path in ct), cpu / slices * 1000
    finally:
        proxy.close()


def markdown(figures: Figures, slices: int, repeats: int, loads: list[float]) -> str:
    lines = [
        "# The edge's C-STORE",
        "",
        f"Made by `python -m tests.bench.edge` on {today()}: {os.cpu_count()} cores, {platform.machine()}, Python"
        f" {platform.python_version()}; senders, receivers, node and storage on one machine. {slices} CT slices of 530"
        f" KB, sent by dcmtk's storescu with `TCP_NODELAY=1`, {repeats} times to each in turn: medians. Load of the"
        f" machine: {', '.join(f'{each:.1f}' for each in loads)}: above 2, rates say less than ratios, and ratios less"
        " than CPU.",
        "",
        "| receiver | images/s, 1 association | to Orthanc | 4 at once | to Orthanc | CPU ms an image | answers |",
        "|---|---|---|---|---|---|---|",
    ]
    orthanc = next((receiver for receiver in figures.receivers if receiver.name == "Orthanc"), None)
    for receiver in figures.receivers:
        cells = []
        for count in (1, 4):
            rate = statistics.median(receiver.rates[count])
            other = statistics.median(orthanc.rates[count]) if orthanc else 0.0
            cells += [number(rate), f"{rate / other:.1f}x" if other and orthanc is not receiver else ""]
        cells += [number(statistics.median(receiver.cpu)), receiver.note]
        lines.append(f"| {receiver.name} | " + " | ".join(cells) + " |")
    lines += ["", "| of the edge | | |", "|---|---|---|", *(f"| {' | '.join(line)} |" for line in figures.lines)]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.edge", description=__doc__)
    parser.add_argument("--slices", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "benchmarks-edge.md")
    options = parser.parse_args()
    figures, loads = Figures(), [load()]
    with workplace() as folder:
        in_turn(figures, folder, options.slices, options.repeats)
    loads.append(load())
    text = markdown(figures, options.slices, options.repeats, loads)
    options.output.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
