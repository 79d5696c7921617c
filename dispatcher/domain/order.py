"""Which instance comes first: a sandbox is updated before the production instance that it belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from dispatcher.domain.plan import ENDED, Plan, PlanState


def sandbox_warnings(plan: Plan, production: Plan) -> Iterator[str]:
    """What a sandbox's plan is warned of, beside that of its production instance."""
    if _ends(plan) or _ends(production) or plan.anchor < production.anchor:
        return
    yield (
        f"a sandbox is updated first, and this date ({_day(plan.anchor)}) is not before that of its "
        f"production instance {production.key.instance} ({_day(production.anchor)})"
    )


def production_warnings(plan: Plan, sandboxes: Mapping[str, Plan | None]) -> Iterator[str]:
    """What a production instance's plan is warned of.

    Args:
        plan: The plan.
        sandboxes: The plan of the same subject at each of its sandboxes; None where there is none.
    """
    if _ends(plan):
        return
    for name, sandbox in sandboxes.items():
        if sandbox is None or sandbox.state is PlanState.CANCELLED:
            yield f"a sandbox is updated first, and its sandbox {name} has no date"
        elif plan.state is PlanState.IN_PROGRESS and not _ends(sandbox):
            yield f"a sandbox is updated first, and its sandbox {name} is {sandbox.state.value}"
        elif not _ends(sandbox) and sandbox.anchor >= plan.anchor:
            yield (
                f"a sandbox is updated first, and the date of its sandbox {name} ({_day(sandbox.anchor)}) is "
                f"not before this one ({_day(plan.anchor)})"
            )


def _ends(plan: Plan) -> bool:
    return plan.state in ENDED


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}Z"
