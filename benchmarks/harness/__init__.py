"""What every measurement stands on: processes, roots, sinks, clocks, figures."""
