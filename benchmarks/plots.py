"""The plots of docs/performance.md: from the figures in docs/figures to SVGs in docs/images.

Needs Matplotlib (docs/requirements.txt); ``make plots`` and ``make docs`` run it. The same figures
give the same files, byte by byte. Each file bears the names and the digest of its figures, so that
a test can tell when it is out of date.

    python benchmarks/plots.py [--figures docs/figures] [--folder docs/images] [--format svg]
"""

import argparse
import csv
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ROOT / "docs" / "figures"
IMAGES = ROOT / "docs" / "images"
REACHED = 0.95  # of what was offered; below it the server was saturated

# Told apart by those who see no red or no green, too, and dark enough on white.
SERVER, POSTGRESQL = "#0072b2", "#c65102"
STEPS = ("#009e73", "#0072b2", "#7b3294")  # p50, p99, p99.9
INK, FAINT, SHADE = "#222222", "#dddddd", "#f0f0f0"
STYLE = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "fastchat",  # the same names of parts each time
    "font.family": "sans-serif",
    "font.size": 10.5,
    "figure.facecolor": "white",  # a transparent one cannot be read on a dark page
    "savefig.facecolor": "white",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#777777",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "xtick.color": INK,
    "ytick.color": INK,
    "lines.linewidth": 2,
    "lines.markersize": 5,
}
GAP = 12  # points between the names of lines that end at the same height
JOBS = {
    "j1": "Direct messages: 50 pairs, 8 messages in flight in each",
    "j2": "A room of 50, 8 of whom write",
    "j4": "Direct messages at an even rate of {} per second",
}
# What is cheaper because less is done.
NOTHING, LATER = "stores nothing", "confirms first, stores later"
STORING = {
    **dict.fromkeys(("ws", "uws", "socketio", "pysio", "channels"), NOTHING),
    **dict.fromkeys(("mosquitto", "nats", "nats-js"), LATER),
}

Rows = list[dict[str, str]]
Draw = Callable[..., Figure]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--figures", type=Path, default=FIGURES)
    parser.add_argument("--folder", type=Path, default=IMAGES)
    parser.add_argument("--format", choices=("svg", "png"), default="svg")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    mpl.rcParams.update(STYLE)
    for name, (draw, sources) in PLOTS.items():
        paths = [args.figures / source for source in sources]
        figure = draw(*(read(path) for path in paths))
        # No date, or each run would give another file.
        origin = {"Source": " ".join(sources), "Identifier": digest(paths)}
        told = {"Date": None, "Creator": None, **origin}
        target = args.folder / f"{name}.{args.format}"
        figure.savefig(target, metadata=told if args.format == "svg" else None, dpi=110)
        plt.close(figure)
        if args.format == "svg":
            tidy(target)


def tidy(path: Path) -> None:
    """Take the blanks from the ends of the lines of a file."""
    lines = path.read_text("utf-8").splitlines()
    path.write_text("".join(f"{line.rstrip()}\n" for line in lines), "utf-8")


