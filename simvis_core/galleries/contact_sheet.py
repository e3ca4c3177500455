"""A search or a class as one HTML file that needs nothing else: pictures, scores and maps."""

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

LONGEST = 320  # pixels of a picture's longer side
STYLE = """body{font:15px system-ui,sans-serif;margin:24px;color:#222;background:#fff}
main{display:grid;grid-template-columns:repeat(auto-fill,minmax(220px,1fr));gap:18px}
figure{margin:0}img{width:100%;height:190px;object-fit:contain;background:#f2f2f2}
b{font-size:18px}p,figcaption{margin:4px 0;overflow-wrap:anywhere}.stale{color:#a40}"""


@dataclass(frozen=True)
class Entry:
    """A picture (None for one that is gone), its number in large print, and lines of text under it."""

    image: Image.Image | None
    number: str
    lines: Sequence[str]
    stale: str = ""


def contact_sheet(title: str, told: Sequence[str], entries: Sequence[Entry]) -> bytes:
    """The page. Every text is a stranger's file name for all we know: nothing in it is read as markup.

    >>> from PIL import Image
    >>> from simvis_core.galleries.contact_sheet import Entry, contact_sheet
    >>> page = contact_sheet("Hits", ["3 pictures"], [Entry(Image.new("RGB", (40, 30)), "0.742", ["owl.jpg"])])
    >>> page[:15], b"owl.jpg" in page
    (b'<!doctype html>', True)
    """
    head = "".join(f"<p>{html.escape(line)}</p>" for line in told)
    figures = "".join(map(_figure, entries))
    name = html.escape(title)
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title><style>{STYLE}</style>'
        f'<meta name="viewport" content="width=device-width"><h1>{name}</h1>{head}<main>{figures}</main></html>\n'
    )
    return page.encode(errors="replace")


def _figure(entry: Entry) -> str:
    picture = "<p>This picture is gone.</p>" if entry.image is None else f'<img alt="" src="{_address(entry.image)}">'
    lines = "".join(f"<p>{html.escape(line)}</p>" for line in entry.lines)
    stale = f'<p class="stale">{html.escape(entry.stale)}</p>' if entry.stale else ""
    return f"<figure>{picture}<figcaption><b>{html.escape(entry.number)}</b>{lines}{stale}</figcaption></figure>"


def _address(image: Image.Image) -> str:
    small = image.copy()
    small.thumbnail((LONGEST, LONGEST))
    buffer = io.BytesIO()
    small.convert("RGB").save(buffer, "JPEG", quality=82)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
