"""`models`: the networks of the catalogue, a line each."""

import argparse


def add(_: argparse.ArgumentParser) -> None:
    """There are no flags."""


def run(_: argparse.Namespace) -> None:
    """Lists the cards."""
    import model_zoo

    for name in model_zoo.names():
        card = model_zoo.card(name)
        where = "bundled" if card.bundled else f"downloads {card.weights.megabytes:.0f} MB"
        print(f"{name:20} {where:17} pooling {card.pooling}, head {card.head}; {card.task}; {card.licence}")
