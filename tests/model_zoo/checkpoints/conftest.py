"""timm's resnet18 is a slim one in these tests: the same layers under the same names, at a fraction of the work."""

import pytest
import timm
from timm.models import _registry
from timm.models.resnet import BasicBlock, ResNet

CHANNELS = (64, 16, 24, 64)


def slim(pretrained=False, pretrained_cfg=None, **options):
    """A residual network of 64 features in resnet18's place."""
    return timm.models.build_model_with_cfg(
        ResNet,
        "resnet18",
        pretrained,
        pretrained_cfg,
        block=BasicBlock,
        layers=(2, 2, 2, 2),
        channels=CHANNELS,
        **options,
    )


@pytest.fixture(autouse=True, scope="package")
def slim_resnet18():
    """Made by timm's own name, and trained at 96 pixels as far as timm knows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(_registry._model_entrypoints, "resnet18", slim)
        for name, known in _registry._model_pretrained_cfgs.items():
            if name.split(".")[0] == "resnet18":
                patch.setattr(known, "input_size", (3, 96, 96))
                patch.setattr(known, "test_input_size", None)
        yield
