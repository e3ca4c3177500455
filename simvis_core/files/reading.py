"""Reading back what was written: small files of JSON that a full disk, a crash or another program may have damaged."""

import json
from pathlib import Path
from typing import Any

from simvis_core.errors import SimvisError


def fields(path: Path, cure: str) -> dict[str, Any]:
    """The fields of a file that holds one JSON object.

    Raises SimvisError, with the cure, for a file that is missing, cannot be read, or holds anything else.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from simvis_core.files.reading import fields
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "gallery.json")
    ...     file.write_bytes(b'{"name": "birds"}')
    ...     fields(file, cure="index again")
    ...
    17
    {'name': 'birds'}
    """
    wanted = "the file as it was written"
    try:
        found = json.loads(path.read_bytes().decode())
    except OSError as error:
        why = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise SimvisError(f"'{path.name}' of '{path.parent.name}', which {why}", wanted, cure) from error
    except (ValueError, RecursionError) as error:  # cut off, empty, or of other bytes; brackets without end
        raise SimvisError(f"'{path.name}' of '{path.parent.name}', which is damaged", wanted, cure) from error
    if not isinstance(found, dict):
        raise SimvisError(f"'{path.name}' of '{path.parent.name}', which is damaged", wanted, cure)
    return found
