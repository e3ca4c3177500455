"""What is typical of a class in words: the attributes that a network is surest of in its members."""

import html
from collections.abc import Sequence
from pathlib import Path

from simvis_app.page.classes.inputs import read
from simvis_app.page.classes.widgets import Widgets
from simvis_app.page.updates import Updates, Values
from simvis_app.service import defaults, words
from simvis_app.service.attributes.asking import AttributeAnswers, TypicalAttribute, has_attributes, with_attributes
from simvis_app.service.galleries.galleries import Galleries
from simvis_core import SimvisError
from simvis_core.stores.contract import Row

MOST = 12  # members that are opened: a forward pass each, for which nobody waits longer than for a map by masks
NAMED = 5  # attributes
SAY = f"Say in words what is typical (opens up to {MOST} pictures)"


class ClassWords:
    """Tells a class in words; it opens the most typical members again, since a gallery keeps no attributes."""

    def __init__(self, galleries: Galleries, answers: AttributeAnswers, widgets: Widgets) -> None:
        self.galleries, self.answers, self.widgets = galleries, answers, widgets

    def say(self, values: Values) -> Updates:
        """The attributes that are typical of the class, or why none are told."""
        inputs = read(values, self.widgets)
        try:
            where = self.galleries.space(inputs.place.gallery, inputs.place.space)
            told = self._told(where.network, self.galleries.members(where, inputs.label).rows)
        except SimvisError as error:
            told = words.notice(str(error))
        return {self.widgets.in_words: told}

    def _told(self, network: str, rows: Sequence[Row]) -> str:
        if not has_attributes(network):
            having = " or ".join(with_attributes())
            return words.notice(
                f"{network} has no attributes: choose a gallery that was indexed with {having}, which kept their "
                "ImageNet classifier."
            )
        files = [row.file for row in rows[:MOST]]
        for file in files:
            if Path(file).is_file():  # a gallery's pictures are the owner's: his limits hold
                self.answers.session.admit(file)
        found = self.answers.typical(files, network, defaults.FRAMING)
        return _sentence(found, len(files), len(rows))


def _sentence(found: Sequence[TypicalAttribute], opened: int, members: int) -> str:
    named = [one for one in found if one.confidence > 0][:NAMED]
    of = f"the {opened} most typical of {members} pictures" if opened < members else f"these {opened} pictures"
    of = "this picture" if members == 1 else of
    if not named:
        return f"<p>No attribute stands out in {of}: the network is no surer of any than on the reference pictures.</p>"
    listed = ", ".join(
        f"<b>{html.escape(one.name)}</b> ({one.confidence:+.1f}, in {one.above} of {opened})" for one in named
    )
    return (
        f"<p>In {of} the network is surest of: {listed}.<br><small>Mean log-odds above those of the reference "
        "pictures, and in how many it lies above. Which of them a score comes from, the Attributes tab tells for a "
        "pair.</small></p>"
    )
