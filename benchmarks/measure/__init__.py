"""The measurements: one module each, with a function ``measure(bench)`` that gives rows."""
