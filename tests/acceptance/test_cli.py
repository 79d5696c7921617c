"""The commands, with right and wrong input, as a user types them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from program import PROJECT, dispatcher, staying

from dispatcher.smtp.catcher import caught


@pytest.fixture(scope="module")
def running(root: Path) -> Iterator[Path]:
    """A root with everything up."""
    with staying(root, "up", "--port", "0", until=r"Listening on (\S+)"):
        yield root


def test_check_is_content_with_what_is_shipped(root: Path) -> None:
    """The shipped catalogue and templates have no problems."""
    done = dispatcher(root, "check")

    assert (done.code, done.out) == (0, "")
    assert "23 types" in done.err


def test_check_reports_every_problem_at_once(root: Path, tmp_path: Path) -> None:
    """Faults in catalogue, recipients and templates come together, each with its place."""
    broken = tmp_path / "broken"
    shutil.copytree(root, broken, ignore=shutil.ignore_patterns(".dispatcher"))
    catalogue = (broken / "catalogue.yaml").read_text(encoding="utf-8")
    catalogue = catalogue.replace("lane: urgent", "lane: soon", 1).replace('"#FFDDB3"', '"#FFF"', 1)
    (broken / "catalogue.yaml").write_text(catalogue, encoding="utf-8")
    (broken / "recipients" / "bare.yaml").write_text("instance: bare\nadmins: [nobody]\n", encoding="utf-8")
    done = dispatcher(broken, "check", "--json")

    problems = json.loads(done.out)["problems"]
    assert done.code == 2
    assert [problem["where"].partition(":")[0] for problem in problems] == [
        "catalogue.yaml",
        "catalogue.yaml",
        "recipients/bare.yaml",
    ]
    assert all(problem["fix"] or "name@example.com" in problem["what"] for problem in problems)


def test_check_names_the_template_and_the_unknown_variable(root: Path, tmp_path: Path) -> None:
    """A template that names what is not there is reported with file and line."""
    broken = tmp_path / "broken"
    shutil.copytree(root, broken, ignore=shutil.ignore_patterns(".dispatcher"))
    template = broken / "templates" / "awareness.txt.j2"
    template.write_text("{{ fields.headlin }}\n", encoding="utf-8")
    done = dispatcher(broken, "check")

    assert done.code == 2
    assert "templates/awareness.txt.j2:1" in done.out
    assert "headlin" in done.out


def test_who_says_why(root: Path) -> None:
    """Each recipient comes with language, zone, and the role and line that names them."""
    done = dispatcher(root, "who", "planned-maintenance", "--instance", "contoso-prod", "--json")

    rows = {row["address"]: row for row in json.loads(done.out)}
    assert list(rows) == [
        "admin@contoso.example",
        "oncall@contoso.example",
        "root@contoso.example",
        "ops@contoso.example",
        "news@contoso.example",
    ]
    assert rows["oncall@contoso.example"] == {
        "address": "oncall@contoso.example",
        "name": "On-call admin",
        "language": "en",
        "time_zone": "America/New_York",
        "reasons": [{"role": "admins", "at": "recipients/contoso-prod.yaml:11"}],
    }


@pytest.mark.parametrize(
    ("key", "address", "word"),
    [
        ("update-scheduled", "ops@contoso.example", "only"),
        ("planned-maintenance", "everyone@contoso.example", "users"),
        ("planned-maintenance", "stranger@example.com", "does not name"),
        ("security-update", "admin@contoso.example", "mails nobody"),
    ],
)
def test_who_says_why_not(root: Path, key: str, address: str, word: str) -> None:
    """`--not` gives the reason why somebody is left out."""
    done = dispatcher(root, "who", key, "--instance", "contoso-prod", "--not", address, "--json")

    answer = json.loads(done.out)
    assert answer["gets"] is False
    assert word in " ".join(answer["why"])


def test_render_writes_each_type_in_its_languages(root: Path, tmp_path: Path) -> None:
    """Three files per type and language; a type limited to English is written in English only."""
    done = dispatcher(root, "render", "--all", "--out", str(tmp_path))

    names = {path.name for path in tmp_path.iterdir()}
    assert done.code == 0, done.err
    assert {f"planned-maintenance.ja.{kind}" for kind in ("html", "txt", "eml")} <= names
    assert {name for name in names if name.startswith("post-incident-report.")} == {
        f"post-incident-report.en.{kind}" for kind in ("html", "txt", "eml")
    }
    assert len(names) == (22 * 9 + 1) * 3


def test_render_takes_fields_from_a_file(root: Path, tmp_path: Path) -> None:
    """`--data` replaces the examples; what it says is what is rendered."""
    data = tmp_path / "fields.yaml"
    data.write_text(
        "summary: Cables <b>are</b> replaced\nstart: 2027-03-06T21:00Z\nend: 2027-03-07T01:00Z\n",
        encoding="utf-8",
    )
    arguments = (
        "--instance",
        "contoso-prod",
        "--language",
        "de",
        "--data",
        str(data),
        "--out",
        str(tmp_path),
    )
    done = dispatcher(root, "render", "planned-maintenance", *arguments)

    html = (tmp_path / "planned-maintenance.de.html").read_text(encoding="utf-8")
    text = (tmp_path / "planned-maintenance.de.txt").read_text(encoding="utf-8")
    assert done.code == 0, done.err
    assert "Cables &lt;b&gt;are&lt;/b&gt; replaced" in html
    assert "Samstag, 6. März 2027, 22:00–02:00 MEZ" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["planed-maintenance", "--all"], ["planed-maintenance", "Did you mean planned-maintenance"]),
        (["planned-maintenance", "--instance", "contoso"], ["contoso", "Did you mean contoso-prod?"]),
        (["planned-maintenance", "--all"], ["fields.summary", "fields.start", "fields.end", "is missing"]),
        (["planned-maintenance", "--all", "--sample", "--set", "colour=red"], ["fields.colour", "no field"]),
        (
            ["planned-maintenance", "--all", "--sample", "--set", "start=tomorrow"],
            ["fields.start", "2027-03-06"],
        ),
        (
            ["planned-maintenance", "--all", "--sample", "--set", "end=2020-01-01T00:00Z"],
            ["fields.end", "is not after start"],
        ),
        (["planned-maintenance", "--sample"], ["--instance", "is missing", "--region", "--all"]),
        (["planned-maintenance", "--sample", "--all", "--region", "emea"], ["--instance, --region, --all"]),
        (["planned-maintenance", "--sample", "--region", "apac"], ["no instance is in region 'apac'"]),
        (["planned-maintenance", "--all", "--set", "summary"], ["--set", "key=value"]),
        (["planned-maintenance", "--all", "--data", "missing.yaml"], ["missing.yaml", "No such file"]),
    ],
)
def test_wrong_events_are_refused_with_what_to_do(root: Path, arguments: list[str], words: list[str]) -> None:
    """Bad input ends with 2, and the text names what is wrong and what would be right."""
    done = dispatcher(root, "send", *arguments)

    assert done.code == 2, done.out
    assert not done.out
    assert all(word in done.err for word in words), done.err
    assert "Traceback" not in done.err


def test_a_repeat_sends_nothing_and_a_change_is_a_conflict(running: Path) -> None:
    """The same source and id again is the same event; with other content it is refused."""
    same = ("send", "general-awareness", "--instance", "bare", "--sample", "--id", "once", "--wait", "--json")
    first, second = dispatcher(running, *same), dispatcher(running, *same)
    changed = dispatcher(running, *same, "--set", "headline=Another")

    assert json.loads(first.out)["event"] == json.loads(second.out)["event"]
    assert json.loads(second.out)["duplicate"] is True
    assert json.loads(second.out)["deliveries"] == {"sent": 1}
    assert changed.code == 2
    assert "new id" in changed.err


def test_an_event_can_be_followed_from_its_id(running: Path) -> None:
    """The id that `send` prints is taken by events, deliveries and explain; explain takes more."""
    done = dispatcher(running, "send", "launch-readiness", "--instance", "bare", "--sample", "--wait")
    event = done.out.splitlines()[0]
    [row] = json.loads(dispatcher(running, "deliveries", "--event", event, "--json").out)
    stories = [
        dispatcher(running, "explain", what).out for what in (event, "ONLY@bare.example", row["message_id"])
    ]

    assert (row["event"], row["instance"], row["address"]) == (event, "bare", "only@bare.example")
    assert row["status"] == "sent"
    assert row["reasons"] == [{"role": "admins", "at": "recipients/bare.yaml:3"}]
    assert row["uncertain"] is False
    assert row["next_try_at"] is None
    [attempt] = row["attempts"]
    assert (attempt["status"], attempt["code"]) == ("sent", 250)
    for story in stories:
        assert event in story
        assert "recipients/bare.yaml:3" in story
        assert "launch-readiness@" in story
        assert "250" in story
    assert json.loads(dispatcher(running, "events", event, "--json").out)["status"] == "expanded"
    assert event in dispatcher(running, "events").out


def test_nobody_hears_of_an_open_incident_of_one_organisation(running: Path) -> None:
    """Without `resolved_at` a service incident is recorded, and the reason is told."""
    fields = ("--set", "incident=INC-1", "--set", "summary=Nobody can sign in")
    started = ("--set", "started_at=2027-01-01T10:00Z")
    arguments = ("--instance", "bare", *fields, *started, "--wait", "--json")
    done = dispatcher(running, "send", "service-incident", *arguments)

    answer = json.loads(done.out)
    assert (done.code, answer["status"], answer["deliveries"]) == (0, "recorded", {})
    assert "when it is resolved" in answer["reason"]


def test_a_security_update_with_downtime_becomes_planned_maintenance(running: Path) -> None:
    """It is announced in the maintenance banner, and needs the window that maintenance needs."""
    arguments = ("--instance", "bare", "--sample", "--set", "downtime=true", "--wait", "--json")
    done = dispatcher(running, "send", "security-update", *arguments)
    lacking = dispatcher(
        running,
        "send",
        "security-update",
        "--instance",
        "bare",
        "--set",
        "summary=x",
        "--set",
        "downtime=true",
    )

    answer = json.loads(done.out)
    assert (answer["effective_type"], answer["deliveries"]) == ("planned-maintenance", {"sent": 1})
    assert lacking.code == 2
    assert "fields.start" in lacking.err
    assert "fields.end" in lacking.err


def test_service_restored_goes_to_exactly_those_who_were_told(running: Path) -> None:
    """Of two instances only one heard of the incident, so only its people hear of the end."""
    thread = ("--thread", "INC-77", "--sample", "--wait", "--json")
    dispatcher(running, "send", "major-service-incident", "--instance", "bare", *thread)
    done = dispatcher(running, "send", "service-restored", *thread)
    everywhere = dispatcher(running, "send", "post-incident-report", "--all", *thread)

    told = dispatcher(running, "deliveries", "--event", json.loads(done.out)["event"], "--json")
    [row] = json.loads(told.out)
    assert row["address"] == "only@bare.example"
    assert row["reasons"][0]["role"] == "thread"
    assert json.loads(everywhere.out)["deliveries"] == {"sent": 1}


def test_a_broken_file_leaves_its_last_good_version_in_force(running: Path) -> None:
    """Between two commands a recipient file breaks; who gets what stays as it was."""
    file = running / "recipients" / "contoso-prod.yaml"
    good = file.read_text(encoding="utf-8")
    before = dispatcher(running, "who", "planned-maintenance", "--instance", "contoso-prod", "--json")
    try:
        file.write_text("instance: contoso-prod\n\tadmins: [broken\n", encoding="utf-8")
        after = dispatcher(running, "who", "planned-maintenance", "--instance", "contoso-prod", "--json")
        checked = dispatcher(running, "check")
    finally:
        file.write_text(good, encoding="utf-8")

    assert (after.code, after.out) == (0, before.out)
    assert checked.code == 2
    assert "recipients/contoso-prod.yaml:2" in checked.out


def test_without_redis_the_event_is_kept_and_goes_out_later(root: Path, tmp_path: Path) -> None:
    """`send` warns and exits with 0; once a worker runs, the sweep finds the event."""
    variables = {"DISPATCHER_STATE_DIR": str(tmp_path)}
    done = dispatcher(root, "send", "planned-maintenance", "--instance", "bare", "--sample", **variables)
    again = ("send", "planned-maintenance", "--instance", "bare", "--sample", "--wait", "--json")
    with staying(root, "up", "--port", "0", until=r"Listening on (\S+)", **variables):
        later = dispatcher(root, *again, **variables)
        first = dispatcher(root, "deliveries", "--event", done.out.strip(), "--json", **variables)

    assert done.code == 0
    assert "no worker could be woken" in done.err
    assert later.code == 0, later.err
    assert len(json.loads(first.out)) == 1
    assert len(caught(tmp_path / "mail")) == 2


def test_a_broken_file_without_a_good_version_is_told_wherever_it_matters(root: Path, tmp_path: Path) -> None:
    """An event about all instances warns of the one it cannot reach, and `who` says why it is not known."""
    broken = tmp_path / "root"
    shutil.copytree(root, broken, ignore=shutil.ignore_patterns(".dispatcher"))
    (broken / "recipients" / "bare.yaml").write_text("instance: [", encoding="utf-8")
    with staying(broken, "up", "--port", "0", until=r"Listening on (\S+)"):
        sent = dispatcher(broken, "send", "launch-readiness", "--all", "--sample", "--wait", "--json")
    asked = dispatcher(broken, "who", "launch-readiness", "--instance", "bare")

    [warning] = json.loads(sent.out)["warnings"]
    assert "recipients/bare.yaml is set aside" in warning
    assert json.loads(sent.out)["deliveries"] == {"sent": 3}
    assert asked.code == 2
    assert "recipients/bare.yaml:2" in asked.err


def test_a_terminal_without_our_quotation_marks_gets_escapes(running: Path) -> None:
    """Nothing is lost and nothing is raised where a character cannot be shown."""
    dispatcher(running, "send", "launch-readiness", "--instance", "bare", "--sample", "--wait")
    done = dispatcher(running, "explain", "only@bare.example", PYTHONIOENCODING="ascii")

    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    assert "\\u201c" in done.out


def test_a_folder_that_cannot_be_used_is_named(root: Path, tmp_path: Path) -> None:
    """A file in the way of the mailbox is an error with its path, not a traceback."""
    (tmp_path / "mail").write_text("", encoding="utf-8")
    done = dispatcher(root, "up", "--port", "0", DISPATCHER_STATE_DIR=str(tmp_path))

    assert done.code == 2
    assert str(tmp_path / "mail") in done.err
    assert "Traceback" not in done.err


def test_init_lays_out_a_root_that_check_accepts(tmp_path: Path) -> None:
    """What `init` lays out is whole; a folder that is not empty is left alone."""
    done = dispatcher(tmp_path, "init", str(tmp_path / "mycloud"))
    checked = dispatcher(tmp_path / "mycloud", "check")
    again = dispatcher(tmp_path, "init", str(tmp_path / "mycloud"))

    assert (done.code, checked.code) == (0, 0), checked.out
    assert again.code == 2
    assert "not empty" in again.err


def test_config_shows_sources_and_masks_secrets(root: Path) -> None:
    """Each setting has its source; no password is printed."""
    url = "smtp://user:s3cr%40t@mail.example.com:587"
    done = dispatcher(root, "config", "--json", DISPATCHER_SMTP_URL=url)

    rows = {row["name"]: row for row in json.loads(done.out)}
    assert rows["DISPATCHER_SMTP_URL"]["value"] == "smtp://user:****@mail.example.com:587"
    assert rows["DISPATCHER_SMTP_URL"]["source"] == "environment"
    assert rows["DISPATCHER_ROOT"]["source"] == "command line"
    assert "s3cr" not in done.out


def test_a_wrong_setting_is_named_with_what_is_allowed(root: Path) -> None:
    """The variable, its value and what is allowed are told, and nothing else happens."""
    done = dispatcher(root, "events", DISPATCHER_LEASE_SECONDS="soon")

    assert done.code == 2
    assert "DISPATCHER_LEASE_SECONDS" in done.err
    assert "'soon'" in done.err
    assert "5 to 3600" in done.err


def test_a_worker_without_a_mail_server_says_what_to_set(root: Path) -> None:
    """`worker` needs an SMTP server and names the variable."""
    done = dispatcher(root, "worker")

    assert done.code == 2
    assert "DISPATCHER_SMTP_URL" in done.err


def test_tokens_are_made_listed_and_revoked(root: Path) -> None:
    """A token is printed once; its text is not listed; it can be revoked once."""
    made = dispatcher(root, "token", "new", "billing", "--scope", "send")
    listed = dispatcher(root, "token", "list")
    revoked = dispatcher(root, "token", "revoke", "billing")
    again = dispatcher(root, "token", "revoke", "billing")

    assert made.out.startswith("dsp_")
    assert made.out.strip() not in listed.out
    assert "billing" in listed.out
    assert (revoked.code, again.code) == (0, 2)


@pytest.mark.parametrize(
    "command",
    [
        "check",
        "who",
        "render",
        "gallery",
        "preview",
        "send",
        "worker",
        "serve",
        "up",
        "demo",
        "init",
        "events",
        "deliveries",
        "explain",
        "config",
        "token",
    ],
)
def test_every_command_has_help_with_an_example(command: str) -> None:
    """`--help` shows how the command is typed."""
    done = dispatcher(PROJECT, command, *(["new"] if command == "token" else []), "--help")

    assert done.code == 0
    assert "Example: dispatcher" in done.out or "Example: DISPATCHER" in done.out
