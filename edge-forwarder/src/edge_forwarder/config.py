"""One TOML file; frozen settings. Every key is in edge.toml with its unit and default; a test compares the two."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from edge_forwarder.errors import ConfigError

MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class EdgeConfig:
    """[edge]: this application entity."""

    ae_title: str = "MAYPACS"
    """The AE title modalities call (1 to 16 characters)."""
    bind: str = "0.0.0.0"  # noqa: S104 - modalities are other machines; the allow-list and firewall decide who
    """The address to listen on."""
    port: int = 11112
    """The TCP port to listen on; 0 takes a free one."""
    spool: str = "spool"
    """Folder of the spool, relative to the configuration file."""
    credentials: str = "credentials.json"
    """File with the archive and the key that `enroll` got, relative to the configuration file."""


@dataclass(frozen=True, slots=True)
class CloudConfig:
    """[cloud]: where images go."""

    url: str = ""
    """The cloud's address, such as https://pacs.example.org."""
    ca_file: str = ""
    """PEM file of the authorities to trust instead of the system's; empty for the system's."""
    parallel_uploads: int = 2
    """Uploads at once."""
    connect_timeout_seconds: float = 15.0
    """Longest wait for a connection, and for the network to take more bytes."""
    read_timeout_seconds: float = 60.0
    """Longest wait for an answer."""
    retry_max_seconds: float = 60.0
    """Longest pause between two tries."""
    status_poll_seconds: float = 15.0
    """Longest pause between two questions whether an upload is indexed; short at first."""


@dataclass(frozen=True, slots=True)
class SpoolConfig:
    """[spool]: how full the disk may get."""

    min_free_mib: int = 1024
    """Answer 0xA700 (out of resources) rather than leave less than this free on the disk."""
    max_mib: int = 0
    """Answer 0xA700 rather than hold more than this; 0 for no limit but the disk's."""


@dataclass(frozen=True, slots=True)
class DimseConfig:
    """[dimse]: the Upper Layer protocol."""

    max_pdu: int = 131072
    """The largest P-DATA PDU asked for, in bytes."""
    max_associations: int = 20
    """Associations at once; more are rejected as a local limit, transient."""
    network_timeout_seconds: float = 60.0
    """Longest silence within a message, and before the association request."""
    idle_timeout_seconds: float = 3600.0
    """Longest silence between two messages of an association."""
    check_called_aet: bool = True
    """Reject associations that call another AE title."""
    only_known_devices: bool = False
    """Reject callers that no [[device]] names."""
    rights: tuple[str, ...] = ("store",)
    """What a caller may: `store` (and storage commitment), `query`, `retrieve`."""
    transfer_syntaxes: tuple[str, ...] = (
        "lossless",
        "lossy",
        "1.2.840.10008.1.2.1",
        "1.2.840.10008.1.2",
        "1.2.840.10008.1.2.2",
    )
    """What to choose first of what a presentation context proposes; `lossless` and `lossy` name the compressed
    syntaxes.
    """


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """[tls]: DICOM over TLS (PS3.15 B), and the certificates of outgoing associations."""

    certificate: str = ""
    """PEM file with our certificate and those below its authority, relative to the configuration file; empty: no TLS
    port.
    """
    key: str = ""
    """PEM file with its private key, not encrypted."""
    port: int = 2762
    """The TCP port for TLS; 0 takes a free one."""
    only: bool = False
    """Do not listen on [edge] port."""
    ca_file: str = ""
    """PEM file of the authorities whose certificates peers must have; empty: callers need none."""
    check_host: bool = False
    """Whether the certificate of a peer that we call must name its host."""


@dataclass(frozen=True, slots=True)
class CommitmentConfig:
    """[commitment]: storage commitment."""

    same_association: bool = True
    """Report on the association that asked, while it is open; else always on a new one."""
    keep_days: float = 30.0
    """How long to remember what was sent, after it was indexed, and what was reported."""
    retry_max_seconds: float = 600.0
    """Longest pause between two tries to report to a device."""
    give_up_days: float = 14.0
    """A device that takes no report for so long is not tried any more."""
    max_instances: int = 100_000
    """The most that one request may name."""


