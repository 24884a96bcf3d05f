"""What a retrieve names, from the archive by way of the cache: which instances, and the file of each."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

from edge_forwarder.cloud.dicomweb import DicomWeb, value
from edge_forwarder.cloud.inbox import Inbox
from edge_forwarder.dicom import part10
from edge_forwarder.dicom.peek import HEAD_BYTES, identify
from edge_forwarder.errors import CloudAwayError, CloudError, RefusedError, TooManyError, UnreadableError
from edge_forwarder.logs import Log
from edge_forwarder.query_retrieve.cache import EXPLICIT, STORED, Cache, Instance

#: With so many of a series missing in the cache, the series is fetched as one message.
_WHOLE_SERIES = 3
#: So many files of the cache are compared with the archive at once: their digests take time, and somebody waits.
_AT_ONCE: Final = 200

_Digest = tuple[str, str]
"""The transfer syntax of a file, and the SHA-256 of its data set."""


@dataclass(frozen=True, slots=True)
class Target:
    """Part of a study: everything of it, some series, or some instances of a series."""

    study: str
    series: tuple[str, ...] = ()
    instances: tuple[str, ...] = ()


class Fetcher:
    def __init__(self, archive: DicomWeb, inbox: Inbox, cache: Cache, max_instances: int, log: Log) -> None:
        self._archive, self._inbox, self._cache, self._log = archive, inbox, cache, log
        self._max = max_instances

    def instances(self, targets: Sequence[Target]) -> tuple[list[Instance], bool]:
        """Every instance that is meant, and whether the cloud is away: then from the cache, where all of the study is
        there. Raises CloudError, TooManyError.
        """
        found: list[Instance] = []
        away: CloudAwayError | None = None
        for target in targets:
            try:
                if away is not None:
                    raise away
                whole = self._of_study(target.study) if not target.series else self._of_series(target)
                if not target.series:
                    self._cache.remember(target.study, whole)
            except RefusedError:
                raise
            except CloudError as error:
                away = error if isinstance(error, CloudAwayError) else None
                remembered = self._cache.remembered(target.study)
                if remembered is None:
                    raise
                whole = remembered
            found += [
                i
                for i in whole
                if (not target.series or i.series in target.series)
                and (not target.instances or i.sop in target.instances)
            ]
            if len(found) > self._max:
                raise TooManyError(f"more than {self._max} instances")
        return found, away is not None

    def _of_study(self, study: str) -> list[Instance]:
        series = self._search(f"/studies/{study}/series")
        return self._of_series(Target(study, tuple(value(item, "0020000E") for item in series)))

    def _of_series(self, target: Target) -> list[Instance]:
        found = []
        for series in target.series:
            query = [("SOPInstanceUID", uid) for uid in target.instances] if len(target.instances) == 1 else []
            for item in self._search(f"/studies/{target.study}/series/{series}/instances", query):
                try:
                    found.append(Instance(target.study, series, value(item, "00080018"), value(item, "00080016")))
                except ValueError:
                    continue  # the archive holds such things in quarantine only
        return found

    def _search(self, path: str, query: Sequence[tuple[str, str]] = ()) -> list[dict[str, object]]:
        try:
            found = self._archive.search(path, query, limit=self._max)
        except RefusedError as error:
            if error.status == 404:
                return []
            raise
        if found.more:
            raise TooManyError(f"more than {self._max} instances")
        return found.items

    def files(self, instances: Sequence[Instance], *, is_away: bool = False) -> Iterator[tuple[Instance, Path | None]]:
        """The stored file of each, series by series, as they come; None when it cannot be had. ``is_away``: the cloud
        did not answer just now, and is not asked what is current.
        """
        # Each question to a cloud that is away may take as long as a connection that nobody answers.
        away, asks = False, not is_away
        for (study, series), group in groupby(instances, key=lambda i: (i.study, i.series)):
            missing: dict[str, Instance] = {}
            of_series = list(group)
            for at in range(0, len(of_series), _AT_ONCE):
                some = of_series[at : at + _AT_ONCE]
                digests = self._digests(some)
                asks, current = self._current(study, series, digests) if asks else (False, digests.keys())
                for instance in some:
                    path = self._cache.get(instance) if instance in current else None
                    if path is None:
                        missing[instance.sop] = instance
                    else:
                        yield instance, path
            if len(missing) >= _WHOLE_SERIES and not away:
                away = yield from self._whole(f"/studies/{study}/series/{series}", missing)
            for instance in missing.values():
                path = None
                # Once the cloud is away, the caller is not made to wait for each of the rest.
                if not away:
                    away, path = self._try(instance)
                yield instance, path

    def _digests(self, instances: Sequence[Instance]) -> dict[Instance, _Digest]:
        """Of the files that the cache has."""
        found: dict[Instance, _Digest] = {}
        for instance in instances:
            try:
                found[instance] = _data_set_digest(self._cache.path(instance))
            except FileNotFoundError:
                # Nobody knows what the other kind was made of. To be said now: soon another retrieve may have both.
                self._cache.discard(instance, EXPLICIT)
            except (OSError, UnreadableError):
                self._cache.discard(instance)
        return found

    def _current(
        self, study: str, series: str, digests: Mapping[Instance, _Digest]
    ) -> tuple[bool, Collection[Instance]]:
        """Whether the cloud is there to be asked again, and which files of the cache are what the archive would send:
        another version may have become current, or come after a deletion. While the cloud is away, all of them, for
        want of better.
        """
        known: frozenset[str] = frozenset()
        try:
            if digests:
                known = self._inbox.known(study, series, [(i.sop, *digest) for i, digest in digests.items()])
        except RefusedError:
            pass
        except CloudError as error:
            return not isinstance(error, CloudAwayError), digests.keys()
        for instance, digest in digests.items():
            if instance.sop not in known:
                self._discard(instance, digest)
        return True, {instance for instance in digests if instance.sop in known}

    def _discard(self, instance: Instance, digest: _Digest) -> None:
        """Unless another retrieve has replaced it meanwhile, and is about to send what it has fetched."""
        with suppress(OSError, UnreadableError):
            if _data_set_digest(self._cache.path(instance)) == digest:
                self._cache.discard(instance)

    def _try(self, instance: Instance) -> tuple[bool, Path | None]:
        """Whether the cloud is away, and the file."""
        try:
            return False, self.one(instance)
        except (CloudError, OSError) as error:
            self._log.warning("an instance could not be fetched", why=str(error) or type(error).__name__)
            return isinstance(error, CloudAwayError), None

    def _whole(self, path: str, missing: dict[str, Instance]) -> Generator[tuple[Instance, Path | None], None, bool]:
        """The parts of one message; what comes leaves ``missing``, the rest is to be asked for one by one. Whether
        the cloud is away.
        """
        any_one = next(iter(missing.values()))
        try:
            with self._archive.retrieve(path, as_stored=True) as parts:
                for pieces in parts:
                    draft = self._cache.draft(any_one, pieces)
                    try:
                        instance = missing.pop(identify(draft).sop_instance_uid, None)
                    except UnreadableError:
                        instance = None
                    if instance is None:
                        draft.unlink(missing_ok=True)
                    else:
                        yield instance, draft.replace(self._cache.path(instance))
        except (CloudError, OSError) as error:
            self._log.warning("a series could not be fetched whole", why=str(error) or type(error).__name__)
            return isinstance(error, CloudAwayError)
        return False

    def one(self, instance: Instance, kind: str = STORED) -> Path:
        """One instance, as stored or in Explicit VR Little Endian. Raises CloudError, OSError."""
        known = self._cache.get(instance, kind)
        if known is not None:
            return known
        path = f"/studies/{instance.study}/series/{instance.series}/instances/{instance.sop}"
        with self._archive.retrieve(path, as_stored=kind != EXPLICIT) as parts:
            for pieces in parts:
                return self._cache.draft(instance, pieces).replace(self._cache.path(instance, kind))
        raise CloudAwayError("an answer without a part")

    def done(self) -> None:
        """After each retrieve: keep to the cache's caps."""
        with suppress(OSError):
            self._cache.trim()


def part_10(path: Path) -> tuple[str, int]:
    """Transfer syntax of a file, and where its data set begins. Raises OSError, UnreadableError."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    syntax, offset = part10.meta_value(head, 0x0010), part10.dataset_offset(head)
    if not syntax or not offset:
        raise UnreadableError("no Part 10 file")
    return syntax, offset


def _data_set_digest(path: Path) -> _Digest:
    """Raises OSError, UnreadableError."""
    syntax, offset = part_10(path)
    with path.open("rb") as file:
        file.seek(offset)
        return syntax, hashlib.file_digest(file, "sha256").hexdigest()
