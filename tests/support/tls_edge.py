"""An edge that listens by mutual TLS alone, and dcmtk's tools that call it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.certificates import Authority, Leaf
from tests.support.processes import QUICK_TCP, free_port
from tests.support.stub_cloud import StubCloud
from tests.support.stub_edge import AET, StubEdge


@dataclass
class TlsEdge:
    edge: StubEdge
    port: int
    ours: Authority
    strangers: Authority

    def run(
        self, tool: str, *words: object, leaf: Leaf | None, ca: Path | None = None, before: Sequence[object] = ()
    ) -> subprocess.CompletedProcess[str]:
        """dcmtk over TLS, with a certificate or anonymously; ``before`` goes before host and port."""
        me = ["+tls", leaf.key, leaf.certificate] if leaf else ["+tla"]
        command = [tool, "-v", *me, "+cf", ca or self.ours.ca, "-aec", AET, *before, "127.0.0.1", self.port, *words]
        return subprocess.run(
            [str(word) for word in command], env=QUICK_TCP, capture_output=True, text=True, timeout=60
        )


def tls_edge(folder: Path, cloud: StubCloud, devices: str) -> TlsEdge:
    """Not started yet; ``devices``: entries of its edge.toml."""
    ours, strangers = Authority(folder / "ours"), Authority(folder / "strangers", "Somebody's CA")
    leaf = ours.leaf("edge", days=45)
    edge = StubEdge(folder / "edge", cloud, extra="retry_max_seconds = 0.3", devices=devices)
    port = free_port()
    text = edge.config.read_text()
    for name, value in {
        "certificate": f'"{leaf.certificate}"',
        "key": f'"{leaf.key}"',
        "port": str(port),
        "only": "true",
        "ca_file": f'"{ours.ca}"',
    }.items():
        head, _, section = text.partition("[tls]\n")
        lines = section.splitlines()
        at = next(n for n, line in enumerate(lines) if line.startswith(f"# {name} = "))
        text = f"{head}[tls]\n" + "\n".join([*lines[:at], f"{name} = {value}", *lines[at + 1 :], ""])
    edge.config.write_text(text)
    edge.port = port
    return TlsEdge(edge, port, ours, strangers)
