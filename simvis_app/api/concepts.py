"""API twin of the Compare tab's concepts: a score split over a dictionary that comes with the network, as JSON."""

from typing import Any

from simvis_app.api.fields import add_pair_twin, whole
from simvis_app.api.told import told
from simvis_app.service import defaults
from simvis_app.service.concepts import split_over_concepts
from simvis_app.service.sessions.session import Session, Settings
from simvis_core import SimvisError
from simvis_core.attributes.concept_files import concept_ledger
from simvis_core.attributes.dictionaries.learning import CONCEPTS
from simvis_core.pairs.sides import SIDES
from simvis_core.pictures.views import Framing

SHOWN = 8


def add_concepts_api(session: Session) -> None:
    """Adds /concepts to the app that is being built."""

    def concepts(
        image_a: str,
        image_b: str,
        backbone: str = defaults.BACKBONE,
        view_size: float = defaults.SHORT_SIDE,
        framing: Framing = defaults.FRAMING,
        top: float = SHOWN,
    ) -> dict[str, Any]:
        """Which concepts carry the score of two pictures: concepts, mean and residual add up to it.

        image_a, image_b: picture files. backbone: a network that a dictionary comes with. view_size: short side of the
        views in pixels. framing: whole, square or crop. top: how many of the strongest are told one by one, with both
        maps, rows of cells, signed, in units of the score. The pooling is the one that the dictionary was learnt under.
        """
        with told():
            if not image_a or not image_b:
                raise SimvisError("one picture", "two", "send image_a and image_b")
            pooling = str(session.network(backbone).trained_pooling)
            settings = Settings(backbone, pooling, whole(view_size, "view_size"), framing)
            split = split_over_concepts(session.explain_fully(image_a, image_b, settings))
            ledger = concept_ledger(split, min(whole(top, "top", SHOWN), CONCEPTS))
            for row in ledger["concepts"]:
                row |= {f"map_{side}": split.concept_map(side, row["concept"]).tolist() for side in SIDES}
            return ledger

    usual: dict[str, str | float] = {
        "backbone": defaults.BACKBONE,
        "view_size": defaults.SHORT_SIDE,
        "framing": defaults.FRAMING,
        "top": SHOWN,
    }
    add_pair_twin(concepts, "concepts", usual)
