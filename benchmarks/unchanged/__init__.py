"""Does a change of the code leave every number as it was: a tree's answers as a record, and two records compared."""

import argparse
import json
import sys
from pathlib import Path

from benchmarks.unchanged.comparing import compared
from benchmarks.unchanged.recording import PARTS, record


def main(arguments: list[str] | None = None) -> int:
    """``record TREE FILE`` writes what TREE's code answers; ``compare A B`` prints what differs, and gives 1 then."""
    options = _parser().parse_args(arguments)
    if options.command == "compare":
        told, differ = compared(*(json.loads(path.read_text()) for path in (options.a, options.b)))
        print("\n".join(told))
        return int(differ)
    found = record(options.tree, options.only or list(PARTS))
    options.file.write_text(json.dumps(found, indent=0) + "\n")
    print(f"{len(found['values'])} values of {options.tree} written to {options.file}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks unchanged", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record", help="write what the code of a tree answers; some minutes on one core")
    recording.add_argument("tree", type=Path, metavar="TREE", help="a checkout of SimVis, of any commit")
    recording.add_argument("file", type=Path, metavar="FILE", help="the JSON to write")
    recording.add_argument("--only", action="append", choices=PARTS, help="this part; may be given several times")
    comparing = commands.add_parser("compare", help="print what differs between two records; 1 if anything does")
    comparing.add_argument("a", type=Path, metavar="A")
    comparing.add_argument("b", type=Path, metavar="B")
    return parser


if __name__ == "__main__":
    sys.exit(main())
