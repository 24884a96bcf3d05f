"""Builds the two layers of `template.yaml` into build/layers: `python infra/deploy/layers.py`.

What goes in is what requirements/runtime.lock says, by its hashes, as wheels of the functions' own platform (arm64), so
that it can be built on any machine, without Docker. ``--from-venv`` copies what is installed here instead: for an
emulator on this machine.

library: maypacs, Chalice, Powertools, pydicom …, what every function imports.
codecs: what needs pixels, imported lazily.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker

ROOT = Path(__file__).resolve().parents[2]
LOCKS = (ROOT / "requirements" / "runtime.lock", ROOT / "requirements" / "no-deps.lock")
OUT = ROOT / "build" / "layers"

#: Distributions of the codecs layer; the rest of the locks is the library layer.
CODECS = frozenset({"numpy", "pillow", "pylibjpeg", "pylibjpeg-openjpeg", "pylibjpeg-rle", "pyjpegls", "python-gdcm"})
PYTHON = "3.13"
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux2014_aarch64", "manylinux_2_17_aarch64")
#: What Lambda takes unzipped, all layers and the function together, less a margin.
LIMIT_BYTES = 220 * 1024 * 1024
_NAME = re.compile(r"([A-Za-z0-9._-]+)==")


@dataclass(frozen=True, slots=True)
class Pin:
    """One distribution of a lock file."""

    name: str
    text: str  #: requirement and hashes, without its marker


def pins(lock: str, python: str = PYTHON) -> Iterator[Pin]:
    """The pins that hold for a CPython of that version on Linux, whatever interpreter runs this.

    pip would judge the markers by its own interpreter: they are judged here and left out.
    """
    environment = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    environment |= {"platform_system": "Linux", "implementation_name": "cpython", "platform_machine": "aarch64"}
    for block in re.split(r"\n(?=\S)", lock.strip()):
        name = _NAME.match(block)
        if name is None:
            continue
        first, _, hashes = block.partition("\\\n")
        requirement, _, marker = first.partition(";")
        if not marker.strip() or Marker(marker.strip()).evaluate(environment):
            yield Pin(name[1].lower().replace("_", "-"), f"{requirement.strip()} \\\n{hashes}")


def layer_of(pin: Pin) -> str:
    return "codecs" if pin.name in CODECS else "library"


def all_pins(python: str = PYTHON) -> list[Pin]:
    return [pin for lock in LOCKS for pin in pins(lock.read_text(encoding="utf-8"), python)]


def build_for_lambda(out: Path) -> None:
    """Downloads and unpacks wheels of the functions' platform. Raises CalledProcessError (pip says what is missing)."""
    for layer in ("library", "codecs"):
        target = out / layer / "python"
        requirements = out / f"{layer}.txt"
        requirements.parent.mkdir(parents=True, exist_ok=True)
        requirements.write_text("\n".join(p.text for p in all_pins() if layer_of(p) == layer) + "\n", encoding="utf-8")
        platforms = [argument for platform in PLATFORMS for argument in ("--platform", platform)]
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
        options = ["--only-binary=:all:", "--python-version", PYTHON, "--implementation", "cp", *platforms]
        # The lock was made for the functions' Python; pip would compare with the one that runs it.
        locked = [
            "--ignore-requires-python",
            "--require-hashes",
            "--no-deps",
            "--target",
            str(target),
            "-r",
            str(requirements),
        ]
        subprocess.run([*pip, *options, *locked], check=True)


def build_from_venv(out: Path) -> None:
    """Copies what is installed in this interpreter's environment."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    for pin in all_pins(python):
        target = out / layer_of(pin) / "python"
        distribution = importlib.metadata.distribution(pin.name)
        for file in distribution.files or ():
            if ".." in file.parts or "__pycache__" in file.parts:
                continue  # scripts, and what is made anew
            source, destination = Path(str(distribution.locate_file(file))), target / file
            destination.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, destination)


def add_maypacs(out: Path) -> None:
    source = ROOT / "layers" / "maypacs" / "src" / "maypacs"
    shutil.copytree(source, out / "library" / "python" / "maypacs", ignore=shutil.ignore_patterns("__pycache__"))


def size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def build(out: Path = OUT, *, from_venv: bool = False) -> dict[str, int]:
    """Builds both layers anew; returns their unpacked sizes in bytes. Raises ValueError when they are too large."""
    shutil.rmtree(out, ignore_errors=True)
    (build_from_venv if from_venv else build_for_lambda)(out)
    add_maypacs(out)
    sizes = {layer: size_of(out / layer) for layer in ("library", "codecs")}
    if sum(sizes.values()) > LIMIT_BYTES:
        raise ValueError(f"the layers have {sum(sizes.values())} bytes, more than {LIMIT_BYTES}")
    return sizes


def main() -> None:
    parser = argparse.ArgumentParser(description="Builds the layers of template.yaml into build/layers.")
    parser.add_argument("--from-venv", action="store_true", help="copy what is installed here, for an emulator")
    for layer, size in build(from_venv=parser.parse_args().from_venv).items():
        sys.stdout.write(f"{layer}: {size / 1e6:.1f} MB\n")


if __name__ == "__main__":
    main()
