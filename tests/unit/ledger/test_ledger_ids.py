from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from dispatcher.ledger.ids import ALPHABET, new_ids

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_ids_of_one_call_are_unique_and_sorted() -> None:
    """Ids of one call never repeat and sort in the order in which they were made."""
    ids = list(islice(new_ids("evt_", NOW, secrets.token_hex), 5000))

    assert len(set(ids)) == 5000
    assert ids == sorted(ids)


def test_a_later_id_sorts_after_an_earlier_one() -> None:
    """A millisecond later is enough, even if the first had the highest random number."""
    first = next(new_ids("evt_", NOW, lambda n: "f" * 2 * n))
    second = next(new_ids("evt_", NOW + timedelta(milliseconds=1), lambda n: "0" * 2 * n))

    assert first < second


@pytest.mark.parametrize("digit", ["0", "f"])
def test_an_id_has_one_length_and_alphabet(digit: str) -> None:
    """An id is its prefix and 22 characters that fit into a URL, whatever the random source gives."""
    ids = list(islice(new_ids("evt_", NOW, lambda n: digit * 2 * n), 100))

    assert {len(id_) for id_ in ids} == {4 + 22}
    assert set("".join(ids).replace("evt_", "")) <= set(ALPHABET)


def test_two_calls_at_once_differ() -> None:
    """Two calls in the same millisecond give different ids."""
    assert next(new_ids("evt_", NOW, secrets.token_hex)) != next(new_ids("evt_", NOW, secrets.token_hex))
