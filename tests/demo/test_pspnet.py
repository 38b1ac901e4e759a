import pytest
import torch

from segscope.demo.pspnet import MEAN, STANDARD_DEVIATION, PSPNetVGG16, normalise
from segscope.errors import InvalidInput

LAYERS = {
    **{f"block1_conv{index}": (64, 1) for index in (1, 2)},
    **{f"block2_conv{index}": (128, 2) for index in (1, 2)},
    **{f"block3_conv{index}": (256, 4) for index in (1, 2, 3)},
    **{f"block{block}_conv{index}": (512, 8) for block in (4, 5) for index in (1, 2, 3)},
    "aggregation_conv": (512, 8),
}
LEVELS = {f"psp_level{bins}_conv": bins for bins in (1, 2, 3, 6)}


@pytest.fixture(scope="module")
def captured():
    """Outputs of all named layers of a quarter-width network for a 64×48 input."""
    torch.manual_seed(0)
    network = PSPNetVGG16(width=0.25).eval()
    outputs: dict[str, torch.Tensor] = {}
    for name, layer in network.named_children():
        layer.register_forward_hook(lambda _, __, output, name=name: outputs.__setitem__(name, output))
    network(torch.randn(2, 3, 64, 48))
    return outputs


def test_children_are_the_named_layers_in_forward_order(captured):
    names = [name for name, _ in PSPNetVGG16(width=0.25).named_children()]
    assert names == [*list(LAYERS)[:13], *LEVELS, "aggregation_conv", "dropout", "classifier"]
    assert names == list(captured)


@pytest.mark.parametrize("name", LAYERS)
def test_layer_has_vgg_channels_and_stride(captured, name):
    channels, stride = LAYERS[name]
    assert captured[name].shape == (2, channels // 4, 64 // stride, 48 // stride)


@pytest.mark.parametrize("name", LEVELS)
def test_pyramid_level_has_its_bins(captured, name):
    assert captured[name].shape == (2, 32, LEVELS[name], LEVELS[name])


@pytest.mark.parametrize("name", [*LAYERS, *LEVELS])
def test_layer_puts_out_what_comes_after_relu(captured, name):
    assert captured[name].min() == 0
    assert captured[name].max() > 0


@pytest.mark.parametrize(
    ("width", "name", "channels"),
    [
        (0.5, "aggregation_conv", 256),
        (0.5, "psp_level6_conv", 64),
        (0.5, "block5_conv3", 256),
        (0.5, "block1_conv2", 32),
        (1.0, "block1_conv1", 64),
        (1.0, "block5_conv3", 512),
        (1.0, "psp_level1_conv", 128),
    ],
)
def test_width_scales_channels(width, name, channels):
    with torch.device("meta"):
        network = PSPNetVGG16(width=width)
    assert network.get_submodule(f"{name}.convolution").out_channels == channels


def test_forward_gives_plain_logits_at_an_eighth():
    logits = PSPNetVGG16(4, width=0.25).eval()(torch.zeros(1, 3, 56, 40))
    assert type(logits) is torch.Tensor
    assert logits.shape == (1, 4, 7, 5)


def test_relus_leave_their_input():
    assert not any(module.inplace for module in PSPNetVGG16(width=0.25).modules() if isinstance(module, torch.nn.ReLU))


def test_block5_sees_further_than_block4():
    network = PSPNetVGG16(width=0.25)
    assert network.get_submodule("block5_conv1.convolution").dilation == (2, 2)
    assert network.get_submodule("block4_conv3.convolution").dilation == (1, 1)


def test_normalise_brings_mean_to_zero_and_deviation_to_one():
    mean, deviation = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STANDARD_DEVIATION).view(3, 1, 1)
    torch.testing.assert_close(normalise(mean.expand(2, 3, 4, 4)), torch.zeros(2, 3, 4, 4))
    torch.testing.assert_close(normalise((mean + deviation).expand(2, 3, 4, 4)), torch.ones(2, 3, 4, 4))


@pytest.mark.parametrize(("classes", "width"), [(0, 1.0), (6, 0.0), (6, -1.0)])
def test_network_without_classes_or_channels_is_refused(classes, width):
    with pytest.raises(InvalidInput, match="at least one class and a width above 0"):
        PSPNetVGG16(classes, width=width)
