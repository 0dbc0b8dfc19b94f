"""Draws what scripts/bench/run has measured of growing databases: FIGURES, a picture as SVG."""

import json
import statistics
import sys

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402  after the choice of what draws

NAMES = {"status": "PIN status", "set": "PIN set", "verify": "PIN verification", "change": "PIN change"}


def main(figures, picture):
    with open(figures, encoding="utf-8") as file:
        stages = json.load(file)
    # The same figures give the same file.
    matplotlib.rcParams |= {"svg.hashsalt": "pinvault", "svg.fonttype": "none", "font.family": "sans-serif"}
    cards = [stage["cards"] for stage in stages]
    drawing, (calls, size) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for call in stages[0]["callsPerSecond"]:
        rates = [stage["callsPerSecond"][call] for stage in stages]
        middle = [statistics.median(of) for of in rates]
        line = calls.plot(cards, middle, marker="o", label=NAMES.get(call, call))[0]
        calls.fill_between(cards, [min(of) for of in rates], [max(of) for of in rates], alpha=0.15, color=line.get_color(), linewidth=0)
    calls.set(title="Calls a second, by cards in the database", xlabel="cards", xscale="log", ylim=(0, None))
    calls.legend(frameon=False)
    size.plot(cards, [stage["databaseBytes"] / 1e9 for stage in stages], marker="o", label="database, GB")
    size.plot(cards, [stage["importSeconds"] / 60 for stage in stages], marker="o", label="import, minutes")
    size.set(title="Size and import", xlabel="cards", xscale="log", yscale="log")
    size.legend(frameon=False)
    for axes in (calls, size):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    drawing.savefig(picture, metadata={"Date": None})


main(*sys.argv[1:])
