"""The explorer in a real browser, on a user's own network and photographs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from io import BytesIO
from typing import Any
from urllib.parse import urljoin

import numpy as np
import pytest

from .conftest import CLASSES, Console, Site, photograph, serving, wait_for_image, wait_for_map

pytestmark = pytest.mark.browser


def by_id(page: Any, name: str) -> Any:
    return page.locator(f'[data-testid="{name}"]')


def text(page: Any, name: str) -> str:
    return " ".join(by_id(page, name).inner_text().split())


def question(page: Any) -> dict[str, Any]:
    """Return the question whose map is shown."""
    wait_for_map(page)
    return json.loads(by_id(page, "importance").get_attribute("data-key").split(" ", 1)[1])


def ask(page: Any, change: Callable[[], object]) -> dict[str, Any]:
    """Change something, and return the question that the page then sends."""
    with page.expect_request(lambda request: request.url.endswith("/attribution")) as sent:
        change()
    wait_for_map(page)
    return json.loads(sent.value.post_data)


def point(page: Any, picture: str, row: int, column: int, *, size: tuple[int, int] = (120, 160)) -> tuple[float, float]:
    """Return where a pixel of the image is on the screen, the whole image being fitted into the picture."""
    box = by_id(page, f"picture-{picture}-viewport").bounding_box()
    scale = min(box["width"] / size[1], box["height"] / size[0])
    left = box["x"] + (box["width"] - size[1] * scale) / 2
    top = box["y"] + (box["height"] - size[0] * scale) / 2
    return left + (column + 0.5) * scale, top + (row + 0.5) * scale


def api(page: Any, address: str, body: dict[str, Any] | None = None) -> Any:
    answer = page.request.get(address) if body is None else page.request.post(address, data=body)
    assert answer.ok, answer.text()
    return answer


def image_ids(page: Any, site: Site) -> dict[str, str]:
    return {entry["name"]: entry["id"] for entry in api(page, urljoin(site.address, "api/images")).json()["images"]}


def test_first_view_shows_three_pictures_and_a_numeric_scale(page: Any) -> None:
    assert "Farm" in text(page, "model-name")
    assert text(page, "image-count") == "3"
    for name in ("picture-input", "picture-mask", "picture-importance", "scale"):
        assert by_id(page, name).is_visible()
    assert re.search(r"Scale from .*\d.* to .*\d", by_id(page, "scale").get_attribute("aria-label"))
    shown = question(page)
    assert shown["class"] in CLASSES
    assert shown["method"] == "grad-cam"
    assert shown["layer"] == "relu"
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_legend_says_what_was_predicted(page: Any, site: Site) -> None:
    record = api(page, urljoin(site.address, f"api/images/{image_ids(page, site)['farm0.png']}/prediction")).json()
    for entry in record["classes"]:
        share = float(text(page, f"share-{entry['name']}").rstrip(" %"))
        assert share == pytest.approx(100 * entry["share"], abs=0.51)
        iou = text(page, f"iou-{entry['name']}").removeprefix("IoU").strip()
        assert iou == ("–" if entry["iou"] is None else f"{entry['iou']:.2f}")
    assert text(page, "share-ground") == "0 %"


def test_pictures_are_drawn_in_their_colours(page: Any) -> None:
    """The mask's picture has the class colours, the input's the photograph's."""
    red, green, blue = pixel_colour(page, "input", 10, 10)
    assert blue > red + 40
    barn = page.evaluate("getComputedStyle(document.querySelector('[data-testid=class-barn] .swatch')).backgroundColor")
    _, truth = photograph(0)
    row, column = (int(place.mean()) for place in np.nonzero(truth == 2))
    assert pixel_colour(page, "mask", row, column) == tuple(int(part) for part in re.findall(r"\d+", barn)[:3])
    assert green >= 0


def pixel_colour(page: Any, picture: str, row: int, column: int) -> tuple[int, int, int]:
    from PIL import Image

    x, y = point(page, picture, row, column)
    with Image.open(BytesIO(page.screenshot())) as shot:
        pixel = shot.convert("RGB").getpixel((int(x), int(y)))
    assert isinstance(pixel, tuple)
    return int(pixel[0]), int(pixel[1]), int(pixel[2])


