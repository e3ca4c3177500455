"""`attributes study`: a page on which readers say which of two pictures a network ranks higher."""

import argparse
import sys
from typing import TYPE_CHECKING

from simvis_app.commands.options import network_options, positive
from simvis_app.service import defaults, samples

if TYPE_CHECKING:
    from model_zoo.attributes.judging.trials import JudgingPart, Trial
    from simvis_core.attributes.judging.study_design import StudyTrial
    from simvis_core.attributes.judging.study_page import TrialPictures


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the command's flags."""
    parser.add_argument(
        "folder", metavar="DIR", help="where study.html, for readers, and key.json, for you, are written"
    )
    parser.add_argument(
        "--backbone",
        help=f"efficientnet_lite0 or efficientnet_lite2, which have a classifier (default: {defaults.BACKBONE})",
    )
    parser.add_argument("--trials", type=positive, default=24, metavar="N", help="how many (default: 24)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the trials and their order (default: 0)")
    network_options(parser)


def run(options: argparse.Namespace) -> None:
    """Writes the page and its key."""
    from model_zoo.attributes.fitted import attributes_of
    from model_zoo.attributes.judging.trials import Asks, sample_trial
    from simvis_app.commands.opening import session_of
    from simvis_core.attributes.judging.study_design import study_trials
    from simvis_core.attributes.judging.study_page import pages_of_study
    from simvis_core.files.writing import write_folder
    from simvis_core.steps import run as run_steps

    session, backbone = session_of(options)
    network = session.network(backbone)
    known = attributes_of(backbone, network)
    trial = run_steps(sample_trial(samples.FOLDER, known, network, Asks(seed=options.seed)), _tell)
    trials = study_trials(trial.looks, trial.tested, trial.learnt, options.trials, options.seed)
    files = pages_of_study(trials, [_pictures(trial, one) for one in trials], options.seed)
    for path in write_folder(options.folder, files):
        print(path)
    print(f"{len(trials)} trials; give each reader the page and a number of their own: 1, 2, 3, ...")
    print("then: python app.py attributes study-results answers-*.csv --key key.json")


def _tell(part: "JudgingPart") -> None:
    if part.done == part.total:
        print(f"{part.doing}: {part.total}", file=sys.stderr, flush=True)


def _pictures(trial: "Trial", one: "StudyTrial") -> "TrialPictures":
    """The trial's pictures; the two candidates' maps have one scale, the largest value of both."""
    from simvis_core.attributes.judging.study_page import TrialPictures
    from simvis_core.pictures.overlays import overlay

    images = [trial.opened(number) for number in (one.query, one.left, one.right)]
    maps = [trial.looks.saliency(number, one.query) for number in (one.left, one.right)]
    scale = max(float(map.abs().max()) for map in maps)
    views = [trial.network.view(image, trial.short_side) for image in images[1:]]
    left, right = (
        (image, overlay(view, map.float(), scale)) for image, view, map in zip(images[1:], views, maps, strict=True)
    )
    return TrialPictures(images[0], left, right)
