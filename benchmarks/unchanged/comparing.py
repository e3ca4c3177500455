"""Two records beside each other: what differs, and how much was equal."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

SHOWN = 40  # differences that are told one by one
ABSENT = "(nothing)"


def compared(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[list[str], bool]:
    """Lines that say what differs between two records, or how many values of each group were equal, and whether any do.

    Values are compared as they were written: numbers to the last bit, arrays and files by the hash of their bytes. A
    value that only one record has differs. Two records without values are no proof of anything, and differ, too.
    """
    one, other = a["values"], b["values"]
    names = [*one, *(name for name in other if name not in one)]
    differing = [name for name in names if one.get(name) != other.get(name)]
    told = [_difference(name, one.get(name, ABSENT), other.get(name, ABSENT)) for name in differing[:SHOWN]]
    if len(differing) > SHOWN:
        told.append(f"... and {len(differing) - SHOWN} more")
    there, gone = (Counter(name.partition("/")[0] for name in some) for some in (names, differing))
    told += [f"{group}: {count - gone[group]} of {count} values equal" for group, count in there.items()]
    told.append(f"{len(differing)} differ, {len(names) - len(differing)} values are equal bit for bit")
    told += [f"left out by name: {what}" for what in sorted({*a["left_out"], *b["left_out"]})]
    return told, bool(differing) or not names


def _difference(name: str, one: str, other: str) -> str:
    return f"{name}\n  - {one}\n  + {other}"
