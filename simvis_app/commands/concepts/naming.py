"""`concepts name`: what concepts are to be called, by a person or by the attributes that fire where they do."""

import argparse

from simvis_app.commands.concepts.telling import ConceptTeller
from simvis_app.commands.opening import session_of
from simvis_core.attributes.concept_names import ConceptNames, naming
from simvis_core.attributes.dictionaries.dictionary import Dictionary
from simvis_core.attributes.dictionaries.dictionary_files import open_dictionary, save_dictionary
from simvis_core.errors import SimvisError
from simvis_core.pictures.listing import listed
from simvis_core.steps import run


def name_concepts(options: argparse.Namespace) -> None:
    """Writes the dictionary with other names; prints those that attributes gave, with how like they are."""
    words = _said(options)
    made = open_dictionary(options.dictionary).named(words)
    if options.by_attributes is not None:
        found = _by_attributes(options, made)
        given = {concept: word for concept, word in found.words.items() if not made.names[concept]}
        made = made.named({concept: word for concept, word in given.items() if concept not in words})
        _tell(made, found)
    print(save_dictionary(options.dictionary, made))


def _said(options: argparse.Namespace) -> dict[int, str]:
    if not options.words and options.by_attributes is None:
        raise SimvisError("no name", "N=WORDS, such as 12=dome, or --by-attributes FOLDER", "give one of them")
    words = {}
    for said in options.words:
        concept, equals, word = said.partition("=")
        if not (equals and concept.isdecimal()):
            raise SimvisError(f"'{said}'", "N=WORDS, such as 12=dome", "give the concept's number and its name")
        words[int(concept)] = word
    return words


def _by_attributes(options: argparse.Namespace, made: Dictionary) -> ConceptNames:
    from model_zoo.attributes.fitted import attributes_of

    if made.source is None:
        raise SimvisError(
            f"'{options.dictionary}', which does not say what network it is of",
            "a dictionary that `concepts learn` wrote",
            "name its concepts yourself: N=WORDS",
        )
    options.backbone = made.source.network
    session, backbone = session_of(options)
    network = session.network(backbone).with_pooling(made.source.pooling)
    made.source.check(network)
    model, source = attributes_of(backbone, network).model, made.source
    files = list(listed(options.by_attributes).pictures)
    seen = source.short_side, source.framing, session.limits
    return run(naming(made, network, model, files, *seen), ConceptTeller("pictures seen"))


def _tell(made: Dictionary, found: ConceptNames) -> None:
    print(
        f"{sum(map(bool, made.names))} of {made.size} concepts have a name; by chance a likeness is {found.chance:.2f}"
    )
    for concept, one in enumerate(found.best):
        called = made.names[concept] or f"unnamed (most like: {one.name})"
        print(f"  concept {concept}: {called}, likeness {one.likeness:.2f}")
