"""What a render does with the values it is given, noted down so that it can be done again without templates.

A `Traced` value stands for one that differs from mail to mail. Whatever a template does with it is noted:
what is made of it becomes a step of the trace, and what the template wants to know of it (is it there, is it
true, how long is it) becomes a step with the answer. As long as the answers stay the same, a template goes
the same way, whatever the values are.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from jinja2 import Undefined

from dispatcher.mail.replay import ANY, CONTEXT, Program, Seen, Step, told_apart

#: What is the same step wherever it is written; anything else goes by which one it is.
_PLAIN_TYPES = (str, int, float, bool, type(None))


class Untraceable(Exception):  # noqa: N818
    """A template does something with a value that cannot be noted; it is rendered as ever."""


class _Items(list[Any]):
    """What gives one after another, as a list; to a template, which cannot know, it is never empty."""

    def __bool__(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Whole:
    """A function that gives one after another, and here all together."""

    function: Callable[..., Any]

    def __call__(self, *args: Any) -> Any:
        """Call it."""
        return _Items(self.function(*args))


class Traced:
    """A value that differs from mail to mail, as it is in the mail that is traced."""

    __slots__ = ("slot", "trace", "value")

    def __init__(self, trace: Trace, slot: int, value: Any) -> None:
        """It is what step `slot` of `trace` gave."""
        self.trace = trace
        self.slot = slot
        self.value = value

    def __bool__(self) -> bool:
        return bool(self.trace.settled(bool, self))

    def __len__(self) -> int:
        return int(self.trace.settled(len, self))

    def __iter__(self) -> Iterator[Any]:
        items = self if isinstance(self.value, (list, tuple)) else self.trace.made(tuple, self)
        self.trace.spend(items)
        length = self.trace.settled(len, items)
        return iter([self.trace.item(items, index) for index in range(length)])

    def __contains__(self, item: Any) -> bool:
        self.trace.spend(self)
        return bool(self.trace.settled(operator.contains, self, item))

    def __hash__(self) -> int:
        return hash(self.trace.pinned(self))

    def __str__(self) -> str:
        return str(self.trace.pinned(self))

    def __format__(self, spec: str) -> str:
        return format(self.trace.pinned(self), spec)

    def __int__(self) -> int:
        return int(self.trace.pinned(self))

    def __float__(self) -> float:
        return float(self.trace.pinned(self))

    def __index__(self) -> int:
        return operator.index(self.trace.pinned(self))

    def __round__(self, digits: int | None = None) -> Any:
        return round(self.trace.pinned(self), digits)

    def __getitem__(self, key: Any) -> Any:
        return self.trace.made(operator.getitem, self, key)


def _asks(function: Callable[..., Any]) -> Callable[[Traced, Any], Any]:
    return lambda self, other: self.trace.settled(function, self, other)


def _makes(function: Callable[..., Any]) -> Callable[[Traced, Any], Any]:
    return lambda self, other: self.trace.made(function, self, other)


def _makes_turned(function: Callable[..., Any]) -> Callable[[Traced, Any], Any]:
    return lambda self, other: self.trace.made(function, other, self)


def _makes_alone(function: Callable[..., Any]) -> Callable[[Traced], Any]:
    return lambda self: self.trace.made(function, self)


for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(Traced, f"__{_name}__", _asks(getattr(operator, _name)))
for _name in ("add", "sub", "mul", "mod", "floordiv", "truediv", "pow"):
    setattr(Traced, f"__{_name}__", _makes(getattr(operator, _name)))
    setattr(Traced, f"__r{_name}__", _makes_turned(getattr(operator, _name)))
for _name in ("neg", "pos", "abs"):
    setattr(Traced, f"__{_name}__", _makes_alone(getattr(operator, _name)))


class Trace:
    """What one render did.

    In plain text, what is put together of values is a value itself. In HTML it is structure, and what stands
    for a value in it is a token of the shape.

    Args:
        seen: The variables of the template.
        roots: The names of those that differ from mail to mail.
        prefix: What begins a token, in which there is a random word that no value has.
    """

    def __init__(self, seen: Seen, roots: tuple[str, ...], prefix: str) -> None:
        self.prefix = prefix
        self.lifts = not seen.eval_ctx.autoescape
        self.seen = seen
        self.values: list[Any] = [seen]
        self.steps: list[Step] = []
        self._known: dict[Any, Any] = {}
        self._spent: set[int] = set()
        self._texts: list[int] = []
        self._spelt: dict[int, str] = {}
        self._tokens = re.compile(rf"{self.prefix}(\d+)z")
        self.roots = {name: self._slot(seen[name]) for name in roots}

    def root(self, name: str) -> Traced:
        """The variable `name`, traced."""
        slot = self.roots[name]
        return Traced(self, slot, self.values[slot])

    def made(self, function: Callable[..., Any], *args: Any) -> Any:
        """What `function` makes of `args`, some of which are traced; structure is pinned instead.

        Raises:
            Untraceable: It makes nothing, or is given what was used up.
        """
        lifted = [self.lift(arg) for arg in args]
        self.spend(*lifted)
        return self._made(function, lifted)

    def item(self, items: Traced, index: int) -> Any:
        """One of the items that a template goes through."""
        return self._made(operator.getitem, [items, index])

    def spend(self, *args: Any) -> None:
        """Note that what gives one after another is used; a template finds nothing in it the next time.

        Raises:
            Untraceable: It was used before.
        """
        for arg in args:
            if isinstance(arg, Traced) and isinstance(arg.value, _Items):
                if id(arg.value) in self._spent:
                    raise Untraceable("a template goes twice through what is used up the first time")
                self._spent.add(id(arg.value))

    def _made(self, function: Callable[..., Any], lifted: list[Any]) -> Any:
        key = (function, *map(self._identity, lifted))
        if (known := self._known.get(key, ANY)) is not ANY:
            return known
        value = function(*map(_concrete, lifted))
        if isinstance(value, Undefined):
            raise Untraceable("a template asks for what is not there")
        if isinstance(value, Iterator):
            function, value = Whole(function), _Items(value)
        found = Traced(self, self._slot(value), value)
        self.steps.append((found.slot, function, tuple(map(self._place, lifted)), ANY))
        made = self.pinned(found) if hasattr(value, "__html__") else found
        self._known[key] = made
        return made

    def settled(self, function: Callable[..., Any], *args: Any) -> Any:
        """The answer of `function`, which must be the same whenever the trace is used."""
        lifted = [self.lift(arg) for arg in args]
        key = ("settled", function, *map(self._identity, lifted))
        if (known := self._known.get(key, ANY)) is not ANY:
            return known
        value = function(*map(_concrete, lifted))
        self.steps.append((self._slot(value), function, tuple(map(self._place, lifted)), value))
        self._known[key] = value
        return value

    def pinned(self, found: Any) -> Any:
        """The value itself, where it must be the same whenever the trace is used."""
        if not isinstance(found, Traced):
            return found
        self.settled(told_apart, found)
        return found.value

    def spelled(self, found: Traced) -> str:
        """Text that stands for a traced text until it is part of a longer one; see `lift`."""
        if found.slot not in self._spelt:
            self._texts.append(found.slot)
            self._spelt[found.slot] = f"{self.prefix}{len(self._texts) - 1}z"
        return self._spelt[found.slot]

    def lift(self, value: Any) -> Any:
        """A value that has traced ones in it, as one that is traced; another as it is."""
        if isinstance(value, str):
            return self._joined(value) if self.lifts and self.prefix in value else value
        if isinstance(value, (list, tuple)):
            inner = [self.lift(one) for one in value]
            if any(isinstance(one, Traced) for one in inner):
                return self.made(_listed if isinstance(value, list) else _tupled, *inner)
        elif isinstance(value, dict):
            inner = [self.lift(one) for one in value.values()]
            if any(isinstance(one, Traced) for one in inner):
                return self.made(partial(_mapped, tuple(value)), *inner)
        elif isinstance(value, slice):
            ends = (value.start, value.stop, value.step)
            if any(isinstance(end, Traced) for end in ends):
                return self.made(slice, *ends)
        return value

    def slot_of(self, value: Any) -> int:
        """Where a value is, traced or not."""
        return self._place(value)

    def program(self, wanted: Sequence[int]) -> Program:
        """The steps that lead to what is in these slots, and those that decide whether they are right."""
        return Program(self.values, self.steps, self.roots, wanted)

    def _joined(self, text: str) -> Traced:
        pieces: list[Any] = self._tokens.split(text)
        for index in range(1, len(pieces), 2):
            slot = self._texts[int(pieces[index])]
            pieces[index] = Traced(self, slot, self.values[slot])
        kept = [piece for piece in pieces if isinstance(piece, Traced) or piece]
        found: Traced = kept[0] if len(kept) == 1 else self.made(_concatenated, *kept)
        self._spelt.setdefault(found.slot, text)
        return found

    def _slot(self, value: Any) -> int:
        self.values.append(value)
        return len(self.values) - 1

    def _place(self, arg: Any) -> int:
        if isinstance(arg, Traced):
            return arg.slot
        return CONTEXT if arg is self.seen else self._slot(arg)

    def _identity(self, arg: Any) -> Any:
        if isinstance(arg, Traced):
            return "slot", arg.slot
        if not self.lifts and isinstance(arg, str) and self.prefix in arg:
            raise Untraceable("a value goes with text that was already put together")
        return type(arg), arg if isinstance(arg, _PLAIN_TYPES) else id(arg)


def _concrete(arg: Any) -> Any:
    return arg.value if isinstance(arg, Traced) else arg


def _concatenated(*pieces: str) -> str:
    return "".join(pieces)


def _listed(*items: Any) -> list[Any]:
    return list(items)


def _tupled(*items: Any) -> tuple[Any, ...]:
    return items


def _mapped(keys: tuple[Any, ...], *values: Any) -> dict[Any, Any]:
    return dict(zip(keys, values, strict=True))
