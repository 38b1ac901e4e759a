"""The user's network is left exactly as it came, whatever happens."""

from __future__ import annotations

import random
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import segscope
from segscope import Region, SegmentationModel
from tests.networks import ZOO


def state(network: nn.Module) -> dict[str, Any]:
    """Everything about a network that segscope must not change."""
    return {
        "weights": {name: tensor.clone() for name, tensor in network.state_dict().items()},
        "versions": {name: tensor._version for name, tensor in network.state_dict(keep_vars=True).items()},
        "gradients": {
            name: None if parameter.grad is None else parameter.grad.clone()
            for name, parameter in network.named_parameters()
        },
        "frozen": {name: parameter.requires_grad for name, parameter in network.named_parameters()},
        "modes": {name: module.training for name, module in network.named_modules()},
        "hooks": {
            name: (
                tuple(module._forward_hooks.items()),
                tuple(module._forward_pre_hooks.items()),
                tuple(module._backward_hooks.items()),
                tuple(module._backward_pre_hooks.items()),
            )
            for name, module in network.named_modules()
        },
        "attributes": {name: set(vars(module)) for name, module in network.named_modules()},
        "random": {
            "torch": torch.get_rng_state(),
            "numpy": np.random.get_state()[1].tolist(),  # type: ignore[index]  # noqa: NPY002
            "python": random.getstate(),
        },
        "settings": settings(),
    }


