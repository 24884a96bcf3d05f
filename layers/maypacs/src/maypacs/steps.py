"""An answer that may take longer than one request has: made item by item (protocols §7).

What fits the gateway is answered at once. What does not is made once, as an export, in steps of at most
`CONVERSION_SECONDS`: a request that runs out of time leaves what it has done as a chunk, answers 503, and the next one
goes on from there. The last one joins the chunks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

from maypacs.archive.objects import CopyRange
from maypacs.archive.store import ArchiveStore
from maypacs.dicomweb.request import Request
from maypacs.errors import BusyError
from maypacs.exports import Composition, exists, export_boundary, in_a_row
from maypacs.http.answers import Answer, conditional, redirect
from maypacs.http.multipart import content_type, part_close, part_head, write_multipart
from maypacs.stored_parts import AnyPart, StoredPart, length_of, read_parts

#: How long a request may convert before it says "come back" (API Gateway gives up at 29 s).
CONVERSION_SECONDS = 20.0
#: More than the header of any part takes.
HEAD_BYTES = 400
#: What lossless compression gains at most, roughly: above this much stored, an export may exist.
GAIN = 4
_CHUNK = re.compile(r"\.([0-9]{9})-([0-9]{9})\Z")

Item = TypeVar("Item")


def deadline(clock: Callable[[], float]) -> Callable[[], bool]:
    """Whether the time of a request that begins now is over."""
    started = clock()
    return lambda: clock() > started + CONVERSION_SECONDS


def in_steps(
    request: Request,
    items: Sequence[Item],
    make: Callable[[Item, str], Sequence[AnyPart]],
    name: str,
    etag: str,
    media_type: str,
    clock: Callable[[], float],
    *,
    stored_bytes: int,
    what: str = "instances",
) -> Answer:
    """A multipart of what `make` makes of each item (given the root of its URLs): inline, or the export `name`.

    ``stored_bytes``: of all of them as they are stored, from which follows whether the export is looked for at once.
    Raises BusyError when more time is needed; `make` may raise it too, what was made before it is kept.
    """
    store, limit = request.workspace.store, request.settings.inline_limit
    started = clock()
    steps = _Steps(request, items, make, name, media_type, what, lambda: clock() > started + CONVERSION_SECONDS)
    looked = stored_bytes * GAIN > limit
    if looked and steps.look():
        return redirect(request.sign(store.export_key(name)), etag=etag)
    while steps.go_on():
        fits = steps.size <= limit and not steps.done
        if not looked and (not fits or steps.busy or clock() > started + CONVERSION_SECONDS / 4):
            looked = True  # it was larger, or slower, than it looked
            if steps.look():
                return redirect(request.sign(store.export_key(name)), etag=etag)
        if not fits or steps.busy:
            break
    if steps.finished and not steps.done and steps.size <= limit:
        body, header = write_multipart(read_parts(request.workspace, steps.parts), media_type)
        return conditional(Answer(200, {"Content-Type": header}, body), etag, None)
    return redirect(request.sign(steps.export()), etag=etag)


class _Steps(Generic[Item]):
    """One request's part of the work: first in memory, then as an export or a chunk of it."""

    def __init__(
        self,
        request: Request,
        items: Sequence[Item],
        make: Callable[[Item, str], Sequence[AnyPart]],
        name: str,
        part_media_type: str,
        what: str,
        late: Callable[[], bool],
    ) -> None:
        self._request, self._items, self._make, self._name = request, items, make, name
        self._what, self._late = what, late
        self._boundary = export_boundary(name)
        self._media_type = content_type(part_media_type, self._boundary)
        self._small: list[Sequence[AnyPart]] = []  #: of the items from ``start`` on
        self.done: list[CopyRange] = []  #: chunks that earlier requests left, up to ``start``
        self.start = 0
        self.size = 0
        self.busy: BusyError | None = None

    @property
    def finished(self) -> bool:
        return self.start + len(self._small) == len(self._items)

    @property
    def parts(self) -> Iterator[AnyPart]:
        return (part for parts in self._small for part in parts)

    def look(self) -> bool:
        """Whether the export is there already; if not, takes up what earlier requests have left."""
        store = self._request.workspace.store
        if exists(store, self._name):
            return True
        self.done, start = _chunks(store, self._name)
        self._small, self.start = self._small[start:], start
        return False

    def go_on(self) -> bool:
        """Makes one more item in memory; False when there is none, or no time."""
        if self.finished or self._late():
            return False
        try:
            parts = self._make(self._items[self.start + len(self._small)], self._request.root)
        except BusyError as error:
            self.busy = error
            return True
        self._small.append(parts)
        self.size += sum(length_of(part) + HEAD_BYTES for part in parts)
        return True

    def export(self) -> str:
        """The key of the finished export; BusyError (and one more chunk) when it is not finished in time."""
        store, name = self._request.workspace.store, self._name
        root = f"/dicomweb/{self._request.workspace.archive_id}"  # an export is for every name that we are called by
        with Composition(store.objects, store.export_key(name)) as composed:
            for part in self.parts:
                _write(composed, self._boundary, part, part.location.replace(self._request.root, root, 1))
            end = self.start + len(self._small)
            self._small.clear()
            while end < len(self._items) and not self.busy and not self._late():
                try:
                    parts = self._make(self._items[end], root)
                except BusyError as error:
                    self.busy = error
                    break
                for part in parts:
                    _write(composed, self._boundary, part, part.location)
                end += 1
            finished = end == len(self._items)
            whole = finished and not self.done
            if whole:
                composed.write(part_close(self._boundary))
            if whole or end > self.start:
                key = store.export_key(name) if whole else _chunk_key(store, name, self.start, end)
                is_empty = composed.is_empty  # stored all the same: it says how far the work is
                composed.store(key, self._media_type)
                self.done += [] if is_empty else [CopyRange(key)]
        if not finished:
            progress = f"being converted: {end} of {len(self._items)} {self._what} are done"
            raise self.busy or BusyError(progress, retry_after=1)
        if not whole:
            pieces: list[CopyRange | bytes] = [*self.done, part_close(self._boundary)]
            store.objects.join(pieces, store.export_key(name), content_type=self._media_type, metadata={})
        return store.export_key(name)


def _chunk_key(store: ArchiveStore, name: str, start: int, end: int) -> str:
    return f"{store.export_key(name)}.{start:09}-{end:09}"


def _chunks(store: ArchiveStore, name: str) -> tuple[list[CopyRange], int]:
    """What earlier requests have left, without gaps, and the number of the first item that is still to do."""
    heads = store.objects.list(f"{store.export_key(name)}.")
    row, reached = in_a_row((int(s[1]), int(s[2]), head) for head in heads if (s := _CHUNK.search(head.key)))
    return [CopyRange(head.key) for head in row if head.size], reached


def _write(composed: Composition, boundary: str, part: AnyPart, where: str) -> None:
    composed.write(part_head(boundary, part.content_type, length_of(part), where))
    for piece in part.pieces if isinstance(part, StoredPart) else (part.content,):
        composed.write(piece)
    composed.write(b"\r\n")
