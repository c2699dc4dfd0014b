"""The pixel decoder's own attention says what that of ``transformers`` says, under the same names of weights."""

import copy

import pytest
import torch

from kd_planner_ros.networks.unified_encoder.config import UnifiedEncoderConfig
from kd_planner_ros.networks.unified_encoder.deformable import DeformableAttention, with_own_attention
from kd_planner_ros.networks.unified_encoder.segmentation import oneformer


@pytest.fixture(scope="module")
def pixels():
    torch.manual_seed(0)
    modelling, config = oneformer(UnifiedEncoderConfig(size="tiny").widths)
    config.is_training = False
    decoder = modelling.OneFormerModel(config).pixel_level_module.decoder.eval()
    for layer in decoder.encoder.layers:  # fresh ones look at fixed places with equal weights
        for part in (layer.self_attn.sampling_offsets, layer.self_attn.attention_weights):
            torch.nn.init.normal_(part.weight, std=0.2)
    return decoder


def features(batch=2):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(batch, 8 * 2 ** level, 32 >> level, 64 >> level, generator=generator) for level in range(4)]


def test_it_reads_what_the_module_of_transformers_reads(pixels):
    own = with_own_attention(copy.deepcopy(pixels))
    assert all(isinstance(layer.self_attn, DeformableAttention) for layer in own.encoder.layers)
    with torch.no_grad():
        wanted, found = pixels(features()), own(features())
    torch.testing.assert_close(found.mask_features, wanted.mask_features, rtol=1e-4, atol=1e-5)
    for one, other in zip(found.multi_scale_features, wanted.multi_scale_features, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_places_and_weights_matter(pixels):
    own = with_own_attention(copy.deepcopy(pixels))
    with torch.no_grad():
        before = own(features()).mask_features
        for name in ("sampling_offsets", "attention_weights"):
            changed = copy.deepcopy(own)
            getattr(changed.encoder.layers[0].self_attn, name).weight.mul_(3.0)
            assert (changed(features()).mask_features - before).abs().max() > 1e-3


def test_weights_keep_their_names(pixels):
    assert set(with_own_attention(copy.deepcopy(pixels)).state_dict()) == set(pixels.state_dict())
