"""Redis and arq, used as a bell: it wakes workers, and the ledger tells them what there is to do."""
