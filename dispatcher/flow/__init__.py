"""Use cases, in the order in which an event travels."""