def settings() -> dict[str, Any]:
    """What PyTorch is told once for all networks."""
    return {
        "gradients": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "anomaly": torch.is_anomaly_enabled(),
        "autocast": (torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")),
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "deterministic": (torch.are_deterministic_algorithms_enabled(), torch.get_deterministic_debug_mode()),
        "precision": torch.get_float32_matmul_precision(),
        "mkldnn": (torch.backends.mkldnn.enabled, torch.backends.mkldnn.deterministic),
        "cudnn": tuple(getattr(torch.backends.cudnn, name) for name in ("enabled", "benchmark", "deterministic")),
        "attention": (torch.backends.cuda.flash_sdp_enabled(), torch.backends.mha.get_fastpath_enabled()),
        "printing": str(torch._tensor_str.PRINT_OPTS),
        "hooks": len(torch.nn.modules.module._global_forward_hooks),
        "warnings": list(warnings.filters),
    }


def assert_same(before: Any, after: Any, path: str = "") -> None:
    if isinstance(before, dict):
        assert before.keys() == after.keys(), path
        for key, value in before.items():
            assert_same(value, after[key], f"{path}/{key}")
    elif isinstance(before, Tensor):
        assert torch.equal(before, after), path
    else:
        assert before == after, path


def used(network: nn.Module) -> nn.Module:
    """A network in the middle of a user's own work: mixed modes, some frozen, some with gradients, with hooks."""
    network.train()
    modules = list(network.modules())
    modules[1].eval()
    parameters = list(network.parameters())
    parameters[0].requires_grad_(False)
    parameters[1].grad = torch.full_like(parameters[1], 3.0)
    modules[-1].register_forward_hook(lambda *_: None)
    modules[-1].register_forward_pre_hook(lambda *_: None)
    modules[-1].register_full_backward_hook(lambda *_: None)
    return network


@pytest.mark.parametrize("case", ZOO, ids=[case.name for case in ZOO])
def test_network_is_untouched(case: Any) -> None:
    network = used(case.build())
    before = state(network)
    with SegmentationModel(network).predict(case.input()) as prediction:
        assert_same(before, state(network))
        prediction.explain(0, Region.everywhere(), layer="input", method="saliency")
        prediction.explain_all(region=Region.everywhere())
        assert prediction.nbytes > 0
    assert_same(before, state(network))


class Failing(nn.Module):
    """Fails halfway through."""

    def __init__(self, failure: BaseException | None = None, number: float | None = None) -> None:
        super().__init__()
        self.body = ZOO[0].build()
        self.failure, self.number = failure, number

    def forward(self, images: Tensor) -> Tensor:
        logits = self.body(images)
        if self.failure is not None:
            raise self.failure
        return logits if self.number is None else logits * self.number


@pytest.mark.parametrize(
    ("failing", "error", "message"),
    [
        (
            Failing(RuntimeError("boom")),
            segscope.UnsupportedNetwork,
            "failed on an input of shape .*RuntimeError: boom",
        ),
        (Failing(number=float("nan")), segscope.UnsupportedNetwork, "NaN or infinite"),
        (Failing(number=float("inf")), segscope.UnsupportedNetwork, "NaN or infinite"),
    ],
)
def test_network_is_untouched_when_the_forward_pass_fails(
    failing: nn.Module, error: type[Exception], message: str
) -> None:
    network = used(failing)
    before = state(network)
    with pytest.raises(error, match=message):
        SegmentationModel(network).predict(ZOO[0].input())
    assert_same(before, state(network))


def test_network_is_untouched_when_the_user_interrupts() -> None:
    network = used(Failing(KeyboardInterrupt("stop")))
    before = state(network)
    with pytest.raises(KeyboardInterrupt, match="stop"):
        SegmentationModel(network).predict(ZOO[0].input())
    assert_same(before, state(network))


@pytest.mark.parametrize(
    "asked",
    [
        {"class_": "nothing"},
        {"class_": 0, "layer": "nowhere"},
        {"class_": 0, "method": "no-method"},
        {"class_": 0, "colour": 3},
        {"class_": 0, "region": Region.pixel(999, 0)},
        {"class_": 0, "against": 0},
        {"class_": 0, "score": "loss"},
    ],
)
def test_network_is_untouched_when_explaining_fails(asked: dict[str, Any]) -> None:
    network = used(ZOO[0].build())
    prediction = SegmentationModel(network).predict(ZOO[0].input())
    before = state(network)
    with pytest.raises(segscope.SegscopeError, match=r"."):
        prediction.explain(**asked)
    assert_same(before, state(network))


class Drawing(nn.Module):
    """Draws random numbers of every kind, whatever its mode."""

    def __init__(self) -> None:
        super().__init__()
        self.body = ZOO[0].build()

    def forward(self, images: Tensor) -> Tensor:
        noise = random.random() + np.random.random()  # noqa: NPY002, S311
        return self.body(functional.dropout(images, training=True) + noise)


def test_random_numbers_go_on_as_if_none_had_been_drawn() -> None:
    network = Drawing()
    before = state(network)
    with SegmentationModel(network).predict(ZOO[0].input()) as prediction:
        prediction.explain(0, Region.everywhere(), method="saliency")
    assert_same(before, state(network))


def test_random_numbers_go_on_after_networks_that_drew_at_once() -> None:
    first, second = Drawing(), Drawing()
    middle, both, ended = (threading.Event() for _ in range(3))

    def wait_for_the_second(*_: Any) -> None:
        middle.set()
        assert both.wait(30)

    def wait_for_the_first(*_: Any) -> None:
        both.set()
        assert ended.wait(30)

    # The first has drawn when the second begins, and ends while the second runs.
    first.body.register_forward_pre_hook(wait_for_the_second)
    second.body.register_forward_pre_hook(wait_for_the_first)
    before = state(first)
    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(SegmentationModel(first).predict, ZOO[0].input())
        found.add_done_callback(lambda _: ended.set())
        assert middle.wait(30)
        SegmentationModel(second).predict(ZOO[0].input())
        found.result()
    assert_same(before, state(first))


def test_network_can_be_trained_on_afterwards() -> None:
    network = ZOO[0].build().train()
    with SegmentationModel(network).predict(ZOO[0].input()) as prediction:
        prediction.explain(0, Region.everywhere())
    network(ZOO[0].input()[None]).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("score", ["logit", "probability"])
def test_explains_inside_the_callers_context(context: Any, score: Any, image: np.ndarray) -> None:
    network = ZOO[2].build()
    expected = (
        SegmentationModel(network).predict(image).explain(1, Region.box(2, 2, 30, 30), layer="layer1", score=score)
    )
    with context():
        tensor = torch.from_numpy(image).permute(2, 0, 1) / 255
        for given in (image, tensor, tensor.clone()):
            prediction = SegmentationModel(network).predict(given)
            found = prediction.explain(1, Region.box(2, 2, 30, 30), layer="layer1", score=score)
            np.testing.assert_allclose(found.values, expected.values, rtol=1e-4, atol=1e-6)
            assert found.score == pytest.approx(expected.score, abs=1e-5)
        assert torch.is_inference_mode_enabled() == (context is torch.inference_mode)
        assert not torch.is_grad_enabled()
    np.testing.assert_allclose(
        prediction.explain(1, Region.box(2, 2, 30, 30), layer="layer1", score=score).map,
        expected.map,
        rtol=1e-4,
        atol=1e-6,
    )


def test_global_grad_mode_that_a_network_leaves_off_is_restored() -> None:
    class Careless(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = ZOO[0].build()

        def forward(self, images: Tensor) -> Tensor:
            logits = self.body(images)
            torch.set_grad_enabled(False)
            return logits

    SegmentationModel(Careless()).predict(ZOO[0].input()).explain(0, Region.everywhere())
    assert torch.is_grad_enabled()


def test_frozen_network_can_be_explained() -> None:
    network = ZOO[0].build().requires_grad_(False)
    attribution = SegmentationModel(network).predict(ZOO[0].input()).explain(0, Region.everywhere(), layer="0")
    assert attribution.limit > 0


def test_users_own_tensor_and_array_are_neither_changed_nor_kept() -> None:
    class Overwriting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Conv2d(3, 2, 1)

        def forward(self, images: Tensor) -> Tensor:
            return self.head(images.mul_(2))

    model = SegmentationModel(Overwriting())
    for given in (torch.rand(3, 6, 7), np.random.default_rng(0).random((3, 6, 7), dtype=np.float32)):
        original = given.clone() if isinstance(given, Tensor) else given.copy()
        prediction = model.predict(given)
        assert (given == original).all()
        expected = prediction.explain(0, Region.everywhere(), layer="input", method="input-x-gradient").map
        given.__imul__(0)
        found = prediction.explain(0, Region.everywhere(), layer="input", method="input-x-gradient").map
        np.testing.assert_array_equal(found, expected)


def test_users_own_picture_is_not_kept(image: np.ndarray, model: SegmentationModel) -> None:
    given = image.copy()
    prediction = model.predict(given)
    given[:] = 0
    np.testing.assert_array_equal(prediction.image, image)


def test_arrays_handed_out_can_be_written_to(prediction: segscope.Prediction) -> None:
    mask = prediction.mask.copy()
    attribution = prediction.explain(1, Region.everywhere(), layer="0")
    values = attribution.values.copy()
    for array in (prediction.logits, attribution.map, attribution.region_weights):
        array[...] = 7
    np.testing.assert_array_equal(attribution.values, values)
    np.testing.assert_array_equal(prediction.explain(1, Region.everywhere(), layer="0").values, values)
    np.testing.assert_array_equal(prediction.mask, mask)
    assert not (prediction.logits == 7).all()
