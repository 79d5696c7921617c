"""What admins decide becomes a message to upstream, in the transaction that commits the decision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.domain.catalogue import Catalogue
from dispatcher.domain.plan import Move, Plan
from dispatcher.flow.present import moment_json
from dispatcher.ledger.intake import Intake
from dispatcher.ledger.ledger import Ledger


class Announcer:
    """Writes a message for each decision, in the transaction that commits it."""

    def __init__(self, catalogue: Catalogue, ledger: Ledger) -> None:
        self._catalogue = catalogue
        self._ledger = ledger

    async def __call__(self, transaction: AsyncConnection, taken: Sequence[Intake]) -> None:
        """Keep what upstream is to be told of these events; what upstream itself said, it is not told."""
        for one in taken:
            plans = {plan.key: plan for plan in one.advance.plans}
            decided = [move for move in one.advance.moves if move.decision is not None]
            new = [self._message(one, move, plans.get(move.plan)) for move in decided]
            await self._ledger.webhooks.add(transaction, new, one.at)

    def _message(self, one: Intake, move: Move, plan: Plan | None) -> tuple[str, dict[str, Any]]:
        """Type and body, as docs/updates.md shows them."""
        cadence = self._catalogue.cadences[move.plan.cadence]
        type_ = f"{cadence.about}.{move.turn}"
        data = {
            "plan": plan.id if plan else "",
            cadence.about: move.plan.subject,
            "instance": move.plan.instance,
            "revision": move.revision,
            "previous_at": moment_json(move.before),
            cadence.anchor: moment_json(move.after),
            "alternate_at": moment_json(plan.alternate_at) if plan else None,
            "decided_by": move.decision.by if move.decision else None,
            "decided_at": moment_json(one.at),
            "delivery": (move.decision.delivery or None) if move.decision else None,
            "event": one.id,
        }
        return type_, {"type": type_, "timestamp": moment_json(one.at), "data": data}
