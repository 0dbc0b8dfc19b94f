"""Draws what scripts/bench/run has measured of a growing database: FIGURES, a picture as SVG."""

import json
import statistics
import sys

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402  after the choice of what draws

NAMES = {"status": "PIN status", "set": "PIN set", "verify": "PIN verification", "change": "PIN change"}


def short(n):
    return f"{n / 1e6:g} M" if n >= 1e6 else f"{n / 1e3:g} k"


def ticks(axes, cards):
    axes.set_xscale("log")
    axes.set_xticks(cards, [short(n) for n in cards])
    axes.minorticks_off()


def main(figures, picture):
    with open(figures, encoding="utf-8") as file:
        stages = json.load(file)["stages"]
    # The same figures give the same file.
    matplotlib.rcParams |= {"svg.hashsalt": "pinvault", "svg.fonttype": "none", "font.family": "sans-serif"}
    cards = [stage["cards"] for stage in stages]
    drawing, (calls, share, size) = pyplot.subplots(1, 3, figsize=(13, 4), layout="constrained")
    for call in stages[-1]["callsPerSecond"]:
        # The smallest size's calls are those beside the largest's; the share is of those in the same rounds.
        rates = [stages[-1]["smallCallsPerSecond"][call]] + [stage["callsPerSecond"][call] for stage in stages[1:]]
        beside = rates[:1] + [stage["smallCallsPerSecond"][call] for stage in stages[1:]]
        middle = [statistics.median(of) for of in rates]
        line = calls.plot(cards, middle, marker="o")[0]
        calls.fill_between(cards, [min(of) for of in rates], [max(of) for of in rates], alpha=0.15, color=line.get_color(), linewidth=0)
        shares = [[here / small for here, small in zip(*pair)] for pair in zip(rates, beside)]
        share.plot(cards, [statistics.median(of) for of in shares], marker="o", color=line.get_color(), label=NAMES.get(call, call))
    calls.set(title="Calls a second", xlabel="cards", ylim=(0, None))
    share.axhline(0.9, color="grey", linestyle="--", linewidth=1)
    share.set(title=f"Share of those at {short(cards[0])} cards", xlabel="cards", ylim=(0, 1.2))
    share.legend(frameon=False, title="both pictures")
    size.plot(cards, [stage["databaseBytes"] / 1e9 for stage in stages], marker="o", label="database, GB")
    size.plot(cards, [stage["importSeconds"] / 60 for stage in stages], marker="o", label="import, minutes")
    size.set(title="Size and import", xlabel="cards", yscale="log")
    size.legend(frameon=False)
    for axes in (calls, share, size):
        ticks(axes, cards)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    drawing.savefig(picture, metadata={"Date": None})


main(*sys.argv[1:])
