"""Which transfer syntax is taken of those that a context proposes."""

from __future__ import annotations

import pytest

from edge_forwarder.config import DimseConfig
from edge_forwarder.dimse import negotiation
from edge_forwarder.dimse.pdu import AssociateRequest, ProposedContext, Role
from edge_forwarder.dimse.statuses import Command
from edge_forwarder.query_retrieve.receiver import proposals

DEFAULT = DimseConfig().transfer_syntaxes
IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
JPEG_LOSSY, JPEG_LOSSLESS, J2K_LOSSLESS = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.90"
DEFLATED, RLE, MPEG4 = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.102"
CT, VIDEO_ENDOSCOPE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.77.1.1.1"
PRIVATE, JPIP = "1.3.12.2.1107.5.9.9", "1.2.840.10008.1.2.4.94"


@pytest.mark.parametrize(
    ("proposed", "chosen"),
    [
        pytest.param((IMPLICIT, EXPLICIT), EXPLICIT, id="many senders list implicit first"),
        pytest.param((BIG, IMPLICIT), IMPLICIT, id="big endian only when nothing else"),
        pytest.param((BIG,), BIG, id="big endian alone"),
        pytest.param((EXPLICIT, J2K_LOSSLESS), J2K_LOSSLESS, id="compressed saves the line"),
        pytest.param((JPEG_LOSSY, J2K_LOSSLESS, EXPLICIT), J2K_LOSSLESS, id="lossless before lossy"),
        pytest.param((J2K_LOSSLESS, JPEG_LOSSLESS), J2K_LOSSLESS, id="the proposer's order within a kind"),
        pytest.param((EXPLICIT, JPEG_LOSSY), JPEG_LOSSY, id="a lossy original is not to be decompressed"),
        pytest.param((MPEG4,), MPEG4, id="video"),
        pytest.param((RLE, EXPLICIT), RLE, id="RLE is lossless"),
        pytest.param((DEFLATED, IMPLICIT), DEFLATED, id="deflated is lossless"),
        pytest.param((PRIVATE, IMPLICIT), IMPLICIT, id="a private syntax last"),
        pytest.param((PRIVATE,), PRIVATE, id="a private syntax alone is kept as it is"),
        pytest.param((JPIP, IMPLICIT), IMPLICIT, id="pixels elsewhere are no picture"),
        pytest.param((JPIP,), None, id="nothing but pixels elsewhere"),
        pytest.param((), None, id="nothing proposed"),
        pytest.param(("1.2\r\nX: y", IMPLICIT), IMPLICIT, id="what is no UID must not get into a pack's header"),
        pytest.param(("1.2\r\nX: y",), None, id="nothing but what is no UID"),
    ],
)
def test_the_default_preference(proposed: tuple[str, ...], chosen: str | None) -> None:
    """Lossless compressed, lossy compressed, Explicit LE, Implicit LE, Explicit BE, then what nobody knows."""
    assert negotiation.choose(proposed, DEFAULT) == chosen


def test_a_device_may_have_its_own_order() -> None:
    """For a sender that compresses badly."""
    assert negotiation.choose((J2K_LOSSLESS, IMPLICIT, EXPLICIT), (IMPLICIT, "lossless")) == IMPLICIT


@pytest.mark.parametrize(
    ("abstract_syntax", "result"),
    [
        pytest.param("1.2.840.10008.1.1", 0, id="verification"),
        pytest.param("1.2.840.10008.5.1.4.1.1.2", 0, id="CT"),
        pytest.param("1.2.840.10008.5.1.4.1.1.9999", 0, id="a standard class of tomorrow"),
        pytest.param("1.3.12.2.1107.5.9.1", 0, id="a private class"),
        pytest.param("1.2.840.10008.5.1.4.39.1", 0, id="a palette belongs to no patient"),
        pytest.param("1.2.840.10008.5.1.4.31", 3, id="worklist"),
        pytest.param("1.2.840.10008.5.1.4.1.2.2.1", 3, id="query"),
        pytest.param("1.2.840.10008.1.20.1", 3, id="storage commitment"),
        pytest.param("1.2.840.10008.3.1.2.3.3", 3, id="MPPS"),
        pytest.param("", 3, id="none"),
    ],
)
def test_what_may_be_stored_is_accepted_and_other_services_are_not(abstract_syntax: str, result: int) -> None:
    """A context that is accepted promises a service."""
    request = AssociateRequest(1, "X", "Y", "", (ProposedContext(1, abstract_syntax, (IMPLICIT,)),), 0, b"")
    (answer,) = negotiation.agree(request, DEFAULT, frozenset({"store"})).answers
    assert answer.result == result


@pytest.mark.parametrize(
    ("abstract_syntax", "proposed", "chosen"),
    [
        pytest.param(VIDEO_ENDOSCOPE, (MPEG4, EXPLICIT, IMPLICIT), MPEG4, id="nobody decodes a video"),
        pytest.param(VIDEO_ENDOSCOPE, (IMPLICIT, EXPLICIT), EXPLICIT, id="who takes no video"),
        pytest.param(CT, (J2K_LOSSLESS, IMPLICIT), IMPLICIT, id="any image can be brought into this one"),
        pytest.param(CT, (JPEG_LOSSY, JPEG_LOSSLESS), JPEG_LOSSLESS, id="compressed alone"),
    ],
)
def test_who_takes_images_by_c_get_gets_what_needs_no_decoding(
    abstract_syntax: str, proposed: tuple[str, ...], chosen: str
) -> None:
    """Of one context, which is for every image of its class."""
    contexts = (ProposedContext(1, abstract_syntax, proposed),)
    request = AssociateRequest(1, "X", "Y", "", contexts, 0, b"", (Role(abstract_syntax, scu=False, scp=True),))
    agreement = negotiation.agree(request, DEFAULT, frozenset({"retrieve"}), {Command.C_GET_RQ})
    assert [answer.transfer_syntax for answer in agreement.answers] == [chosen]


def test_a_receiver_is_offered_the_likely_first_and_the_needed_before_that() -> None:
    """Each pair in a context of its own, never more than one association has."""
    few = [(c.abstract_syntax, *c.transfer_syntaxes) for c in proposals([CT])]
    assert {(CT, syntax) for syntax in (EXPLICIT, IMPLICIT, JPEG_LOSSLESS, MPEG4, BIG)} <= set(few)
    classes = [f"1.2.3.{n}" for n in range(100)]
    many = proposals(classes, [(classes[99], PRIVATE)])
    assert [c.id for c in many] == list(range(1, 256, 2))
    pairs = [(c.abstract_syntax, *c.transfer_syntaxes) for c in many]
    assert pairs[:3] == [(classes[99], PRIVATE), (classes[99], EXPLICIT), (classes[99], IMPLICIT)]
    assert set(pairs[3:]) >= {(each, EXPLICIT) for each in classes[:99]}
    assert len(set(pairs)) == 128
