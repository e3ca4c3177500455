"""Numbers and sums as they are written, on the page and in pictures to share."""

from simvis_core.decomposition import Method

UNITS: dict[Method, str] = {
    "decomposition": "share of the score, per cell",
    "last-block values": "share of the score, per cell",
    "sliding window": "fall of the score while hidden",
    "RISE": "rise of the score while shown",
    "none": "",
}
WITH_POINT: dict[Method, str] = {  # what a map of one point or region holds
    "decomposition": "share of the score, with",
    "last-block values": "share of the score, with",
    "sliding window": "change of the score, both hidden: here and",
    "RISE": "change of the score, both shown: here and",
    "none": "",
}
SUMS: dict[Method, tuple[str, str]] = {
    "decomposition": ("in the pictures", "from the bias"),
    "last-block values": ("in the map", "that it leaves out"),
}


def number(value: float) -> str:
    """Three decimals, or two significant digits for what would vanish.

    >>> from simvis_core.files.numbers import number
    >>> number(0.7421), number(0.00123)
    ('0.742', '0.0012')
    """
    if value == 0 or abs(value) >= 0.0095:
        return three(value)
    return f"{value:.2g}"


def three(value: float) -> str:
    """Three decimals; what rounds to zero has no sign.

    >>> from simvis_core.files.numbers import three
    >>> three(0.7421), three(-0.0001)
    ('0.742', '0.000')
    """
    return f"{round(value, 3) + 0.0:.3f}"


def percent(part: float, whole: float) -> str:
    """``4.2 %`` of the whole; nothing where the whole is 0.

    >>> from simvis_core.files.numbers import percent
    >>> percent(0.031, 0.742), percent(0.031, 0)
    ('4.2 %', '')
    """
    return f"{100 * part / whole:.1f} %" if whole else ""


def of_score(part: float, score: float) -> str:
    """``0.031 of 0.742, 4.2 %``.

    >>> from simvis_core.files.numbers import of_score
    >>> of_score(0.031, 0.742)
    '0.031 of 0.742, 4.2 %'
    """
    return ", ".join(text for text in (f"{number(part)} of {number(score)}", percent(part, score)) if text)


def sum_of(method: Method, score: float, cells: float) -> str:
    """``0.690 in the pictures + 0.052 from the bias = 0.742``: rounded, and adding up; empty for what is no sum.

    ``cells`` is the part of the score between the cells of both pictures.

    >>> from simvis_core.files.numbers import sum_of
    >>> sum_of("decomposition", score=0.742, cells=0.69)
    '0.690 in the pictures + 0.052 from the bias = 0.742'
    >>> sum_of("RISE", score=0.742, cells=0.69)
    ''
    """
    if method not in SUMS:
        return ""
    whole, bias = round(score, 3), round(score - cells, 3)
    sign = "-" if bias < 0 else "+"
    inside, outside = SUMS[method]
    return f"{three(whole - bias)} {inside} {sign} {three(abs(bias))} {outside} = {three(whole)}"
