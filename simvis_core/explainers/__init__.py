"""Every way to draw where a query's score comes from: one table, one call."""

from simvis_core.explainers.table import EXPLAINERS, draw_map

__all__ = ["EXPLAINERS", "draw_map"]
