"""The whole file. A new section is a module beside this one, a field of `Config` and a line in `SECTIONS`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge_forwarder.config.cloud import CloudConfig
from edge_forwarder.config.commitment import CommitmentConfig
from edge_forwarder.config.compress import CompressConfig
from edge_forwarder.config.device import DeviceConfig
from edge_forwarder.config.dimse import DimseConfig
from edge_forwarder.config.edge import EdgeConfig
from edge_forwarder.config.health import HealthConfig
from edge_forwarder.config.packing import PackingConfig
from edge_forwarder.config.reading import Section, read_section
from edge_forwarder.config.retrieve import RetrieveConfig
from edge_forwarder.config.spool import SpoolConfig
from edge_forwarder.config.stow import StowConfig
from edge_forwarder.config.tls import TlsConfig
from edge_forwarder.config.upload import UploadConfig
from edge_forwarder.errors import ConfigError

SECTIONS: Final[Mapping[str, type[Section]]] = {
    "edge": EdgeConfig,
    "cloud": CloudConfig,
    "spool": SpoolConfig,
    "dimse": DimseConfig,
    "tls": TlsConfig,
    "commitment": CommitmentConfig,
    "retrieve": RetrieveConfig,
    "packing": PackingConfig,
    "upload": UploadConfig,
    "compress": CompressConfig,
    "health": HealthConfig,
    "stow": StowConfig,
}


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that edge.toml says."""

    edge: EdgeConfig
    cloud: CloudConfig
    spool: SpoolConfig
    dimse: DimseConfig
    tls: TlsConfig
    commitment: CommitmentConfig
    retrieve: RetrieveConfig
    packing: PackingConfig
    upload: UploadConfig
    compress: CompressConfig
    health: HealthConfig
    stow: StowConfig
    devices: tuple[DeviceConfig, ...]
    folder: Path
    """Where the file is: relative paths start here."""

    @property
    def spool_folder(self) -> Path:
        return self.folder / self.edge.spool

    @property
    def cache_folder(self) -> Path:
        return self.folder / self.retrieve.cache if self.retrieve.cache else self.spool_folder / "cache"

    @property
    def credentials_file(self) -> Path:
        return self.folder / self.edge.credentials

    def preference(self, calling_ae_title: str) -> tuple[str, ...]:
        """The transfer syntaxes to choose first, for one caller."""
        for device in self.devices:
            if device.ae_title.strip() == calling_ae_title and device.transfer_syntaxes:
                return device.transfer_syntaxes
        return self.dimse.transfer_syntaxes

    def rights(self, calling_ae_title: str, host: str) -> frozenset[str]:
        """What a caller may; an entry with its address goes before one without."""
        mine = [d for d in self.devices if d.ae_title.strip() == calling_ae_title and d.host in ("", host)]
        mine.sort(key=lambda d: not d.host)
        return frozenset(mine[0].rights if mine and mine[0].rights else self.dimse.rights)

    def callable(self, ae_title: str) -> DeviceConfig | None:
        """The device that can be called under this AE title."""
        devices = (d for d in self.devices if d.ae_title.strip() == ae_title.strip())
        return next((d for d in devices if d.host and d.port), None)

    def stored_as(self, ae_title: str) -> frozenset[str]:
        """The AE titles under which this device sends images."""
        title = ae_title.strip()
        others = (other.strip() for d in self.devices if d.ae_title.strip() == title for other in d.stores_as)
        return frozenset({title, *others})


def load(path: Path) -> Config:
    """Read a configuration file. Raises ConfigError, which names the key that is wrong."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"{path} is missing: enrol this edge first (maypacs-edge enroll), or name it by --config"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    return parse(raw, path.resolve().parent)


def parse(raw: Mapping[str, Any], folder: Path) -> Config:
    """What a file says; relative paths start at ``folder``. Raises ConfigError."""
    unknown = sorted(raw.keys() - SECTIONS.keys() - {"device"})
    if unknown:
        raise ConfigError(f"there is no section [{unknown[0]}]: there are {', '.join(SECTIONS)}, and [[device]]")
    blocks = raw.get("device", [])
    if not isinstance(blocks, list):
        raise ConfigError("a device is a block that begins with [[device]]")
    parts: dict[str, Any] = {name: read_section(cls, name, raw.get(name, {})) for name, cls in SECTIONS.items()}
    return Config(
        **parts, devices=tuple(read_section(DeviceConfig, "device", block) for block in blocks), folder=folder
    )
