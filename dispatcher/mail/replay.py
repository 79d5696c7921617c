"""A traced render, done again with the values of another mail."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from types import SimpleNamespace
from typing import Any, Final

#: The slot of what functions that read the template's variables are given.
CONTEXT: Final = 0
#: Any answer is right.
ANY: Final[Any] = object()
#: Where to put what comes of it, the function, where its arguments are, and the answer that it must give.
Step = tuple[int, Callable[..., Any], tuple[int, ...], Any]


class Seen:
    """A template's variables, as functions of `dispatcher.mail.functions` read them.

    Args:
        context: The variables.
        environment: Has the filters and tests that other filters call by name.
        autoescape: Whether the template's text is HTML.
    """

    __slots__ = ("_context", "environment", "eval_ctx")

    def __init__(self, context: Mapping[str, Any], environment: Any, *, autoescape: bool) -> None:
        self._context = context
        self.environment = environment
        self.eval_ctx = _AUTOESCAPE[autoescape]

    def of(self, context: Mapping[str, Any]) -> Seen:
        """The variables of another mail."""
        return Seen(context, self.environment, autoescape=self.eval_ctx.autoescape)

    def __getitem__(self, name: str) -> Any:
        """The variable `name`."""
        return self._context[name]


_AUTOESCAPE = {on: SimpleNamespace(autoescape=on) for on in (False, True)}


@dataclass(frozen=True, slots=True)
class Keyworded:
    """A function that gets its last arguments by name."""

    function: Callable[..., Any]
    names: tuple[str, ...]

    def __call__(self, *args: Any) -> Any:
        """Call it."""
        cut = len(args) - len(self.names)
        return self.function(*args[:cut], **dict(zip(self.names, args[cut:], strict=True)))


class Program:
    """The steps of a trace: those that lead to what is wanted, those that decide whether it is right.

    The others are run as well: where one fails, so does the template.

    Args:
        values: What the trace knew in each slot; constants are used again.
        steps: In their order, since an answer may be what makes the next question sensible.
        roots: For each variable that differs from mail to mail its slot.
        wanted: The slots that are asked for.
    """

    def __init__(
        self,
        values: Sequence[Any],
        steps: Sequence[Step],
        roots: Mapping[str, int],
        wanted: Sequence[int],
    ) -> None:
        needed = {*wanted, *(place for _, _, places, _ in steps for place in places)}
        self._seen: Seen = values[CONTEXT].of({})
        self._roots = tuple((name, slot) for name, slot in roots.items() if slot in needed)
        # What was made of one mail is not kept for the next.
        made = {out for out, *_ in steps} | set(roots.values()) | {CONTEXT}
        self._values = [None if slot in made else value for slot, value in enumerate(values)]
        self._values = [value if slot in needed else None for slot, value in enumerate(self._values)]
        self._steps = tuple(
            (out, function, places[0] if len(places) == 1 else None, _getter(places), answer)
            for out, function, places, answer in steps
        )

    def run(self, context: Mapping[str, Any]) -> list[Any] | None:
        """What is in each slot with other variables; None if a template would go another way."""
        values = self._values.copy()
        values[CONTEXT] = self._seen.of(context)
        for name, slot in self._roots:
            values[slot] = context[name]
        try:
            for out, function, place, get, answer in self._steps:
                got = function(*get(values)) if place is None else function(values[place])
                if answer is not ANY and got != answer:
                    return None
                values[out] = got
        except Exception:  # noqa: BLE001 - whatever it is, the template says it better
            return None
        return values


def told_apart(value: Any) -> Any:
    """`value` as something that equals only what is the same to a template."""
    if isinstance(value, (list, tuple)):
        return type(value), tuple(map(told_apart, value))
    if isinstance(value, Mapping):
        return type(value), tuple((key, told_apart(one)) for key, one in value.items())
    # One moment in two zones is equal, and so are 0.0 and -0.0; they do not read the same.
    return type(value), value, str(value), getattr(value, "language", None)


def _getter(places: tuple[int, ...]) -> Callable[[list[Any]], Any]:
    return itemgetter(*places) if places else lambda _: ()
