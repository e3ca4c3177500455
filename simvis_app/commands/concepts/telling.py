"""How far work on concepts is."""

import sys


class ConceptTeller:
    """How far it is: on one line of a terminal, elsewhere once as it ends."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __call__(self, step: tuple[int, int]) -> None:
        """Says how many of how many are done."""
        done, total = step
        if sys.stderr.isatty():
            end = "\n" if done == total else ""
            print(f"\r{done} of {total} {self.what} ", end=end, file=sys.stderr, flush=True)
        elif done == total:
            print(f"{total} {self.what}", file=sys.stderr, flush=True)
