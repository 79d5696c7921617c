"""How many sessions a server is given."""

from __future__ import annotations

from dispatcher.smtp.width import FIRST, HOLD_SECONDS, QUICK_SECONDS, SILENT_SECONDS, Width

QUICK = 0.01
SLOW = 10 * QUICK_SECONDS


def answer(width: Width, count: int, *, now: float = 0.0, seconds: float = QUICK, full: bool = True) -> int:
    """Let the server answer so often; how many sessions it is given then."""
    for _ in range(count):
        width.answered(now, seconds, full=full)
    return width.room


def test_it_begins_small_and_doubles_in_a_round() -> None:
    """Four answers to four sessions make eight, and no more than may be."""
    assert Width(3).room == 3
    width = Width(20)
    rooms = [width.room, answer(width, 4), answer(width, 8), answer(width, 100)]

    assert rooms == [FIRST, 8, 16, 20]


def test_without_demand_there_are_no_more() -> None:
    """Sessions that nobody waits for are not opened."""
    assert answer(Width(20), 100, full=False) == FIRST


def test_a_server_that_answers_slower_the_more_sessions_it_has_gets_no_more() -> None:
    """Messages would only wait for each other, inside the server instead of here."""
    width = Width(50)
    for _ in range(1_000):
        answer(width, 1, seconds=SLOW * width.room)  # its throughput is what it is

    assert FIRST < width.room < 5 * FIRST


def test_a_server_that_takes_its_time_over_each_message_gets_more() -> None:
    """A filter that takes seconds for everybody is no reason to send one after the other."""
    assert answer(Width(20), 100, seconds=SLOW) == 20


def test_one_domain_that_is_slow_does_not_look_like_too_much() -> None:
    """As long as others are answered as quickly as they were, it has reasons of its own."""
    width = Width(8)
    answer(width, 1)
    for _ in range(3):
        answer(width, 1, seconds=1.5)
        answer(width, 1)

    assert width.room == 8


def test_too_much_makes_half_and_then_it_grows_by_one_a_round() -> None:
    """Not before half a minute has passed, and slowly then."""
    width = Width(16)
    answer(width, 100)

    assert width.refused(1000.0, width.shrinks)
    assert width.room == 8
    assert answer(width, 100, now=1000.0 + HOLD_SECONDS - 1) == 8
    assert answer(width, 8, now=1000.0 + HOLD_SECONDS) == 9
    assert answer(width, 8, now=1000.0 + HOLD_SECONDS) == 9
    assert answer(width, 1, now=1000.0 + HOLD_SECONDS) == 10


def test_what_began_before_it_was_given_less_says_nothing_new() -> None:
    """Eight refusals of one moment are one: it is halved once."""
    width = Width(8)
    answer(width, 4)
    began = width.shrinks

    assert [width.refused(5.0, began) for _ in range(8)] == [True] * 8
    assert width.room == 4


def test_how_many_it_bears_is_believed() -> None:
    """A server that refused the sixth connection is given five."""
    width = Width(16)
    answer(width, 100)
    width.refused(5.0, width.shrinks, 5)

    assert width.room == 5


def test_a_server_that_refuses_fewer_as_well_is_out_of_order() -> None:
    """Nothing was answered since it was given less, so that was not it; an answer ends the doubt."""
    width = Width(16)
    answer(width, 100)

    assert width.refused(5.0, width.shrinks)
    assert not width.refused(6.0, width.shrinks)
    answer(width, 1)
    assert width.refused(7.0, width.shrinks)
    assert width.room == 4


def test_one_session_always_remains() -> None:
    """Somebody must be able to find out that things are better."""
    width = Width(2)
    for _ in range(5):
        width.refused(5.0, width.shrinks)
        answer(width, 1, full=False)

    assert width.room == 1


def test_a_silent_server_gets_one_more_a_second_while_mail_waits() -> None:
    """Messages that hang hold up no others for long; an answer begins the second anew."""
    width = Width(FIRST + 3)
    steps = [0.0, 0.5, 1.0, 1.5, 2.0]
    rooms = [width.waited(now * SILENT_SECONDS) or width.room for now in steps]
    answer(width, 1, now=2.5, full=False)
    after = [width.waited(now * SILENT_SECONDS) for now in (2.6, 3.0, 3.6, 5.0)]

    assert [int(room is True) for room in rooms] == [0, 0, 1, 0, 1]
    assert after == [False, False, True, False]
    assert width.room == FIRST + 3


def test_a_server_that_had_too_much_gets_no_more_for_being_silent() -> None:
    """Its half minute stands."""
    width = Width(8)
    width.refused(0.0, 0)
    room = width.room

    assert not any(width.waited(now) for now in range(int(HOLD_SECONDS)))
    assert width.waited(HOLD_SECONDS)
    assert width.room == room + 1
