"""Small networks, each built in another way that people build segmentation networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from segscope.demo.pspnet import PSPNetVGG16

CLASSES = 4


def first_map(_name: str, output: Tensor) -> Tensor:
    return output[0]


def plain_logits(raw: Any) -> Tensor:
    return raw


@dataclass(frozen=True)
class Case:
    """A network to try, how its output is read, and how a layer's output becomes a C×h×w map, both written by hand."""

    name: str
    make: Callable[[bool], nn.Module]
    read: Callable[[Any], Tensor] = plain_logits
    unfold: Callable[[str, Tensor], Tensor] = first_map
    channels: int = 3
    size: tuple[int, int] = (32, 32)
    classes: int = CLASSES

    def build(self, *, inplace: bool = True) -> nn.Module:
        """Return the network in eval mode; the same weights whether it works in place or not."""
        torch.manual_seed(7)
        network = self.make(inplace)
        generator = torch.Generator().manual_seed(11)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2, generator=generator)
                module.running_var.uniform_(0.5, 1.5, generator=generator)
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.data.mul_(1.5)
        return network.eval()

    def input(self, seed: int = 3) -> Tensor:
        """Return an input C×h×w."""
        return torch.randn(self.channels, *self.size, generator=torch.Generator().manual_seed(seed))


def block(inputs: int, outputs: int, inplace: bool, **options: Any) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, **options), nn.BatchNorm2d(outputs), nn.ReLU(inplace=inplace)
    )


class Plain(nn.Sequential):
    def __init__(self, inplace: bool, classes: int = CLASSES, channels: int = 3) -> None:
        super().__init__(block(channels, 6, inplace), block(6, 8, inplace), nn.Dropout2d(0.3), nn.Conv2d(8, classes, 1))


class UNet(nn.Module):
    def __init__(self, inplace: bool) -> None:
        super().__init__()
        self.down1 = block(3, 6, inplace)
        self.down2 = block(6, 8, inplace)
        self.bottom = block(8, 10, inplace)
        self.up2 = nn.ConvTranspose2d(10, 8, 2, stride=2)
        self.join2 = block(16, 8, inplace)
        self.up1 = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.join1 = block(14, 6, inplace)
        self.head = nn.Conv2d(6, CLASSES, 1)

    def forward(self, images: Tensor) -> Tensor:
        first = self.down1(images)
        second = self.down2(functional.max_pool2d(first, 2))
        deepest = self.bottom(functional.max_pool2d(second, 2))
        joined = self.join2(torch.cat([self.up2(deepest), second], 1))
        return self.head(self.join1(torch.cat([self.up1(joined), first], 1)))


class Residual(nn.Module):
    """A residual block that adds and rectifies in place, by function and by module."""

    def __init__(self, channels: int, inplace: bool) -> None:
        super().__init__()
        self.inplace = inplace
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=inplace)

    def forward(self, maps: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(maps)))))
        if self.inplace:
            out += maps
            return out.relu_()
        return functional.relu(out + maps)


class ResNet(nn.Module):
    def __init__(self, inplace: bool) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(inplace), nn.MaxPool2d(3, 2, 1))
        self.layer1 = nn.Sequential(Residual(8, inplace), Residual(8, inplace))
        self.layer2 = Residual(8, inplace)
        self.head = nn.Conv2d(8, CLASSES, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.layer2(self.layer1(self.stem(images))))


class FunctionalInPlace(nn.Module):
    """Not one in-place module: that it works in place shows only when it runs."""

    def __init__(self, inplace: bool) -> None:
        super().__init__()
        self.inplace = inplace
        self.conv1 = nn.Conv2d(3, 6, 3, padding=1)
        self.conv2 = nn.Conv2d(6, 6, 3, padding=1)
        self.norm = nn.GroupNorm(2, 6)
        self.head = nn.Conv2d(6, CLASSES, 1)

    def forward(self, images: Tensor) -> Tensor:
        first = self.conv1(images)
        first = first.relu_() if self.inplace else first.relu()
        second = self.norm(self.conv2(first))
        if self.inplace:
            second += first
            second[:, :2] *= 0.5
        else:
            second = second + first
            second = torch.cat([second[:, :2] * 0.5, second[:, 2:]], 1)
        return self.head(functional.silu(second, inplace=self.inplace))


