from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.domain.circuit import LONGEST_PAUSE, PROBE_SECONDS, Circuit, Look, State


def broken(now: float = 0.0) -> Circuit:
    circuit = Circuit()
    circuit.failed(now, "refused")
    return circuit


def test_a_closed_circuit_lets_everything_through() -> None:
    """As long as nothing failed there is no limit."""
    circuit = Circuit()

    assert [circuit.admit(now) for now in range(5)] == [True] * 5
    assert circuit.room(9) is None
    assert circuit.look(9) == Look(State.CLOSED)


def test_a_failure_stops_everything_for_a_second_and_then_one_goes_ahead() -> None:
    """While it is open nothing is begun; half-open, the first asks and the second waits."""
    circuit = broken()

    assert (circuit.room(0.9), circuit.admit(0.9)) == (0, False)
    assert circuit.look(0.9) == Look(State.OPEN, 0.9, "refused")
    assert (circuit.room(1.0), circuit.admit(1.0), circuit.admit(1.1)) == (1, True, False)
    assert circuit.look(1.1).state is State.HALF_OPEN


def test_a_success_closes_it() -> None:
    """Whatever the server says of a message, it works; the next failure begins with a second again."""
    circuit = broken()
    circuit.admit(1.0)
    circuit.succeeded()
    circuit.failed(10.0, "again")

    assert circuit.look(10.5) == Look(State.OPEN, 0.5, "again")
    assert circuit.admit(11.0)


def test_pauses_double_up_to_the_longest() -> None:
    """A server that stays away is asked less and less often, but at least every 25 seconds."""
    circuit, now, pauses = Circuit(), 0.0, []
    for _ in range(8):
        circuit.failed(now, "refused")
        began = now
        while not circuit.admit(now):
            now += 0.5
        pauses.append(now - began)

    assert pauses == [1, 2, 4, 8, 16, 25, 25, 25]


def test_messages_that_fail_together_are_one_failure() -> None:
    """Ten sessions that are refused at once do not make the pause a thousand times as long."""
    circuit = Circuit()
    for n in range(10):
        circuit.failed(n / 100, "refused")

    assert circuit.admit(1.0)


def test_a_probe_that_hangs_lets_another_go_ahead() -> None:
    """A server that answers nothing for half a minute is asked by one more message, and so on."""
    circuit = broken()

    assert circuit.admit(1.0)
    assert not circuit.admit(PROBE_SECONDS)
    assert circuit.admit(1.0 + PROBE_SECONDS)


def test_a_probe_that_says_nothing_lets_another_go_ahead_at_once() -> None:
    """A message that was not wanted any more is no probe."""
    circuit = broken()
    circuit.admit(1.0)
    circuit.unused()

    assert circuit.admit(1.1)


def test_a_longer_pause_may_be_asked_for() -> None:
    """A refused log-in is not repeated every second."""
    circuit = Circuit()
    circuit.failed(0.0, "535", pause=LONGEST_PAUSE)

    assert not circuit.admit(LONGEST_PAUSE - 0.1)
    assert circuit.admit(LONGEST_PAUSE)


@given(
    st.lists(
        st.tuples(st.sampled_from(["fail", "succeed", "unused", "admit"]), st.floats(0, 40)), max_size=60
    )
)
def test_it_is_never_closed_to_probing_for_longer_than_half_a_minute(
    steps: list[tuple[str, float]],
) -> None:
    """Whatever happened, 30 seconds without news are enough for a message to be let through."""
    circuit, now = Circuit(), 0.0
    for step, pause in steps:
        now += pause
        match step:
            case "fail":
                circuit.failed(now, "refused")
            case "succeed":
                circuit.succeeded()
            case "unused":
                circuit.unused()
            case _:
                circuit.admit(now)

    assert circuit.admit(now + 30)


@pytest.mark.parametrize("count", [1, 7])
def test_how_long_it_has_been_away_is_told_from_the_first_failure(count: int) -> None:
    """The look says since when, not since the last probe, and tells the newest reason."""
    circuit = Circuit()
    for n in range(count):
        circuit.failed(n * 30.0, f"failure {n}")

    look = circuit.look(count * 30.0)
    assert (look.seconds, look.why) == (count * 30.0, f"failure {count - 1}")
