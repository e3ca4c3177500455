"""What the options of a command open: the session, its first network, and the galleries."""

import argparse
import sys
from pathlib import Path

from model_zoo.checkpoints.choices import parse_answers, read_choices, with_arguments
from model_zoo.checkpoints.doubts import UndecidedError, write_choices
from simvis_app.service import defaults
from simvis_app.service.galleries.galleries import Galleries
from simvis_app.service.sessions.own_models import OwnModels
from simvis_app.service.sessions.session import Session, Settings
from simvis_core.errors import SimvisError
from simvis_core.pictures.opening import OWNERS, STRANGERS


def session_of(options: argparse.Namespace) -> tuple[Session, str]:
    """The session that the options ask for, and the network it begins with."""
    if options.models is not None and not options.models.is_dir():
        raise SimvisError(f"--models '{options.models}'", "a folder of checkpoints", "name one that exists")
    own = OwnModels(options.models, options.model_uploads)
    session = Session(
        options.device,
        engine=options.engine,
        any_architecture=not options.catalogue_only,
        own=own,
        resizing=options.resizing,
        limits=(STRANGERS if options.command is None else OWNERS).to(options.max_megapixels),
        folders=options.command is not None or _only_here(options),
    )
    if options.checkpoint is None:
        _check_alone(options)
        return session, options.backbone or defaults.BACKBONE
    if options.backbone is not None:
        raise SimvisError("both --backbone and --checkpoint", "one network", "leave one of them out")
    series = Path(options.checkpoint).is_dir()
    if options.step is not None and not series:
        raise SimvisError(f"--step {options.step} of a file", "the folder of a training", "name it as --checkpoint")
    if not options.architecture and not series:
        raise SimvisError("--checkpoint alone", "--architecture with it", "name it, for example timm/resnet50")
    return session, _trained(options, session) if series else _own_model(options, session)


def second_of(options: argparse.Namespace, session: Session, settings: Settings) -> Settings:
    """The settings with the network, pooling and view that the options ask for picture B alone.

    Raises SimvisError as the session does for a network it cannot open.
    """
    if options.checkpoint_b is None:
        return session.with_second(
            settings, options.backbone_b or "", options.pooling_b or "", options.view_size_b or 0
        )
    said = read_choices(options.choices_b)
    if Path(options.checkpoint_b).is_dir():
        name, report = session.open_step(options.checkpoint_b, None, options.architecture_b, said)
    else:
        name, report = session.open_model(options.checkpoint_b, options.architecture_b, said)
    print(f"B: {report}", file=sys.stderr)
    return session.with_second(settings, name, options.pooling_b or "", options.view_size_b or 0)


def _only_here(options: argparse.Namespace) -> bool:
    """Whether nobody but this machine reaches the page that is served."""
    others = options.share or options.behind_proxy or options.trusted_host
    return options.host in ("127.0.0.1", "localhost", "::1") and not others


def _check_alone(options: argparse.Namespace) -> None:
    """Raises SimvisError for an option that says something of a checkpoint where there is none."""
    if options.architecture or options.between or options.head != "auto" or options.step is not None:
        raise SimvisError("--architecture, --head, --between or --step alone", "--checkpoint with it", "name your file")
    if options.choice or options.choices or options.write_choices:
        raise SimvisError("choices alone", "--checkpoint with them", "name your file")


def _own_model(options: argparse.Namespace, session: Session) -> str:
    """The name of the checkpoint that the options open; their file of choices is written also where it asks."""
    said = parse_answers(read_choices(options.choices), options.choice)
    said = with_arguments(said, None, options.head, options.between)
    try:
        name, report = session.open_model(options.checkpoint, options.architecture, said)
    except UndecidedError as error:
        if options.write_choices is not None:
            write_choices(options.write_choices, error.choices, error.doubts)
            print(f"{options.write_choices}: the questions, to be answered and given as --choices", file=sys.stderr)
        raise
    if options.write_choices is not None:
        session.own.write_choices(name, options.write_choices)
    print(report, file=sys.stderr)
    return name


def _trained(options: argparse.Namespace, session: Session) -> str:
    """The name of the trained step that the options open."""
    said = parse_answers(read_choices(options.choices), options.choice)
    said = with_arguments(said, None, options.head, options.between)
    name, report = session.open_step(options.checkpoint, options.step, options.architecture, said)
    print(report, file=sys.stderr)
    return name


def galleries_of(options: argparse.Namespace, session: Session) -> Galleries:
    """The galleries that the options name."""
    if options.pictures is not None and not options.pictures.is_dir():
        raise SimvisError(f"--pictures '{options.pictures}'", "a folder of pictures", "name one that exists")
    return Galleries(session, options.galleries, options.index_url, options.pictures)
