"""`attributes evaluate`: whether the attributes that are named explain, against what they are to beat."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simvis_app.commands.options import network_options, positive
from simvis_app.service import defaults, samples
from simvis_core.errors import SimvisError

if TYPE_CHECKING:
    from model_zoo.attributes.fitted import FittedAttributes
    from model_zoo.attributes.judging.trials import Asks, JudgingPart, Trying
    from model_zoo.attributes.judging.verdicts import Verdicts
    from simvis_core.attributes.datasets.dataset import AttributeDataset
    from simvis_core.networks.network import EmbeddingNetwork
    from simvis_core.trust.faithfulness import Interval

DATASETS = ("samples", "rooms", "awa2", "polyvore")


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the command's flags."""
    parser.add_argument(
        "--dataset",
        default="samples",
        choices=DATASETS,
        help="the sample pictures, drawn rooms that share one object, Animals with Attributes 2, or Polyvore Outfits",
    )
    parser.add_argument("--root", metavar="DIR", help="where the data set lies, in the layout that it is published in")
    parser.add_argument(
        "--split", default="nondisjoint", choices=("disjoint", "nondisjoint"), help="of Polyvore (default: nondisjoint)"
    )
    parser.add_argument(
        "--labels",
        default="true",
        choices=("true", "released"),
        help="of Polyvore: what is annotated; or, as SANE's released code has it, also what the model itself scores "
        "above its median on annotated pictures, so that it is judged in part by its own opinion (default: true)",
    )
    parser.add_argument(
        "--attributes", metavar="FOLDER", help="attributes that were learnt, instead of sets of classes"
    )
    parser.add_argument(
        "--backbone", help=f"the network, if not what learnt --attributes (default: {defaults.BACKBONE})"
    )
    parser.add_argument("--pairs", type=positive, default=200, metavar="N", help="at most so many (default: 200)")
    parser.add_argument(
        "--pictures", type=positive, default=600, metavar="N", help="of a data set's part, at most (default: 600)"
    )
    parser.add_argument(
        "--curves", type=int, default=20, metavar="N", help="pairs with insertion and deletion (default: 20)"
    )
    parser.add_argument("--no-checks", action="store_true", help="leave out random weights and shuffled labels")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of every draw (default: 0)")
    parser.add_argument(
        "--training-csv",
        type=Path,
        metavar="FILE",
        help="write the data set's training pictures with their attributes there, to learn from, and judge nothing",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON instead")
    parser.add_argument("--out", metavar="DIR", help="write the figures and every pair's names there")
    network_options(parser)


def run(options: argparse.Namespace) -> None:
    """Judges, prints the figures, and writes them where it is asked."""
    from simvis_core.steps import run as run_steps

    data = _data(options)
    if options.training_csv is not None:
        _write_training(options.training_csv, data)
        return
    from model_zoo.attributes.judging.verdicts import verdict_steps

    network, known = _network(options)
    trial = run_steps(_trying(options, data, network, known), _Teller())
    found = run_steps(verdict_steps(trial, options.curves, not options.no_checks, options.seed), _Teller())
    figures = _figures(options, trial.name, network.name, found)
    if options.json:
        print(json.dumps(figures, indent=2))
    else:
        _print(trial.name, network.name, found)
    if options.out is not None:
        _write(options.out, figures, found)


def _data(options: argparse.Namespace) -> "AttributeDataset | None":
    """The published data set; None for pictures that come along. Refuses flags that say nothing of what is judged."""
    published = options.dataset in ("awa2", "polyvore")
    if published != (options.root is not None):
        got = f"--dataset {options.dataset} {'without' if published else 'with'} --root"
        raise SimvisError(got, "--root with awa2 or polyvore alone", "name the folder of the data set")
    if options.dataset != "polyvore" and (options.labels, options.split) != ("true", "nondisjoint"):
        raise SimvisError(f"--labels or --split with --dataset {options.dataset}", "polyvore", "leave them out")
    if not published and options.training_csv is not None:
        raise SimvisError(f"--training-csv of {options.dataset}", "awa2 or polyvore", "name one as --dataset")
    if options.dataset == "awa2":
        from simvis_core.attributes.datasets.awa2 import read_awa2

        return read_awa2(options.root, options.seed)
    if options.dataset == "polyvore":
        from simvis_core.attributes.datasets.polyvore import read_polyvore

        return read_polyvore(options.root, options.split)
    return None


def _network(options: argparse.Namespace) -> tuple["EmbeddingNetwork", "FittedAttributes | None"]:
    """The network, and its attributes where they are known before any picture is seen."""
    from model_zoo.attributes.fitted import attributes_of
    from model_zoo.attributes.learning import learnt_attributes, network_of_attributes
    from simvis_app.commands.opening import session_of

    if options.dataset == "rooms" and options.attributes is None:
        raise SimvisError(
            "--dataset rooms without --attributes", "attributes of rooms", "learn some, and name their folder"
        )
    if options.attributes is not None and options.backbone is None and options.checkpoint is None:
        options.backbone = network_of_attributes(options.attributes)
    session, backbone = session_of(options)
    network = session.network(backbone)
    if options.attributes is not None:
        return network, learnt_attributes(options.attributes, network)
    return network, attributes_of(backbone, network) if options.dataset == "samples" else None


def _trying(
    options: argparse.Namespace,
    data: "AttributeDataset | None",
    network: "EmbeddingNetwork",
    known: "FittedAttributes | None",
) -> "Trying":
    from model_zoo.attributes.judging.trials import dataset_trial, room_trial

    asks = _asks(options)
    if data is not None:
        side = network.preprocess.whole_cells(defaults.SHORT_SIDE) if known is None else known.short_side
        return dataset_trial(data, network, side, asks, known)
    assert known is not None  # only a published data set is asked of sets of classes
    return room_trial(known, network, asks) if options.dataset == "rooms" else _samples(known, network, asks)


def _samples(known: "FittedAttributes", network: "EmbeddingNetwork", asks: "Asks") -> "Trying":
    from model_zoo.attributes.judging.trials import sample_trial

    return sample_trial(samples.FOLDER, known, network, asks)


def _asks(options: argparse.Namespace) -> "Asks":
    from model_zoo.attributes.judging.trials import Asks

    return Asks(options.pairs, options.pictures, options.labels, options.seed)


class _Teller:
    """How far it is: on one line of a terminal, elsewhere once as each part ends."""

    def __call__(self, part: "JudgingPart") -> None:
        """Says which part is how far."""
        last = part.done == part.total
        if sys.stderr.isatty():
            line = f"\r{part.doing}: {part.done} of {part.total} "
            print(line, end="\n" if last else "", file=sys.stderr, flush=True)
        elif last:
            print(f"{part.doing}: {part.total}", file=sys.stderr, flush=True)


def _print(name: str, network: str, found: "Verdicts") -> None:
    print(f"{name}, {network}: {found.table[0]['pairs']} pairs; means over classes with 95 % intervals\n")
    heads = ("the named attribute is", *JUDGED_HEADS.values())
    rows = [(row["by"], *(_cell(row[figure]) for figure in JUDGED_HEADS)) for row in found.table]
    _columns([heads, *rows])
    precision = found.precision
    print(f"\nattribute mAP {_cell(precision)} over {precision.pairs} attributes; in random order {found.chance:.2f}")
    if found.gaps:
        print("\nthe score follows the map (insertion less deletion AUC)")
        _columns([(name, _cell(gap)) for name, gap in found.gaps.items()])
    if found.agreement:
        print("\nnames of the true model that a senseless one has too")
        rows = [(check, _cell(one.share), f"by chance {one.chance:.2f}") for check, one in found.agreement.items()]
        _columns(rows)


def _columns(rows: "list[tuple[str, ...]]") -> None:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def _cell(value: "Interval | None") -> str:
    if value is None:
        return "-"
    ends = "" if value.low is None else f" ({value.low:.2f} to {value.high:.2f})"
    return f"{value.mean:.2f}{ends}"


def _figures(options: argparse.Namespace, name: str, network: str, found: "Verdicts") -> dict[str, Any]:
    def told(value: "Interval | None") -> dict[str, float | None] | None:
        return None if value is None else dict(value._asdict())

    table = [{key: told(row[key]) if key in JUDGED_HEADS else row[key] for key in row} for row in found.table]
    agreement = {check: {"share": told(one.share), "chance": one.chance} for check, one in found.agreement.items()}
    return {
        "dataset": name,
        "labels": options.labels,
        "network": network,
        "seed": options.seed,
        "table": table,
        "attribute_map": told(found.precision),
        "attribute_map_by_chance": found.chance,
        "gaps": {map: told(gap) for map, gap in found.gaps.items()},
        "agreement": agreement,
    }


def _write(folder: str, figures: dict[str, Any], found: "Verdicts") -> None:
    from simvis_core.files.writing import manifest_json, table, write_folder

    files = {"figures.json": manifest_json(figures), "pairs.csv": table(list(found.records[0]), found.records)}
    for path in write_folder(folder, files):
        print(path)


def _write_training(file: Path, data: "AttributeDataset | None") -> None:
    from simvis_core.files.writing import table, write_whole

    assert data is not None  # refused before
    labels = data.labels.rows(data.parts["train"])
    said = {1.0: "1", 0.0: "0"}
    rows = [
        {"file": picture} | {name: said.get(value, "") for name, value in zip(labels.names, values, strict=True)}
        for picture, values in zip(labels.pictures, labels.values.tolist(), strict=True)
    ]
    print(write_whole(file, table(["file", *labels.names], rows)))


# What each figure of the table is called.
JUDGED_HEADS = {
    "true": "true of both",
    "over_random": "more often than random",
    "removed": "removed: falls by",
    "inserted": "inserted: rises by",
    "with_less_without": "with less without",
}
