"""pytorch-grad-cam on our networks: its un-normalised Grad-CAM is our decomposition (law 9)."""

import numpy as np
import pytest
import torch
from pytorch_grad_cam import GradCAM, HiResCAM
from torch import nn

from simvis_core import EmbeddingModule, EmbeddingNetwork, SimilarityTarget
from tests.backbones import Token
from tests.simvis_core.cases import AFFINE_HEADS, make_head


class RawGradCAM(GradCAM):
    """The library's map before its ReLU and its min-max scaling."""

    def compute_cam_per_layer(self, input_tensor, targets, eigen_smooth):
        recorded = self.activations_and_grads
        activations, gradients = recorded.activations[0].numpy(), recorded.gradients[0].numpy()
        self.raw = self.get_cam_image(
            input_tensor, self.target_layers[0], targets, activations, gradients, eigen_smooth
        )
        return super().compute_cam_per_layer(input_tensor, targets, eigen_smooth)


@pytest.mark.parametrize("head", AFFINE_HEADS)
def test_grad_cam_of_the_dot_product_is_the_decomposition_for_average_pooling(head, tiny_backbone, tiny_preprocess):
    network = EmbeddingNetwork(tiny_backbone, "avg", make_head(head, 6, torch.float32), tiny_preprocess)
    torch.manual_seed(21)
    pixels = torch.randn(3, 16, 24)
    own = network.decompose(pixels)
    query = torch.nn.functional.normalize(torch.randn(len(own.bias)), dim=0)
    module = EmbeddingModule(network)
    norm = module(pixels[None]).norm().item()
    with RawGradCAM(model=module, target_layers=[module.backbone]) as cam:
        drawn = cam(input_tensor=pixels[None], targets=[SimilarityTarget(query)])
    assert np.allclose(cam.raw[0], norm * own.similarity_map(query).numpy(), atol=1e-5)
    assert drawn.shape == (1, 16, 24)


def test_the_cosines_gradient_map_of_a_bias_free_network_sums_to_zero(tiny_backbone, tiny_preprocess):
    network = EmbeddingNetwork(tiny_backbone, "avg", nn.Linear(6, 5, bias=False), tiny_preprocess)
    pixels, query = torch.randn(3, 16, 24), torch.randn(5)
    module = EmbeddingModule(network)
    with RawGradCAM(model=module, target_layers=[module.backbone]) as cam:
        cam(input_tensor=pixels[None], targets=[SimilarityTarget(query, normalised=True)])
    assert abs(cam.raw[0].sum()) < 1e-5 < np.abs(cam.raw[0]).max()


def test_other_methods_and_batches_run_unchanged(tiny_network):
    module = EmbeddingModule(tiny_network)
    pixels = torch.randn(2, 3, 16, 24)
    queries = [SimilarityTarget(embedding) for embedding in tiny_network.embed(pixels)]
    with HiResCAM(model=module, target_layers=[module.backbone]) as cam:
        assert cam(input_tensor=pixels, targets=queries).shape == (2, 16, 24)


def test_the_module_is_the_network_before_its_unit_norm(tiny_network):
    pixels = torch.randn(2, 3, 16, 24)
    raw = EmbeddingModule(tiny_network)(pixels)
    assert raw.requires_grad
    assert torch.allclose(raw / raw.norm(dim=-1, keepdim=True), tiny_network.embed(pixels), atol=1e-6)


def test_a_class_tokens_gradient_flows_too(tiny_preprocess):
    module = EmbeddingModule(EmbeddingNetwork(Token(), "token", None, tiny_preprocess))
    SimilarityTarget(torch.ones(6))(module(torch.randn(1, 3, 16, 24))[0]).backward()
    assert module.backbone.patches.weight.grad.abs().max() > 0
