from __future__ import annotations

import pytest

from dispatcher.domain.colour import MIN_CONTRAST, contrast

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
