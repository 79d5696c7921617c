"""What ``/openapi.json`` says of bodies and answers that are parsed and written without models."""

from __future__ import annotations

from typing import Any, Final

from dispatcher.web.cloudevents import BATCH, BINARY, STRUCTURED
from dispatcher.web.problems import MEDIA_TYPE

_TEXT: Final = {"type": "string"}


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": properties}


_DATA: Final = _object(
    [],
    instances={
        "oneOf": [
            {"type": "array", "items": _TEXT, "minItems": 1},
            _object(["region"], region=_TEXT),
            {"const": "all"},
        ]
    },
    thread=_TEXT,
    fields={
        "type": "object",
        "description": "The fields of the type. Text, paragraphs, links, and lists and table cells of these "
        'may be objects by language: {"en": …, "ja": …}.',
    },
)
_EVENT: Final = _object(
    ["id", "source", "specversion", "type", "data"],
    id=_TEXT,
    source={"type": "string", "format": "uri-reference"},
    specversion={"const": "1.0"},
    type=_TEXT,
    time={"type": "string", "format": "date-time"},
    data=_DATA,
)
_PROBLEM: Final = _object(
    ["type", "title", "status", "detail"],
    type=_TEXT,
    title=_TEXT,
    status={"type": "integer"},
    detail=_TEXT,
    problems={
        "type": "array",
        "items": _object(["field", "what", "fix"], field=_TEXT, what=_TEXT, fix=_TEXT),
    },
)


def _answer(description: str) -> dict[str, Any]:
    return {"description": description, "content": {MEDIA_TYPE: {"schema": _PROBLEM}}}


_COMMON: Final[dict[int | str, dict[str, Any]]] = {
    401: _answer("No valid token"),
    403: _answer("The token lacks the scope"),
    503: _answer("The ledger cannot be reached; send the same again"),
}
#: Answers of the intake.
ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    202: {"description": "Committed; a repeat has the header Dispatcher-Duplicate"},
    400: _answer("No JSON, or no CloudEvent"),
    408: _answer("The body came too slowly"),
    409: _answer("The source and id were used for something else"),
    413: _answer("The body or the batch is too large"),
    415: _answer("Another content type"),
    422: _answer("The catalogue or the recipient lists do not know this"),
    **_COMMON,
}
#: Answers to questions.
READS: Final[dict[int | str, dict[str, Any]]] = {
    400: _answer("A parameter cannot be used"),
    404: _answer("There is no such event"),
    **_COMMON,
}
_COUNT: Final = {"type": "integer"}
#: Answers to a cancellation.
CANCEL: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Nothing more of it is begun; how many deliveries stand where",
        "content": {
            "application/json": {
                "schema": _object(
                    ["event", "cancelled", "sent", "sending"],
                    event=_TEXT,
                    cancelled=_COUNT,
                    sent=_COUNT,
                    sending=_COUNT,
                )
            }
        },
    },
    404: _answer("There is no such event"),
    **_COMMON,
}
#: Answers to what is shown about an instance.
NOTICES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "What is shown, newest first"},
    400: _answer("A parameter cannot be used"),
    404: _answer("No recipient file has that instance"),
    **_COMMON,
}
#: Answers to questions about plans.
PLANS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "What is planned: each plan with its steps, and what is amiss"},
    400: _answer("A parameter cannot be used"),
    404: _answer("There is no such plan"),
    **_COMMON,
}
#: Answers to a turn that a plan is to take.
TURNED: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "Committed; the event that says it, and the plan as it is from now on"},
    400: _answer("The body is no JSON object"),
    404: _answer("There is no such plan"),
    409: _answer("The Idempotency-Key was used for something else"),
    422: _answer("The plan may not take that turn, or a field is wrong"),
    **_COMMON,
}
#: What the turn's event says beside what the plan knows.
TURN: Final[dict[str, Any]] = {
    "parameters": [
        {"name": "Idempotency-Key", "in": "header", "required": False, "schema": _TEXT},
    ],
    "requestBody": {"required": False, "content": {"application/json": {"schema": {"type": "object"}}}},
}
#: Answers to how the service is.
STATUS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "How the service is; `problems` says what needs attention"},
    **_COMMON,
}
#: Answers to what customers are owed.
OWED: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "What is owed, with what to do; `status` is owed, overdue, met, late or ended"},
    404: _answer("There is no such incident"),
    **_COMMON,
}
#: Answers to Prometheus.
NUMBERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "Gauges", "content": {"text/plain": {"schema": _TEXT}}},
    **_COMMON,
}
SCHEMES: Final = {"bearer": {"type": "http", "scheme": "bearer"}}
SECURITY: Final[dict[str, Any]] = {"security": [{"bearer": []}]}
INTAKE: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            STRUCTURED: {"schema": _EVENT},
            BATCH: {"schema": {"type": "array", "items": _EVENT}},
            BINARY: {"schema": _DATA},
        },
    }
}
_FORM: Final = {
    "oneOf": [
        _object(["List-Unsubscribe"], **{"List-Unsubscribe": {"const": "One-Click"}}),
        _object(
            ["save"],
            save={"const": "choices"},
            shown={"type": "array", "items": _TEXT},
            want={"type": "array", "items": _TEXT},
        ),
    ]
}
_HTML: Final[dict[str, Any]] = {"text/html": {"schema": _TEXT}}
#: Answers to readers of mail, who come without a token of ours but with a signed link.
PAGE: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The page", "content": _HTML},
    404: {"description": "The link is none of ours", "content": _HTML},
    503: {"description": "The ledger cannot be reached", "content": _HTML},
}
CHOOSE: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {"schema": _FORM},
            "multipart/form-data": {"schema": _FORM},
        },
    }
}
_DECISION: Final = _object(
    ["form", "decide"],
    form=_TEXT,
    decide={"enum": ["approve", "reschedule"]},
    preferred={"type": "string", "format": "date-time"},
    alternate=_TEXT,
)
#: Answers to admins who follow the link of a mail.
DECIDED: Final[dict[int | str, dict[str, Any]]] = {
    **PAGE,
    400: {"description": "The form is not the page's own, or is older than two hours", "content": _HTML},
    403: {"description": "The link's reader is no admin any more", "content": _HTML},
    409: {"description": "Somebody else decided, or it has started; nothing was changed", "content": _HTML},
    410: {"description": "The link has expired, or the date has changed since", "content": _HTML},
    422: {"description": "The date is not offered", "content": _HTML},
}
DECIDE: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {"schema": _DECISION},
            "multipart/form-data": {"schema": _DECISION},
        },
    }
}
