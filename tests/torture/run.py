"""One run: build a hospital, let the storm blow, wait for calm, judge."""

from __future__ import annotations

import random
import shutil
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.processes import Node, free_port, wait_until
from tests.torture import aftermath, hospital, material
from tests.torture import migration as migrating
from tests.torture.cloud import Cloud, CloudState
from tests.torture.commitments import Commitments
from tests.torture.compressed import Originals
from tests.torture.hospital import TorturedEdge, disk, processes_of
from tests.torture.material import Item
from tests.torture.migration import TITLE, Migration
from tests.torture.proxy import Proxy, Weather
from tests.torture.reader import DEVICE, Reader
from tests.torture.senders import Answers, Import, Sender
from tests.torture.storm import Storm
from tests.torture.verdict import Verdict, judge

SENDERS = ("raw", "raw 2", "storescu", "dcmsend")
"""The ways of the modalities; each has the AE title of that name."""


@dataclass
class Outcome:
    seed: int
    seconds: float = 0.0
    verdict: Verdict = field(default_factory=Verdict)
    answers: Answers = field(default_factory=Answers)
    happened: dict[str, int] = field(default_factory=dict)
    longest_cut: float = 0.0
    """Seconds."""
    calm_after: float = 0.0
    """Seconds from the senders' end until the edge's spool and the inbox were empty."""
    commitments: Counter[str] = field(default_factory=Counter)
    """How many images were reported, by outcome."""
    requests: int = 0
    reads: tuple[int, int] = (0, 0)
    """Retrieves, and images that came by them."""
    compressed: Counter[str] = field(default_factory=Counter)
    """Different images that the cloud has as the edge compressed them, by transfer syntax."""
    migrated: tuple[int, int] = (0, 0)
    """Images of the old PACS, and runs of `migrate` that it took."""

    @property
    def faults(self) -> list[str]:
        return self.verdict.faults

    def text(self) -> str:
        v, a = self.verdict, self.answers
        statuses = {f"{status:04X}": count for status, count in sorted(a.statuses.items())}
        lines = [
            f"seed {self.seed}: {'FAILED' if self.faults else 'passed'} in {self.seconds:.0f} s",
            f"  sent {len(a.sent)}; answered success {v.taken}, in {sum(a.taken.values())} answers; associations broken"
            f" {a.broken}; statuses {statuses}",
            f"  in the cloud: identical {v.identical}, equal {v.equal}, conflicts {v.conflicts},"
            f" quarantined {v.quarantined}; not taken {dict(v.not_taken)}",
            f"  storage commitments: {self.requests} requests; images {dict(self.commitments)};"
            f" {self.reads[0]} retrieves brought {self.reads[1]} images; migrated {self.migrated[0]} in"
            f" {self.migrated[1]} runs",
            f"  compressed: {dict(self.compressed)}",
            f"  storm: {self.happened}; the cloud away for {self.longest_cut:.0f} s at the longest;"
            f" calm after {self.calm_after:.0f} s",
        ]
        return "\n".join([*lines, *(f"  FAULT {fault}" for fault in self.faults)])


