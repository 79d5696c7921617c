"""SpamAssassin's local rules and rspamd's content rules over every message."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mail.checkers import spamassassin
from mail.rspamd import rspamd

Judge = Callable[[Path], dict[str, tuple[float, str]]]
MOST = 0.5
#: What the control must score at least.
SPAM = 5.0

pytestmark = [pytest.mark.debian, pytest.mark.timeout(560)]


@pytest.mark.parametrize("judge", [spamassassin, rspamd])
def test_no_mail_looks_like_spam(folder: Path, judge: Judge) -> None:
    """At most half a point in any language."""
    found = judge(folder)

    assert {name: scored for name, scored in found.items() if scored[0] > MOST} == {}


@pytest.mark.parametrize("judge", [spamassassin, rspamd])
def test_spam_is_seen(poor: Path, judge: Judge) -> None:
    """The control is spam to both."""
    assert judge(poor)["poor.eml"][0] >= SPAM