@dataclass(frozen=True, slots=True)
class RetrieveConfig:
    """[retrieve]: query and retrieve from the cloud's archive."""

    max_matches: int = 1000
    """Answers to one query; above, it ends with 0xA700."""
    max_studies: int = 2000
    """Studies looked at for the patients of one query."""
    max_instances: int = 20_000
    """Instances of one retrieve; above, 0xA701."""
    parallel: int = 4
    """Queries and retrieves at once; above, they are refused for want of resources."""
    connect_timeout_seconds: float = 5.0
    """Longest wait for a connection to the cloud before the caller is told."""
    read_timeout_seconds: float = 30.0
    """Longest silence of the cloud before the caller is told."""
    cache: str = ""
    """Folder of the images fetched last, relative to the configuration file; empty: `cache` in the spool."""
    cache_mib: int = 10240
    """The cache's size; 0: none is kept."""
    keep_uploaded: bool = True
    """Whether what was uploaded goes there, too, when any device may retrieve."""
    cache_hours: float = 72.0
    """How long an image stays in the cache after it was last asked for."""


@dataclass(frozen=True, slots=True)
class PackingConfig:
    """[packing]: when a pack is closed."""

    quiet_seconds: float = 5.0
    """A series that got nothing for so long is closed."""
    quiet_seconds_by_modality: Mapping[str, float] = field(default_factory=dict)
    """The same, for one modality each."""
    max_mib: int = 64
    """A pack's size (64 is what the cloud takes as one)."""
    max_instances: int = 1000
    """A pack's count (1,000 is what the cloud takes as one)."""
    max_open: int = 256
    """Series open at once; above, the one that waits longest is closed."""


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """[[device]]: one modality or workstation."""

    ae_title: str = ""
    """Its AE title."""
    host: str = ""
    """The address it must come from; empty for any."""
    transfer_syntaxes: tuple[str, ...] = ()
    """Its own order of preference; empty for [dimse]'s."""
    rights: tuple[str, ...] = ()
    """What it may; empty for [dimse]'s."""
    port: int = 0
    """The port to call it on, for storage commitment and C-MOVE; 0: it cannot be called."""
    tls: bool = False
    """Whether to call it by TLS."""


@dataclass(frozen=True, slots=True)
class Config:
    edge: EdgeConfig
    cloud: CloudConfig
    spool: SpoolConfig
    dimse: DimseConfig
    tls: TlsConfig
    commitment: CommitmentConfig
    retrieve: RetrieveConfig
    packing: PackingConfig
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
            if device.ae_title == calling_ae_title and device.transfer_syntaxes:
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


@dataclass(frozen=True, slots=True)
class Credentials:
    """What `enroll` got. The key never appears in a log or a repr."""

    archive: str
    edge: str
    key: str = field(repr=False)


