"""The ledger: the one truth of the service, in SQLite or PostgreSQL.

`Ledger.open` brings the schema up to date and hands out one small store per subject.
"""

from dispatcher.ledger.backlog import Backlog, Backlogs, Due
from dispatcher.ledger.claims import Claims, VariantContent
from dispatcher.ledger.deliveries import Deliveries, Filter
from dispatcher.ledger.events import Added, Events
from dispatcher.ledger.expanding import Expansion
from dispatcher.ledger.expansions import Expansions
from dispatcher.ledger.leases import Lease, Leases, Recovered
from dispatcher.ledger.ledger import Ledger
from dispatcher.ledger.outcomes import Recorded
from dispatcher.ledger.tokens import Token, Tokens
from dispatcher.ledger.workers import Heartbeat, Workers

__all__ = [
    "Added",
    "Backlog",
    "Backlogs",
    "Claims",
    "Deliveries",
    "Due",
    "Events",
    "Expansion",
    "Expansions",
    "Filter",
    "Heartbeat",
    "Lease",
    "Leases",
    "Ledger",
    "Recorded",
    "Recovered",
    "Token",
    "Tokens",
    "VariantContent",
    "Workers",
]