@pytest.mark.parametrize("by", ["legend", "selector"])
def test_class_is_chosen(page: Any, by: str) -> None:
    for class_ in ("barn", "lawn"):
        change = (
            (lambda name=class_: by_id(page, f"class-{name}").click())
            if by == "legend"
            else (lambda name=class_: by_id(page, "class").select_option(name))
        )
        assert ask(page, change)["class"] == class_
        assert by_id(page, f"class-{class_}").get_attribute("aria-pressed") == "true"
        assert by_id(page, "class").input_value() == class_


def test_class_is_chosen_by_a_click_on_the_mask(page: Any) -> None:
    _, truth = photograph(0)
    row, column = (int(place.mean()) for place in np.nonzero(truth == 2))
    assert ask(page, lambda: page.mouse.click(*point(page, "mask", row, column)))["class"] == "barn"


def test_layer_method_and_contrast_are_chosen(page: Any) -> None:
    assert ask(page, lambda: by_id(page, "layer").select_option("smooth"))["layer"] == "smooth"
    assert ask(page, lambda: by_id(page, "method").select_option("hires-cam"))["method"] == "hires-cam"
    assert text(page, "map-size").startswith("60 × 80")
    sent = ask(page, lambda: by_id(page, "against").select_option("lawn"))
    assert (sent["against"], sent["layer"], sent["method"]) == ("lawn", "smooth", "hires-cam")
    sent = ask(page, lambda: by_id(page, "method").select_option("saliency"))
    assert (sent["method"], sent["layer"]) == ("saliency", "input")
    assert text(page, "map-size").startswith("120 × 160")


def test_parameters_of_a_method_are_offered(page: Any) -> None:
    by_id(page, "method-settings").click()
    assert "1×1" in text(page, "method-cannot")
    sent = ask(page, lambda: by_id(page, "parameter-relu").uncheck())
    assert sent["parameters"] == {"relu": False}
    assert ask(page, lambda: by_id(page, "score-probability").click())["score"] == "probability"
    assert re.search(r"from (−|-)", by_id(page, "scale").get_attribute("aria-label"))


def test_map_is_what_the_server_says(page: Any, site: Site) -> None:
    """The read-out under the pointer is the number at that pixel of the map that answers the question shown."""
    ask(page, lambda: by_id(page, "class-barn").click())
    ask(page, lambda: by_id(page, "method").select_option("hires-cam"))
    shown = question(page)
    address = urljoin(site.address, f"api/images/{image_ids(page, site)['farm0.png']}/attribution")
    values = np.load(BytesIO(api(page, address, shown).body()))
    for row, column in ((60, 80), (5, 5), (100, 30)):
        page.mouse.move(*point(page, "importance", row, column))
        assert (text(page, "readout-row"), text(page, "readout-column")) == (str(row), str(column))
        number = text(page, "readout-importance").removeprefix("importance").strip()
        assert plain_number(number) == pytest.approx(float(values[row, column]), rel=0.01, abs=1e-9)


def plain_number(shown: str) -> float:
    """Read a number as the page writes it: 1.2 × 10⁻³, −0.4, 17."""
    digits = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻−", "0123456789--")
    mantissa, _, power = shown.translate(digits).replace("\u2009", " ").replace("·", "×").partition("×")
    return float(mantissa) * 10.0 ** int(power.strip()[2:] or 0) if power else float(mantissa)


def test_pixel_is_asked_about_by_a_click(page: Any) -> None:
    by_id(page, "tool-pixel").click()
    sent = ask(page, lambda: page.mouse.click(*point(page, "input", 70, 41)))
    assert sent["region"] == {"kind": "pixel", "row": 70, "column": 41}
    assert re.match(r"1\b", text(page, "region-count"))


def test_box_is_drawn_by_dragging(page: Any) -> None:
    by_id(page, "tool-box").click()

    def drag() -> None:
        page.mouse.move(*point(page, "importance", 80, 90))
        page.mouse.down()
        page.mouse.move(*point(page, "importance", 60, 60))
        page.mouse.move(*point(page, "importance", 51, 42))
        page.mouse.up()

    sent = ask(page, drag)
    assert sent["region"] == {"kind": "box", "top": 51, "left": 42, "bottom": 81, "right": 91}
    assert text(page, "region-count").replace(",", "").replace("\u202f", "").startswith(str(30 * 49))


def test_box_is_typed_in(page: Any) -> None:
    by_id(page, "tool-box").click()
    wait_for_map(page)

    def type_in() -> None:
        by_id(page, "region-top").fill("7")
        by_id(page, "region-top").press("Enter")

    assert ask(page, type_in)["region"]["top"] == 7


