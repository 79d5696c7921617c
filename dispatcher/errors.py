"""Every error that Dispatcher raises on purpose.

The tree::

    DispatcherError
    ├── InvalidInput (ValueError)         somebody gave us something wrong: exit code 2, HTTP 4xx
    │   ├── SettingsInvalid               an environment variable or a line of .env
    │   ├── CatalogueInvalid              catalogue.yaml
    │   ├── RecipientsInvalid             a file under recipients/
    │   ├── TemplateInvalid               a file under templates/
    │   └── EventInvalid                  an event: its type, instances or fields
    ├── EventConflict (ValueError)        source + id were seen before with another payload: HTTP 409
    ├── NotFound (LookupError)            no such event, delivery or token: exit code 2, HTTP 404
    └── ServiceUnreachable (ConnectionError)  SQL, Redis or SMTP cannot be had: exit code 4, HTTP 503

A refusal says what is wrong, where, and what to do; `Problem` is one such sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and how to put it right.

    Attributes:
        where: A place a reader can go to: ``catalogue.yaml:12:5``, ``DISPATCHER_SMTP_URL``, ``fields.end``.
        what: What is wrong, as a sentence without a full stop.
        fix: What would be right, or what to do, as a sentence without its end mark; may be empty.
        key: The key or field concerned, dotted (``types.planned-maintenance.lane``); may be empty.
    """

    where: str
    what: str
    fix: str = ""
    key: str = ""

    def __str__(self) -> str:
        said = not self.key or self.where == self.key or self.where.endswith(f".{self.key}")
        key = "" if said else f"{self.key}: "
        if not self.fix:
            return f"{self.where}: {key}{self.what}."
        asks = self.fix.startswith("did you mean") and "?" not in self.fix
        end = "?" if asks else "" if self.fix.endswith("?") else "."
        # A file's name or a field stays as it is written; a sentence begins with a capital.
        fix = self.fix[0].upper() + self.fix[1:] if self.fix.partition(" ")[0].isalpha() else self.fix
        return f"{self.where}: {key}{self.what}. {fix}{end}"


class DispatcherError(Exception):
    """The root of the tree; its text is fit to be shown to a user."""


class InvalidInput(DispatcherError, ValueError):  # noqa: N818 - reads as what it is: `except InvalidInput`
    """Input that was refused, with every problem that was found in it.

    Attributes:
        problems: At least one, in the order in which a reader meets them.
    """

    def __init__(self, problems: Sequence[Problem] | Problem) -> None:
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class SettingsInvalid(InvalidInput):
    """A setting from the environment or from ``.env`` cannot be used."""


class CatalogueInvalid(InvalidInput):
    """``catalogue.yaml`` cannot be used."""


class RecipientsInvalid(InvalidInput):
    """A file under ``recipients/`` cannot be used."""


class TemplateInvalid(InvalidInput):
    """A file under ``templates/`` cannot be used."""


class EventInvalid(InvalidInput):
    """An event names an unknown type, instance or field, or a field's value is wrong."""

    def of_batch(self, number: int) -> EventInvalid:
        """The same, said of one event of several; `number` counts from 0."""
        prefix = f"events[{number}]."
        return EventInvalid([replace(one, where=f"{prefix}{one.where}") for one in self.problems])


class EventConflict(DispatcherError, ValueError):  # noqa: N818
    """The same ``source`` and ``id`` were accepted before with another payload.

    Attributes:
        source: The event's source.
        id: The event's id within that source.
    """

    def __init__(self, source: str, id: str) -> None:  # noqa: A002 - CloudEvents' own word
        self.source, self.id = source, id
        super().__init__(
            f"An event with source {source!r} and id {id!r} was accepted before with other "
            "content. Send a changed event under a new id."
        )


class NotFound(DispatcherError, LookupError):  # noqa: N818
    """What was asked for is not there."""


class ServiceUnreachable(DispatcherError, ConnectionError):  # noqa: N818
    """A service that Dispatcher needs does not answer.

    Attributes:
        service: ``database``, ``redis``, ``smtp`` or ``api``.
    """

    def __init__(self, service: str, text: str) -> None:
        self.service = service
        super().__init__(text)
