from __future__ import annotations

import pytest

from dispatcher import errors
from dispatcher.errors import DispatcherError, EventConflict, InvalidInput, Problem, ServiceUnreachable


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("a.yaml:1:5", "is empty"), "a.yaml:1:5: is empty."),
        (Problem("a.yaml:1:5", "is empty", "give text"), "a.yaml:1:5: is empty. Give text."),
        (Problem("a.yaml:1:5", "is empty", "give text", "name"), "a.yaml:1:5: name: is empty. Give text."),
        (Problem("name", "is empty", "", "name"), "name: is empty."),
        (Problem("fields.end", "is empty", "give one", "end"), "fields.end: is empty. Give one."),
        (Problem("x", "is unknown", "did you mean y"), "x: is unknown. Did you mean y?"),
        (Problem("x", "is unknown", "did you mean y?"), "x: is unknown. Did you mean y?"),
        (Problem("x", "is unknown", "did you mean y? It is z"), "x: is unknown. Did you mean y? It is z."),
    ],
)
def test_a_problem_reads_as_sentences(problem: Problem, text: str) -> None:
    """Place, key, what is wrong and what to do, each once and with its end mark."""
    assert str(problem) == text


def test_a_refusal_holds_every_problem() -> None:
    """Its text has a line for each; a single problem may be given by itself."""
    problems = [Problem("a", "is wrong"), Problem("b", "is wrong too")]

    assert str(InvalidInput(problems)) == "a: is wrong.\nb: is wrong too."
    assert InvalidInput(problems).problems == tuple(problems)
    assert InvalidInput(problems[0]).problems == (problems[0],)


@pytest.mark.parametrize(
    ("name", "guess"),
    [
        ("SettingsInvalid", ValueError),
        ("CatalogueInvalid", ValueError),
        ("RecipientsInvalid", ValueError),
        ("TemplateInvalid", ValueError),
        ("EventInvalid", ValueError),
        ("EventConflict", ValueError),
        ("NotFound", LookupError),
        ("ServiceUnreachable", ConnectionError),
    ],
)
def test_an_error_is_what_a_caller_would_guess(name: str, guess: type[Exception]) -> None:
    """Each error of the tree is also the built-in one that its kind goes by."""
    kind = getattr(errors, name)

    assert issubclass(kind, DispatcherError)
    assert issubclass(kind, guess)
    assert name in (errors.__doc__ or "")


def test_a_conflict_names_the_event_and_the_way_out() -> None:
    """Source and id are quoted, control characters escaped."""
    conflict = EventConflict("monitoring", "id\n1")

    assert (conflict.source, conflict.id) == ("monitoring", "id\n1")
    assert str(conflict) == (
        r"An event with source 'monitoring' and id 'id\n1' was accepted before with other content. "
        "Send a changed event under a new id."
    )


def test_an_unreachable_service_has_a_name() -> None:
    """Which service it was can be asked without reading the text."""
    error = ServiceUnreachable("redis", "Redis does not answer.")

    assert (error.service, str(error)) == ("redis", "Redis does not answer.")