def load(path: Path) -> Config:
    """Read a configuration file. Raises ConfigError, which names the key that is wrong."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    return parse(raw, path.resolve().parent)


def parse(raw: Mapping[str, Any], folder: Path) -> Config:
    sections = {
        "edge": EdgeConfig,
        "cloud": CloudConfig,
        "spool": SpoolConfig,
        "dimse": DimseConfig,
        "tls": TlsConfig,
        "commitment": CommitmentConfig,
        "retrieve": RetrieveConfig,
        "packing": PackingConfig,
    }
    unknown = sorted(raw.keys() - sections.keys() - {"device"})
    if unknown:
        raise ConfigError(f"unknown section [{unknown[0]}]")
    parts: dict[str, Any] = {name: _section(cls, name, raw.get(name, {})) for name, cls in sections.items()}
    devices = tuple(_section(DeviceConfig, "device", item) for item in raw.get("device", []))
    config = Config(**parts, devices=devices, folder=folder)
    _check(config)
    return config


def _section(cls: type[Any], name: str, raw: Any) -> Any:
    if not isinstance(raw, Mapping):
        raise ConfigError(f"[{name}] must be a table")
    known = {f.name: f for f in fields(cls)}
    values: dict[str, Any] = {}
    for key, value in raw.items():
        if key not in known:
            raise ConfigError(f"[{name}] has no key {key}")
        values[key] = _value(f"[{name}] {key}", str(known[key].type), value)
    return cls(**values)


def _value(where: str, kind: str, value: Any) -> Any:
    good = {
        "str": lambda v: isinstance(v, str),
        "int": lambda v: isinstance(v, int) and not isinstance(v, bool) and v >= 0,
        "float": lambda v: isinstance(v, int | float) and not isinstance(v, bool) and v >= 0,
        "bool": lambda v: isinstance(v, bool),
        "tuple[str, ...]": lambda v: isinstance(v, list) and all(isinstance(x, str) for x in v),
        "Mapping[str, float]": lambda v: (
            isinstance(v, dict)
            and all(isinstance(x, int | float) and not isinstance(x, bool) and x >= 0 for x in v.values())
        ),
    }
    if not good[kind](value):
        raise ConfigError(f"{where} must be {kind.replace('tuple[str, ...]', 'a list of strings')}, not negative")
    return tuple(value) if kind.startswith("tuple") else float(value) if kind == "float" else value


def _check(config: Config) -> None:
    titles = [("[edge] ae_title", config.edge.ae_title), *(("[[device]] ae_title", d.ae_title) for d in config.devices)]
    for where, title in titles:
        # PS3.5 6.2, VR AE: 16 bytes of the default repertoire, no backslash, no control characters, spaces around
        # insignificant.
        if not title.strip() or len(title) > 16 or not title.isascii() or not title.isprintable() or "\\" in title:
            raise ConfigError(f"{where} must be 1 to 16 printable ASCII characters without a backslash")
    if config.edge.port > 65535:
        raise ConfigError("[edge] port must be below 65536")
    if not config.cloud.url.startswith(("https://", "http://")):
        raise ConfigError("[cloud] url is missing: the address of the cloud, https://…")
    if config.cloud.parallel_uploads < 1:
        raise ConfigError("[cloud] parallel_uploads must be at least 1")
    for where, rights in [("[dimse]", config.dimse.rights), *(("[[device]]", d.rights) for d in config.devices)]:
        if wrong := set(rights) - {"store", "query", "retrieve"}:
            raise ConfigError(f"{where} rights knows no {min(wrong)}: store, query, retrieve")
    if any(d.port > 65535 for d in config.devices) or config.tls.port > 65535:
        raise ConfigError("a port must be below 65536")
    if bool(config.tls.certificate) != bool(config.tls.key):
        raise ConfigError("[tls] certificate and key go together")
    if config.tls.only and not config.tls.certificate:
        raise ConfigError("[tls] only needs a certificate")
    if min(config.retrieve.max_matches, config.retrieve.max_studies, config.retrieve.parallel) < 1:
        raise ConfigError("[retrieve] max_matches, max_studies and parallel must be at least 1")
    if not 4096 <= config.dimse.max_pdu <= 16 * MIB:
        raise ConfigError("[dimse] max_pdu must be between 4096 and 16777216")
    if config.dimse.max_associations < 1:
        raise ConfigError("[dimse] max_associations must be at least 1")
    if (
        not 1 <= config.packing.max_mib <= 64
        or not 1 <= config.packing.max_instances <= 1000
        or config.packing.max_open < 1
    ):
        raise ConfigError("[packing] max_mib must be 1 to 64, max_instances 1 to 1000, max_open at least 1")


def load_credentials(path: Path) -> Credentials:
    """Read what `enroll` wrote. Raises ConfigError."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return Credentials(archive=str(raw["archive"]), edge=str(raw.get("edge", "")), key=str(raw["key"]))
    except FileNotFoundError:
        raise ConfigError(f"{path} is missing: enrol this edge first (maypacs-edge enroll)") from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(f"{path} is not a credentials file: enrol this edge again") from None


def save_credentials(path: Path, credentials: Credentials) -> None:
    """Write the credentials, readable by their owner alone, whole or not at all."""
    text = (
        json.dumps({"archive": credentials.archive, "edge": credentials.edge, "key": credentials.key}, indent=2) + "\n"
    )
    write_private(path, text)


def write_private(path: Path, text: str) -> None:
    """Replace a file by way of a temporary one (mode 0600), durably."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
