"""When an edge asks the cloud what it has already: rarely for fresh images, always for what is likely to be there."""

from __future__ import annotations

from edge_forwarder.asking import PROBE, Asking


def test_a_fresh_examination_asks_once_in_a_while() -> None:
    """The first pack of a sender, then one in so many."""
    asking = Asking()
    asked = []
    for _ in range(2 * PROBE + 2):
        asked.append(asking.pays("CT1", reason=False))
        if asked[-1]:
            asking.learned("CT1", some=False)
    assert [n for n, yes in enumerate(asked) if yes] == [0, PROBE + 1]


def test_a_reason_always_asks() -> None:
    asking = Asking()
    asking.learned("CT1", some=False)
    assert not asking.pays("CT1", reason=False)
    assert asking.pays("CT1", reason=True)


def test_a_sender_whose_images_are_there_is_asked_for_until_they_are_not() -> None:
    """A migration of what another edge sent: each of its packs asks, nobody else's does."""
    asking = Asking()
    for sender in ("MIGRATE", "CT1"):
        assert asking.pays(sender, reason=False)
    asking.learned("MIGRATE", some=True)
    asking.learned("CT1", some=False)
    for _ in range(3):
        assert asking.pays("MIGRATE", reason=False)
        asking.learned("MIGRATE", some=True)
    assert not asking.pays("CT1", reason=False)
    asking.learned("MIGRATE", some=False)
    assert not asking.pays("MIGRATE", reason=False)


def test_what_is_remembered_is_bounded() -> None:
    """Calling AE titles come from the wire."""
    asking = Asking()
    for n in range(5000):
        assert asking.pays(f"AE{n}", reason=False)
    assert len(asking._senders) <= 1000
