"""The generator of archives is the hospital that it says: averages and mix over many studies."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.support import hospital

from maypacs.uids import ArchiveId

STUDIES = 10_000


@pytest.fixture(scope="module")
def studies() -> list[tuple[str, int, float]]:
    """Modality, instances and bytes of each."""
    found = []
    for number in range(STUDIES):
        summary, series = hospital.study(ArchiveId("hosp1"), number)
        found.append((series[0].modality, summary.number_of_instances, summary.size))
    return found


def test_a_study_has_476_instances_and_48_mb_on_average(studies: list[tuple[str, int, float]]) -> None:
    """As the archive that was published: 476 files and 48 MB. These 10,000 drawings have three per cent less."""
    assert sum(instances for _, instances, _ in studies) / STUDIES == pytest.approx(476, rel=0.05)
    assert sum(size for _, _, size in studies) / STUDIES / 1e6 == pytest.approx(48, rel=0.05)


def test_the_mix_is_a_general_hospitals(studies: list[tuple[str, int, float]]) -> None:
    assert sum(kind.share for kind in hospital.MIX) == pytest.approx(1)
    found = Counter(modality for modality, _, _ in studies)
    assert set(found) == {kind.modality for kind in hospital.MIX}
    for kind in hospital.MIX:
        assert found[kind.modality] / STUDIES == pytest.approx(kind.share, abs=0.02), kind.modality


def test_names_are_as_common_as_in_viet_nam() -> None:
    """Two in five are Nguyễn, and three names in four have three words."""
    names = hospital.names(STUDIES)
    count = sum(names.values())
    assert count == STUDIES
    assert sum(n for name, n in names.items() if name.startswith("Nguyễn^")) / count == pytest.approx(0.4, abs=0.03)
    assert sum(n for name, n in names.items() if len(name.replace("^", " ").split()) == 3) / count > 0.7


def test_an_archive_holds_the_first_studies_of_a_larger_one() -> None:
    one, again = (hospital.study(ArchiveId("hosp1"), 4_711) for _ in range(2))
    assert one == again
