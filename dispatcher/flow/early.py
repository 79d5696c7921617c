"""What was heard of a subject before there was a plan of it, as a plan that begins takes it in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from dispatcher.domain.cadence import Cadence
from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.event import Heard
from dispatcher.domain.fields import known, parse_fields
from dispatcher.domain.instance import Instance
from dispatcher.domain.turning import Statement

#: Stands for the instances of an event that names none itself, but a region, or all.
NOBODY: Final = ""


def early_words(
    catalogue: Catalogue, cadence: Cadence, said: Statement, heard: Iterable[Heard], instance: Instance
) -> Iterator[Statement]:
    """What was heard, as statements to the plan that begins.

    Args:
        catalogue: As it is now; of a type that it has no more, nothing is known.
        cadence: The plan's.
        said: The word that begins the plan.
        heard: What was accepted before, of the same subject.
        instance: The plan's.
    """
    for one in heard:
        spec, turn = catalogue.types.get(one.type), cadence.turn_of(one.type)
        elsewhere = one.selection.kind == "region" and instance.region != one.selection.values[0]
        if spec is None or turn is None or elsewhere:
            continue
        raw = known(spec, one.fields)
        yield replace(
            said,
            type=one.type,
            turn=turn,
            fields=parse_fields(spec, raw, partial=True)[0],
            raw=raw,
            event_id=one.id,
            said_at=min(one.time or one.accepted_at, one.accepted_at),
            decision=None,
        )
