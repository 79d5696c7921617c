from __future__ import annotations

import pytest

from dispatcher.domain.colour import MIN_CONTRAST, contrast, contrast_inverted, opposite, turned_over

#: Policy, section 5: text, background, ratio.
RATIOS = (
    ("#242424", "#FFDDB3", "12.01"),
    ("#FFDDB3", "#4D2A00", "9.87"),
    ("#242424", "#CFE4FA", "11.92"),
    ("#CFE4FA", "#0C3B5E", "8.95"),
    ("#000000", "#F98845", "8.64"),
    ("#FFFFFF", "#BC4B09", "5.06"),
    ("#242424", "#C9EAC9", "11.90"),
    ("#C9EAC9", "#094509", "8.62"),
    ("#242424", "#BFDDF5", "11.00"),
    ("#BFDDF5", "#112D42", "10.07"),
    ("#FFFFFF", "#107C10", "5.37"),
    ("#FFFFFF", "#0C5E0C", "8.01"),
    ("#FFFFFF", "#004E8C", "8.51"),
    ("#FFFFFF", "#00467E", "9.64"),
    ("#242424", "#FFFFFF", "15.52"),
    ("#616161", "#F5F5F5", "5.68"),
    ("#115EA3", "#FFFFFF", "6.66"),
    ("#FFFFFF", "#0F6CBD", "5.38"),
    ("#62ABF5", "#292929", "6.00"),
)


@pytest.mark.parametrize(("text", "background", "ratio"), RATIOS)
def test_the_policy_s_ratios_hold(text: str, background: str, ratio: str) -> None:
    """Each ratio that the policy names comes out to two decimals, and is readable."""
    assert f"{contrast(text, background):.2f}" == ratio
    assert contrast(text, background) >= MIN_CONTRAST


@pytest.mark.parametrize(
    ("first", "second", "ratio"),
    [("#000000", "#FFFFFF", 21.0), ("#123456", "#123456", 1.0), ("#777777", "#ffffff", 4.478)],
)
def test_the_scale_is_wcag_s(first: str, second: str, ratio: float) -> None:
    """Black on white is 21, a colour on itself 1; the order and the case of digits do not matter."""
    assert contrast(first, second) == pytest.approx(ratio, abs=0.001)
    assert contrast(second, first) == contrast(first, second)


#: Policy, section 5: the banners' light background and text, and the column "inverted".
INVERTED = (
    ("#FFDDB3", "#242424", "9.26"),
    ("#CFE4FA", "#242424", "11.81"),
    ("#F98845", "#000000", "4.82"),
    ("#C9EAC9", "#242424", "9.66"),
    ("#BFDDF5", "#242424", "10.45"),
    ("#107C10", "#FFFFFF", "9.16"),
    ("#004E8C", "#FFFFFF", "10.80"),
)


@pytest.mark.parametrize(("background", "text", "ratio"), INVERTED)
def test_the_policy_s_inverted_ratios_hold(background: str, text: str, ratio: str) -> None:
    """The worse of the two models is what the policy names, to two decimals, for every banner."""
    assert f"{contrast_inverted(background, text):.2f}" == ratio
    assert contrast_inverted(text, background) == contrast_inverted(background, text)


def test_each_model_is_the_worse_one_for_some_banner() -> None:
    """Neither model alone gives the policy's column."""
    worse = {
        min((opposite, turned_over), key=lambda model: contrast(model(ground), model(text))).__name__
        for ground, text, _ in INVERTED
    }

    assert worse == {"opposite", "turned_over"}


def test_inverting_knows_both_models() -> None:
    """One takes the opposite of every channel, the other keeps the hue; twice gives the colour again."""
    assert opposite("#FFDDB3") == "#00224C"
    assert turned_over("#FFDDB3") == "#4C2A00"
    assert opposite(opposite("#123456")) == "#123456"
    assert turned_over(turned_over("#F98845")) == "#F98845"