@pytest.mark.parametrize(("tool", "kind"), [("everywhere", "everywhere"), ("true", "true"), ("errors", "errors")])
def test_other_regions_are_asked_about(page: Any, tool: str, kind: str) -> None:
    ask(page, lambda: by_id(page, "class-barn").click())
    assert ask(page, lambda: by_id(page, f"tool-{tool}").click())["region"]["kind"] == kind


def test_true_mask_and_errors_are_shown_where_there_is_a_mask(page: Any) -> None:
    before = by_id(page, "picture-mask").screenshot()
    by_id(page, "mask-errors").click()
    assert by_id(page, "picture-mask").screenshot() != before
    by_id(page, "mask-truth").click()
    page.mouse.move(*point(page, "mask", 5, 5))
    assert "sky" in text(page, "readout-truth")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.locator('[data-testid="tool-true"]:disabled').wait_for()
    assert by_id(page, "mask-truth").is_disabled()
    wait_for_map(page)


def test_another_image_is_chosen(page: Any, site: Site) -> None:
    ids = image_ids(page, site)
    ask(page, lambda: by_id(page, f"image-{ids['farm2.png']}").click())
    assert by_id(page, f"image-{ids['farm2.png']}").get_attribute("aria-selected") == "true"
    assert text(page, "iou-sky").removeprefix("IoU").strip() == "–"
    page.wait_for_url(f"**{ids['farm2.png']}**")


def test_file_that_cannot_be_used_is_named(page: Any) -> None:
    by_id(page, "image-problems").locator("summary").click()
    assert "notes.png" in text(page, "image-problems")
    assert "isn't an image" in text(page, "image-problems")


def test_region_without_a_pixel_is_explained(page: Any) -> None:
    by_id(page, "class-ground").click()
    wait_for_map(page, "empty")
    assert "No pixel predicted as ground" in text(page, "region-empty")
    assert ask(page, lambda: by_id(page, "ask-everywhere").click())["region"] == {"kind": "everywhere"}


def test_own_photograph_is_uploaded_and_explained(busy_page: Any) -> None:
    picture, _ = photograph(9, height=90, width=120)
    file = BytesIO()
    picture.save(file, "JPEG")
    upload = {"name": "my barn.jpg", "mimeType": "image/jpeg", "buffer": file.getvalue()}
    by_id(busy_page, "upload-file").set_input_files(upload)
    wait_for_image(busy_page, "my barn.jpg")
    assert by_id(busy_page, "image-list").locator("[role=option]").first.get_attribute("aria-selected") == "true"
    assert ask(busy_page, lambda: by_id(busy_page, "class-barn").click())["class"] == "barn"
    assert float(text(busy_page, "share-barn").rstrip(" %")) > 3


def test_photograph_is_dropped_onto_the_page(busy_page: Any) -> None:
    picture, _ = photograph(11, height=60, width=80)
    file = BytesIO()
    picture.save(file, "PNG")
    busy_page.evaluate(
        """(bytes) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], "dropped.png", { type: "image/png" }));
            for (const type of ["dragenter", "dragover", "drop"]) {
                window.dispatchEvent(new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true }));
            }
        }""",
        list(file.getvalue()),
    )
    wait_for_image(busy_page, "dropped.png")


