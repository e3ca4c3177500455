"""What the Compare tab gives away: a link to what is shown, its maps as a zip, and one picture of all of it."""

import gradio as gr

from simvis_app.page import choices
from simvis_app.page.compare.inputs import CompareAsked
from simvis_app.page.concepts.concept_panel import LISTED
from simvis_app.page.pair.asked import pair_of
from simvis_app.page.pair.link import pair_link
from simvis_app.service import samples, words
from simvis_app.service.concepts import split_over_concepts
from simvis_app.service.files import kept
from simvis_app.service.links import LinkedPictures
from simvis_app.service.marks import checked_pin
from simvis_app.service.sessions.depths import Depths
from simvis_app.service.sessions.session import Session, content_hash
from simvis_core import PairExplanation, SimvisError
from simvis_core.attributes.concept_files import concept_files
from simvis_core.files.writing import zipped
from simvis_core.pairs.export import Export
from simvis_core.pairs.sides import Side

Pinned = tuple[tuple[Side, float, float] | None, tuple[Side, list[float]] | None]  # a point, or a region's weights


class CompareSharing:
    """What the tab's row gives. All raise gr.Error, a sentence for the visitor, for what cannot be shared."""

    def __init__(self, session: Session, pictures: LinkedPictures, depths: Depths) -> None:
        self.session, self.pictures, self.depths = session, pictures, depths

    def link(self, asked: CompareAsked) -> str:
        """The query of a link to what is shown; both pictures are kept for it."""
        depth = {name: getattr(asked.depth, name) for name in choices.DEPTH} if asked.depth.layer else {}
        return pair_link(self.session, self.pictures, asked.pair, asked.look, **depth)

    def export(self, asked: CompareAsked) -> str:
        """The path of a zip with overlays, maps and manifest of what is shown."""
        pair, look = self._pair(asked), asked.look
        point, region = _pinned(pair, look.viewer["pin"])
        shown = Export(pair, point, look.colours, look.opacity, region=region, ground=look.viewer["ground"])
        return kept(zipped(shown.files() | self._concepts(asked)), "simvis.zip")

    def figure(self, asked: CompareAsked) -> str:
        """The path of one picture to share: what is shown, with the score and what it was measured with."""
        pair, look = self._pair(asked), asked.look
        point, region = _pinned(pair, look.viewer["pin"])
        assert asked.pair.files is not None
        facts = samples.facts_of(asked.pair.files, [content_hash(image) for image in asked.pair.files])
        shown = Export(pair, point, look.colours, look.opacity, facts, region, look.viewer["ground"])
        return kept(shown.figure_png(), "simvis.png")

    def _concepts(self, asked: CompareAsked) -> dict[str, bytes]:
        """What the panel of concepts shows, in a folder of its own; nothing where the panel says why there are none."""
        pair = pair_of(self.session, asked.pair)
        try:
            split = split_over_concepts(pair)
        except SimvisError:
            return {}
        return {f"concepts/{name}": content for name, content in concept_files(pair, split, LISTED).items()}

    def _pair(self, asked: CompareAsked) -> PairExplanation:
        """The pair at the depth that is shown, as good as it gets."""
        pair = pair_of(self.session, asked.pair)
        if not asked.depth.layer:
            return pair
        assert asked.pair.files is not None
        try:
            return self.depths.explained(*asked.pair.files, asked.pair.settings(self.session), asked.depth)
        except SimvisError as error:
            raise gr.Error(words.toast(error), print_exception=False) from error


def _pinned(pair: PairExplanation, pin: object) -> Pinned:
    """The view pixel at the centre of the pinned cell, or the pinned region's weights."""
    checked = checked_pin(pin, {"a": pair.a.grid, "b": pair.b.grid})
    if checked is None:
        return None, None
    if "weights" in checked:
        return None, (checked["side"], checked["weights"])
    view, own, _ = pair.side(checked["side"])
    grid = checked.get("of", own.grid)
    x, y = (
        (at + 0.5) * side / cells - 0.5
        for at, side, cells in zip((checked["col"], checked["row"]), view.size[::-1], grid[::-1], strict=True)
    )
    return (checked["side"], x, y), None
