"""`concepts learn`: from pictures to a dictionary, and what of the score it tells on pictures that are held out."""

import argparse
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from simvis_app.commands.concepts.telling import ConceptTeller
from simvis_app.commands.opening import galleries_of, session_of
from simvis_app.service import defaults, samples
from simvis_app.service.galleries.galleries import SAMPLES
from simvis_app.service.sessions.session import Session
from simvis_core.attributes.dictionaries.dictionary import Dictionary, LearntFrom, dictionary_of
from simvis_core.attributes.dictionaries.dictionary_files import own_directions, save_dictionary
from simvis_core.attributes.dictionaries.held_out import held_out, shares_of_score
from simvis_core.attributes.dictionaries.learning import CONCEPTS, KIND, learn_dictionary
from simvis_core.attributes.dictionaries.places import Gathered, firing, gathering
from simvis_core.errors import SimvisError
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.pictures.listing import listed
from simvis_core.steps import run


def learn(options: argparse.Namespace) -> None:
    """Learns a dictionary and writes it; prints the shares of the score on what is held out."""
    _check_learn(options)
    session, backbone = session_of(options)
    pictures = _pictures(options, session)
    network = session.network(backbone)
    network = network if options.pooling is None else network.with_pooling(options.pooling)
    side = options.view_size or network.preprocess.whole_cells(defaults.SHORT_SIDE)
    network.preprocess.check(side, options.framing)
    own = _own(options, network, side)
    seen = {"short_side": side, "framing": options.framing, "limits": session.limits}
    out = held_out(pictures, options.held_out, options.seed)
    gathered = run(gathering(network, pictures, out, seed=options.seed, **seen), ConceptTeller("pictures seen"))
    for file, why in gathered.left_out.items():
        print(f"simvis: left out: {Path(file).name}: {why}", file=sys.stderr)
    source = _source(options, network, side, gathered)
    made = _made(options, own, gathered, source)
    print(
        f"{source.kind}: {made.size} concepts of {network.name} ({network.pooling}), "
        f"learnt on {len(gathered.places)} places of {sum(gathered.learnt)} pictures"
    )
    _tell_shares(options, made, gathered, out)
    fired = run(firing(made, network, gathered.files, **seen), ConceptTeller("pictures sought"))
    print(save_dictionary(options.dictionary, fired))


def _check_learn(options: argparse.Namespace) -> None:
    if (options.source is None) == (options.gallery is None):
        got = "neither FOLDER nor --gallery" if options.source is None else "both FOLDER and --gallery"
        raise SimvisError(got, "one of them", "name the pictures to learn from once")
    if options.matrix is not None and (options.kind or options.size):
        raise SimvisError("--matrix with --kind or --size", "one of them", "leave the others out")


def _pictures(options: argparse.Namespace, session: Session) -> Mapping[str, str]:
    """The pictures to learn from, with their labels."""
    if options.gallery in (None, SAMPLES):
        return listed(options.source if options.gallery is None else samples.PICTURES).pictures
    with closing(galleries_of(options, session)) as galleries:
        galleries.gallery(options.gallery)
        spaces = galleries.spaces(options.gallery)
        found = {row.file: row.label for space in spaces for row in galleries.index.scan(space)}
    if not found:
        raise SimvisError(f"gallery '{options.gallery}', which is empty", "one with pictures", "index some first")
    return found


def _own(options: argparse.Namespace, network: EmbeddingNetwork, side: int) -> Dictionary | None:
    """The directions of one's own, refused before any picture is seen; None where they are to be learnt."""
    if options.matrix is None:
        return None
    own = dictionary_of(own_directions(options.matrix))
    own.check_width(network.width(side))
    return own


def _source(options: argparse.Namespace, network: EmbeddingNetwork, side: int, gathered: Gathered) -> LearntFrom:
    kind = "matrix" if options.matrix is not None else options.kind or KIND
    told = kind, network.name, network.fingerprint, str(network.pooling), side, options.framing
    return LearntFrom(*told, sum(gathered.learnt), len(gathered.places), options.seed)


def _made(options: argparse.Namespace, own: Dictionary | None, gathered: Gathered, source: LearntFrom) -> Dictionary:
    if own is not None:
        return replace(own, mean=gathered.places.double().mean(0), source=source)
    return learn_dictionary(gathered.places, source.kind, options.size or CONCEPTS, options.seed, source)


def _tell_shares(options: argparse.Namespace, made: Dictionary, gathered: Gathered, out: frozenset[str]) -> None:
    """What each part carries of the score of same-class pairs that were not learnt on."""
    kept = [at for at, file in enumerate(gathered.files) if file in out]
    labels = [gathered.labels[at] for at in kept]
    if len(set(labels)) == len(labels):
        print("simvis: no pair of one class could be held out: the residual's share is not known", file=sys.stderr)
        return
    found = shares_of_score(made, gathered.embeddings[kept], labels, options.seed)
    what = "whose classes are learnt on" if options.held_out == "pictures" else "of classes that are not learnt on"
    print(f"held out: {len(kept)} pictures {what}; {found.pairs} pairs of {found.classes} classes")
    for name, part in (("concepts", found.concepts), ("mean", found.mean), ("residual", found.residual)):
        ends = "" if part.low is None or part.high is None else f" ({100 * part.low:.1f} to {100 * part.high:.1f})"
        print(f"  {name} {100 * part.mean:.1f} % of the score{ends}")
