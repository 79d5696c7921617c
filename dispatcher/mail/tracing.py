"""Jinja environments in which a render is traced; see `dispatcher.mail.traced`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from functools import partial, wraps
from pathlib import Path
from types import CodeType
from typing import Any

from jinja2 import Undefined, pass_context
from jinja2.filters import do_map, do_random
from jinja2.runtime import BlockReference, Context, LoopContext, Macro
from jinja2.utils import _PassArg, generate_lorem_ipsum

from dispatcher.mail.environment import MailEnvironment, furnished
from dispatcher.mail.functions import FILTERS, FIXED, GLOBALS, READ
from dispatcher.mail.replay import Keyworded
from dispatcher.mail.shape import Shaper, plain
from dispatcher.mail.traced import Trace, Traced, Untraceable

_OURS = frozenset([*GLOBALS.values(), *FILTERS.values()])
#: What Jinja calls with a template's own values, and gives back what the template makes of them.
_STRUCTURE = (Macro, LoopContext, BlockReference)
_RANDOM = (do_random, generate_lorem_ipsum)
#: What nobody can change, and so neither can its methods.
_FROZEN = (str, int, float, tuple, date, timedelta)
_LOOKS = ("get", "items", "keys", "values")
#: What a template can make and change, and the methods of it that change nothing.
_CHANGEABLE = (list, dict, set)
_HARMLESS = (*_LOOKS, "copy", "count", "index")


class TracingContext(Context):
    """A template's variables, whose calls are noted."""

    def call(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """Call what a template calls."""
        environment: Any = self.environment
        shadows = {**(kwargs.pop("_block_vars", None) or {}), **(kwargs.pop("_loop_vars", None) or {})}
        own = self if environment.owns({**{name: self.get(name) for name in READ}, **shadows}) else None
        return environment.called(super().call, own, function, args, kwargs)


class TracingEnvironment(MailEnvironment):
    """An environment in which one render at a time is traced.

    Attributes:
        twin: Has the same templates, and notes nothing.
        given: The variables of that render, those traced that differ from mail to mail.
        structure: Functions that know of traced values themselves.
    """

    context_class = TracingContext

    def __init__(self, twin: MailEnvironment, **options: Any) -> None:
        """Make one.

        Args:
            twin: Has the same templates, and notes nothing.
            options: Jinja's own.
        """
        super().__init__(**options)
        self.twin = twin
        self.given: Mapping[str, Any] = {}
        self.structure: frozenset[Any] = frozenset()
        self._trace: Trace | None = None

    @contextmanager
    def noting(
        self, trace: Trace, context: Mapping[str, Any], structure: Iterable[Any] = ()
    ) -> Iterator[Mapping[str, Any]]:
        """While this is entered all is noted in `trace`; gives the variables that the template is to have.

        Args:
            trace: Of the one render.
            context: Its variables.
            structure: Functions among them that know of traced values themselves.
        """
        self.given = {**context, **{name: trace.root(name) for name in trace.roots}}
        self.structure = frozenset((*structure, self.globals["_"]))
        self._trace = trace
        try:
            yield self.given
        finally:
            self._trace, self.given, self.structure = None, {}, frozenset()

    def owns(self, variables: Any) -> bool:
        """Whether what functions read is what the mail was given, and nothing that a template made."""
        return all(variables.get(name) is self.given.get(name) for name in READ)

    def code(self, source: str, name: str, filename: str | None) -> CodeType:
        """The code of a template, which is the twin's.

        Raises:
            Untraceable: It includes files by names that it makes; nobody would see that one changed.
        """
        if not self.twin.names_all(name, source):
            raise Untraceable(f"{name} makes the name of a file that it includes")
        return self.twin.code(source, name, filename)

    def note(self) -> None:
        """See to it that filters and tests are noted; to be called once, when all are there."""
        self.filters = {name: self._noted(function) for name, function in self.filters.items()}
        self.tests = {name: self._noted(function, asks=True) for name, function in self.tests.items()}

    def getattr(self, obj: Any, attribute: str) -> Any:
        """As `MailEnvironment` does; of a traced value a traced one."""
        lifted = self._lifted(obj)
        if isinstance(lifted, Traced):
            return lifted.trace.made(self._attribute, lifted, attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """As Jinja does; of a traced value, or by one, a traced one."""
        lifted, by = self._lifted(obj), self._lifted(argument)
        for one in (lifted, by):
            if isinstance(one, Traced):
                return one.trace.made(self._item, lifted, by)
        return super().getitem(obj, argument)

    def called(
        self,
        call: Callable[..., Any],
        context: Context | None,
        function: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """What a call in a template comes to; without `context` the template hides what functions read."""
        function, trace = self._lifted(function), self._tracing()
        if isinstance(function, Traced):
            if not _is_pure(function.value):
                raise Untraceable(f"{function.value} may do more than give something")
            return trace.made(_with(_call, kwargs), function, *args, *kwargs.values())
        if isinstance(function, _STRUCTURE) or _among(function, self.structure):
            return self._lifted(call(function, *args, **kwargs))
        if _among(function, _OURS):
            if context is None:
                raise Untraceable("a template has a variable in place of one that functions read")
            return self._applied(function, (context,), args, kwargs)
        if function in _RANDOM:
            raise Untraceable("a template asks for chance")
        if _changes(function):
            raise Untraceable("a template changes what it made")
        lifted = [trace.lift(given) for given in (*args, *kwargs.values())]
        if not any(isinstance(one, Traced) for one in lifted):
            return call(function, *args, **kwargs)
        if _is_pure(function):
            return trace.made(_with(function, kwargs), *args, *kwargs.values())
        return _with(call, kwargs)(function, *map(trace.pinned, lifted))

    def _applied(
        self, function: Any, lead: tuple[Any, ...], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """What a filter, a test or one of our functions comes to."""
        trace = self._tracing()
        traced = any(isinstance(trace.lift(given), Traced) for given in (*args, *kwargs.values()))
        reads = _PassArg.from_obj(function) is _PassArg.context
        if function in _RANDOM or (function is do_map and "random" in args):
            raise Untraceable("a template asks for chance")
        if reads and (traced or function in _OURS):
            if not self.owns(lead[0]):
                raise Untraceable("a template has a variable in place of one that functions read")
            lead = (trace.seen,)
            traced = traced or function not in FIXED
        if not traced:
            return function(*lead, *args, **kwargs)
        return trace.made(_with(function, kwargs), *lead, *args, *kwargs.values())

    def _noted(self, function: Any, *, asks: bool = False) -> Callable[..., Any]:
        """A filter or test, as it is used in templates."""
        leads = int(_PassArg.from_obj(function) is not None)

        @wraps(function)
        def noted(*args: Any, **kwargs: Any) -> Any:
            if self._trace is None:  # while a template is compiled
                return function(*args, **kwargs)
            found = self._applied(function, args[:leads], args[leads:], kwargs)
            return bool(found) if asks else found

        return noted

    def _attribute(self, obj: Any, attribute: str) -> Any:
        return _there(super().getattr(obj, attribute))

    def _item(self, obj: Any, argument: Any) -> Any:
        return _there(super().getitem(obj, argument))

    def _lifted(self, value: Any) -> Any:
        return value if self._trace is None else self._trace.lift(value)

    def _tracing(self) -> Trace:
        if self._trace is None:
            raise Untraceable("nothing is being traced")
        return self._trace


class TracingText(TracingEnvironment):
    """The environment of ``*.txt.j2``: what is put together of values is a value itself."""

    def concat(self, pieces: Iterable[Any]) -> Any:
        """Text, which is traced if a value is in it."""
        trace = self._tracing()
        return trace.lift("".join([trace.spelled(one) if isinstance(one, Traced) else one for one in pieces]))

    @pass_context
    def shown(self, _: Context, value: Any) -> str:
        """What Jinja calls with everything that ``{{ }}`` outputs."""
        trace, lifted = self._tracing(), self._lifted(value)
        if not isinstance(lifted, Traced):
            return plain(value)
        shown = trace.made(plain, lifted)
        return trace.spelled(shown)


class TracingShaper(Shaper):
    """Renders through the shapes of another shaper."""

    def __init__(self, shaper: Shaper) -> None:
        """Its shapes are those of `shaper`."""
        self.__dict__ |= shaper.__dict__

    def text(self, value: Any) -> Any:
        """The text that a value is shown as, traced if the value is."""
        return value.trace.made(plain, value) if isinstance(value, Traced) else plain(value)

    def chosen(self, function: Callable[..., str], *args: Any) -> str:
        """The translation for a number; a mail for which another is chosen goes another way."""
        for arg in args:
            if isinstance(arg, Traced):
                found: str = arg.trace.pinned(arg.trace.made(function, *args))
                return found
        return function(*args)


def html_tracer(templates: Path, twin: MailEnvironment, shaper: TracingShaper) -> TracingEnvironment:
    """An environment in which ``*.html.j2`` are traced."""
    made = furnished(partial(TracingEnvironment, twin), templates, autoescape=True, finalize=shaper.finalize)
    made.note()
    return made


def text_tracer(templates: Path, twin: MailEnvironment) -> TracingText:
    """An environment in which ``*.txt.j2`` are traced."""
    made = furnished(partial(TracingText, twin), templates, autoescape=False)
    made.finalize = made.shown
    made.note()
    return made


def _with(function: Callable[..., Any], kwargs: Mapping[str, Any]) -> Callable[..., Any]:
    return Keyworded(function, tuple(kwargs)) if kwargs else function


def _call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return function(*args, **kwargs)


def _among(function: Any, known: frozenset[Any]) -> bool:
    try:
        return function in known
    except TypeError:  # it has no hash
        return False


def _is_pure(function: Any) -> bool:
    """Whether it is a method of what nobody can change, or of the catalogue; or only looks something up."""
    owner = getattr(function, "__self__", None)
    if isinstance(owner, Mapping):
        return getattr(function, "__name__", "") in _LOOKS
    return isinstance(owner, _FROZEN) or type(owner).__module__.startswith("dispatcher.domain.")


def _changes(function: Any) -> bool:
    """Whether it may change a list or the like, which a step would then see as it is in the end."""
    owner = getattr(function, "__self__", None)
    return isinstance(owner, _CHANGEABLE) and getattr(function, "__name__", "") not in _HARMLESS


def _there(found: Any) -> Any:
    if isinstance(found, Undefined):
        raise Untraceable("what was there in one mail is missing in another")
    return found
