"""What to mind of a picture that suits its view badly: shapes that were squeezed, details that are not there."""

from simvis_core.pictures.views import MAX_RATIO, View

SQUEEZED = 2.0  # times that a view is narrower than what it shows; at 4:1 and more any squeeze is told
TINY = 4.0  # times that a picture is enlarged each way


def view_warning(view: View, name: str) -> str:
    """A sentence about a picture that was squeezed or is tiny, empty for any other; ``name`` is what it calls it.

    Squeezed is what the view makes twice as narrow or more, and what is longer than 4:1 and not seen in its own shape.
    Tiny is what is enlarged fourfold or more in both directions.

    >>> from PIL import Image
    >>> from simvis_core import Preprocess
    >>> from simvis_core.pictures.view_warnings import view_warning
    >>> seen = Preprocess().view(Image.new("RGB", (3000, 300)))
    >>> view_warning(seen, "A")
    'A is 3000 x 300 and was squeezed to 896 x 224: shapes are distorted; crop it first.'
    """
    left, top, right, bottom = view.box
    wide, high = right - left, bottom - top
    height, width = view.size
    size, seen = f"{view.image.width} x {view.image.height}", f"{width} x {height}"
    squeeze = (wide / high) / (width / height)
    squeeze = max(squeeze, 1 / squeeze)
    if squeeze >= SQUEEZED or (max(wide / high, high / wide) > MAX_RATIO and squeeze > 1.01):
        return f"{name} is {size} and was squeezed to {seen}: shapes are distorted; crop it first."
    if min(width / wide, height / high) >= TINY:
        return f"{name} is {size} and was enlarged to {seen}: it holds few details; choose a larger one."
    return ""
