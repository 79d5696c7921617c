from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from domain_examples import shipped, steady
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain.audience import Question, explain_absence, readers, resolve
from dispatcher.domain.delivery import Reason
from dispatcher.domain.house import Owner
from dispatcher.domain.instance import Instance, ListedPerson

TODAY = date(2026, 3, 1)
FILE = "recipients/contoso.yaml"
CONTACT = {"contact": "contact@contoso.example"}

#: Policy, section 6. A blank means nobody by mail.
POLICY = {
    "planned-maintenance": "admins global_admins recipients",
    "unplanned-maintenance": "admins global_admins recipients",
    "major-service-incident": "admins global_admins recipients",
    "update-scheduled": "admins global_admins recipients partners",
    "update-reminder": "admins global_admins recipients partners",
    "update-rescheduled": "admins global_admins recipients partners",
    "update-fallback": "admins global_admins recipients partners",
    "update-compatibility": "admins global_admins recipients partners",
    "update-succeeded": "admins global_admins recipients users",
    "update-confirmed": "",
    "update-in-progress": "",
    "security-update": "",
    "service-incident": "admins global_admins",
    "launch-readiness": "admins global_admins",
    "post-purchase": "admins global_admins",
    "service-restored": "admins global_admins recipients",
    "post-incident-report": "admins global_admins recipients",
    "general-awareness": "admins global_admins recipients",
    "support-case-received": "admins global_admins contact",
    "support-case-closing": "admins global_admins contact",
    "support-case-resolved": "admins global_admins contact",
    # Ours: the policy has no word for them. Owners stand in no recipient file.
    "update-cancelled": "admins global_admins recipients partners",
    "obligation-overdue": "",
}


def question(key: str, **fields: Any) -> Question:
    return Question(key, shipped().types[key], TODAY, fields)


def instance(**roles: list[Any]) -> Instance:
    """An instance of these people; its only admin, unless others are given, is ``admin@contoso.example``."""
    people: dict[str, list[Any]] = {"admins": ["admin@contoso.example"]} | roles
    line = 1
    for role, entries in people.items():
        people[role] = [entry if isinstance(entry, dict) else {"address": entry} for entry in entries]
        for entry in people[role]:
            entry["line"] = line = line + 1
    return Instance.model_validate({"instance": "contoso", "file": FILE, "time_zone": "Asia/Tokyo", **people})


def addresses(question: Question, instance: Instance) -> list[str]:
    return [recipient.address for recipient in resolve(question, instance).recipients]


CONTOSO = instance(
    admins=["admins@contoso.example"],
    global_admins=["global_admins@contoso.example"],
    recipients=["recipients@contoso.example"],
    users=["users@contoso.example"],
    partners=["partners@fabrikam.example"],
)


def test_the_policy_names_every_shipped_type() -> None:
    """The table of this file and the catalogue know the same types."""
    assert set(POLICY) == set(shipped().types)


@pytest.mark.parametrize(("key", "roles"), POLICY.items())
def test_the_policy_s_roles_get_the_mail(key: str, roles: str) -> None:
    """Of distinct people in every role exactly those get a mail whom the policy names, in its order."""
    audience = resolve(question(key, **CONTACT), CONTOSO)
    got = [recipient.address.partition("@")[0] for recipient in audience.recipients]
    left_out = {omission.role for omission in audience.omissions}

    assert got == roles.split()
    assert left_out == {"admins", "global_admins", "recipients", "users", "partners"} - set(got)


@pytest.mark.parametrize("key", [key for key, roles in POLICY.items() if roles])
def test_each_recipient_knows_why(key: str) -> None:
    """Every reason names its role and the line of the file, or the event's field."""
    for recipient in resolve(question(key, **CONTACT), CONTOSO).recipients:
        (reason,) = recipient.reasons
        line = ["admins", "global_admins", "recipients", "users", "partners", "contact"].index(
            reason.role
        ) + 2

        assert recipient.address.startswith(reason.role)
        assert reason.at == ("the event's field contact" if line == 7 else f"{FILE}:{line}")
        assert recipient.sender == ("partners" if reason.role == "partners" else "default")


def test_a_case_without_a_contact_goes_to_the_admins() -> None:
    """A contact that is not known yet is nobody."""
    assert addresses(question("support-case-received", contact=None), instance()) == ["admin@contoso.example"]


def test_a_contact_is_read_only_where_the_type_mails_it() -> None:
    """A field called contact means nothing to other types."""
    assert addresses(question("planned-maintenance", **CONTACT), instance()) == ["admin@contoso.example"]


