"""`store-check`: the store's contract, run on the embedded store or on a Milvus server."""

import argparse
import sys
from contextlib import closing

from simvis_app.commands.galleries.answering import Answered, tell
from simvis_app.commands.options import gallery_options
from simvis_core.stores.check import check_store
from simvis_core.stores.opening import open_index


def add(check: argparse.ArgumentParser) -> None:
    """Adds where the store is."""
    gallery_options(check)


def run(options: argparse.Namespace) -> None:
    """Runs the contract on a scratch collection, and prints each check's seconds as JSON."""
    tell(check(options))


def check(options: argparse.Namespace) -> Answered:
    """Runs the store's contract on the embedded store or on a server: each check's seconds."""
    passed = {}
    with closing(open_index(options.galleries / "index", options.index_url)) as store:
        for name, seconds in check_store(store):
            print(f"{name}: passed in {seconds:.2f} s", file=sys.stderr, flush=True)
            passed[name] = seconds
    return {"store": options.index_url or str(options.galleries / "index"), "passed": passed}
