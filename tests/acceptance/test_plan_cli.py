"""An update as operators meet it: announced, looked at, approved, moved and cancelled, by commands."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from in_process import Commands
from program import dispatcher, staying

from dispatcher.cli import commands  # noqa: F401 - registers the commands
from dispatcher.smtp.catcher import caught

NOW = datetime.now(UTC).replace(microsecond=0, second=0)
FIRST, SECOND, THIRD = ((NOW + timedelta(days=days)).isoformat() for days in (120, 134, 148))
AT = ("--instance", "contoso-prod")
#: Nothing takes as long; what does will never come.
SECONDS = 60


class Desk(Commands):
    """A root, and commands in this process."""

    def announce(self) -> None:
        """An update gets its date."""
        fields = {"update": "u1", "version": "10.0", "scheduled_at": FIRST}
        options = [part for key, value in fields.items() for part in ("--set", f"{key}={value}")]
        offered = f"offered_dates={FIRST},{SECOND},{THIRD}"
        code, _, said = self.run("send", "update-scheduled", *AT, *options, "--set", offered)
        assert code == 0, said


@pytest.fixture
def desk(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("DISPATCHER_DATABASE_URL", f"sqlite:///{tmp_path}/ledger.db")
    monkeypatch.setenv("DISPATCHER_STATE_DIR", str(tmp_path))
    return Desk(root)


class TestPlan:
    def test_is_listed_and_shown(self, desk: Desk) -> None:
        """The list says where each stands and what comes next; `show` has each step and each turn."""
        desk.announce()
        code, out, _ = desk.run("plan", "list", *AT)
        assert code == 0
        assert "u1" in out
        assert "reminder-90" in out
        [listed] = json.loads(desk.run("plan", "list", "--about", "u1", "--json")[1])
        assert (listed["state"], listed["instance"]) == ("scheduled", "contoso-prod")
        for which in (("u1", *AT), ("u1",), (listed["id"],)):
            code, out, said = desk.run("plan", "show", *which)
            assert (code, said) == (0, "")
            assert f"{listed['id']}: u1 at contoso-prod, after major-update, revision 1" in out
            assert "update-reminder" in out
        shown = json.loads(desk.run("plan", "show", "u1", "--json")[1])
        assert [move["turn"] for move in shown["moves"]] == ["scheduled"]
        assert "no such plans" in desk.run("plan", "list", "--state", "approved")[2]

    def test_takes_its_turns(self, desk: Desk) -> None:
        """Approved, moved by an admin, cancelled: each says how the plan stands then."""
        desk.announce()
        assert "approved" in desk.run("plan", "approve", "u1", *AT)[1]
        code, out, said = desk.run("plan", "reschedule", "u1", *AT, "--to", SECOND, "--by", "admin")
        assert (code, said.count("Warning")) == (0, 0)
        assert "revision 2" in out
        _, out, said = desk.run("plan", "show", "u1")
        assert "superseded; --all shows them too" in said
        assert "the date moved from" not in out
        assert "the date moved from" in desk.run("plan", "show", "u1", "--all")[1]
        cancelled = json.loads(desk.run("plan", "cancel", "u1", "--json")[1])
        assert (cancelled["plan"]["state"], cancelled["event"]["type"]) == ("cancelled", "update-cancelled")

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("approve", "u1"), "u1 at contoso-prod: is approved already"),
            (("reschedule", "u1", "--to", FIRST), "already"),
            (("reschedule", "u1", "--to", "tomorrow"), "fields.scheduled_at"),
            (("reschedule", "u1", "--to", SECOND, "--by", "me"), "fields.rescheduled_by"),
            (("reschedule", "u1", "--to", "2040-01-01T00:00Z"), "is not among the dates that are offered"),
            (("cancel", "u2"), "There is no plan about 'u2'. `dispatcher plan list` names"),
            (("show", "pln_none"), "There is no plan 'pln_none'"),
            (("cancel", "u1", "--instance", "contoso"), "There is no plan about 'u1' at contoso"),
        ],
    )
    def test_refuses_what_may_not_be(self, desk: Desk, arguments: tuple[str, ...], words: str) -> None:
        """Exit code 2, with the instance, the reason and what to do; nothing is changed."""
        desk.announce()
        desk.run("plan", "approve", "u1")
        before = desk.run("plan", "show", "u1", "--json")[1]
        code, _, said = desk.run("plan", *arguments)

        assert code == 2
        assert words in said
        assert desk.run("plan", "show", "u1", "--json")[1] == before

    def test_makes_no_ledger(self, desk: Desk, tmp_path: Path) -> None:
        """Where there is none, that is said, and none is made."""
        assert "There is no ledger" in desk.run("plan", "approve", "u1")[2]
        assert "There is no ledger" in desk.run("plan", "list")[2]
        assert not (tmp_path / "ledger.db").exists()

    def test_nobody_speaks_in_our_name(self, desk: Desk) -> None:
        """The sources of plans and decisions are not for others."""
        arguments = ("general-awareness", *AT, "--sample", "--source", "dispatcher:plans")
        code, _, said = desk.run("send", *arguments)

        assert (code, "is ours" in said) == (2, True)


def test_a_running_worker_tells_what_is_due(root: Path, tmp_path: Path) -> None:
    """An update 30 days ahead less an hour: its reminder of today comes by itself, after the announcement."""
    variables = {"DISPATCHER_STATE_DIR": str(tmp_path)}
    # In Berlin it is today's step as long as the hour of sending has come there; at night there is none yet.
    date = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    options = ("--set", "update=u1", "--set", "version=10.0", "--set", f"scheduled_at={date}")
    with staying(root, "up", "--port", "0", until=r"Listening on (\S+)", **variables):
        sent = dispatcher(root, "send", "update-scheduled", *AT, *options, "--wait", **variables)
        assert sent.code == 0, sent.err
        plan = json.loads(dispatcher(root, "plan", "show", "u1", "--json", **variables).out)
        step = next(one for one in plan["steps"] if one["step"] == "reminder-30")
        reminder = ("explain", f"{plan['id']}/1/reminder-30")
        # Where clocks are set back within the 30 days, its day was yesterday for the first hour of a day.
        due = step["status"] != "skipped"
        if due and datetime.fromisoformat(step["due_at"]) <= datetime.now(UTC):
            came = "To admin@contoso.example about contoso-prod: sent"
            ends = time.monotonic() + SECONDS
            while came not in (told := dispatcher(root, *reminder, **variables).out):
                assert time.monotonic() < ends, told

    assert len(caught(tmp_path / "mail")) >= 3
