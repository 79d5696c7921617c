"""What lies ahead as people ask for it: simulate, timeline, policy test and diff, by their commands."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from in_process import Commands
from program import PROJECT, dispatcher
from typer.testing import CliRunner

from dispatcher.cli import commands  # noqa: F401 - registers the commands
from dispatcher.cli.main import cli

ALL = {"mail", "admin-centre", "in-product"}
TWO = {"mail", "admin-centre"}
ADMINS = {"admin@contoso.example", "oncall@contoso.example", "root@contoso.example"}
PARTNER = "partner@fabrikam.example"
TOLD = ADMINS | {"news@contoso.example", PARTNER}
DONE = ADMINS | {"news@contoso.example", "everyone@contoso.example"}
FIRST, SECOND, THIRD = (f"2027-{day}T21:00:00+02:00" for day in ("04-05", "04-12", "04-19"))
#: policy.md, section 2, row by row: the day, the type, where it is told, and who is mailed.
ROWS = [
    ("2026-12-01", "update-scheduled", ALL, TOLD),
    ("2026-12-02", "update-compatibility", TWO, TOLD),
    ("2026-12-03", "update-confirmed", {"admin-centre"}, set()),
    ("2027-01-05", "update-reminder", TWO, TOLD),
    ("2027-03-06", "update-reminder", TWO, TOLD),
    ("2027-03-21", "update-reminder", TWO, TOLD),
    ("2027-03-29", "update-reminder", ALL, TOLD),
    ("2027-04-05", "update-reminder", TWO, TOLD),
    ("2027-04-06", "update-fallback", TWO, TOLD),
    ("2027-04-07", "update-rescheduled", TWO, TOLD),
    ("2027-04-12", "update-reminder", ALL, TOLD),
    ("2027-04-19", "update-reminder", TWO, TOLD),
    ("2027-04-19", "update-in-progress", {"admin-centre"}, set()),
    ("2027-04-20", "update-succeeded", TWO, DONE),
]


def event(number: int, type_: str, time: str, **fields: Any) -> dict[str, Any]:
    """A CloudEvent about contoso-prod."""
    data = {"instances": ["contoso-prod"], "fields": {"update": "update-2027-1", **fields}}
    return {
        "specversion": "1.0",
        "id": str(number),
        "source": "/up",
        "type": type_,
        "time": time,
        "data": data,
    }


SCHEDULED = event(
    1,
    "update-scheduled",
    "2026-12-01T10:00:00+01:00",
    version="10.0",
    scheduled_at=FIRST,
    alternate_at=SECOND,
    offered_dates=[FIRST, SECOND, THIRD],
)
FINDING = {"area": "Extension", "problem": "Uses an old interface", "action": "Update it"}
LIFE = [
    SCHEDULED,
    event(2, "update-compatibility", "2026-12-02T10:00:00Z", findings=[FINDING]),
    event(3, "update-confirmed", "2026-12-03T10:00:00Z"),
    event(4, "update-fallback", "2027-04-06T10:00:00Z"),
    event(5, "update-rescheduled", "2027-04-07T10:00:00Z", scheduled_at=THIRD, rescheduled_by="vendor"),
    event(6, "update-confirmed", "2027-04-08T10:00:00Z"),
    event(7, "update-in-progress", "2027-04-19T19:10:00Z", stage="backup"),
    event(8, "update-succeeded", "2027-04-19T22:30:00Z"),
]


class Desk(Commands):
    """A root without any service, and commands in this process."""

    def __init__(self, root: Path, folder: Path) -> None:
        super().__init__(root)
        self.folder = folder

    def file(self, content: Any, name: str = "events.json") -> str:
        """A file that holds it as JSON."""
        (self.folder / name).write_text(json.dumps(content), encoding="utf-8")
        return str(self.folder / name)

    def rows(self, events: Any, first: str, last: str, *options: str) -> list[dict[str, Any]]:
        """What would come of events, as JSON."""
        times = ("--from", first, "--to", last)
        code, out, said = self.run(
            "simulate", *times, "--event", self.file(events), "--empty", "--json", *options
        )
        assert code == 0, said
        found: list[dict[str, Any]] = json.loads(out)
        return found


@pytest.fixture
def desk(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Neither a ledger nor Redis can be had."""
    monkeypatch.setenv("DISPATCHER_DATABASE_URL", "postgresql://nobody:none@127.0.0.1:9/none")
    monkeypatch.setenv("DISPATCHER_REDIS_URL", "redis://127.0.0.1:9/0")
    monkeypatch.setenv("DISPATCHER_STATE_DIR", str(tmp_path / "state"))
    return Desk(root, tmp_path)


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A root as `init` lays it out."""
    monkeypatch.setenv("DISPATCHER_STATE_DIR", str(tmp_path / "state"))
    found = Desk(tmp_path / "shipped", tmp_path)
    assert CliRunner().invoke(cli, ["init", str(found.root)]).exit_code == 0
    return found


class TestSimulate:
    def test_every_row_of_the_policy_is_told_on_its_day_on_its_channels_to_its_people(
        self, desk: Desk
    ) -> None:
        """Section 2, all rows and three channels, at nine o'clock there."""
        rows = desk.rows(LIFE, "2026-11-01", "2027-12-31")

        told = [row for row in rows if row["status"] in {"would-send", "recorded"}]
        found = [(row["at"][:10], row["type"], set(row["channels"]), set(row["to"])) for row in told]
        confirmed = ("2027-04-08", "update-confirmed", {"admin-centre"}, set[str]())
        assert found == sorted([*ROWS, confirmed], key=lambda row: (row[0], row[1] == "update-in-progress"))
        assert {row["at"][10:] for row in told if row["type"] == "update-reminder"} == {
            "T09:00:00+01:00",
            "T09:00:00+02:00",
        }

    def test_an_event_alone_in_its_file_and_without_a_time_comes_where_the_period_begins(
        self, desk: Desk
    ) -> None:
        """`--event` takes one CloudEvent as well as a list."""
        lone = {key: value for key, value in SCHEDULED.items() if key != "time"}

        rows = desk.rows(lone, "2026-12-10", "2026-12-10")

        assert [(row["type"], row["at"]) for row in rows] == [
            ("update-scheduled", "2026-12-10T00:00:00+01:00")
        ]

    def test_what_is_void_is_shown_to_who_asks_for_all(self, desk: Desk) -> None:
        """Superseded steps have their reason; without `--all` they are left out."""
        moved = [SCHEDULED, event(5, "update-rescheduled", "2027-03-20T10:00:00Z", scheduled_at=THIRD)]
        period = ("2027-03-01", "2027-04-30")

        everything = desk.rows(moved, *period, "--all")

        assert "superseded" not in {row["status"] for row in desk.rows(moved, *period)}
        void = [row["step"] for row in everything if row["status"] == "superseded"]
        assert void == ["reminder-15", "reminder-7", "reminder-0"]
        assert all(
            "the date moved from" in row["reason"] for row in everything if row["status"] == "superseded"
        )

    def test_a_refused_event_says_why_and_changes_nothing(self, desk: Desk) -> None:
        """Approving twice is refused; the rest goes on."""
        twice = [*LIFE[:1], LIFE[2], event(9, "update-confirmed", "2026-12-04T10:00:00Z")]

        rows = desk.rows(twice, "2026-12-04", "2026-12-04")

        assert [row["status"] for row in rows] == ["refused"]
        assert "is approved already" in rows[0]["reason"]

    def test_a_day_is_that_of_each_instance_and_a_moment_is_exact(self, desk: Desk) -> None:
        """A date is the whole day in Berlin; moments cut to the second."""
        at = "2027-01-05T09:00:00+01:00"

        assert len(desk.rows(SCHEDULED, "2027-01-05", "2027-01-05")) == 1
        assert len(desk.rows(SCHEDULED, at, at)) == 1
        assert desk.rows(SCHEDULED, "2027-01-05T09:00:01+01:00", "2027-01-06T00:00:00Z") == []

    def test_what_is_late_already_stands_where_the_period_begins(self, desk: Desk) -> None:
        """Whoever asks days later is not told that nothing is owed; what was met meanwhile is not."""
        fields = {"incident": "INC-9", "summary": "No sign-in", "status": "investigating"}
        times = {"started_at": "2027-01-12T07:50:00Z"}
        opened = event(1, "major-service-incident", "2027-01-12T08:00:00Z", **fields, **times)
        restored = event(
            2, "service-restored", "2027-01-13T10:00:00Z", **fields, restored_at="2027-01-13T09:55:00Z"
        )
        for one in (opened, restored):
            one["data"]["thread"] = "INC-9"
            one["data"]["fields"].pop("update")
        restored["data"]["fields"].pop("status")

        rows = desk.rows([opened], "2027-01-20", "2027-01-21")

        assert [(row["type"], row["status"], row["at"]) for row in rows] == [
            ("major-service-incident", "owed", "2027-01-20T00:00:00+01:00")
        ]
        assert "it must be sent by 2027-01-12 10:00 +01:00 for INC-9" in rows[0]["reason"]
        assert desk.rows([opened, restored], "2027-01-14", "2027-01-15") == []

    def test_what_was_void_stands_on_its_own_day(self, desk: Desk) -> None:
        """A short period is not filled with a year of steps that became void in it."""
        moved = [SCHEDULED, event(5, "update-rescheduled", "2027-03-20T10:00:00Z", scheduled_at=THIRD)]

        rows = desk.rows(moved, "2027-03-19", "2027-03-21", "--all")

        assert {row["at"][:10] for row in rows if row["status"] == "superseded"} == {"2027-03-21"}

    def test_text_says_it_by_the_day(self, desk: Desk) -> None:
        """A person reads day, time, instance, type, people and channels; and how many at the end."""
        file = desk.file(SCHEDULED)

        code, out, _ = desk.run(
            "simulate", "--from", "2027-01-01", "--to", "2027-01-31", "--event", file, "--empty"
        )

        assert code == 0
        assert out.startswith("2027-01-05 Tuesday\n  09:00  contoso-prod  update-reminder (reminder-90)  to ")
        assert out.endswith("5 mails\n")

    @pytest.mark.parametrize(
        ("content", "what"),
        [
            ("{", "is no JSON"),
            ("[]", ""),
            ('{"type": "x"}', "events[0].specversion: is missing"),
            ('{"specversion":"1.0","id":"1","source":"/a","type":"x","data":{"fieldz":{}}}', "data.fieldz"),
        ],
    )
    def test_a_file_that_holds_no_event_is_refused_with_its_place(
        self, desk: Desk, content: str, what: str
    ) -> None:
        """What, where, and what to do; an empty list is right and tells nothing."""
        (desk.folder / "bad.json").write_text(content, encoding="utf-8")
        file = str(desk.folder / "bad.json")

        code, out, said = desk.run(
            "simulate", "--from", "2027-01-01", "--to", "2027-01-02", "--event", file, "--empty", "--json"
        )

        assert code == (2 if what else 0)
        assert what in said
        assert out in {"", "[]\n"}

    def test_the_example_of_the_docs_is_what_comes_out(self, shipped: Desk) -> None:
        """The event of the page about updates, and what the page about simulating says comes of it."""
        docs = PROJECT / "docs"
        [event] = re.findall(
            r"```json\n(\{\n  \"specversion.*?)```",
            (docs / "updates.md").read_text(encoding="utf-8"),
            re.DOTALL,
        )
        page = (docs / "simulate.md").read_text(encoding="utf-8")
        [command, answer] = re.findall(
            r"```sh\ndispatcher (simulate .*?)\n```\n\n```\n(.*?)```", page, re.DOTALL
        )[0]
        file = shipped.file(json.loads(event), "update.json")

        code, out, said = shipped.run(*command.replace("update.json", file).split())

        assert (code, out) == (0, answer), said

    def test_without_a_ledger_it_names_the_way_to_do_without(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """In a fresh root the answer is `--empty`."""
        monkeypatch.delenv("DISPATCHER_DATABASE_URL")
        code, _, said = desk.run("simulate", "--from", "2027-01-01", "--to", "2027-01-02")

        assert code != 0
        assert "There is no ledger at" in said
        assert said.endswith("Or give --empty, to begin with nothing.")

    def test_without_empty_it_begins_with_what_the_ledger_has(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """An update that was announced is reminded of; nothing is written by looking."""
        monkeypatch.setenv("DISPATCHER_DATABASE_URL", f"sqlite:///{tmp_path}/ledger.db")
        date = (datetime.now(UTC) + timedelta(days=40)).replace(hour=20, minute=0, second=0, microsecond=0)
        fields = {"update": "u1", "version": "10.0", "scheduled_at": date.isoformat()}
        options = [part for key, value in fields.items() for part in ("--set", f"{key}={value}")]
        code, _, said = desk.run("send", "update-scheduled", "--instance", "contoso-prod", *options)
        assert code == 0, said
        before = desk.run("plan", "list", "--json")

        code, out, said = desk.run(
            "simulate", "--from", f"{datetime.now(UTC):%Y-%m-%d}", "--to", f"{date:%Y-%m-%d}", "--json"
        )

        assert code == 0, said
        rows = json.loads(out)
        assert [row["step"] for row in rows if row["status"] == "would-send"] == [
            "reminder-30",
            "reminder-15",
            "reminder-7",
            "reminder-0",
        ]
        assert desk.run("plan", "list", "--json") == before


class TestTimeline:
    def test_draws_a_picture_that_says_what_it_shows(self, desk: Desk) -> None:
        """Well-formed SVG with a title and a description, in light and in dark."""
        out = desk.folder / "ahead.svg"

        code, _, said = desk.run("timeline", "--out", str(out), "--event", desk.file(LIFE), "--empty")

        assert code == 0, said
        text = out.read_text(encoding="utf-8")
        picture = ET.fromstring(text)
        space = "{http://www.w3.org/2000/svg}"
        assert picture.get("role") == "img"
        assert (picture.findtext(f"{space}title") or "").startswith("What lies ahead")
        assert "contoso-prod" in (picture.findtext(f"{space}desc") or "")
        assert "prefers-color-scheme:dark" in text

    def test_of_nothing_there_is_no_picture(self, desk: Desk) -> None:
        """It says so, and writes no file."""
        out = desk.folder / "ahead.svg"

        code, _, said = desk.run("timeline", "--out", str(out), "--empty")

        assert code == 2
        assert "nothing would be told" in said
        assert not out.exists()


class TestPolicy:
    def test_the_shipped_expectations_hold(self, desk: Desk) -> None:
        """Those of policy-tests/, with the shipped catalogue."""
        files = sorted(map(str, (PROJECT / "policy-tests").glob("*.yaml")))

        code, out, said = desk.run("policy", "test", *files)

        assert (code, out) == (0, ""), out
        assert "expectations hold" in said

    def test_one_that_does_not_hold_shows_the_difference_and_its_line(self, desk: Desk) -> None:
        """Exit code 1; what was wanted and what is stand one below the other."""
        (desk.folder / "mine.yaml").write_text(
            "given:\n"
            f"  - {json.dumps(SCHEDULED)}\n"
            "tests:\n"
            "  - at: 2027-01-05\n"
            "    name: Ninety days before\n"
            "    expect: {type: update-reminder, instance: contoso-prod, to: [admin@contoso.example]}\n"
            "  - at: 2027-01-06\n"
            "    expect: {none: true}\n",
            encoding="utf-8",
        )

        code, out, said = desk.run("policy", "test", str(desk.folder / "mine.yaml"))

        assert code == 1
        assert "mine.yaml:6: Ninety days before" in out
        assert "    - to: admin@contoso.example\n" in out
        assert "    + to: admin@contoso.example, news@contoso.example" in out
        assert "1 expectation holds, 1 does not." in said

    @pytest.mark.parametrize(
        ("expect", "holds"),
        [
            ("{none: true}", True),
            ("{type: update-confirmed, none: true}", True),
            ("{channels: [mail], none: true}", True),
            ("{channels: [admin-centre], none: true}", False),
            ("{status: would-send, none: true}", False),
        ],
    )
    def test_none_is_about_mail_unless_it_names_channels_or_a_status(
        self, desk: Desk, expect: str, *, holds: bool
    ) -> None:
        """What the admin centre alone shows is no mail; who asks for the channel or the status sees it."""
        given = json.dumps([SCHEDULED, LIFE[2]])
        (desk.folder / "none.yaml").write_text(
            f"given: {given}\ntests:\n  - {{at: 2026-12-03, expect: {expect}}}\n", encoding="utf-8"
        )

        code, out, _ = desk.run("policy", "test", str(desk.folder / "none.yaml"))

        assert code == (0 if holds else 1), out
        if not holds:
            assert "+ contoso-prod update-confirmed confirmed would-send on admin-centre" in out

    def test_who_is_to_get_nothing_gets_nothing_together_with_others_either(self, desk: Desk) -> None:
        """With `none`, `to` and `channels` name what must not be among those of any row."""
        for one in ("to: [Partner@fabrikam.example]", "channels: [mail]"):
            (desk.folder / "none.yaml").write_text(
                f"given: {json.dumps([SCHEDULED])}\n"
                f"tests:\n  - {{at: 2027-01-05, expect: {{{one}, none: true}}}}\n",
                encoding="utf-8",
            )

            code, out, _ = desk.run("policy", "test", str(desk.folder / "none.yaml"))

            assert code == 1
            assert "+ contoso-prod update-reminder reminder-90 would-send to " in out

    def test_what_became_void_can_be_expected(self, desk: Desk) -> None:
        """A step that a new date supersedes is a row of its own day."""
        moved = event(5, "update-rescheduled", "2027-03-20T10:00:00Z", scheduled_at=THIRD)
        (desk.folder / "void.yaml").write_text(
            f"given: {json.dumps([SCHEDULED, moved])}\n"
            "tests:\n  - {at: 2027-03-29, expect: [{step: reminder-7, status: superseded}, {none: true}]}\n",
            encoding="utf-8",
        )

        code, out, _ = desk.run("policy", "test", str(desk.folder / "void.yaml"))

        assert code == 0, out

    @pytest.mark.parametrize(
        ("expect", "said"),
        [
            ("type: update-reminderz", "Did you mean update-reminder?"),
            ("instance: contoso-prd", "Did you mean contoso-prod?"),
            ("step: reminder-90x", "Did you mean reminder-90?"),
            ("cadence: launch-readiness, step: reminder-90", "'reminder-90' is no step"),
            ("cadence: major-updates", "Did you mean major-update?"),
            ("status: would_send", "Did you mean would-send?"),
            ("channels: [inproduct]", "channels: 'inproduct' is no channel that there is. Did you mean"),
        ],
    )
    def test_an_expectation_of_what_there_is_not_is_refused(self, desk: Desk, expect: str, said: str) -> None:
        """With `none` it would hold for ever, so it is no expectation at all."""
        (desk.folder / "slip.yaml").write_text(
            f"tests:\n  - at: 2027-01-05\n    expect: {{{expect}, none: true}}\n", encoding="utf-8"
        )

        code, out, why = desk.run("policy", "test", str(desk.folder / "slip.yaml"))

        assert (code, out) == (2, "")
        assert "slip.yaml:3: " in why
        assert said in why

    def test_the_example_of_the_docs_is_what_comes_out(self, shipped: Desk) -> None:
        """The file that the page shows, with the shipped recipients, and the answer below it."""
        page = (PROJECT / "docs" / "simulate.md").read_text(encoding="utf-8")
        [file] = re.findall(r"```yaml\n(given:.*?)```", page, re.DOTALL)
        [answer] = re.findall(r"```\n(FAILED .*?)```", page, re.DOTALL)
        mine = shipped.root / "policy-tests" / "mine.yaml"
        mine.write_text(file, encoding="utf-8")

        assert shipped.run("policy", "test", str(mine))[:2] == (1, answer)

    def test_a_given_event_that_is_refused_unasked_is_told(self, desk: Desk) -> None:
        """Nothing comes of it, so `none` would hold by a slip; who expects the refusal knows."""
        given = json.dumps([event(7, "update-schedulde", "2026-12-01T10:00:00Z")])
        for expect, told in (("none: true", True), ("status: refused", False)):
            (desk.folder / "given.yaml").write_text(
                f"given: {given}\ntests:\n  - {{at: 2026-12-01, expect: {{{expect}}}}}\n", encoding="utf-8"
            )

            code, _, said = desk.run("policy", "test", str(desk.folder / "given.yaml"))

            assert code == 0
            assert (
                "Warning: " in said and "given update-schedulde at 2026-12-01T11:00:00+01:00" in said
            ) == told

    def test_a_word_that_is_none_is_refused_with_its_line(self, desk: Desk) -> None:
        """A slip in an expectation never passes for one that holds."""
        (desk.folder / "slip.yaml").write_text(
            "- {at: 2027-01-05, expect: {too: [a@b.example]}}\n", encoding="utf-8"
        )

        code, _, said = desk.run("policy", "test", str(desk.folder / "slip.yaml"))

        assert code == 2
        assert "slip.yaml:1:" in said
        assert "did you mean to" in said.lower()


class TestThreads:
    def test_the_end_of_an_incident_is_shown_where_the_incident_was(self, desk: Desk) -> None:
        """Nobody was mailed of it, so nobody is mailed of its end; both are shown at the instance."""
        at = "2026-12-01T10:00:00Z"
        begun = event(1, "service-incident", at)
        fields = {"incident": "INC-7", "summary": "Nobody could sign in", "started_at": at}
        begun["data"] = {"thread": "INC-7", "instances": ["contoso-prod"], "fields": fields}
        over = event(2, "service-restored", "2026-12-01T11:00:00Z")
        fields = {"summary": "It works again", "restored_at": "2026-12-01T10:55:00Z"}
        over["data"] = {"thread": "INC-7", "fields": fields}

        rows = desk.rows([begun, over], "2026-12-01", "2026-12-02")

        assert [(row["type"], row["status"], row["to"]) for row in rows] == [
            ("service-incident", "would-send", []),
            ("service-restored", "would-send", []),
        ]
        assert "in-product" in rows[1]["channels"]


class TestDiff:
    def test_sees_how_long_before_the_date_the_last_step_is_told(self, desk: Desk) -> None:
        """A cadence's `ahead` moves the step of the day itself, and no other."""
        _commit(desk.root)
        file = desk.root / "catalogue.yaml"
        text = file.read_text(encoding="utf-8")
        head, cadence = text.split("  major-update:\n", 1)
        file.write_text(
            f"{head}  major-update:\n    ahead: PT4H\n{cadence}".replace("    ahead: PT3H\n", "", 1)
        )

        said = desk.run("diff", "HEAD")

        assert "- -0d at 09:00, at least PT3H before: update-reminder to" in said[1]
        assert "+ -0d at 09:00, at least PT4H before: update-reminder to" in said[1]
        assert "reminder-7" not in said[1]
        assert "1 step differs" in said[1] + said[2]

    def test_says_who_gains_and_who_loses_which_mail(self, desk: Desk) -> None:
        """By address, with the lines that say so; an end that is to come counts from its day on."""
        _commit(desk.root)
        file = next((desk.root / "recipients").glob("contoso-prod.yaml"))
        text = file.read_text(encoding="utf-8")
        text = text.replace(
            "  - news@contoso.example\n", "  - {address: news@contoso.example, until: 9000-01-01}\n"
        )
        file.write_text(text.replace("[root@contoso.example]", "[new@contoso.example]"), encoding="utf-8")

        code, out, said = desk.run("diff", "HEAD", "--json")

        assert code == 0, said
        found = json.loads(out)
        about = {(one["kind"], one["address"]) for one in found}
        assert about == {
            ("gains", "new@contoso.example"),
            ("loses", "root@contoso.example"),
            ("loses", "news@contoso.example"),
        }
        news = next(one for one in found if one["address"] == "news@contoso.example")
        assert news["since"] == "9000-01-02"
        assert news["reasons"][0].startswith("recipients at recipients/contoso-prod.yaml:")
        assert "the entry ended on 9000-01-01" in news["because"][0]
        assert "+ new@contoso.example gains" in desk.run("diff", "HEAD")[1]

    def test_names_who_gains_and_loses_by_a_step(self, shipped: Desk) -> None:
        """A step has roles and channels of its own; whoever loses its mail is named, and the step with it."""
        _commit(shipped.root)
        file = shipped.root / "catalogue.yaml"
        text = file.read_text(encoding="utf-8")
        text = text.replace(
            "      reminder-30: {at: -30d, type: update-reminder, channels: [mail, admin-centre]}\n",
            "      reminder-30: {at: -30d, type: update-reminder, roles: [admins, users]}\n"
            "      reminder-20: {at: -20d, type: update-reminder, roles: [admins]}\n",
        )
        text = text.replace(
            "      reminder-15: {at: -15d, type: update-reminder, channels: [mail, admin-centre]}\n",
            "      reminder-15: {at: -15d, type: update-reminder, channels: [admin-centre]}\n",
        )
        file.write_text(text, encoding="utf-8")

        code, out, said = shipped.run("diff", "HEAD", "--json")

        assert code == 0, said
        people = [one for one in json.loads(out) if one["kind"] in {"gains", "loses"}]
        found = {
            (one["kind"], one["step"], one["address"]) for one in people if one["instance"] == "contoso-prod"
        }
        assert found == {
            ("loses", "reminder-30", PARTNER),
            ("gains", "reminder-30", "everyone@contoso.example"),
            *(("gains", "reminder-20", address) for address in ADMINS),
            *(("loses", "reminder-15", address) for address in (*ADMINS, PARTNER)),
        }
        assert {one["cadence"] for one in people} == {"major-update"}
        _, out, said = shipped.run("diff", "HEAD")
        assert (
            "  - partner@fabrikam.example loses update-reminder (reminder-30), update-reminder (reminder-15)"
            in out
        )
        assert "now: reminder-15 of major-update is not mailed" in out or "now: " in out

    def test_a_commit_that_is_not_there_is_named(self, desk: Desk) -> None:
        """And what looks like an option is no option to git."""
        _git(desk.root, "init", "-q")

        for ref in ("nope", "--output=x"):
            code, _, said = desk.run("diff", "--", ref)
            assert code == 2
            assert f"git knows no commit '{ref}'" in said


def _commit(root: Path) -> None:
    """Put all of a root under git."""
    _git(root, "init", "-q")
    _git(root, "add", "-A")
    _git(root, "commit", "-qm", "one")


def _git(root: Path, *arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *arguments], cwd=root, check=True, capture_output=True, timeout=30)


def test_simulate_needs_no_service_and_writes_nothing(root: Path, tmp_path: Path) -> None:
    """As a program of its own: no ledger, no database, no Redis, and no state folder afterwards."""
    state = tmp_path / "state"
    file = tmp_path / "event.json"
    file.write_text(json.dumps(SCHEDULED), encoding="utf-8")

    done = dispatcher(
        root,
        *(
            "simulate",
            "--from",
            "2026-12-01",
            "--to",
            "2027-04-30",
            "--event",
            str(file),
            "--empty",
            "--json",
        ),
        DISPATCHER_STATE_DIR=str(state),
        DISPATCHER_DATABASE_URL="postgresql://nobody:none@127.0.0.1:9/none",
        DISPATCHER_REDIS_URL="redis://127.0.0.1:9/0",
    )

    assert done.code == 0, done.err
    assert len(json.loads(done.out)) == 6
    assert not [path for path in state.rglob("*") if path.name != "recipients.cache"]
