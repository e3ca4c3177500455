"""All attributes of a pair in a table, best first, of which one is chosen."""

from dataclasses import dataclass
from pathlib import Path

from gradio.data_classes import GradioModel

from simvis_app.page.parts.drawing import PagePart
from simvis_core.attributes.ranker import AttributeRanking, AttributeTerms


class AttributeTableData(GradioModel):  # type: ignore[misc]
    """What travels: rows of name, score and three terms, to four digits. As it stands, there are none."""

    rows: tuple[tuple[str, float, float, float, float], ...] = ()
    named: tuple[str, ...] = ()
    threshold: float = 0.0
    chosen: str = ""
    said: str = ""
    line: str = ""


@dataclass(frozen=True)
class Ranked:
    """A ranking, the attribute that is chosen, what the table says above, and where attributes no longer explain."""

    ranking: AttributeRanking
    chosen: str
    said: str
    line: str


class AttributeTable(PagePart):
    """The table. The event ``choose`` tells of a row that was clicked, tapped or reached by arrow keys.

    As an output it takes `Ranked` or None, as an input it gives the chosen name, which nobody has checked. Texts are
    set as text, never as markup.
    """

    data_model = AttributeTableData
    files = Path(__file__).parent / "attribute_table"

    def preprocess(self, payload: AttributeTableData | None) -> str:
        """The name of the chosen row; empty where there is none."""
        return "" if payload is None else payload.chosen

    def postprocess(self, value: Ranked | None) -> AttributeTableData:
        """The page's data for the table."""
        if value is None:
            return AttributeTableData()
        ranking = value.ranking
        return AttributeTableData(
            rows=tuple(map(_row, ranking.attributes)),
            named=tuple(one.name for one in ranking.chosen()),
            threshold=ranking.threshold,
            chosen=value.chosen,
            said=value.said,
            line=value.line,
        )


def _row(one: AttributeTerms) -> tuple[str, float, float, float, float]:
    score, *terms = (float(f"{number:.4g}") for number in (one.score, one.confidence, one.overlap, one.prior))
    confidence, overlap, prior = terms
    return one.name, score, confidence, overlap, prior
