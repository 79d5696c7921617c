"""Measurements. Timings are figures of one machine on one day; only ratios within a run travel."""
