"""How SimVis was installed, which decides what a person types: from a checkout, or as a package."""

from pathlib import Path

CHECKOUT = (Path(__file__).parents[2] / "app.py").is_file()
COMMAND = "python app.py" if CHECKOUT else "simvis"


def installing(extra: str, package: str, checkout: bool = CHECKOUT) -> str:
    """What adds an optional package, for a person to type.

    >>> from simvis_core.files.installed import installing
    >>> installing("engines", "openvino", checkout=True)
    'pip install -r requirements-engines.txt'
    >>> installing("engines", "openvino", checkout=False)
    'pip install openvino'
    """
    return f"pip install {f'-r requirements-{extra}.txt' if checkout else package}"