def read(path: Path) -> Rows:
    """Return the rows of a file, by the names of its columns."""
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def digest(paths: Sequence[Path]) -> str:
    """Return the SHA-256 of some files, one after the other."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def column(rows: Rows, name: str) -> list[float]:
    return [float(row[name]) for row in rows]


def offered_load(rows: Rows) -> Figure:
    """Latency above, processor time below, over what was offered."""
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(8, 7.2), sharex=True, height_ratios=(3, 2), layout="constrained"
    )
    offered = column(rows, "offered_messages_per_s")
    for place, (colour, name) in enumerate(zip(STEPS, ("p50", "p99", "p999"), strict=True)):
        label = name.replace("999", "99.9")
        values = column(rows, f"delivery_{name}_ms")
        above.plot(offered, values, "o-", color=colour)
        beside(above, offered[-1], values[-1], label, colour, (place - 1) * GAP)
        above.plot(offered, column(rows, f"ack_{name}_ms"), ":", color=colour)
    above.set(yscale="log", ylabel="milliseconds")
    above.set_ylim(top=2 * above.get_ylim()[1])
    above.yaxis.set_major_formatter(FuncFormatter(thousands))
    above.set_title("From the send to the delivery (solid) and to the acknowledgement (dotted)")
    costs(below, rows, offered)
    below.set_xlabel("messages offered per second")
    below.xaxis.set_major_formatter(FuncFormatter(thousands))
    below.set_xlim(left=0)
    below.set_ylim(bottom=0)
    mark_saturated(above, below, rows, offered)
    return figure


def mark_saturated(above: Axes, below: Axes, rows: Rows, offered: list[float]) -> None:
    """Shade where the server did less than was asked."""
    reached = column(rows, "acknowledged_messages_per_s")
    if reached[-1] >= REACHED * offered[-1]:
        return
    right = offered[-1] * 1.06
    for axes in (above, below):
        axes.axvspan((offered[-2] + offered[-1]) / 2, right, color=SHADE, zorder=0)
    above.annotate(
        f"saturated:\n{reached[-1]:,.0f} per second\nof {offered[-1]:,.0f} offered",
        (right, 0),
        xycoords=("data", "axes fraction"),
        xytext=(-6, 8),
        textcoords="offset points",
        ha="right",
    )


def costs(axes: Axes, rows: Rows, places: list[float]) -> None:
    """Draw processor time per message of the server and of PostgreSQL."""
    for kind, label, colour in (
        ("server", "server", SERVER),
        ("postgresql", "PostgreSQL", POSTGRESQL),
    ):
        values = column(rows, f"{kind}_us_per_message")
        axes.plot(places, values, "o-", color=colour)
        higher = total(rows[-1], "message") < 2 * values[-1]
        beside(axes, places[-1], values[-1], label, colour, GAP / 2 if higher else -GAP / 2)
    axes.set_ylabel("CPU, µs per message")


def beside(axes: Axes, x: float, y: float, label: str, colour: str, up: float) -> None:
    """Name a line at its right end, some points above it."""
    axes.annotate(
        label,
        (x, y),
        xytext=(9, up),
        textcoords="offset points",
        va="center",
        color=colour,
        weight="bold",
        annotation_clip=False,
    )


def peers(rows: Rows) -> Figure:
    """One row of bars for each server, one field for each job."""
    jobs = [job for job in dict.fromkeys(row["job"] for row in rows) if job[:2] in JOBS]
    counts = [sum(row["job"] == job for row in rows) for job in jobs]
    figure, fields = plt.subplots(
        len(jobs),
        1,
        figsize=(8, 0.9 * len(jobs) + 0.5 * sum(counts)),
        height_ratios=[count + 0.5 for count in counts],
        squeeze=False,
        layout="constrained",
    )
    for axes, job in zip(fields[:, 0], jobs, strict=True):
        kind, _, number = job.partition(":")
        same = [row for row in rows if row["job"] == job]
        bars(axes, sorted(same, key=total, reverse=True))
        axes.set_title(JOBS[kind].format(f"{int(number):,}" if number else ""))
    # The shortest bars are at the top.
    fields[0, 0].legend(loc="upper right", frameon=False)
    fields[-1, 0].set_xlabel("CPU, µs per delivery")
    return figure


def total(row: dict[str, str], unit: str = "delivery") -> float:
    return float(row[f"server_us_per_{unit}"]) + float(row[f"postgresql_us_per_{unit}"])


def called(row: dict[str, str]) -> str:
    """Return the name of a server, with what it leaves undone below."""
    return "\n".join(filter(None, (row["server"], STORING.get(row["server"]))))


def bars(axes: Axes, rows: Rows) -> None:
    names = [called(row) for row in rows]
    server = column(rows, "server_us_per_delivery")
    database = column(rows, "postgresql_us_per_delivery")
    axes.barh(names, server, color=SERVER, label="server", height=0.7)
    axes.barh(names, database, left=server, color=POSTGRESQL, label="PostgreSQL", height=0.7)
    for place, row in enumerate(rows):
        own = row["server"] == "fastchat"
        axes.annotate(
            f"{total(row):,.1f}" if total(row) < 100 else f"{total(row):,.0f}",
            (total(row), place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            weight="bold" if own else "normal",
        )
        if own:
            axes.get_yticklabels()[place].set_weight("bold")
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(right=1.1 * max(map(total, rows)))
    axes.xaxis.set_major_formatter(FuncFormatter(thousands))


def memory(rows: Rows) -> Figure:
    """Resident memory over idle connections, and what one of them costs."""
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    connections = column(rows, "connections")
    resident = column(rows, "resident_kb")
    axes.plot(connections, [kb / 1024 for kb in resident], "o-", color=SERVER)
    for count, kb in zip(connections[1:], resident[1:], strict=True):
        if count < connections[-1] / 6:
            continue  # too near to the one before
        axes.annotate(
            f"{(kb - resident[0]) / count:.1f} KB each",
            (count, kb / 1024),
            xytext=(0, -20),
            textcoords="offset points",
            ha="center",
        )
    axes.set(xlabel="idle authenticated connections", ylabel="resident memory of the worker, MB")
    axes.set_xlim(0, 1.08 * connections[-1])
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_formatter(FuncFormatter(thousands))
    return figure


def growth(rows: Rows, connections: Rows) -> Figure:
    """Processor time over stored rows, and over idle connections."""
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(9, 4), sharey=True, layout="constrained", gridspec_kw={"wspace": 0.12}
    )
    costs(left, rows, column(rows, "rows"))
    left.set(xscale="log", xlabel="stored messages", title="Stored messages")
    costs(right, connections, column(connections, "connections"))
    right.set(xlabel="idle connections beside", title="Idle connections", ylabel="")
    for axes in (left, right):
        axes.xaxis.set_major_formatter(FuncFormatter(thousands))
    left.set_ylim(bottom=0)  # both share it, so when both are drawn
    return figure


def thousands(value: float, _: int) -> str:
    """Write a number as people read it."""
    if value >= 1e6:
        return f"{value / 1e6:g} million"
    return f"{value:,.0f}" if value >= 1 or value == 0 else f"{value:g}"


# By the name of the image: how it is drawn, and of what.
PLOTS: dict[str, tuple[Draw, tuple[str, ...]]] = {
    "latency-over-load": (offered_load, ("offered_load.csv",)),
    "cpu-beside-peers": (peers, ("peers.csv",)),
    "memory-over-connections": (memory, ("memory.csv",)),
    "cost-over-rows-and-connections": (growth, ("rows.csv", "connections.csv")),
}


if __name__ == "__main__":
    main()
