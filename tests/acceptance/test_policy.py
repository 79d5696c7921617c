"""Every communication type, sent through real parts, reaches exactly the people of the policy's section 6."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from in_process import Commands
from program import UNMEASURED, staying

from dispatcher.cli import commands  # noqa: F401 - registers the commands
from dispatcher.mail.translations import Translations
from dispatcher.smtp.catcher import CaughtMail, caught

# Of every type a mail is rendered and sent: on a machine with other things to do that takes a minute.
pytestmark = pytest.mark.timeout(300)

ADMINS = {"admin@contoso.example", "oncall@contoso.example", "root@contoso.example"}
NEWS, OPS = "news@contoso.example", "ops@contoso.example"
USER, PARTNER = "everyone@contoso.example", "partner@fabrikam.example"
CONTACT = "contact@contoso.example"
NOBODY: set[str] = set()

#: The policy's table, written by hand. OPS is narrowed to maintenance and major incidents.
WHO = {
    "planned-maintenance": ADMINS | {NEWS, OPS},
    "unplanned-maintenance": ADMINS | {NEWS, OPS},
    "security-update": NOBODY,
    "update-scheduled": ADMINS | {NEWS, PARTNER},
    "update-reminder": ADMINS | {NEWS, PARTNER},
    "update-confirmed": NOBODY,
    "update-in-progress": NOBODY,
    "update-succeeded": ADMINS | {NEWS, USER},
    "update-fallback": ADMINS | {NEWS, PARTNER},
    "update-rescheduled": ADMINS | {NEWS, PARTNER},
    "update-compatibility": ADMINS | {NEWS, PARTNER},
    # Not in the policy's table: whoever was told of the update learns that it is off.
    "update-cancelled": ADMINS | {NEWS, PARTNER},
    "service-incident": ADMINS,
    "major-service-incident": ADMINS | {NEWS, OPS},
    # Without a thread, as the incident; OPS asked for maintenance and major incidents only.
    "service-restored": ADMINS | {NEWS},
    "post-incident-report": ADMINS | {NEWS},
    "general-awareness": ADMINS | {NEWS},
    "launch-readiness": ADMINS,
    "post-purchase": ADMINS,
    "support-case-received": ADMINS | {CONTACT},
    "support-case-closing": ADMINS | {CONTACT},
    "support-case-resolved": ADMINS | {CONTACT},
}
#: The policy's section 5, light backgrounds, by communication type.
COLOUR = {
    **dict.fromkeys(["planned-maintenance", "unplanned-maintenance"], "#FFDDB3"),
    **dict.fromkeys((key for key in WHO if key.startswith("update-")), "#CFE4FA"),
    **dict.fromkeys(["service-incident", "major-service-incident", "post-incident-report"], "#F98845"),
    "service-restored": "#C9EAC9",
    **dict.fromkeys((key for key in WHO if key.startswith("support-")), "#BFDDF5"),
    "general-awareness": "#BFDDF5",
    "launch-readiness": "#107C10",
    "post-purchase": "#004E8C",
}
TITLES = {
    key: spec["title"]
    for key, spec in yaml.safe_load(
        (Path(__file__).parents[2] / "catalogue.yaml").read_text(encoding="utf-8")
    )["types"].items()
}
MAILED = [key for key, who in WHO.items() if who]
TRANSLATIONS = Translations(Path(__file__).parents[2])


def title(key: str, mail: CaughtMail) -> str:
    """The type's title in the language of the mail."""
    return TRANSLATIONS.find(mail.message["Content-Language"]).gettext(TITLES[key])


@dataclass(frozen=True, slots=True)
class Sent:
    """What the program said of each event, and every mail that came of all of them."""

    events: dict[str, dict[str, Any]]
    mails: list[CaughtMail]

    def of(self, key: str) -> list[CaughtMail]:
        """The mails of one communication type."""
        return [mail for mail in self.mails if mail.message["List-Id"].startswith(f"<{key}.")]


@pytest.fixture(scope="module")
def sent(root: Path) -> Sent:
    events = {}
    how = ("--instance", "contoso-prod", "--sample", "--wait", "--json")
    up = staying(root, "up", "--port", "0", until=r"Listening on (\S+)", **UNMEASURED)
    with up, pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("DISPATCHER_")]:
            patch.delenv(name)
        for key in WHO:
            code, out, said = Commands(root).run("send", key, *how)
            assert code == 0, said
            events[key] = json.loads(out)
    return Sent(events, caught(root / ".dispatcher" / "mail"))


