"""Checks of the model zoo."""

import model_zoo.operators  # noqa: F401  (torchvision and timm cannot be imported before it)
