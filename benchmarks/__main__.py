"""Measure segscope: peers, memory, large images, growth, tables, the page, its live mode, the server under load.

``make bench`` measures them all; ``make bench ARGS="peers --width 1"`` chooses a part and gives options.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from . import explorer, growth, live, load, memory, peers, table, windows
from .report import print_figures, write_json

PARTS = ("peers", "memory", "windows", "growth", "table", "explorer", "live", "load")
FIGURES = {
    "memory": memory,
    "windows": windows,
    "growth": growth,
    "table": table,
    "explorer": explorer,
    "live": live,
    "load": load,
}


def main() -> None:
    """Measure the parts that were asked for, one after the other, and print their tables."""
    options = _options()
    for part in options.parts or PARTS:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            if part == "peers":
                results = peers.measure(options, progress)
            else:
                figures = FIGURES[part].measure(options, progress)
        if part == "peers":
            peers.print_results(results, options)
        else:
            print_figures(part, figures)
        if options.json and part == "peers":
            (options.json / "peers.json").write_text(json.dumps(results, indent=2) + "\n")
        elif options.json:
            write_json(options.json / f"{part}.json", part, figures)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"{', '.join(PARTS)}; all by default")
    parser.add_argument("--json", type=Path, metavar="FOLDER", help="write the numbers into this folder as well")
    for part in (peers, *FIGURES.values()):
        part.add_options(parser)
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; expected {', '.join(PARTS)}")
    if options.json:
        options.json.mkdir(parents=True, exist_ok=True)
    return options


if __name__ == "__main__":
    main()
