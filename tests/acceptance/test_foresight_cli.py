"""What lies ahead as people ask for it: simulate, timeline, policy test and diff, by their commands."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from program import PROJECT, dispatcher
from typer.testing import CliRunner

from dispatcher.cli import commands  # noqa: F401 - registers the commands
from dispatcher.cli.main import cli
from dispatcher.errors import DispatcherError

ALL = {"mail", "admin-centre", "in-product"}
TWO = {"mail", "admin-centre"}
ADMINS = {"admin@contoso.example", "oncall@contoso.example", "root@contoso.example"}
TOLD = ADMINS | {"news@contoso.example", "partner@fabrikam.example"}
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


class Desk:
    """A root without any service, and commands in this process."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root, self.folder = root, folder

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run one command: its exit code, standard output and standard error."""
        done = CliRunner().invoke(cli, ["--root", str(self.root), *arguments])
        if isinstance(done.exception, DispatcherError):
            return 2, done.stdout, str(done.exception)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.stdout, done.stderr

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
        assert "1 expectations hold, 1 do not" in said

    def test_a_word_that_is_none_is_refused_with_its_line(self, desk: Desk) -> None:
        """A slip in an expectation never passes for one that holds."""
        (desk.folder / "slip.yaml").write_text(
            "- {at: 2027-01-05, expect: {too: [a@b.example]}}\n", encoding="utf-8"
        )

        code, _, said = desk.run("policy", "test", str(desk.folder / "slip.yaml"))

        assert code == 2
        assert "slip.yaml:1:" in said
        assert "did you mean to" in said.lower()


class TestDiff:
    def test_says_who_gains_and_who_loses_which_mail(self, desk: Desk) -> None:
        """By address, with the lines that say so; an end that is to come counts from its day on."""
        _git(desk.root, "init", "-q")
        _git(desk.root, "add", "-A")
        _git(desk.root, "commit", "-qm", "one")
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

    def test_a_commit_that_is_not_there_is_named(self, desk: Desk) -> None:
        """And what looks like an option is no option to git."""
        _git(desk.root, "init", "-q")

        for ref in ("nope", "--output=x"):
            code, _, said = desk.run("diff", "--", ref)
            assert code == 2
            assert f"git knows no commit '{ref}'" in said


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
