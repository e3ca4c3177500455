"""The stores there are: embedded by default, a server where a URL names one."""

from pathlib import Path

from simvis_core.stores.contract import EXACT_BELOW, VectorIndex
from simvis_core.stores.edge import EdgeIndex
from simvis_core.stores.milvus import MilvusIndex


def open_index(folder: str | Path, url: str | None = None, exact_below: int = EXACT_BELOW) -> VectorIndex:
    """The embedded store in a folder, or the Milvus server at ``url`` (http://host:port).

    Raises SimvisError for a URL without its optional package, and for a server that does not answer.

    >>> import tempfile
    >>> from simvis_core.stores.opening import open_index
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     index = open_index(folder)
    ...     index.spaces()
    ...     index.close()
    ...
    []
    """
    return EdgeIndex(folder, exact_below) if url is None else MilvusIndex(url, exact_below=exact_below)