@pytest.mark.parametrize("key", WHO)
def test_exactly_the_policys_people_get_it(sent: Sent, key: str) -> None:
    """Who got a mail, and who the ledger says did, are the policy's people, each once."""
    reached = [address for mail in sent.of(key) for address in mail.envelope_to]

    assert sorted(reached) == sorted(WHO[key])
    assert sent.events[key]["deliveries"] == ({"sent": len(WHO[key])} if WHO[key] else {})


@pytest.mark.parametrize("key", [key for key, who in WHO.items() if not who])
def test_an_event_that_mails_nobody_is_recorded_with_its_reason(sent: Sent, key: str) -> None:
    """The ledger says why no mail went out."""
    event = sent.events[key]

    assert event["status"] == "recorded"
    assert len(event["reason"]) > 20


@pytest.mark.parametrize("key", MAILED)
def test_the_banner_wears_the_catalogues_colour(sent: Sent, key: str) -> None:
    """The banner's colour is an attribute of a cell, so that it shows without any style sheet."""
    for mail in sent.of(key):
        part = mail.message.get_body(("html",))
        assert part is not None
        html = part.get_content()

        assert f'bgcolor="{COLOUR[key]}"' in html
        assert title(key, mail) in html


@pytest.mark.parametrize("key", MAILED)
def test_the_text_says_type_and_instance_at_once(sent: Sent, key: str) -> None:
    """The first line of the plain text names the type and the instance."""
    for mail in sent.of(key):
        part = mail.message.get_body(("plain",))
        assert part is not None
        first, _, rest = part.get_content().partition("\n")

        assert title(key, mail) in first
        assert "Contoso Production" in first
        assert rest.strip()


def test_the_text_says_the_window_in_the_readers_zone(sent: Sent) -> None:
    """Two readers of one maintenance read the same window in their own zone and language, and in UTC."""
    texts = {}
    for mail in sent.of("planned-maintenance"):
        part = mail.message.get_body(("plain",))
        assert part is not None
        texts[mail.envelope_to[0]] = part.get_content()

    berlin, new_york = texts["admin@contoso.example"], texts["oncall@contoso.example"]
    assert any(
        f"{hours} {zone}" in berlin for hours, zone in (("22:00–02:00", "MEZ"), ("23:00–03:00", "MESZ"))
    )
    assert " EST" in new_york or " EDT" in new_york
    assert "21:00–01:00 UTC" in berlin
    assert "UTC" in new_york


@pytest.mark.parametrize(
    "key",
    [
        "planned-maintenance",
        "unplanned-maintenance",
        "update-scheduled",
        "update-reminder",
        "update-rescheduled",
        "update-fallback",
        "post-incident-report",
    ],
)
def test_each_window_stands_in_the_text(sent: Sent, key: str) -> None:
    """Whatever has a beginning and an end says both within its first lines, with the zone."""
    for mail in sent.of(key):
        part = mail.message.get_body(("plain",))
        assert part is not None
        first_lines = "\n".join(part.get_content().splitlines()[:9])

        assert re.search(
            r"\d{1,2}:\d\d\s?([AP]M)?–.*\d{1,2}:\d\d.* (M?E[SD]?S?T|MESZ|CES?T|MEZ)", first_lines
        ), first_lines


def test_partners_hear_from_an_address_of_their_own(sent: Sent) -> None:
    """A partner's copy comes from the partner sender, everybody else's from the default one."""
    senders = {mail.envelope_to[0]: mail.envelope_from for mail in sent.of("update-scheduled")}

    assert senders.pop(PARTNER) == "partner-notices@fabrikam.example"
    assert set(senders.values()) == {"notices@fabrikam.example"}


def test_no_two_mails_share_a_message_id(sent: Sent) -> None:
    """Each delivery has a Message-ID of its own, in the sender's domain."""
    ids = [mail.message["Message-ID"] for mail in sent.mails]

    assert len(set(ids)) == len(ids) == sum(map(len, WHO.values()))
    assert all(one.endswith("@fabrikam.example>") for one in ids)


def test_the_report_is_english_for_everybody(sent: Sent) -> None:
    """A post-incident report is written in English, dates included, whatever the reader's language."""
    for mail in sent.of("post-incident-report"):
        part = mail.message.get_body(("plain",))
        assert part is not None

        assert mail.message["Content-Language"] == "en"
        assert "billing credit" in " ".join(part.get_content().split())
        assert re.search(
            r"(Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, \d+ [A-Z][a-z]+ \d{4}", part.get_content()
        )
