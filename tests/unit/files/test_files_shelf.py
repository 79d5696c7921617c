"""The shelf of instances that were asked for last."""

from __future__ import annotations

from dispatcher.domain.instance import Instance
from dispatcher.files.recipient_form import Version, version_of
from dispatcher.files.recipient_shelf import Shelf


def version(name: str, people: int = 1) -> Version:
    """A version of an instance with so many admins."""
    form = {"instance": name, "admins": [f"a{number}@{name}.example" for number in range(people)]}
    return version_of(Instance.model_validate(form), form, changed=0)


def test_what_was_asked_for_lately_is_the_same_object() -> None:
    """An instance is made once as long as there is room."""
    shelf, one = Shelf(room=100), version("one")

    assert shelf.get(one) is shelf.get(one)
    assert shelf.get(one).id == "one"


def test_room_is_counted_in_people() -> None:
    """What was asked for longest ago makes room, however many instances there are."""
    shelf = Shelf(room=100)
    large, small, other = version("large", 80), version("small"), version("other", 20)
    first, second = shelf.get(large), shelf.get(small)
    shelf.get(large)
    shelf.get(other)

    assert shelf.get(small) is not second
    assert shelf.get(large) is not first


def test_who_was_asked_for_last_stays_longest() -> None:
    """Using an instance keeps it."""
    shelf = Shelf(room=20)
    many = [version(f"i{number}") for number in range(5)]
    made = [shelf.get(one) for one in many]
    shelf.get(many[0])
    shelf.get(version("new"))

    assert shelf.get(many[0]) is made[0]
    assert shelf.get(many[1]) is not made[1]


def test_one_that_is_larger_than_the_room_is_kept_alone() -> None:
    """It is asked for again and again while its people are told."""
    shelf = Shelf(room=10)
    small, large = version("small"), version("large", 50)
    first = shelf.get(small)
    made = shelf.get(large)

    assert shelf.get(large) is made
    assert shelf.get(small) is not first
    assert shelf.get(large) is not made


def test_another_version_takes_the_place_of_the_first() -> None:
    """Whoever holds the old one keeps it; the shelf gives the new one, and drops what is not in force."""
    shelf, old, new = Shelf(room=100), version("one"), version("one", 2)
    before = shelf.get(old)

    assert [len(shelf.get(new).admins), len(before.admins)] == [2, 1]
    made = shelf.get(new)
    shelf.keep({"one": new})

    assert shelf.get(new) is made
    shelf.keep({})

    assert shelf.get(new) is not made
