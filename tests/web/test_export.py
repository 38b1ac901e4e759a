"""What visitors take away: a link, figures, numbers, and lines that make the map again."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from .conftest import FARM, Console, photograph, serving, wait_for_image, wait_for_map
from .test_explorer import ask, by_id, question, text

pytestmark = pytest.mark.browser

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"


def open_export(page: Any) -> None:
    by_id(page, "export-open").click()
    by_id(page, "export-python").wait_for()
    page.locator('[data-testid="export-preview"] img').wait_for()


def save(page: Any, button: str, folder: Path) -> Path:
    with page.expect_download() as started:
        by_id(page, button).click()
    path = folder / started.value.suggested_filename
    started.value.save_as(path)
    return path


def picture(image: ET.Element) -> np.ndarray[Any, Any]:
    """Return a picture that is embedded in an SVG."""
    data = base64.b64decode(image.attrib[LINK].removeprefix("data:image/png;base64,"), validate=True)
    return np.asarray(Image.open(BytesIO(data)).convert("RGBA"))


def shown_map(page: Any) -> np.ndarray[Any, Any]:
    """Return the map whose question is shown, from the server."""
    image, asked = by_id(page, "importance").get_attribute("data-key").split(" ", 1)
    address = re.sub(r"#.*", "", page.url) + f"api/images/{image}/attribution"
    answer = page.request.post(address, data=json.loads(asked))
    assert answer.ok, answer.text()
    return np.load(BytesIO(answer.body()), allow_pickle=False)


def run(script: str, folder: Path) -> np.ndarray[Any, Any]:
    """Run a script in a fresh process, and return its map."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    saved = script + "\nimport numpy\nnumpy.save('made.npy', attribution.values)\n"
    done = subprocess.run(
        [sys.executable, "-c", saved], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return np.load(folder / "made.npy")


def test_figure_is_saved_as_svg_that_stands_alone(page: Any, tmp_path: Path, farm: Path) -> None:
    ask(page, lambda: by_id(page, "class-barn").click())
    open_export(page)
    path = save(page, "export-svg", tmp_path)
    assert path.name == "segscope-farm0-barn-relu-grad-cam.svg"
    figure = ET.parse(path).getroot()
    assert figure.tag == f"{SVG}svg"
    words = [node.text for node in figure.iter(f"{SVG}text")]
    assert {"Input image", "Predicted mask", "Pixel importance", "barn", "sky"} <= set(words)
    caption = " ".join(filter(None, words))
    for part in ("Why barn?", "Grad-CAM at relu", "predicted pixels", "score", "Farm", "farm0.png"):
        assert part in caption
    image, mask, grey, importance = (picture(node) for node in figure.iter(f"{SVG}image"))
    original = np.asarray(Image.open(farm / "images" / "farm0.png"))
    np.testing.assert_array_equal(image[..., :3], original)
    assert len(np.unique(mask.reshape(-1, 4), axis=0)) >= 3
    assert (grey[..., 0] == grey[..., 1]).all()
    # The hottest pixel of the map has the brightest colour.
    values = shown_map(page)
    assert importance[..., :3].sum(axis=2)[values == values.max()].min() >= importance[..., :3].sum(axis=2).max() - 3


def test_figure_is_saved_as_png_at_twice_its_size(page: Any, tmp_path: Path) -> None:
    open_export(page)
    drawing = ET.parse(save(page, "export-svg", tmp_path)).getroot()
    path = save(page, "export-png", tmp_path)
    assert path.suffix == ".png"
    with Image.open(path) as opened:
        pixels = np.asarray(opened.convert("RGB"))
    assert pixels.shape[:2] == (2 * int(drawing.attrib["height"]), 2 * int(drawing.attrib["width"]))
    assert (pixels[:20] == 255).all()
    colours = np.unique(pixels[pixels.shape[0] // 3].reshape(-1, 3), axis=0)
    assert len(colours) > 50
    assert text(page, "export-said").startswith("Saved segscope-")


def test_figure_shows_what_the_screen_shows(page: Any, tmp_path: Path) -> None:
    by_id(page, "mask-errors").click()
    by_id(page, "map-alone").click()
    page.keyboard.press("w")
    wait_for_map(page)
    by_id(page, "picture-input-viewport").focus()
    for _ in range(3):
        page.keyboard.press("+")
    by_id(page, "theme").click()
    open_export(page)
    figure = ET.parse(save(page, "export-svg", tmp_path)).getroot()
    words = " ".join(filter(None, (node.text for node in figure.iter(f"{SVG}text"))))
    assert "Errors" in words
    assert re.search(r"rows \d+ to \d+, columns \d+ to \d+", words)
    images = [picture(node) for node in figure.iter(f"{SVG}image")]
    assert len(images) == 3  # alone: no grey picture below the map
    assert images[0].shape[0] < 120
    assert {image.shape for image in images} == {images[0].shape}
    assert next(figure.iter(f"{SVG}rect")).attrib["fill"] == "#fff"


def test_numbers_are_those_of_the_map(page: Any, tmp_path: Path) -> None:
    open_export(page)
    path = save(page, "export-npz", tmp_path)
    assert path.suffix == ".npz"
    assert text(page, "export-said") == f"Saved {path.name}."
    with np.load(path, allow_pickle=False) as numbers:
        np.testing.assert_array_equal(numbers["values"], shown_map(page))
        provenance = json.loads(str(numbers["provenance"]))
        assert numbers["region"].shape == numbers["mask"].shape == (120, 160)
    asked = question(page)
    assert (provenance["class"], provenance["layer"]) == (asked["class"], asked["layer"])


def test_numbers_that_take_long_can_be_cancelled(page: Any, console: Console) -> None:
    waiting: list[Any] = []
    page.route("**/archive", lambda route: waiting.append(route))
    open_export(page)
    by_id(page, "export-npz").click()
    by_id(page, "export-npz-cancel").wait_for()
    assert page.locator('[data-testid="export"] [role=progressbar]').is_visible()
    by_id(page, "export-npz-cancel").click()
    by_id(page, "export-npz-cancel").wait_for(state="hidden")
    assert by_id(page, "export-npz").is_enabled()
    assert by_id(page, "export-npz-problem").count() == 0
    waiting[0].abort()


def test_python_lines_make_the_map_again(page: Any, farm: Path, tmp_path: Path) -> None:
    ask(page, lambda: by_id(page, "class-barn").click())
    ask(page, lambda: by_id(page, "region").select_option("box"))
    open_export(page)
    script = by_id(page, "export-python").inner_text()
    assert "segscope.Region.box(" in script
    assert str(farm) not in script
    assert by_id(page, "export-command").inner_text().startswith("segscope explain images/farm0.png")
    expected = shown_map(page)
    np.testing.assert_allclose(run(script, farm), expected, rtol=0, atol=1e-5 * float(np.abs(expected).max()))


def test_upload_is_handed_out_for_its_script(busy_page: Any, farm: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    photograph(7)[0].save(tmp_path / "mine.jpg", exif=exif)
    by_id(busy_page, "upload-file").set_input_files(tmp_path / "mine.jpg")
    wait_for_image(busy_page, "mine.jpg")
    open_export(busy_page)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    saved = save(busy_page, "export-file", folder)
    assert saved.name == "mine.jpg"
    assert saved.read_bytes() == (tmp_path / "mine.jpg").read_bytes()
    script = by_id(busy_page, "export-python").inner_text()
    assert "Save the uploaded image" in script
    (folder / "network.py").write_text((farm / "network.py").read_text())
    expected = shown_map(busy_page)
    np.testing.assert_allclose(run(script, folder), expected, rtol=0, atol=1e-5 * float(np.abs(expected).max()))


def test_export_works_by_keyboard_alone(page: Any) -> None:
    by_id(page, "export-open").focus()
    page.keyboard.press("Enter")
    by_id(page, "export-python").wait_for()
    assert page.evaluate("document.querySelector('[data-testid=export]').contains(document.activeElement)")
    by_id(page, "export-python-copy").focus()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.keyboard.press("Enter")
    by_id(page, "export-python-said").filter(has_text="Copied").wait_for(state="attached")
    assert by_id(page, "export-python-said").get_attribute("role") == "status"
    assert page.evaluate("navigator.clipboard.readText()") == by_id(page, "export-python").text_content()
    page.keyboard.press("Escape")
    by_id(page, "export").wait_for(state="hidden")
    assert page.evaluate("document.activeElement.dataset.testid") == "export-open"


def test_script_that_fails_says_so_and_can_be_asked_again(page: Any, console: Console) -> None:
    console.expected.append("500")
    page.route("**/script", lambda route: route.fulfill(status=500, body="{}"))
    by_id(page, "export-open").click()
    by_id(page, "export-script-problem").wait_for()
    page.unroute("**/script")
    by_id(page, "export-script-retry").click()
    by_id(page, "export-python").wait_for()


def test_link_is_copied_and_opens_the_same_view(page: Any, new_page: Callable[..., Any]) -> None:
    ask(page, lambda: by_id(page, "class-lawn").click())
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    by_id(page, "share").click()
    by_id(page, "link-said").filter(has_text="Link copied").wait_for(state="attached")
    other = new_page()
    other.goto(page.evaluate("navigator.clipboard.readText()"))
    assert question(other) == question(page)


def test_link_is_shown_selected_where_the_clipboard_is_closed(page: Any) -> None:
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    by_id(page, "share").click()
    link = by_id(page, "share-link")
    link.wait_for()
    selected = page.evaluate("[document.activeElement.selectionStart, document.activeElement.selectionEnd]")
    assert selected == [0, len(link.input_value())]
    assert link.input_value().startswith(re.sub(r"#.*", "", page.url) + "#image=")
    page.keyboard.press("Escape")
    by_id(page, "share-dialog").wait_for(state="hidden")
    assert page.evaluate("document.activeElement.dataset.testid") == "share"


def test_link_keeps_the_token_to_itself(farm: Path, new_page: Callable[..., Any], console: Console) -> None:
    # The refusal, and the icon that the browser looks for beside it.
    console.expected += ["401", "404.*/favicon.ico"]
    with serving(farm, "serve", *FARM, "--token", "opensesame123") as site:
        page = new_page()
        page.goto(site.address)
        wait_for_map(page)
        page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
        by_id(page, "share").click()
        link = by_id(page, "share-link").input_value()
        assert "opensesame123" not in link
        # Whoever has been let in sees the view; others bring the token themselves.
        friend = new_page()
        assert friend.goto(link).status == 401
        parts = urlsplit(link)
        friend.goto(f"{parts.scheme}://{parts.netloc}/?token=opensesame123")
        friend.goto(link)
        assert question(friend) == question(page)
        newcomer = new_page()
        newcomer.goto(link.replace("#", "?token=opensesame123#"))
        assert question(newcomer) == question(page)
        assert "token" not in newcomer.url
        # They would ask for the images' numbers after the server's end.
        for visitor in (page, friend, newcomer):
            visitor.close()


def test_large_pictures_are_bounded_and_it_is_said(busy_page: Any, tmp_path: Path) -> None:
    photograph(3)[0].resize((2400, 1800)).save(tmp_path / "large.jpg", quality=80)
    by_id(busy_page, "upload-file").set_input_files(tmp_path / "large.jpg")
    wait_for_image(busy_page, "large.jpg")
    open_export(busy_page)
    assert "1600 × 1200 pixels in place of 2400 × 1800" in text(busy_page, "export-said")
    figure = ET.parse(save(busy_page, "export-svg", tmp_path)).getroot()
    assert {picture(node).shape for node in figure.iter(f"{SVG}image")} == {(1200, 1600, 4)}
