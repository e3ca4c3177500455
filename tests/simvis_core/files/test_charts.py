"""The line chart: points stand where their numbers say, and strangers' names are no markup."""

import re
import xml.etree.ElementTree as ET

from simvis_core.files.charts import ChartLine, line_chart


def places(svg):
    return [tuple(float(at) for at in found) for found in re.findall(rb'cx="([\d.-]+)" cy="([\d.-]+)"', svg)]


def test_points_stand_in_proportion_and_inside():
    found = places(
        line_chart([ChartLine("run", [(0, 1.0, 0.5, 1.5), (50, 2.0, 1.5, 2.5), (100, 1.5, 1.0, 2.0)])], "x", "y")
    )
    (x0, y0), (x1, y1), (x2, y2) = found
    assert (x0, x2) == (64, 640 - 16)
    assert x1 - x0 == x2 - x1
    assert y0 > y2 > y1
    assert abs((y0 - y2) - (y2 - y1)) < 0.11
    assert all(56 <= y <= 360 - 48 for _, y in found)


def test_one_point_and_none_are_drawn():
    assert len(places(line_chart([ChartLine("run", [(5, 0.0, None, None)])], "x", "y"))) == 1
    ET.fromstring(line_chart([], "x", "y"))


def test_names_are_text():
    svg = line_chart([ChartLine("<b> & 'c'", [(0, 1e-7, None, None), (1e6, 2e-7, None, None)])], "a<b", "c&d")
    texts = ["".join(node.itertext()) for node in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    assert "<b> & 'c'" in texts
    assert {"a<b", "c&d"} <= set(texts)
    assert "1e-07" in texts
