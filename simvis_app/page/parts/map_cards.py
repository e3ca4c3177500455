"""One picture under several explainers' maps, beside each other, while they are being drawn and measured."""

from dataclasses import dataclass, field

from gradio.data_classes import FileData, GradioModel

from simvis_app.page.parts.drawing import HERE, MAPS, PagePart
from simvis_app.page.parts.hit_grid import in_steps

UNIT = "of each map's own strongest value (of pixel maps: their top 1 %)"


@dataclass(frozen=True)
class MapCard:
    """One explainer's map. ``cells`` go row by row, already over the map's own strongest value (-1 to 1).

    ``better`` is True, False or None: whether the verdict is good news, bad news or none.
    """

    name: str
    title: str
    paper: str
    state: str = ""  # "waiting", how far it is, or why there is no map; empty once all is measured
    grid: tuple[int, int] = (0, 0)
    cells: list[float] | None = None
    facts: tuple[str, ...] = ()
    verdict: str = ""
    better: bool | None = None


class MapCardData(GradioModel):  # type: ignore[misc]
    """A card as it travels."""

    name: str
    title: str
    paper: str
    state: str
    grid: tuple[int, int]
    cells: str | None
    facts: list[str]
    verdict: str
    better: bool | None


class MapCardsData(GradioModel):  # type: ignore[misc]
    """The cards as they travel; as it stands, there are none."""

    image: FileData | None = None
    aspect: float = 1.0
    unit: str = UNIT
    cards: tuple[MapCardData, ...] = ()


@dataclass(frozen=True)
class Cards:
    """A picture's file, its aspect (width over height), and the cards under it."""

    image: FileData
    aspect: float
    cards: list[MapCard] = field(default_factory=list)


class MapCards(PagePart):
    """The cards. Takes `Cards` or None; texts are set as text, never as markup."""

    data_model = MapCardsData
    files = HERE / "map_cards"
    behind = MAPS

    def preprocess(self, payload: object) -> None:
        """Nothing: the cards are for looking at."""

    def postprocess(self, value: Cards | None) -> MapCardsData:
        """The page's data for the cards."""
        if value is None:
            return MapCardsData()
        return MapCardsData(image=value.image, aspect=value.aspect, cards=tuple(map(_travelling, value.cards)))


def _travelling(card: MapCard) -> MapCardData:
    return MapCardData(
        name=card.name,
        title=card.title,
        paper=card.paper,
        state=card.state,
        grid=card.grid,
        cells=in_steps(card.cells, 1.0),
        facts=list(card.facts),
        verdict=card.verdict,
        better=card.better,
    )
