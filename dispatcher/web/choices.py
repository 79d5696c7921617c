"""``/choices/{token}``: what a reader gets and why, and what of it they want; the one click of RFC 8058.

The signed token in the path is all the authority there is: who has it may choose for its address, signed in
or not, and who has it not can do nothing. No cookie is set or read, so no other site can act in somebody's
name by having their browser send a form: it would have to know the token, and with the token it needs no
browser. That is why the form has no further token against forgery, and must not have one, for a mail
program's one click knows nothing but the URL.

``GET`` and ``HEAD`` change nothing, since scanners open every link of a mail before its reader does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from dispatcher.domain.catalogue import Catalogue, CommunicationType
from dispatcher.domain.language import DEFAULT
from dispatcher.domain.link import LinkInvalid
from dispatcher.errors import ServiceUnreachable
from dispatcher.flow.choices import Choices, Chooser, Standing
from dispatcher.mail.locale import Format
from dispatcher.mail.translations import Translation
from dispatcher.web.form import read_form
from dispatcher.web.limits import Limits
from dispatcher.web.page import Pages, asked_language

#: Seconds; longer than what a program is asked to wait, for a person reads meanwhile.
RETRY_AFTER: Final = 60
_ONE_CLICK: Final = ("list-unsubscribe", "one-click")


@dataclass(frozen=True, slots=True)
class Item:
    """A type as a page lists it.

    Attributes:
        title_lang: The attribute for a title that is not in the page's language; mostly empty.
        description_lang: Likewise.
    """

    key: str
    title: str
    description: str
    title_lang: Markup
    description_lang: Markup
    wanted: bool


class ChoicePage:
    """Answers what comes to the page."""

    def __init__(self, choices: Choices, catalogue: Catalogue, pages: Pages, limits: Limits) -> None:
        self._choices = choices
        self._catalogue = catalogue
        self._pages = pages
        self._limits = limits

    async def show(self, request: Request, token: str) -> Response:
        """What the reader gets, why, and a form with what they may choose; changes nothing."""
        return await self._for_reader(request, token, self._standing)

    async def choose(self, request: Request, token: str) -> Response:
        """Keep a reader's choices, or stop one type of mail by one click; doing it again changes nothing.

        One click is the field `List-Unsubscribe` with the value `One-Click`, in either encoding of forms.
        """
        fields = await read_form(request, self._limits.seconds)

        async def act(chooser: Chooser) -> Response:
            if any((name.lower(), value.strip().lower()) == _ONE_CLICK for name, value in fields):
                if not self._choices.may_stop(chooser):
                    return await self._standing(chooser)  # which names what is mandatory, and whom to ask
                await self._choices.stop(chooser)
                return stopped_page(self._pages, self._catalogue, chooser)
            if ("save", "choices") not in fields:
                return self._pages.answer("unread", chooser.language, status=400, type_=chooser.type)
            shown = {value for name, value in fields if name == "shown"}
            wanted = {value for name, value in fields if name == "want"}
            await self._choices.choose(chooser, shown=shown, wanted=wanted)
            return await self._standing(chooser, saved=True)

        return await self._for_reader(request, token, act)

    async def _for_reader(
        self, request: Request, token: str, answer: Callable[[Chooser], Awaitable[Response]]
    ) -> Response:
        """The answer to whoever the link was made for, or a page that says why there is none."""
        language = asked_language(request.headers.get("accept-language"))
        try:
            chooser = await self._choices.who(token)
            language = chooser.language
            return await answer(chooser)
        except LinkInvalid:
            return self._pages.answer("invalid", language, status=HTTPStatus.NOT_FOUND)
        except ServiceUnreachable as error:
            return self._pages.away(language, error, RETRY_AFTER)

    async def _standing(self, chooser: Chooser, *, saved: bool = False) -> Response:
        standing = await self._choices.look(chooser)
        return standing_page(self._pages, self._catalogue, chooser, standing, saved=saved)


def standing_page(
    pages: Pages, catalogue: Catalogue, chooser: Chooser, standing: Standing, *, saved: bool = False
) -> Response:
    """The page on which a reader sees what they get and chooses; `saved` says that they just did."""
    texts = pages.texts(chooser.language)

    def items(types: Mapping[str, bool]) -> Sequence[Item]:
        return [_item(key, catalogue.types[key], wanted, texts) for key, wanted in types.items()]

    return pages.answer(
        "choices",
        chooser.language,
        type_=chooser.type,
        saved=saved,
        address=chooser.address,
        optional=items(standing.wanted),
        bound=items(dict.fromkeys(standing.bound, True)),
        places=standing.places,
        more=standing.more,
        more_written=Format(texts.language, "UTC").number(standing.more),
        admins=standing.admins,
    )


def stopped_page(pages: Pages, catalogue: Catalogue, chooser: Chooser) -> Response:
    """What the one click of a mail program is answered with: short, since hardly anybody sees it."""
    spec = catalogue.types.get(chooser.type)
    title = pages.texts(chooser.language).gettext(spec.title) if spec else chooser.type
    return pages.answer("stopped", chooser.language, type_=chooser.type, address=chooser.address, title=title)


def _item(key: str, spec: CommunicationType, wanted: bool, texts: Translation) -> Item:
    title, title_lang = _said(spec.title, texts)
    description, description_lang = _said(spec.description, texts)
    return Item(key, title, description, title_lang, description_lang, wanted)


def _said(text: str, texts: Translation) -> tuple[str, Markup]:
    """A text of the catalogue in the page's language; marked as English where it is not translated."""
    found = texts.gettext(text) if text else ""
    same = found == text and texts.language != DEFAULT
    return found, Markup(f' lang="{DEFAULT}"') if found and same else Markup("")  # noqa: S704 - our own word
