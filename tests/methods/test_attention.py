"""Attention methods against slow references written from their papers, and where they say why they can't."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from segscope import CannotExplain, Region, SegmentationModel
from segscope.attention import AttentionCapture, attention_gradients
from segscope.methods.attention import rollout
from tests.networks import ZOO

PATCH, WIDTH, HEADS, GRID, CLASSES = 4, 8, 2, (3, 5), 3
SIZE = (GRID[0] * PATCH, GRID[1] * PATCH)
Array = NDArray[np.float64]


class Block(nn.Module):
    """A pre-norm transformer block whose attention is computed in one of the ways that people write it."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.query_key_value, self.project = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 16), nn.GELU(), nn.Linear(16, WIDTH))
        self.dropout = nn.Dropout(0.2)
        self.softmax = nn.Softmax(dim=-1)
        self.module = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.module.in_proj_weight.data = self.query_key_value.weight.data
        self.module.in_proj_bias.data = self.query_key_value.bias.data
        self.module.out_proj.weight.data = self.project.weight.data
        self.module.out_proj.bias.data = self.project.bias.data

    def attend(self, tokens: Tensor) -> Tensor:
        if self.way.startswith("module"):
            return self.module(tokens, tokens, tokens, need_weights=self.way == "module with weights")[0]
        batch, count, _ = tokens.shape
        query, key, value = self.query_key_value(tokens).reshape(batch, count, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        if self.way == "fused":
            mixed = functional.scaled_dot_product_attention(query, key, value)
        elif self.way == "softmax":
            weights = (query @ key.transpose(-2, -1) / math.sqrt(WIDTH // HEADS)).softmax(dim=-1)
            mixed = self.dropout(weights) @ value
        else:
            logits = torch.bmm(query.flatten(0, 1), key.flatten(0, 1).mT) / math.sqrt(WIDTH // HEADS)
            mixed = torch.bmm(self.softmax(logits), value.flatten(0, 1)).reshape(query.shape)
        return self.project(mixed.transpose(1, 2).reshape(batch, count, -1))

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attend(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))


class Segmenter(nn.Module):
    def __init__(self, way: str, extra: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, PATCH, PATCH)
        self.extra = nn.Parameter(torch.randn(1, extra, WIDTH))
        self.blocks = nn.ModuleList([Block(way) for _ in range(3)])
        self.head = nn.Conv2d(WIDTH, CLASSES, 1)

    def embed(self, images: Tensor) -> Tensor:
        tokens = self.patches(images).flatten(2).mT
        return torch.cat([self.extra.expand(len(tokens), -1, -1), tokens], 1)

    def decode(self, tokens: Tensor) -> Tensor:
        return self.head(tokens[:, self.extra.shape[1] :].mT.reshape(len(tokens), WIDTH, *GRID))

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.embed(images)
        for block in self.blocks:
            tokens = block(tokens)
        return self.decode(tokens)


WAYS = ("fused", "softmax", "batched", "module", "module with weights")


def build(way: str, extra: int = 1) -> tuple[Segmenter, Tensor]:
    torch.manual_seed(4)
    network = Segmenter(way, extra)
    for parameter in network.parameters():
        parameter.data.mul_(2)
    return network.eval(), torch.randn(3, *SIZE)


@cache
def reference_attention(extra: int, differentiated: bool) -> tuple[list[Array], list[Array]]:
    """Attention of each head, and its gradient by finite differences, in double precision."""
    network, image = build("softmax", extra)
    exact = network.double()
    count = extra + GRID[0] * GRID[1]
    kept: list[Tensor] = []

    def attend(block: Block, tokens: Tensor, given: Tensor | None) -> Tensor:
        query, key, value = block.query_key_value(tokens)[0].split(WIDTH, dim=-1)
        size = WIDTH // HEADS
        weights = torch.zeros(HEADS, count, count, dtype=torch.float64)
        mixed = torch.zeros(count, WIDTH, dtype=torch.float64)
        for head in range(HEADS):
            part = slice(head * size, (head + 1) * size)
            exponentials = torch.exp(query[:, part] @ key[:, part].T / math.sqrt(size))
            weights[head] = exponentials / exponentials.sum(1, keepdim=True)
            chosen = weights[head] if given is None else given[head]
            mixed[:, part] = chosen @ value[:, part]
        kept.append(weights)
        return block.project(mixed)[None]

    def score(replaced: int | None, given: Tensor | None) -> float:
        """The score with one layer's attention replaced; what comes after follows from it."""
        tokens = states[replaced or 0]
        for number in range(replaced or 0, len(exact.blocks)):
            block: Any = exact.blocks[number]
            tokens = tokens + attend(block, block.norm1(tokens), given if number == replaced else None)
            tokens = tokens + block.mlp(block.norm2(tokens))
            if replaced is None:
                states.append(tokens)
        logits = exact.decode(tokens)
        full = functional.interpolate(logits, SIZE, mode="bilinear", align_corners=False)[0, 1]
        return float((full * WEIGHTS).sum() / WEIGHTS.sum())

    with torch.no_grad():
        states = [exact.embed(image.double()[None])]
        total = score(None, None)
        attentions = [weights.clone() for weights in kept[:3]]
        gradients = []
        step = 1e-5
        for number, weights in enumerate(attentions if differentiated else ()):
            gradient = torch.zeros_like(weights)
            for entry in np.ndindex(*weights.shape):
                changed = weights.clone()
                changed[entry] += step
                gradient[entry] = (score(number, changed) - total) / step
            gradients.append(gradient.numpy())
    return [weights.numpy() for weights in attentions], gradients


WEIGHTS = torch.zeros(SIZE, dtype=torch.float64)
WEIGHTS[2:9, 3:15] = 1
REGION = Region.box(2, 3, 9, 15)


def reference_map(tokens: Array, extra: int) -> Array:
    """The rows of the tokens under the region, averaged by how much of each lies in it."""
    total = WEIGHTS.sum().item()
    row = np.zeros(GRID[0] * GRID[1])
    for r in range(GRID[0]):
        for c in range(GRID[1]):
            share = WEIGHTS[r * PATCH : (r + 1) * PATCH, c * PATCH : (c + 1) * PATCH].sum().item() / total
            row += share * tokens[extra + r * GRID[1] + c, extra:]
    return row.reshape(GRID)


def enlarged(values: Array) -> Array:
    tensor = torch.from_numpy(values)[None, None]
    return functional.interpolate(tensor, SIZE, mode="bilinear", align_corners=False)[0, 0].numpy()


@pytest.mark.parametrize("extra", [0, 1, 3])
@pytest.mark.parametrize("heads", ["mean", "max", "min"])
def test_rollout_equals_its_paper(heads: str, extra: int) -> None:
    attentions, _ = reference_attention(extra, differentiated=False)
    count = extra + GRID[0] * GRID[1]
    rolled = np.eye(count)
    for weights in attentions:
        mixed = np.zeros((count, count))
        for i in range(count):
            for j in range(count):
                # Abnar and Zuidema 2020, section 3: A = 0.5 W + 0.5 I, its rows made to add up to one.
                mixed[i, j] = 0.5 * getattr(weights[:, i, j], heads)() + 0.5 * (i == j)
            mixed[i] /= mixed[i].sum()
        rolled = mixed @ rolled
    network, image = build("fused", extra)
    with SegmentationModel(network).predict(image) as prediction:
        found = prediction.explain(1, REGION, method="attention-rollout", heads=heads)
    assert found.layer == "input"
    assert not found.signed
    np.testing.assert_allclose(found.map, enlarged(reference_map(rolled, extra)), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize("way", WAYS)
def test_gradient_weighted_attention_equals_its_paper(way: str, extra: int) -> None:
    attentions, gradients = reference_attention(extra, differentiated=True)
    count = extra + GRID[0] * GRID[1]
    relevance = np.eye(count)
    for weights, gradient in zip(attentions, gradients, strict=True):
        mean = np.zeros((count, count))
        for head in range(HEADS):
            # Chefer, Gur and Wolf 2021, equations 5 and 6.
            mean += np.maximum(gradient[head] * weights[head], 0) / HEADS
        relevance = relevance + mean @ relevance
    network, image = build(way, extra)
    with SegmentationModel(network).predict(image) as prediction:
        found = prediction.explain(1, REGION, method="gradient-attention-rollout")
    expected = enlarged(reference_map(relevance - np.eye(count), extra))
    np.testing.assert_allclose(found.map, expected, rtol=0, atol=1e-3 * expected.max())


def test_rollout_shares_add_up_to_one() -> None:
    matrices = [torch.rand(7, 7).softmax(1) for _ in range(4)]
    torch.testing.assert_close(rollout(matrices).sum(1), torch.ones(7))


def test_rollout_does_not_depend_on_the_class_and_the_gradient_weighted_one_does() -> None:
    network, image = build("fused")
    with SegmentationModel(network).predict(image) as prediction:
        for method, same in (("attention-rollout", True), ("gradient-attention-rollout", False)):
            one, other = (prediction.explain(index, REGION, method=method).map for index in (0, 1))
            assert np.allclose(one, other) == same


@pytest.mark.parametrize("way", WAYS)
def test_network_computes_the_same_while_its_attention_is_captured(way: str) -> None:
    network, image = build(way)
    network.double()
    images = image[None].double().requires_grad_()
    expected = network(images)
    with AttentionCapture(memory=2**30) as capture:
        found = network(images)
    torch.testing.assert_close(found, expected)
    assert [attention.weights.shape for attention in capture.found] == [(HEADS, 16, 16)] * 3
    for attention in capture.found:
        torch.testing.assert_close(attention.weights.sum(-1), torch.ones(HEADS, 16).double())
    gradients = attention_gradients(found[0, 1].mean(), capture.found)
    assert all(gradient.any() for gradient in gradients)


OPTIONS: list[dict[str, Any]] = [
    {},
    {"is_causal": True},
    {"scale": 0.3},
    {"attn_mask": torch.rand(6, 6) > 0.3},
    {"attn_mask": torch.randn(6, 6)},
    {"enable_gqa": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_attention_is_recomputed_exactly(options: dict[str, Any]) -> None:
    if isinstance(options.get("attn_mask"), Tensor) and options["attn_mask"].dtype == torch.bool:
        options = {"attn_mask": options["attn_mask"] | torch.eye(6, dtype=torch.bool)}
    query = torch.randn(1, 4, 6, 8, requires_grad=True)
    key, value = torch.randn(2, 1, 2 if "enable_gqa" in options else 4, 6, 8).unbind(0)
    expected = functional.scaled_dot_product_attention(query, key, value, **options)
    with AttentionCapture(memory=2**30) as capture:
        found = functional.scaled_dot_product_attention(query, key, value, **options)
    torch.testing.assert_close(found, expected)
    assert capture.found[0].weights.shape == (4, 6, 6)


def test_pytorchs_own_encoder_is_followed() -> None:
    case = next(case for case in ZOO if case.name == "transformer")
    network, image = case.build(), case.input()
    with SegmentationModel(network).predict(image) as prediction:
        for method in ("attention-rollout", "gradient-attention-rollout"):
            found = prediction.explain(1, Region.box(2, 3, 19, 31), method=method)
            assert found.map.shape == case.size
            assert found.map.max() > 0
    with AttentionCapture(memory=2**30) as capture:
        network(image[None].requires_grad_())
    assert len(capture.found) == 2


class Windows(nn.Module):
    """Attention within halves of the image, or with keys of lower resolution, or with ever fewer tokens."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.stem, self.head = nn.Conv2d(3, 8, 2, 2), nn.Conv2d(8, CLASSES, 1)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.stem(images)
        tokens = maps.flatten(2).mT
        if self.kind == "windows":
            parts = tokens.reshape(len(tokens) * 2, 1, -1, 8)
            tokens = functional.scaled_dot_product_attention(parts, parts, parts).reshape(tokens.shape)
        elif self.kind == "reduced":
            keys = functional.avg_pool2d(maps, 2).flatten(2).mT
            tokens = (tokens @ keys.mT).softmax(-1) @ keys
        elif self.kind == "merged":
            tokens = functional.scaled_dot_product_attention(tokens, tokens, tokens)
            fewer = functional.avg_pool2d(tokens.mT.reshape(maps.shape), 2).flatten(2).mT
            fewer = functional.scaled_dot_product_attention(fewer, fewer, fewer)
            tokens = tokens + fewer.mean(1, keepdim=True)
        elif self.kind == "odd":
            more = torch.cat([tokens, tokens[:, :31]], 1)
            tokens = functional.scaled_dot_product_attention(more, more, more)[:, 31:]
        elif self.kind == "hidden":
            with torch.no_grad():
                mixed = functional.scaled_dot_product_attention(tokens, tokens, tokens)
            tokens = tokens + mixed
        elif self.kind == "channels":  # an activation over the channels isn't attention
            tokens = tokens.softmax(-1)
        return self.head(tokens.mT.reshape(maps.shape))


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("none", "has no attention that could be followed"),
        ("channels", "has no attention that could be followed"),
        ("windows", "divided into 2 windows of 24 tokens each"),
        ("reduced", r"matrices of 48×12 \(queries × keys\)"),
        ("merged", r"number of tokens changes from layer to layer \(48, 12\)"),
        ("odd", "relates 79 tokens, which form no grid"),
        ("hidden", "computed without gradients"),
    ],
)
@pytest.mark.parametrize("method", ["attention-rollout", "gradient-attention-rollout"])
def test_network_that_cannot_be_served_is_told_why(method: str, kind: str, reason: str) -> None:
    torch.manual_seed(0)
    with SegmentationModel(Windows(kind)).predict(torch.rand(3, 12, 16)) as prediction:
        with pytest.raises(CannotExplain, match=reason):
            prediction.explain(1, Region.everywhere(), method=method)
        with pytest.raises(CannotExplain, match="works on the image itself and can't explain the layer 'stem'"):
            prediction.explain(1, Region.everywhere(), method=method, layer="stem")


def test_matrices_beyond_the_memory_are_refused() -> None:
    network, image = build("fused")
    with (
        SegmentationModel(network, memory=8000).predict(image) as prediction,
        pytest.raises(CannotExplain, match="don't fit into the model's memory"),
    ):
        prediction.explain(1, REGION, method="attention-rollout")
