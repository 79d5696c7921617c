"""One file of expectations: what the policy's owner wants to be told to whom, when."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dispatcher.errors import EventInvalid, Problem
from dispatcher.files.source import Document, KeyPath, parse
from dispatcher.files.validation import problem_at

_FILE = ("instances", "given", "tests")
_TEST = ("name", "at", "given", "expect")
#: What a row is compared by.
COMPARED = ("instance", "type", "step", "status", "channels", "to", "cadence", "subject")
#: Those of them that are lists, compared without regard to order and case.
LISTS = ("channels", "to")
_HOW = "write {type: …, to: […]}, several of them as a list, or {none: true}"


@dataclass(frozen=True, slots=True)
class Expected:
    """One row that is to be, or with `none` the absence of any that fits.

    Attributes:
        line: Where it stands in the file, from 1.
        wanted: What of the row must be so; lists without regard to their order.
    """

    line: int
    wanted: Mapping[str, Any]
    none: bool = False


@dataclass(frozen=True, slots=True)
class PolicyTest:
    """What is expected of a day or a moment.

    Attributes:
        name: What it says in words; may be empty.
        at: A day, where each instance is, or a moment with its offset.
        given: CloudEvents beside those of the file.
    """

    name: str
    line: int
    at: str
    given: Sequence[Mapping[str, Any]]
    expected: Sequence[Expected]


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """A file of expectations.

    Attributes:
        instances: Recipient files of made-up instances, as plain data; empty for those of the root.
        given: CloudEvents that every test of the file begins with.
    """

    name: str
    instances: Sequence[Mapping[str, Any]] = ()
    given: Sequence[Mapping[str, Any]] = ()
    tests: Sequence[PolicyTest] = field(default_factory=tuple)


def load_policy_tests(path: Path, name: str) -> PolicyFile:
    """The expectations of a file.

    Raises:
        EventInvalid: It cannot be read or is not of the form; with every problem and its line.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        what = f"the file cannot be read: {(error.strerror or str(error)).lower()}"
        raise EventInvalid(Problem(name, what, "name a file of expectations")) from None
    document = parse(raw, name)
    problems = list(document.problems) or list(_problems(document))
    if problems:
        raise EventInvalid(problems)
    data = document.data if isinstance(document.data, dict) else {"tests": document.data}
    base: KeyPath = ("tests",) if isinstance(document.data, dict) else ()
    return PolicyFile(
        name,
        data.get("instances") or (),
        [_event(one, number) for number, one in enumerate(data.get("given") or ())],
        [_test(document, (*base, number), one) for number, one in enumerate(data["tests"])],
    )


def _test(document: Document, path: KeyPath, one: Mapping[str, Any]) -> PolicyTest:
    expect = one["expect"]
    line = document.place(path)[0]
    places = [(*path, "expect", number) for number in range(len(expect))] if isinstance(expect, list) else []
    given = [_event(event, f"{line}-{number}") for number, event in enumerate(one.get("given") or ())]
    expected = [
        Expected(
            document.place(place)[0],
            {key: value for key, value in each.items() if key != "none"},
            each.get("none") is True,
        )
        for place, each in zip(
            places or [(*path, "expect")], expect if isinstance(expect, list) else [expect], strict=True
        )
    ]
    return PolicyTest(str(one.get("name", "")), line, str(one["at"]), given, expected)


def _event(one: Mapping[str, Any], number: Any) -> dict[str, Any]:
    """A CloudEvent: what stands beside its attributes is its data, and what nobody cares for is filled in."""
    data = {key: one[key] for key in ("instances", "thread", "fields") if key in one}
    rest = {key: value for key, value in one.items() if key not in data}
    if "data" not in rest:
        rest["data"] = data
    return {"specversion": "1.0", "source": "policy-tests", "id": f"given-{number}", **rest}


def _problems(document: Document) -> Iterator[Problem]:
    data = document.data
    path: KeyPath = ()
    if isinstance(data, dict):
        yield from _unknown(document, (), data, _FILE)
        for key in ("instances", "given"):
            value = data.get(key) or []
            if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
                yield problem_at(
                    document, (key,), "is no list of objects", f"write `{key}:` and a list below it"
                )
        data, path = data.get("tests"), ("tests",)
    if not isinstance(data, list) or not data:
        yield problem_at(document, path, "there are no tests", "write a list of {at: …, expect: …}")
        return
    for number, one in enumerate(data):
        yield from _problems_of_test(document, (*path, number), one)


def _problems_of_test(document: Document, path: KeyPath, one: Any) -> Iterator[Problem]:
    if not isinstance(one, dict):
        yield problem_at(document, path, "is no test", "write {at: 2027-01-05, expect: {…}}")
        return
    yield from _unknown(document, path, one, _TEST)
    if not isinstance(one.get("at"), str):
        yield problem_at(document, (*path, "at"), "there is no day", "add `at: 2027-01-05`")
    given = one.get("given") or []
    if not isinstance(given, list) or not all(isinstance(event, dict) for event in given):
        yield problem_at(document, (*path, "given"), "is no list of events", "write a list of CloudEvents")
    expect = one.get("expect")
    if not expect:
        yield problem_at(document, (*path, "expect"), "expects nothing", _HOW)
        return
    for number, each in enumerate(expect if isinstance(expect, list) else [expect]):
        place = (*path, "expect", number) if isinstance(expect, list) else (*path, "expect")
        if not isinstance(each, dict):
            yield problem_at(document, place, "is no expectation", _HOW)
            continue
        yield from _unknown(document, place, each, (*COMPARED, "none"))
        for key in LISTS:
            if key in each and not isinstance(each[key], list):
                yield problem_at(document, (*place, key), "is no list", f"write `{key}: […]`")


def _unknown(
    document: Document, path: KeyPath, given: Mapping[str, Any], known: Sequence[str]
) -> Iterator[Problem]:
    for key in given:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            fix = f"did you mean {close[0]}" if close else f"the keys are {', '.join(known)}"
            yield problem_at(document, (*path, key), "is no key here", fix, key=True)
