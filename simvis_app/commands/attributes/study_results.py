"""`attributes study-results`: what readers' answers come to, by what they were shown."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simvis_core.trust.faithfulness import Interval


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the command's flags."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="readers' answers, as the page saves them")
    parser.add_argument("--key", required=True, metavar="FILE", help="the key.json that was written with the page")


def run(options: argparse.Namespace) -> None:
    """Prints accuracy and time by condition."""
    from simvis_core.attributes.judging.study_answers import read_answers, study_results

    results = study_results(read_answers(options.files, options.key))
    readers = max(one.readers for one in results)
    print(
        f"{readers} reader{'s' * (readers > 1)}; means over readers with 95 % intervals; one in two is right by chance"
    )
    heads = ("shown with", "answers", "right", "more than with the map", "median seconds")
    rows = [
        (one.condition, str(one.answers), _told(one.accuracy), _told(one.over_map), _told(one.seconds))
        for one in results
    ]
    widths = [max(len(row[at]) for row in (heads, *rows)) for at in range(len(heads))]
    for row in (heads, *rows):
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def _told(value: "Interval | None") -> str:
    if value is None:
        return "-"
    return f"{value.mean:.2f}" + ("" if value.low is None else f" ({value.low:.2f} to {value.high:.2f})")