class Features(nn.Module):
    """A backbone that gives a list of maps."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, 2, 1)
        self.second = nn.Conv2d(6, 8, 3, 2, 1)

    def forward(self, images: Tensor) -> list[Tensor]:
        first = self.first(images) * 2
        return [first, self.second(first)]


class ListInPlace(nn.Module):
    """Overwrites the first map of the list that its backbone gave."""

    def __init__(self, inplace: bool) -> None:
        super().__init__()
        self.inplace = inplace
        self.backbone = Features()
        self.head = nn.Conv2d(14, CLASSES, 1)

    def forward(self, images: Tensor) -> Tensor:
        low, high = self.backbone(images)
        low = functional.relu(low, inplace=self.inplace)
        return self.head(torch.cat([low, functional.interpolate(high, low.shape[-2:])], 1))


class WithAuxiliary(nn.Module):
    def __init__(self, inplace: bool) -> None:
        super().__init__()
        self.backbone = nn.Sequential(block(3, 8, inplace), nn.MaxPool2d(2), block(8, 8, inplace))
        self.classifier = nn.Sequential(block(8, 6, inplace, dilation=1), nn.Conv2d(6, CLASSES, 1))
        self.aux_classifier = nn.Conv2d(8, CLASSES, 1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.backbone(images)
        size = images.shape[-2:]
        return {
            "aux": functional.interpolate(self.aux_classifier(features), size, mode="bilinear"),
            "out": functional.interpolate(self.classifier(features), size, mode="bilinear"),
        }


class Transformer(nn.Module):
    """Patches, a class token, attention; an object with logits at a quarter of the input's size."""

    def __init__(self, _inplace: bool) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 12, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, 12))
        self.attention = nn.MultiheadAttention(12, 2, batch_first=True)
        self.encoder = nn.TransformerEncoderLayer(12, 2, 24, batch_first=True, dropout=0.1)
        self.norm = nn.LayerNorm(12)
        self.head = nn.Conv2d(12, CLASSES, 1)

    def forward(self, images: Tensor) -> SimpleNamespace:
        maps = self.patches(images)
        tokens = torch.cat([self.token, maps.flatten(2).transpose(1, 2)], 1)
        tokens = tokens + self.attention(tokens, tokens, tokens)[0]
        tokens = self.norm(self.encoder(tokens))
        return SimpleNamespace(logits=self.head(tokens[:, 1:].transpose(1, 2).reshape(maps.shape)))


class DeepSupervision(nn.Module):
    def __init__(self, inplace: bool) -> None:
        super().__init__()
        self.first = block(3, 6, inplace)
        self.second = block(6, 6, inplace)
        self.heads = nn.ModuleList([nn.Conv2d(6, CLASSES, 1), nn.Conv2d(6, CLASSES, 1)])

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        first = self.first(images)
        second = self.second(first)
        return [self.heads[1](second), self.heads[0](first)], second


class ChannelLast(nn.Module):
    """Height × width × channels in the middle and at the end, as in Swin or Keras."""

    def __init__(self, inplace: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 10, 4, 4)
        self.norm = nn.LayerNorm(10)
        self.mlp = nn.Sequential(nn.Linear(10, 16), nn.ReLU(inplace=inplace), nn.Linear(16, 10))
        self.head = nn.Linear(10, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.norm(self.stem(images).permute(0, 2, 3, 1))
        return self.head(maps + self.mlp(maps))


class Twice(nn.Module):
    """One convolution and one block, each called twice."""

    def __init__(self, inplace: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 1)
        self.shared = nn.Conv2d(6, 6, 3, padding=1)
        self.block = block(6, 6, inplace)
        self.head = nn.Conv2d(6, CLASSES, 1)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.block(self.shared(self.stem(images)))
        return self.head(self.block(self.shared(torch.tanh(maps))))


class Grouped(nn.Module):
    """Depthwise and grouped convolutions, and channel attention."""

    def __init__(self, inplace: bool) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.Hardswish(inplace=inplace))
        self.depthwise = nn.Conv2d(8, 8, 5, padding=2, groups=8)
        self.grouped = nn.Sequential(nn.Conv2d(8, 12, 1, groups=4), nn.LeakyReLU(0.1, inplace=inplace))
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(12, 12, 1), nn.Sigmoid())
        self.head = nn.Conv2d(12, CLASSES, 1)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.grouped(self.depthwise(self.stem(images)))
        return self.head(maps * self.gate(maps))


class Activated(nn.Module):
    """A network that ends in a sigmoid or softmax."""

    def __init__(self, inplace: bool, classes: int, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.body = Plain(inplace, classes=classes)
        self.activation = activation

    def forward(self, images: Tensor) -> Tensor:
        return self.activation(self.body(images))


def _both_signs(raw: Tensor) -> Tensor:
    return torch.cat([-raw, raw], 1)


def _transformer_map(_name: str, output: Tensor) -> Tensor:
    tokens = output[0] if isinstance(output, tuple) else output
    return tokens[0] if tokens.ndim == 4 else tokens[0, 1:].T.reshape(-1, 6, 10)


def _channel_last_map(name: str, output: Tensor) -> Tensor:
    return output[0] if name == "stem" else output[0].permute(2, 0, 1)


ZOO = (
    Case("plain", Plain),
    Case("unet", UNet),
    Case("resnet", ResNet),
    Case("functional in place", FunctionalInPlace),
    Case("list in place", ListInPlace, unfold=lambda _, output: (output[0] if isinstance(output, list) else output)[0]),
    Case("dict with auxiliary head", WithAuxiliary, read=lambda raw: raw["out"]),
    Case("transformer", Transformer, read=lambda raw: raw.logits, unfold=_transformer_map, size=(24, 40)),
    Case("one channel", lambda inplace: Plain(inplace, classes=1), read=_both_signs, classes=2),
    Case("deep supervision", DeepSupervision, read=lambda raw: raw[0][0], size=(20, 28)),
    Case("channel last", ChannelLast, read=lambda raw: raw.permute(0, 3, 1, 2), unfold=_channel_last_map),
    Case("called twice", Twice),
    Case("grouped", Grouped),
    Case("twelve channels in", lambda inplace: Plain(inplace, channels=12), channels=12, size=(17, 9)),
    Case("pspnet", lambda _: PSPNetVGG16(classes=CLASSES, width=1 / 16), size=(64, 64)),
)