def test_one_person_gets_one_mail_with_all_reasons() -> None:
    """However many roles name an address, in any case, it is one recipient with every reason in order."""
    person = instance(
        partners=["ANN@contoso.example"],
        recipients=["ann@CONTOSO.example", "bob@contoso.example", "aNN@contoso.example"],
        global_admins=["Ann@contoso.example"],
        admins=["ann@contoso.example", "cat@contoso.example"],
    )
    audience = resolve(question("update-scheduled"), person)

    assert [recipient.address for recipient in audience.recipients] == [
        "ann@contoso.example", "cat@contoso.example", "bob@contoso.example",
    ]  # fmt: skip
    assert audience.recipients[0].reasons == (
        Reason("admins", f"{FILE}:2"),
        Reason("global_admins", f"{FILE}:8"),
        Reason("recipients", f"{FILE}:5"),
        Reason("recipients", f"{FILE}:7"),
        Reason("partners", f"{FILE}:4"),
    )
    assert audience.recipients[0].roles == ("admins", "global_admins", "recipients", "partners")
    assert audience.recipients[0].sender == "default"


def test_without_a_file_the_instance_is_the_place() -> None:
    """People who come from no file are found by their instance."""
    person = Instance.model_validate({"instance": "contoso", "admins": ["a@contoso.example"]})

    assert resolve(question("planned-maintenance"), person).recipients[0].reasons[0].at == "instance contoso"


def test_the_profile_comes_from_the_first_role_that_gives_it() -> None:
    """Name, language and zone are taken one by one, in the policy's order of roles, counting or not."""
    address = {"address": "ann@contoso.example"}
    person = instance(
        partners=[address | {"name": "Partner", "language": "it", "time_zone": "Europe/Rome"}],
        users=[address | {"name": "User", "language": "fr", "time_zone": "Europe/Paris"}],
        recipients=[address | {"name": "Listed", "language": "de", "until": "2020-01-01"}],
        global_admins=[address | {"name": "Global"}],
        admins=[address],
    )
    (recipient,) = resolve(question("service-incident"), person).recipients

    assert (recipient.name, recipient.language, recipient.time_zone) == ("Global", "de", "Europe/Paris")


def test_the_instance_stands_in_for_what_nobody_gives() -> None:
    """Without a word from any role the instance's language and zone hold, and there is no name."""
    (recipient,) = resolve(question("service-incident"), instance()).recipients

    assert (recipient.name, recipient.language, recipient.time_zone) == (None, "en", "Asia/Tokyo")


NARROWED = (
    ({"only": ["planned-maintenance"]}, "planned-maintenance", ""),
    (
        {"only": ["planned-maintenance"]},
        "unplanned-maintenance",
        "the entry asks for only planned-maintenance",
    ),
    ({"only": ["maintenance"]}, "unplanned-maintenance", ""),
    (
        {"only": ["maintenance", "incident"]},
        "update-reminder",
        "the entry asks for only maintenance, incident",
    ),
    (
        {"except": ["planned-maintenance"]},
        "planned-maintenance",
        "the entry asks for all except planned-maintenance",
    ),
    ({"except": ["planned-maintenance"]}, "unplanned-maintenance", ""),
    ({"except": ["awareness"]}, "general-awareness", "the entry asks for all except awareness"),
    ({"except": ["awareness"]}, "planned-maintenance", ""),
    (
        {"only": ["maintenance"], "except": ["planned-maintenance"]},
        "planned-maintenance",
        "the entry asks for all except planned-maintenance",
    ),
    ({"only": ["maintenance"], "except": ["planned-maintenance"]}, "unplanned-maintenance", ""),
    ({"until": "2026-03-01"}, "planned-maintenance", ""),
    ({"until": "2026-02-28"}, "planned-maintenance", "the entry ended on 2026-02-28 (until)"),
    (
        {"until": "2026-02-28", "only": ["incident"]},
        "planned-maintenance",
        "the entry ended on 2026-02-28 (until)",
    ),
)


@pytest.mark.parametrize(("narrowing", "key", "why"), NARROWED)
def test_an_entry_of_the_list_may_be_narrowed_and_may_end(
    narrowing: dict[str, Any], key: str, why: str
) -> None:
    """`only` and `except` take types and banners, the last day of `until` counts; the omission says why."""
    listed = instance(recipients=[{"address": "ops@contoso.example"} | narrowing])
    audience = resolve(question(key), listed)
    got = "ops@contoso.example" in addresses(question(key), listed)

    assert got is (why == "")
    assert [omission.why for omission in audience.omissions] == ([why] if why else [])
    assert explain_absence(question(key), listed, "OPS@contoso.example") == (
        [f"recipients at {FILE}:3: {why}"] if why else []
    )


