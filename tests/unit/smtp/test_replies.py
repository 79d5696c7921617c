"""What replies and failures mean."""

from __future__ import annotations

import pytest
from aiosmtplib import SMTPResponseException, SMTPServerDisconnected

from dispatcher.domain.delivery import OUTCOME_REASONS, Outcome, Status
from dispatcher.smtp import replies

ENHANCED = [
    (550, "5.1.1 No such user", "5.1.1"),
    (550, "#5.1.0 Address rejected", "5.1.0"),
    (550, "No such user\n5.1.1 See our pages", "5.1.1"),
    (452, "4.2.2 The mailbox is full", "4.2.2"),
    (250, "2.0.0 Ok: queued as 4F1", "2.0.0"),
    (554, "5.7.509: Access denied", "5.7.509"),
    (550, "5.1.1", "5.1.1"),
]
NOT_ENHANCED = [
    (550, "No such user"),
    (550, "5.1.1.7 is on a block list"),  # an IP address
    (550, "Host 5.1.1 is too old"),  # a version
    (550, "4.2.2 of the wrong class"),
    (550, "5.01.1 with a leading zero"),
    (550, "5.1000.1 with four digits"),
    (550, "3.1.1 of no class"),
    (550, ""),
]


@pytest.mark.parametrize(("code", "text", "expected"), ENHANCED)
def test_enhanced_code_is_found(code: int, text: str, expected: str) -> None:
    """An enhanced status code that begins a line of the reply is taken."""
    assert replies.enhanced_code(code, text) == expected


@pytest.mark.parametrize(("code", "text"), NOT_ENHANCED)
def test_lookalikes_are_no_enhanced_codes(code: int, text: str) -> None:
    """Digits and dots that are something else are left alone."""
    assert replies.enhanced_code(code, text) is None


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        (421, Status.DEFERRED, "relay_unreachable"),
        (450, Status.DEFERRED, "refused_temporarily"),
        (452, Status.DEFERRED, "refused_temporarily"),
        (550, Status.FAILED, "refused_permanently"),
        (552, Status.FAILED, "refused_permanently"),
        (599, Status.FAILED, "refused_permanently"),
        (503, Status.DEFERRED, "relay_unreachable"),
        (530, Status.DEFERRED, "relay_unreachable"),
        (535, Status.DEFERRED, "relay_unreachable"),
    ],
)
def test_refusals_are_told_apart(code: int, status: Status, reason: str) -> None:
    """The first digit decides, but a fault of the session is never held against the message."""
    outcome = replies.refused(code, "text")

    assert (outcome.status, outcome.reason, outcome.code) == (status, reason, code)


def test_a_refusal_keeps_code_enhanced_code_and_text() -> None:
    """All that the server said goes into the outcome."""
    outcome = replies.refused(550, "5.1.1 Gone\n5.1.1 for good")

    assert outcome == Outcome(Status.FAILED, "refused_permanently", 550, "5.1.1", "5.1.1 Gone 5.1.1 for good")


def test_an_acceptance_keeps_the_servers_words() -> None:
    """The queue id of the server's 250 is kept: it is what its postmaster asks for."""
    outcome = replies.accepted("2.0.0 Ok: queued as 4F1")

    assert outcome == Outcome(Status.SENT, "accepted", 250, "2.0.0", "2.0.0 Ok: queued as 4F1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\r\nb\tc", "a b c"),
        ("\x1b[31mred\x07", "[31mred"),
        ("nul\x00 del\x7f c1\x9b", "nul del c1"),
        ("line\u2028separator", "line separator"),
        ("bidi\u202eevil", "bidievil"),
        ("surrogate\udcff", "surrogate"),
        ("Grüße ✓", "Grüße ✓"),
    ],
)
def test_plain_text_has_no_controls(text: str, expected: str) -> None:
    """Whatever a server sends, a terminal and a database can take it."""
    assert replies.plain(text) == expected


def test_plain_text_is_at_most_500_characters() -> None:
    """A server cannot fill the ledger with its replies."""
    assert replies.plain("x" * 32_000) == "x" * 500


@pytest.mark.parametrize(
    ("code", "expected"), [(250, False), (354, False), (399, False), (400, True), (599, True), (-1, False)]
)
def test_only_4yz_and_5yz_are_refusals(code: int, expected: bool) -> None:
    """Any other unexpected code means that replies are out of step."""
    assert replies.is_refusal(code) is expected


def test_an_unreachable_relay_keeps_the_code_of_its_refusal() -> None:
    """A greeting or a log-in that was refused has a code worth keeping."""
    outcome = replies.unreachable("what", SMTPResponseException(535, "5.7.8 no"))

    assert outcome == Outcome(Status.DEFERRED, "relay_unreachable", 535, "5.7.8", "what", tried=False)


def test_a_malformed_reply_has_no_code() -> None:
    """aiosmtplib's -1 for a reply it cannot read is not a reply code."""
    outcome = replies.unreachable("what", SMTPResponseException(-1, "Malformed"))

    assert outcome.code is None


def test_a_loss_after_data_is_uncertain() -> None:
    """Nobody can know what became of a message whose final reply never came."""
    assert replies.lost("x") == Outcome(Status.UNCERTAIN, "lost_after_data", reply="x")


def test_every_reason_is_of_the_closed_set() -> None:
    """The ledger, the labels and the docs know every reason that is given here."""
    made = [replies.accepted(""), replies.lost(""), replies.unreachable(""), replies.unsendable("")]
    made += [replies.refused(code, "") for code in range(400, 600)]

    assert {outcome.reason for outcome in made} <= OUTCOME_REASONS


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (SMTPResponseException(454, "TLS is ill"), "454 TLS is ill"),
        (SMTPResponseException(-1, "Malformed"), "Malformed"),
        (SMTPServerDisconnected("Connection lost"), "Connection lost"),
        (TimeoutError(), "Timed out"),
        (EOFError(), "EOFError"),
    ],
)
def test_errors_are_described_in_words(error: Exception, expected: str) -> None:
    """Even an exception without text says something."""
    assert replies.describe(error) == expected
