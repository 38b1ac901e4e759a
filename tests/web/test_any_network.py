"""The explorer's page on one network of each source: a real server, and a real browser."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

os.environ.setdefault("KERAS_BACKEND", "torch")

from tests.farm import photograph
from tests.networks import ZOO
from tests.web.conftest import serving, wait_for_map

pytestmark = pytest.mark.filterwarnings("ignore")

UNET = next(case for case in ZOO if case.name == "unet")


def torchvision(_: Path) -> list[str]:
    pytest.importorskip("torchvision")
    return ["torchvision:lraspp_mobilenet_v3_large", "--weights", "random"]


def smp(_: Path) -> list[str]:
    pytest.importorskip("segmentation_models_pytorch")
    return ["smp:Unet/efficientnet-b0", "--weights", "random"]


def segformer(folder: Path) -> list[str]:
    transformers = pytest.importorskip("transformers")
    from tests.sources.test_hf import segformer as configure

    config = configure()
    # As many as ADE20K has, with names as long.
    config.id2label = {index: f"thing {index}, object, article of another name" for index in range(150)}
    transformers.SegformerForSemanticSegmentation(config).save_pretrained(folder / "hf")
    size = {"do_resize": True, "size": {"height": 64, "width": 96}}
    (folder / "hf" / "preprocessor_config.json").write_text(json.dumps(size))
    return [f"hf:{folder / 'hf'}"]


def mask2former(folder: Path) -> list[str]:
    pytest.importorskip("transformers")
    from tests.sources.test_hf import save

    save("mask2former", folder / "hf")
    size = {"do_resize": True, "size": {"height": 64, "width": 64}}
    (folder / "hf" / "preprocessor_config.json").write_text(json.dumps(size))
    return [f"hf:{folder / 'hf'}"]


def onnx(folder: Path) -> list[str]:
    pytest.importorskip("onnx2torch")
    from tests.sources.test_onnx import export

    export(UNET.build(), folder / "net.onnx")
    return [f"onnx:{folder / 'net.onnx'}"]


def keras(_: Path) -> list[str]:
    pytest.importorskip("keras")
    from tests.sources.keras_jax.make import FOLDER

    return [f"keras:{FOLDER / 'network.keras'}"]


def program(folder: Path) -> list[str]:
    torch.export.save(torch.export.export(UNET.build().eval(), (UNET.input()[None],)), folder / "net.pt2")
    return [f"export:{folder / 'net.pt2'}"]


@pytest.mark.parametrize("source", [torchvision, smp, segformer, mask2former, onnx, keras, program])
def test_page_shows_the_network(
    source: Callable[[Path], list[str]], new_page: Callable[..., Any], console: Any, tmp_path: Path
) -> None:
    arguments = source(tmp_path)
    (tmp_path / "photos").mkdir()
    for number in range(2):
        photograph(number)[0].save(tmp_path / "photos" / f"photo{number}.png")
    with serving(tmp_path, "serve", *arguments, "--images", "photos") as site:
        page = new_page()
        page.on(
            "response", lambda answer: answer.status >= 400 and console.errors.append(f"{answer.status} {answer.url}")
        )
        page.goto(site.address)
        wait_for_map(page)
        assert page.get_by_test_id("image-list").get_by_role("option").count() == 2
        assert page.get_by_test_id("picture-mask").locator("canvas").count() >= 1
        check_classes(page)
        check_layers(page)
        page.get_by_test_id("method").select_option("saliency")
        wait_for_map(page)
        assert page.get_by_test_id("layer").input_value() == "input"
        # Before the server ends, which the page would go on asking.
        page.close()


def note_failure(answer: Any, console: Any) -> None:
    if answer.status >= 400:
        console.errors.append(f"{answer.status} {answer.url}")


def check_classes(page: Any) -> None:
    """What is asked about stands in sight, however many classes there are."""
    chosen = page.get_by_test_id("legend").locator('[aria-pressed="true"]')
    inside = "(row) => row.getBoundingClientRect().bottom <= row.closest('ul').getBoundingClientRect().bottom"
    assert chosen.evaluate(inside)
    assert chosen.get_attribute("data-testid") == f"class-{page.get_by_test_id('class').input_value()}"


def check_layers(page: Any) -> None:
    """The default layer is marked in the graph, and the end of its name can be read."""
    layer = page.get_by_test_id("layer")
    name = layer.input_value()
    label = layer.evaluate("(select) => select.selectedOptions[0].label")
    assert name.endswith(label.removeprefix("…"))
    graph = page.get_by_test_id("graph")
    # Maps are fetched when they come into sight.
    graph.scroll_into_view_if_needed()
    graph.locator('[role="option"][aria-selected="true"]').wait_for()
    graph.locator('[data-state="ready"]').first.wait_for()
    assert 3 <= graph.get_by_role("option").count() <= 60
