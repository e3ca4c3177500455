"""`concepts explain`: a pair's score over a dictionary's concepts, printed and written."""

import argparse
from dataclasses import replace
from pathlib import Path

from model_zoo.attributes.dictionaries.bundled import concepts_of
from simvis_app.commands.concepts.telling import ConceptTeller
from simvis_app.commands.opening import session_of
from simvis_app.service import defaults, samples
from simvis_app.service.sessions.session import Session, Settings
from simvis_core.attributes.concept_files import concept_files, concept_ledger, places_page
from simvis_core.attributes.concepts import ConceptPair
from simvis_core.attributes.dictionaries.dictionary import Dictionary
from simvis_core.attributes.dictionaries.dictionary_files import open_dictionary
from simvis_core.files.numbers import percent
from simvis_core.files.writing import write_folder
from simvis_core.pairs.explanation import PairExplanation


def explain(options: argparse.Namespace) -> None:
    """Prints the ledger of a pair's concepts, and with --out writes their maps and places."""
    made = None if options.dictionary is None else open_dictionary(options.dictionary)
    if made is not None and made.source is not None and options.backbone is None and options.checkpoint is None:
        options.backbone = made.source.network
    session, backbone = session_of(options)
    made = made or _bundled(session, backbone)
    settings = _settings(made, session, backbone)
    masks = ConceptTeller("masked pictures")
    pair = session.explain_fully(options.a, options.b, settings, lambda done, count: masks((done, count)))
    if made.source is not None:
        made.source.check(pair.network)
    split = ConceptPair(pair.a, pair.b, made)
    _tell_ledger(options, pair, split)
    if options.out is not None:
        _write(options, pair, split, settings, session)


def _bundled(session: Session, backbone: str) -> Dictionary:
    """The dictionary that comes with a network; its places are sample photographs, by their full names."""
    made = concepts_of(backbone, session.network(backbone))
    home = [[replace(place, picture=str(samples.PICTURES / place.picture)) for place in some] for some in made.firings]
    return replace(made, firings=tuple(map(tuple, home)))


def _settings(made: Dictionary, session: Session, backbone: str) -> Settings:
    """How the pictures are seen: as the dictionary's were."""
    network, source = session.network(backbone), made.source
    if source is None:
        return Settings(backbone, str(network.trained_pooling), network.preprocess.whole_cells(defaults.SHORT_SIDE))
    source.check(network.with_pooling(source.pooling))  # before a picture is seen
    return Settings(backbone, source.pooling, source.short_side, source.framing)


def _tell_ledger(options: argparse.Namespace, pair: PairExplanation, split: ConceptPair) -> None:
    told = concept_ledger(split, options.top)
    left = split.dictionary.size - len(told["concepts"])
    rest = [(f"{left} other concepts", told["other_concepts"])] if left else []
    rest += [("mean", told["mean"]), ("residual", told["residual"])]
    print(f"score {pair.score:.6f} ({pair.verdict})")
    for one in told["concepts"]:
        codes = f"codes {one['code_a']:+.3f} in A, {one['code_b']:+.3f} in B"
        name = f"concept {one['concept']} ({one['name']})"
        print(f"  {name} {one['total']:+.6f}  {percent(one['total'], pair.score)}  {codes}")
    for name, part in rest:
        print(f"  {name} {part:+.6f}  {percent(part, pair.score)}")
    print(f"  sum {sum(part for _, part in rest) + sum(one['total'] for one in told['concepts']):+.6f}")


def _write(
    options: argparse.Namespace, pair: PairExplanation, split: ConceptPair, settings: Settings, session: Session
) -> None:
    files = concept_files(pair, split, options.top, {"a": Path(options.a).name, "b": Path(options.b).name})
    if split.dictionary.firings:
        strongest = split.strongest(options.top).tolist()
        seen = settings.short_side, settings.framing, session.limits
        files["places.html"] = places_page(split.dictionary, strongest, pair.network, *seen)
    for path in write_folder(options.out, files):
        print(path)