@pytest.mark.parametrize(
    "content", [b"this is no image", b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>']
)
def test_file_that_is_no_image_is_refused_in_words(busy_page: Any, console: Console, content: bytes) -> None:
    console.expected.append("status of 422")
    by_id(busy_page, "upload-file").set_input_files({"name": "letter.png", "mimeType": "image/png", "buffer": content})
    by_id(busy_page, "upload-error").wait_for()
    assert "'letter.png' isn't an image" in text(busy_page, "upload-error")
    by_id(busy_page, "upload-error-dismiss").click()
    assert by_id(busy_page, "upload-error").count() == 0
    assert ask(busy_page, lambda: by_id(busy_page, "class-barn").click())["class"] == "barn"


def test_file_that_is_too_long_is_refused_in_words(busy_page: Any, console: Console, tmp_path: Any) -> None:
    console.expected.append("status of 413")
    (tmp_path / "long.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 34_000_000)
    by_id(busy_page, "upload-file").set_input_files(tmp_path / "long.png")
    by_id(busy_page, "upload-error").wait_for()
    assert "33554432 bytes" in text(busy_page, "upload-error")


def test_link_reproduces_the_view(page: Any, new_page: Callable[..., Any]) -> None:
    ask(page, lambda: by_id(page, "class-lawn").click())
    ask(page, lambda: by_id(page, "layer").select_option("smooth"))
    ask(page, lambda: by_id(page, "method").select_option("layer-cam"))
    by_id(page, "tool-pixel").click()
    ask(page, lambda: page.mouse.click(*point(page, "input", 100, 20)))
    shown = question(page)
    page.wait_for_url("**pixel:100,20**")
    other = new_page()
    other.goto(page.url)
    assert question(other) == shown


def test_keys_choose_class_layer_and_image(page: Any, site: Site) -> None:
    assert ask(page, lambda: page.keyboard.press("3"))["class"] == "barn"
    assert ask(page, lambda: page.keyboard.press("]"))["layer"] == "classifier"
    assert ask(page, lambda: page.keyboard.press("["))["layer"] == "relu"
    ask(page, lambda: page.keyboard.press("ArrowRight"))
    page.wait_for_url(f"**{image_ids(page, site)['farm1.png']}**")


def test_last_choice_wins_when_many_are_made_at_once(page: Any, site: Site) -> None:
    """Whatever was asked in between, what is shown in the end answers what is selected."""
    for _ in range(6):
        for key in ("2", "3", "4"):
            page.keyboard.press(key)
    page.wait_for_timeout(300)
    shown = question(page)
    assert shown["class"] == "lawn"
    address = urljoin(site.address, f"api/images/{image_ids(page, site)['farm0.png']}/attribution")
    values = np.load(BytesIO(api(page, address, shown).body()))
    page.mouse.move(*point(page, "importance", 100, 20))
    number = plain_number(text(page, "readout-importance").removeprefix("importance").strip())
    assert number == pytest.approx(float(values[100, 20]), rel=0.01, abs=1e-9)


def test_failure_of_the_server_is_shown_and_can_be_tried_again(page: Any, console: Console) -> None:
    console.expected.append("status of 500")
    failing = {"error": {"code": "server-failed", "message": "The server failed at this request; its log says why."}}
    page.route("**/attribution", lambda route: route.fulfill(status=500, json=failing))
    by_id(page, "class-barn").click()
    by_id(page, "importance-error").wait_for()
    assert "its log says why" in text(page, "importance-error")
    page.unroute("**/attribution")
    assert ask(page, lambda: by_id(page, "importance-retry").click())["class"] == "barn"


def test_server_that_is_gone_is_named(new_page: Callable[..., Any], console: Console, farm: Any, browser: Any) -> None:
    console.expected.append("ERR_CONNECTION")
    page = new_page()
    with serving(farm, "serve", "network.py:build", "--images", "images") as own:
        page.goto(own.address)
        wait_for_map(page)
    page.keyboard.press("]")
    by_id(page, "importance-error").wait_for()
    assert "segscope serve" in text(page, "importance-error")


def test_wait_can_be_cancelled(page: Any) -> None:
    page.route("**/attribution", lambda route: None)
    by_id(page, "class-barn").click()
    by_id(page, "importance-cancel").click()
    assert by_id(page, "importance-cancelled").is_visible()
    page.unroute("**/attribution")
    assert ask(page, lambda: by_id(page, "importance-retry").click())["class"] == "barn"


def test_token_opens_the_page_once_and_for_all(
    new_page: Callable[..., Any], console: Console, farm: Any, browser: Any
) -> None:
    console.expected.append("status of 401")
    arguments = ["serve", "network.py:build", "--images", "images", "--token", "a0b1c2d3e4f5"]
    with serving(farm, *arguments) as guarded:
        assert guarded.address.endswith("/?token=a0b1c2d3e4f5")
        stranger = new_page()
        stranger.goto(guarded.address.split("?")[0])
        assert "asks for a token" in stranger.inner_text("body")
        page = new_page()
        page.goto(guarded.address)
        wait_for_map(page)
        assert "token" not in page.url
        page.reload()
        wait_for_map(page)
        # Closed before its server, which it would go on asking for small maps.
        page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080), (480, 800)])
def test_page_fits_its_window(new_page: Callable[..., Any], site: Site, scheme: str, size: tuple[int, int]) -> None:
    page = new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    page.goto(site.address)
    wait_for_map(page)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    dark = page.evaluate(
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).every((part) => part < 90)"
    )
    assert dark is (scheme == "dark")
