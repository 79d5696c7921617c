"""What a simulation is asked: by which rules, of which events, and what of it is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dispatcher.domain.catalogue import Catalogue
from dispatcher.files.recipient_store import RecipientStore
from dispatcher.flow.check import Check, Submission
from dispatcher.flow.foresight.outlook import ASIDE, Row
from dispatcher.flow.incidents import Accounts


@dataclass(frozen=True, slots=True)
class Rules:
    """What events are judged by."""

    catalogue: Catalogue
    recipients: RecipientStore
    check: Check
    accounts: Accounts


@dataclass(frozen=True, slots=True)
class Happening:
    """An event that comes at a moment.

    Attributes:
        undated: Whether it has no time of its own; it is then shown whatever the day is where it counts.
    """

    at: datetime
    submission: Submission
    undated: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """What of it is wanted; None stands for any.

    Attributes:
        aside: Whether steps that the plans have dropped are shown too.
    """

    instance: str | None = None
    type: str | None = None
    aside: bool = False

    def shows(self, row: Row) -> bool:
        """Whether a row is wanted."""
        return (
            (self.aside or row.status not in ASIDE)
            and self.instance in {None, row.instance}
            and self.type in {None, row.type}
        )


#: All but what was set aside.
EVERYTHING = View()
