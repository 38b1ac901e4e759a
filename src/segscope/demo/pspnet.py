"""PSPNet with a VGG16 backbone, the network of the mushroom example."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import InvalidInput

__all__ = ["INPUT_SIZE", "MEAN", "STANDARD_DEVIATION", "ConvBNReLU", "PSPNetVGG16", "normalise"]

INPUT_SIZE = (224, 224)
"""Height and width, in pixels, of the input that the network was trained for."""

MEAN = (0.485, 0.456, 0.406)
"""Mean of red, green and blue (range 0..1) that is subtracted from an image."""

STANDARD_DEVIATION = (0.229, 0.224, 0.225)
"""Standard deviation of red, green and blue (range 0..1) by which an image is divided."""

# Convolutions and channels of VGG16's five blocks (configuration D of the paper).
_BLOCKS = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
_POOLED_BLOCKS = 3
_BINS = (1, 2, 3, 6)


def normalise(images: Tensor) -> Tensor:
    """Bring colours to the range that the network was trained for.

    Parameters
    ----------
    images : Tensor, float32, …×3×H×W
        Red, green and blue, 0..1.

    Returns
    -------
    Tensor, float32, …×3×H×W
        The colours, less `MEAN`, divided by `STANDARD_DEVIATION`.
    """
    mean, deviation = (images.new_tensor(values).view(3, 1, 1) for values in (MEAN, STANDARD_DEVIATION))
    return (images - mean) / deviation


class ConvBNReLU(nn.Sequential):
    """A convolution without bias, batch norm and a ReLU that is not in place.

    The padding keeps height and width.

    Parameters
    ----------
    inputs, outputs : int
        Channels in and out.
    kernel : int
        Side of the square kernel, odd.
    dilation : int, optional
        Distance of the kernel's taps in pixels.
    """

    def __init__(self, inputs: int, outputs: int, *, kernel: int, dilation: int = 1) -> None:
        super().__init__()
        padding = dilation * (kernel // 2)
        self.convolution = nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False)
        self.normalisation = nn.BatchNorm2d(outputs)
        self.activation = nn.ReLU()
        nn.init.kaiming_normal_(self.convolution.weight, mode="fan_out", nonlinearity="relu")


class PSPNetVGG16(nn.Module):
    """Pyramid scene parsing network on VGG16, with batch norm.

    The output has an eighth of the input's height and width: pooling follows blocks 1 to 3 only, and block 5 is
    dilated by 2. Every layer that a user may ask about is a direct child of the network which puts out the layer's
    spatial map after batch norm and ReLU: ``block1_conv1`` … ``block5_conv3``, ``psp_level1_conv``,
    ``psp_level2_conv``, ``psp_level3_conv``, ``psp_level6_conv`` and ``aggregation_conv``; then ``classifier``.

    Parameters
    ----------
    classes : int, optional
        Number of classes K.
    width : float, optional
        Factor on the number of channels; 1 is VGG16's 64, 128, 256, 512, 512.

    Raises
    ------
    InvalidInput
        If there is no class or no width.

    Notes
    -----
    Zhao et al. 2017, doi:10.1109/CVPR.2017.660 (pyramid pooling); Simonyan and Zisserman 2015, arXiv:1409.1556
    (VGG16, configuration D). Deviations: batch norm after each convolution of VGG16; its last two poolings are left
    out so that the output stride is 8; its fully connected layers are replaced by the pyramid pooling head.

    Examples
    --------
    >>> network = PSPNetVGG16(width=0.25).eval()
    >>> network(torch.zeros(1, 3, 224, 224)).shape
    torch.Size([1, 6, 28, 28])
    """

    def __init__(self, classes: int = 6, *, width: float = 1.0) -> None:
        super().__init__()
        if classes < 1 or not width > 0:
            raise InvalidInput(
                f"classes is {classes} and width {width}; expected at least one class and a width above 0."
            )
        self.classes = classes
        self.width = width
        channels = self._add_backbone(width)
        level_channels = max(1, channels // 4)
        for bins in _BINS:
            self.add_module(f"psp_level{bins}_conv", ConvBNReLU(channels, level_channels, kernel=1))
        self.aggregation_conv = ConvBNReLU(channels + len(_BINS) * level_channels, channels, kernel=3)
        self.dropout = nn.Dropout2d(0.1)
        self.classifier = nn.Conv2d(channels, classes, 1)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)  # type: ignore[arg-type]

    def _add_backbone(self, width: float) -> int:
        inputs = 3
        for block, (convolutions, full_channels) in enumerate(_BLOCKS, start=1):
            outputs = max(1, round(full_channels * width))
            for index in range(1, convolutions + 1):
                layer = ConvBNReLU(inputs, outputs, kernel=3, dilation=2 if block == len(_BLOCKS) else 1)
                self.add_module(f"block{block}_conv{index}", layer)
                inputs = outputs
        return inputs

    def blocks(self, images: Tensor) -> Iterator[Tensor]:
        """Yield the output of each of the five blocks in turn.

        Parameters
        ----------
        images : Tensor, float32, B×3×H×W
            RGB, normalised by `MEAN` and `STANDARD_DEVIATION`.

        Yields
        ------
        Tensor, float32, B×C×h×w
            The block's map, not negative, before the pooling that follows it.
        """
        maps = images
        for block, (convolutions, _) in enumerate(_BLOCKS, start=1):
            for index in range(1, convolutions + 1):
                maps = self.get_submodule(f"block{block}_conv{index}")(maps)
            yield maps
            if block <= _POOLED_BLOCKS:
                maps = functional.max_pool2d(maps, 2)

    def head(self, maps: Tensor) -> Tensor:
        """Turn block 5's map into logits: pyramid pooling, aggregation, classifier.

        Parameters
        ----------
        maps : Tensor, float32, B×C×h×w
            Output of block 5.

        Returns
        -------
        Tensor, float32, B×K×h×w
            Logits.
        """
        size = maps.shape[-2:]
        pyramid = [maps]
        for bins in _BINS:
            pooled = functional.adaptive_avg_pool2d(maps, bins)
            level = self.get_submodule(f"psp_level{bins}_conv")(pooled)
            pyramid.append(functional.interpolate(level, size, mode="bilinear", align_corners=False))
        aggregated = self.aggregation_conv(torch.cat(pyramid, dim=1))
        logits: Tensor = self.classifier(self.dropout(aggregated))
        return logits

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits at an eighth of the input's resolution.

        Parameters
        ----------
        images : Tensor, float32, B×3×H×W
            RGB, normalised by `MEAN` and `STANDARD_DEVIATION`; H and W at least 8.

        Returns
        -------
        Tensor, float32, B×K×⌊H/8⌋×⌊W/8⌋
            Logits, before any softmax.
        """
        *_, deepest = self.blocks(images)
        return self.head(deepest)

    def __call__(self, *inputs: Any, **options: Any) -> Tensor:
        """Run the network with its hooks; see `forward`."""
        logits: Tensor = super().__call__(*inputs, **options)
        return logits
