"""The HTTP interface: events come in as CloudEvents, and what became of them can be read."""
