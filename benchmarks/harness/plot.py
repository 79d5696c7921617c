"""The plot: throughput against recipients, and how long mail waits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from benchmarks.harness.clock import percentile

# Colours that are told apart with red-green blindness as well (Okabe and Ito), and shapes beside them.
_BLUE, _ORANGE, _GREEN, _GREY, _INK = "#0072b2", "#d55e00", "#009e73", "#767676", "#1f2328"
_PERCENTS = tuple(range(1, 100))
_PEERS = {
    "smtp-source": "smtp-source -d -s 16",
    "recipe": "the recipe (arq, premailer)",
    "post_office": "django-post_office",
    "django_mailer": "django-mailer",
}
#: Lines nearer to each other than this ratio would have their words in each other's way.
_CLOSE = 1.45


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Write the plot of a run as SVG.

    Args:
        results: As `benchmarks.harness.results.as_json` gives it.
        path: Where to.
    """
    measured = {name: section["data"] for name, section in results["measurements"].items()}
    mpl.rcParams |= {
        "svg.hashsalt": "dispatcher",
        "svg.fonttype": "path",  # so that it looks the same where fonts differ
        "font.size": 10,
        "text.color": _INK,
        "axes.labelcolor": _INK,
        "axes.edgecolor": "#d0d7de",
        "xtick.color": _INK,
        "ytick.color": _INK,
    }
    figure = Figure(figsize=(12.5, 6.4), facecolor="white", layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    _throughput(left, measured)
    _latency(right, measured)
    figure.supxlabel(_caption(results), fontsize=8, color=_GREY)
    figure.savefig(path, metadata={"Date": None, "Title": "Dispatcher: throughput and latency"})


def _caption(results: Mapping[str, Any]) -> str:
    machine = results["machine"]
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']}, "
        f"Python {machine['python']}; {results['began'][:10]}"
    )


def _throughput(axes: Axes, measured: Mapping[str, Any]) -> None:
    axes.set_title("Messages per second, event to the server’s 250", loc="left", fontweight="bold", pad=12)
    lines = (
        ("two workers, 9 languages, 20 zones", _BLUE, "o", _crowds(measured, "sqlite")),
        ("the same on PostgreSQL", _GREEN, "D", _crowds(measured, "postgresql")),
        ("one worker, 1,000 readers an instance", _ORANGE, "s", _one_worker(measured)),
    )
    for label, colour, marker, points in lines:
        if points:
            x, y = zip(*points, strict=True)
            axes.plot(x, y, marker=marker, color=colour, label=label, linewidth=2, markersize=6)
    peers = measured.get("peers", {})
    _peers(axes, [(peers[key], label) for key, label in _PEERS.items() if key in peers])
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(top=max([10_000.0, *(value for value in peers.values() if value < 1e5)]) * 1.5)
    axes.set_xlabel("recipients of one event")
    _tidy(axes)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    _legend(axes)


def _peers(axes: Axes, lines: list[tuple[float, str]]) -> None:
    """A line across for each; the words of close ones stand on either side."""
    last, right = 0.0, True
    for value, label in sorted(lines):
        right = not right if value < last * _CLOSE else True
        last = value
        axes.axhline(value, color=_GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
        axes.annotate(
            f"{label}: {value:,.0f}",
            (1 if right else 0, value),
            xycoords=("axes fraction", "data"),
            xytext=(-4 if right else 4, 3),
            textcoords="offset points",
            ha="right" if right else "left",
            fontsize=8.5,
            color=_GREY,
        )


def _crowds(measured: Mapping[str, Any], database: str) -> list[tuple[float, float]]:
    runs = measured.get("runs", {}).get("all", [])
    return sorted(
        (run["recipients"], run["messages_per_second"])
        for run in runs
        if run["database"] == database and run["workers"] == 2
    )


def _one_worker(measured: Mapping[str, Any]) -> list[tuple[float, float]]:
    rates = measured.get("cost", {}).get("messages_per_second", {})
    return sorted((float(size), rate) for size, rate in rates.items())


def _latency(axes: Axes, measured: Mapping[str, Any]) -> None:
    axes.set_title("How long mail waits, by percentile", loc="left", fontweight="bold", pad=12)
    lines = (
        ("idle", "first 250 of an event, idle system", _BLUE, 150),
        ("urgent", "last of 100 urgent mails during bulk", _ORANGE, 1000),
    )
    for name, label, colour, goal in lines:
        values = measured.get(name, {}).get("from_acceptance_ms")
        if not values:
            continue
        heights = [max(0.1, percentile(values, percent)) for percent in _PERCENTS]
        axes.plot(_PERCENTS, heights, color=colour, linewidth=2, label=label)
        axes.plot([99], [goal], marker="v", color=colour, markersize=8, linestyle="none")
        axes.annotate(
            f"goal for p99: {goal:,} ms",
            (99, goal),
            xytext=(-8, 6),
            textcoords="offset points",
            ha="right",
            fontsize=8.5,
            color=colour,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},  # a line may run through it
        )
    axes.set_yscale("log")
    axes.set_xlim(0, 100)
    axes.set_xlabel("percentile")
    axes.set_ylabel("milliseconds after the event was accepted")
    _tidy(axes)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    _legend(axes)


def _legend(axes: Axes) -> None:
    """Below the axis, where no line can be in its way."""
    if axes.get_legend_handles_labels()[0]:
        place = (-0.01, -0.11)
        axes.legend(
            frameon=False,
            loc="upper left",
            bbox_to_anchor=place,
            fontsize=9,
        )


def _tidy(axes: Axes) -> None:
    axes.grid(visible=True, which="major", color="#eaeef2", linewidth=1)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(which="both", length=0)