def test_an_admin_cannot_be_narrowed() -> None:
    """An admin who narrows an entry of the list still gets the mail as an admin, for that reason alone."""
    listed = instance(recipients=[{"address": "admin@contoso.example", "except": ["maintenance"]}])
    audience = resolve(question("planned-maintenance"), listed)

    assert [reason.role for reason in audience.recipients[0].reasons] == ["admins"]
    assert [omission.role for omission in audience.omissions] == ["recipients"]
    assert explain_absence(question("planned-maintenance"), listed, "admin@contoso.example") == []


def test_a_narrowed_record_does_not_narrow_an_admin() -> None:
    """Even a record made for the list, put among the admins, is an admin like any other."""
    ended = {"address": "a@contoso.example", "until": "2020-01-01", "only": ["incident"]}
    person = ListedPerson.model_validate(ended)
    narrowed = Instance.model_validate({"instance": "contoso", "admins": [person]})

    assert addresses(question("planned-maintenance"), narrowed) == ["a@contoso.example"]


@pytest.mark.parametrize(
    ("roles", "sender"),
    [
        (["partners"], "partners"),
        (["admins", "partners"], "default"),
        (["recipients", "partners"], "default"),
        (["users", "partners"], "partners"),
    ],
)
def test_the_partner_sender_is_for_partners_alone(roles: list[str], sender: str) -> None:
    """Somebody who also gets the mail for another reason hears from the usual sender."""
    address = "ann@contoso.example"
    person = instance(**{"admins": ["x@contoso.example"], **{role: [address] for role in roles}})
    found = {
        recipient.address: recipient for recipient in resolve(question("update-scheduled"), person).recipients
    }

    assert found[address].sender == sender


def test_an_ended_entry_leaves_the_partner_a_partner() -> None:
    """Only reasons that count decide the sender."""
    person = instance(
        recipients=[{"address": "ann@contoso.example", "until": "2020-01-01"}],
        partners=["ann@contoso.example"],
    )

    assert resolve(question("update-scheduled"), person).recipients[1].sender == "partners"


@pytest.mark.parametrize(
    ("key", "address", "sentences"),
    [
        ("update-scheduled", "partners@fabrikam.example", []),
        ("service-incident", "users@contoso.example",
         [f"users at {FILE}:5: service-incident goes to admins, global_admins, not to users"]),
        ("service-incident", "nobody@contoso.example", [f"{FILE} does not name nobody@contoso.example"]),
        ("update-confirmed", "admins@contoso.example",
         ["update-confirmed mails nobody: an approved date is shown in the admin centre only"]),
        ("update-confirmed", "stranger@contoso.example",
         ["update-confirmed mails nobody: an approved date is shown in the admin centre only"]),
        ("support-case-closing", "CONTACT@contoso.example", []),
        ("planned-maintenance", "contact@contoso.example", [f"{FILE} does not name contact@contoso.example"]),
    ],
)  # fmt: skip
def test_an_absence_is_explained(key: str, address: str, sentences: list[str]) -> None:
    """There is a sentence for each entry that names the address, or one that says that none does."""
    assert explain_absence(question(key, **CONTACT), CONTOSO, address) == sentences


def test_an_absence_has_a_sentence_for_each_entry() -> None:
    """Somebody named twice hears both reasons, in the order of the roles."""
    person = instance(
        users=["ann@contoso.example"], recipients=[{"address": "Ann@contoso.example", "only": ["incident"]}]
    )

    assert explain_absence(question("planned-maintenance"), person, "ann@contoso.example") == [
        f"recipients at {FILE}:4: the entry asks for only incident",
        f"users at {FILE}:3: planned-maintenance goes to admins, global_admins, recipients, not to users",
    ]


# --- The same rules once more, slowly: one address at a time, one rule at a time ---------------------

ORDER = ("admins", "global_admins", "recipients", "users", "partners")
BANNER = {
    "planned-maintenance": "maintenance",
    "update-scheduled": "scheduling",
    "update-succeeded": "scheduling",
    "service-incident": "incident",
    "support-case-received": "awareness",
}


@dataclass
class Slow:
    """Answers about one address, straight from the words of the policy."""

    key: str
    people: dict[str, list[dict[str, Any]]]
    contact: str

    def about(self, address: str) -> dict[str, Any] | None:
        mine = [
            (role, entry) for role in ORDER for entry in self.people[role] if same(entry["address"], address)
        ]
        roles = [
            role for role, entry in mine if role in POLICY[self.key].split() and self.counts(role, entry)
        ]
        if "contact" in POLICY[self.key] and same(self.contact, address):
            roles.append("contact")
        if not roles:
            return None
        profile = {
            key: next((entry[key] for _, entry in mine if entry.get(key)), None)
            for key in ("name", "language", "time_zone")
        }
        only_partner = all(role == "partners" for role in roles)
        return {
            "roles": roles,
            "name": profile["name"],
            "language": profile["language"] or "en",
            "time_zone": profile["time_zone"] or "Asia/Tokyo",
            "sender": "partners" if only_partner else "default",
        }

    def counts(self, role: str, entry: dict[str, Any]) -> bool:
        if role != "recipients":
            return True
        if entry.get("until") and date.fromisoformat(entry["until"]).toordinal() < TODAY.toordinal():
            return False
        words = (self.key, BANNER[self.key])
        if entry.get("only") and not any(word in entry["only"] for word in words):
            return False
        return not any(word in entry.get("except", []) for word in words)