def torture(
    seed: int, *, seconds: float, instances: int, folder: Path, cut: float = 0.0, say: Callable[[str], None] = print
) -> Outcome:
    """One storm of so many seconds with this seed, after the cloud was away for ``cut``, in that folder, which must not
    exist. Faults are in the outcome; an AssertionError tells of a process that did not start, stop, or come to an end.
    """
    outcome, dice, began = Outcome(seed), random.Random(seed), time.monotonic()
    folder.mkdir(parents=True)
    items = material.all_of(folder / "images", instances, dice)
    imported = material.folder_to_import(folder / "to-import", max(instances // 12, 1), dice)
    say(f"seed {seed}: {len(items)} images, {sum(not i.plain for i in items)} of them samples")
    with ExitStack() as stack:
        own_disk = stack.enter_context(disk(folder / "disk"))
        node = stack.enter_context(Node(folder / "node"))
        commitments = {name: Commitments(name.upper().replace(" ", "")) for name in SENDERS}
        for each in commitments.values():
            stack.enter_context(each.scu)
            each.scu.listen()
        key = node.archive()
        proxy = Proxy(node.port, seed)
        cloud = Cloud(node, "hosp1", key)
        code = node.maypacs("edge", "code", "--archive", "hosp1")
        # Without a disk of its own it is the allowance that is used up now and then.
        settings = (
            {"bulk_devices": f'["{TITLE}"]'}
            | {"in_parts_above_mib": str(dice.choice((1, 64)))}
            | ({} if own_disk else {"max_mib": "96"})
        )
        port, over = free_port(), threading.Event()
        migration = _migration(folder, items, outcome.answers, lambda words: edge.beside(words), port, over, dice)
        stack.enter_context(migration.pacs)
        devices = "".join(each.scu.device for each in commitments.values()) + DEVICE + migration.device
        # Dice of their own, so that all else of a seed is as it was.
        rules = hospital.rules(random.Random(f"rules {seed}"))
        edge = TorturedEdge(folder / "edge", proxy, code, folder / "disk" / "spool", settings, devices, port, rules)
        try:
            edge.run()
            time.sleep(1)
            before = (len(edge.descriptors()), edge.threads())
            storm = Storm(node, edge, proxy, dice, own_disk=own_disk, say=say)
            everything = [*dict.fromkeys((*items, *imported, *migration.items))]
            own_dice = random.Random(dice.getrandbits(32))
            originals = Originals(everything)
            where, place = (edge.port, hospital.AET), folder / "read"
            reader = Reader(everything, originals.digest, outcome.answers, where, place, over, own_dice)
            reader.start()
            _weather(outcome, items, imported, edge, storm, dice, (seconds, cut), over, commitments, migration)
            outcome.happened, outcome.longest_cut = dict(storm.happened), storm.longest_cut
            reader.join()
            _calm(outcome, edge, proxy, cloud)
            for each in commitments.values():
                each.await_reports(120)
            outcome.faults.extend(aftermath.leaks(edge, before))
            state = cloud.state(originals.digest)
            outcome.verdict = _with(outcome.verdict, judge(everything, outcome.answers, state))
            _committed(outcome, everything, commitments.values(), state)
            _read(outcome, reader, state)
            outcome.faults.extend(migration.faults(state))
            outcome.migrated = (len(migration.items), migration.runs)
            outcome.compressed = originals.compressed
            outcome.faults.extend(
                aftermath.of_the_edge(edge, originals, {item.digest for item in outcome.answers.sent})
            )
            outcome.faults.extend(aftermath.of_a_reindex(node, cloud))
        finally:
            edge.kill()
            proxy.close()
            cloud.close()
    outcome.faults.extend(f"a process is left: {name}" for name in processes_of(folder))
    outcome.seconds = time.monotonic() - began
    return outcome


def _migration(
    folder: Path,
    items: list[Item],
    answers: Answers,
    start: Callable[[Sequence[str]], subprocess.Popen[bytes]],
    port: int,
    over: threading.Event,
    dice: random.Random,
) -> Migration:
    """Of a source with images of its own, and some that modalities send: those that are one under their UID."""
    own = migrating.images(folder / "to-migrate", max(len(items) // 12, 8), dice)
    under = Counter(item.sop for item in items)
    known = [item for item in items if item.plain and under[item.sop] == 1 and item.path.stat().st_size < 100_000]
    others = dice.sample(known, min(len(known), len(own) // 4))
    return Migration(
        start, own, others, answers, folder / "migrated.csv", port, over, random.Random(dice.getrandbits(32))
    )


def _with(first: Verdict, second: Verdict) -> Verdict:
    second.faults = first.faults + second.faults
    return second


def _weather(
    outcome: Outcome,
    items: list[Item],
    imported: list[Item],
    edge: TorturedEdge,
    storm: Storm,
    dice: random.Random,
    lasts: tuple[float, float],
    over: threading.Event,
    commitments: dict[str, Commitments],
    migration: Migration,
) -> None:
    """Senders and storm at once, until all the senders have sent all they have. Sets ``over`` when the storm is.
    ``lasts``: how long the storm, and before it the time without the cloud.
    """
    plain = [item for item in items if item.plain]
    some = min(len(plain), len(items) // 6)
    # What one sends others send, too: duplicates, at once and later.
    whose = (items[: len(items) * 2 // 3], items[len(items) // 2 :], dice.sample(plain, some), dice.sample(plain, some))
    shares = dict(zip(SENDERS, whose, strict=True))
    folder = imported[0].path.parents[1]
    senders: list[Sender | Import | Migration] = [
        Import(edge.beside, folder, imported, outcome.answers, over, random.Random(dice.getrandbits(32))),
        migration,
    ]
    senders += [
        Sender(
            name.partition(" ")[0],
            share,
            outcome.answers,
            commitments[name],
            lambda: (edge.port, hospital.AET),
            over,
            random.Random(dice.getrandbits(32)),
            0.8 * sum(lasts) / max(1, len(share)),
        )
        for name, share in shares.items()
    ]
    for sender in senders:
        sender.start()
    try:
        storm.blow(*lasts)
    finally:
        over.set()
    for sender in senders:
        assert sender.over.wait(300), f"the {sender.name} did not come to an end"
        if sender.error is not None:
            raise sender.error


def _calm(outcome: Outcome, edge: TorturedEdge, proxy: Proxy, cloud: Cloud) -> None:
    began = time.monotonic()
    assert proxy.weather is Weather.FAIR
    assert edge.alive, "the edge is not running"
    wait_until(lambda: not edge.waiting(), seconds=300, what="an empty spool")
    wait_until(lambda: not cloud.inbox(), seconds=120, what="an empty inbox")
    outcome.calm_after = time.monotonic() - began


def _committed(outcome: Outcome, items: list[Item], commitments: Iterable[Commitments], state: CloudState) -> None:
    for each in commitments:
        outcome.faults.extend(each.judge(items, state))
        outcome.requests += len(each.asked)
        outcome.commitments.update(each.outcomes)


def _read(outcome: Outcome, reader: Reader, state: CloudState) -> None:
    if reader.error is not None:
        raise reader.error
    reader.check(state)
    outcome.faults.extend(reader.faults)
    outcome.reads = (reader.retrieves, reader.images)


def once(seed: int, *, seconds: float, cut: float, instances: int, keep: bool, say: Callable[[str], None]) -> Outcome:
    """`torture` in a folder of its own, kept when something is wrong and ``keep`` is set."""
    place = Path(tempfile.mkdtemp(prefix=f"maypacs-torture-{seed}-"))
    wrong = True
    try:
        outcome = torture(seed, seconds=seconds, instances=instances, folder=place / "run", cut=cut, say=say)
        wrong = bool(outcome.faults)
        return outcome
    finally:
        if wrong and keep:
            say(f"kept for a look: {place}")
        else:
            shutil.rmtree(place, ignore_errors=True)
