"""The data of a CloudEvent as a submission, and a submission's problems under the names of the request."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from dispatcher.domain.event import Selection
from dispatcher.errors import Problem
from dispatcher.flow.submit import OURS, Submission, is_ours
from dispatcher.web.cloudevents import CloudEvent
from dispatcher.web.problems import refusal

#: The keys of data.
KEYS: Final = ("instances", "thread", "fields")
#: One event may name so many instances; beyond, ``"all"`` or a region is meant.
MAX_INSTANCES: Final = 10_000
_HOW: Final = 'give a list of ids like ["contoso-prod"], {"region": "emea"} or "all"'
_PLACE: Final = re.compile(r"events\[(\d+)\]\.")
_ATTRIBUTES: Final = frozenset({"id", "source", "type", "time"})


def submissions(events: Sequence[CloudEvent]) -> list[Submission]:
    """What the events ask for.

    Raises:
        Refusal: 422 with all that is wrong with the shape of their data.
    """
    problems = [problem for event in events for problem in _problems(event)]
    if problems:
        raise refusal(422, problems)
    return [_submission(event) for event in events]


def relocated(problems: Sequence[Problem], events: Sequence[CloudEvent]) -> list[Problem]:
    """Problems that name a submission's parts, under the names that these have in the request."""
    return [_relocated(problem, events) for problem in problems]


def _relocated(problem: Problem, events: Sequence[CloudEvent]) -> Problem:
    match = _PLACE.match(problem.where)
    event = events[int(match[1])] if match else events[0]
    part = problem.where[match.end() :] if match else problem.where
    if part == "region":
        part = "data.instances.region"
    elif part not in _ATTRIBUTES:
        part = f"data.{part}"
    return Problem(f"{event.place}{part}", problem.what, problem.fix)


def _submission(event: CloudEvent) -> Submission:
    return Submission(
        source=event.source,
        id=event.id,
        type=event.type,
        selection=_selection(event.data.get("instances")),
        thread=event.data.get("thread"),
        fields=event.data.get("fields") or {},
        time=event.time,
    )


def _selection(value: Any) -> Selection | None:
    if value is None:
        return None
    if isinstance(value, Mapping):
        return Selection("region", (value["region"],))
    return Selection("all") if value == "all" else Selection("instances", tuple(dict.fromkeys(value)))


def _problems(event: CloudEvent) -> Iterator[Problem]:
    place, data = f"{event.place}data", event.data
    if is_ours(event.source):
        yield Problem(f"{event.place}source", f"begins with {OURS!r}, which is ours", "name your own system")
    if not isinstance(data, dict):
        what = "is missing" if data is None else "is no JSON object"
        yield Problem(place, what, "give an object with instances, thread and fields")
        return
    for key in data:
        if key not in KEYS:
            close = difflib.get_close_matches(key[:60], KEYS, n=1)
            fix = f"did you mean {close[0]}" if close else "the keys are instances, thread and fields"
            yield Problem(f"{place}.{key[:60]}", "is not known", fix)
    if wrong := _wrong_instances(data.get("instances")):
        yield Problem(f"{place}.instances", wrong, _HOW)
    if not isinstance(data.get("thread"), str | None):
        yield Problem(f"{place}.thread", "is not text", "give the text that joins the events of one incident")
    if not isinstance(data.get("fields"), dict | None):
        yield Problem(f"{place}.fields", "is no JSON object", 'give the fields by name, like {"start": "…"}')


def _wrong_instances(value: Any) -> str:
    if value is None or value == "all":
        return ""
    if isinstance(value, dict):
        right = list(value) == ["region"] and isinstance(value["region"], str)
        return "" if right else "is an object that is not a region's"
    if not isinstance(value, list):
        return "is no list"
    if not 0 < len(value) <= MAX_INSTANCES:
        return f"has {len(value)} entries"
    return "" if all(isinstance(one, str) for one in value) else "holds an entry that is not text"