def same(one: str, other: str) -> bool:
    return one.lower() == other.lower()


NAMES = st.sampled_from([f"{name}@contoso.example" for name in ("ann", "ANN", "bob", "Bob", "cat", "dan")])
WORDS = st.lists(st.sampled_from([*BANNER, *set(BANNER.values())]), max_size=2)


def person(**more: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    optional = {
        "name": st.sampled_from(["One", "Two"]),
        "language": st.sampled_from(["de", "ja"]),
        "time_zone": st.sampled_from(["Europe/Berlin", "UTC"]),
        **more,
    }
    return st.fixed_dictionaries({"address": NAMES}, optional=optional)


DAYS = st.sampled_from(["2026-02-28", "2026-03-01", "2026-03-02"])
LISTED = person(only=WORDS, until=DAYS, **{"except": WORDS})
PEOPLE = st.fixed_dictionaries(
    {
        role: st.lists(
            LISTED if role == "recipients" else person(), min_size=int(role == "admins"), max_size=3
        )
        for role in ORDER
    }
)


@steady
@given(st.sampled_from(list(BANNER)), PEOPLE, NAMES)
def test_the_audience_equals_a_slow_reading_of_the_policy(
    key: str, people: dict[str, list[dict[str, Any]]], contact: str
) -> None:
    """For any instance everybody gets what a slow, separate reading of the policy gives them, once."""
    slow = Slow(key, people, contact)
    contoso = Instance.model_validate(
        {"instance": "contoso", "time_zone": "Asia/Tokyo", "file": FILE, **people}
    )
    audience = resolve(question(key, contact=contact), contoso)
    named = {entry["address"].lower() for entries in people.values() for entry in entries} | {contact.lower()}
    expected = {address: slow.about(address) for address in named}
    got = {
        recipient.address.lower(): {
            "roles": [reason.role for reason in recipient.reasons],
            "name": recipient.name,
            "language": recipient.language,
            "time_zone": recipient.time_zone,
            "sender": recipient.sender,
        }
        for recipient in audience.recipients
    }

    assert len(got) == len(audience.recipients)
    assert got == {address: answer for address, answer in expected.items() if answer}
    for address in named:
        assert bool(explain_absence(question(key, contact=contact), contoso, address)) is (
            expected[address] is None
        )


def test_the_owners_come_from_the_catalogue() -> None:
    """What is owed is told to the service's own people, in their language, whoever else they are."""
    owner = Owner(address="Ada@contoso.example", language="de", time_zone="Europe/Berlin")
    instance = Instance.model_validate({"instance": "x", "admins": ["ada@contoso.example", "b@x.example"]})
    asked = Question("obligation-overdue", shipped().types["obligation-overdue"], TODAY, {}, (owner,))
    (found,) = resolve(asked, instance).recipients

    assert (found.address, found.language, found.time_zone) == (owner.address, "de", "Europe/Berlin")
    assert found.reasons == (Reason("owners", "owners in catalogue.yaml"),)


def test_owners_get_nothing_else() -> None:
    """Of other types they are not part, though they are known."""
    owner = Owner(address="duty@fabrikam.example")
    instance = Instance.model_validate({"instance": "x", "admins": ["a@x.example"]})
    asked = Question("planned-maintenance", shipped().types["planned-maintenance"], TODAY, {}, (owner,))

    assert [one.address for one in resolve(asked, instance).recipients] == ["a@x.example"]


@pytest.mark.parametrize("key", ["planned-maintenance", "update-scheduled", "update-succeeded"])
def test_one_after_the_other_they_are_the_same(key: str) -> None:
    """Who goes through the readers of an instance meets exactly those whom its audience has."""
    person = instance(
        admins=["a@x.example", {"address": "B@x.example", "language": "ja"}],
        recipients=[{"address": "b@x.example", "name": "B", "only": ["update"]}, "c@x.example"],
        users=["C@x.example", {"address": "a@x.example", "time_zone": "Europe/Paris"}],
        partners=["d@x.example"],
    )

    assert tuple(readers(question(key), person)) == resolve(question(key), person).recipients
