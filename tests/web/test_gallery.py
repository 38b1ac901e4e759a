"""The list of images in a real browser: many images, sorted, filtered, plotted and stepped through."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import numpy as np
import pytest
from PIL import Image

from tests.farm import CLASSES, FARM, NETWORK

from .conftest import Console, Site, serving, wait_for_image, wait_for_map
from .test_explorer import by_id, text

pytestmark = pytest.mark.browser

COUNT = 120
DAMAGED = "field119.png"
PITCH = 64
COLOURS = np.array([[13, 13, 13], [102, 153, 242], [204, 51, 38], [64, 166, 51]], dtype=np.uint8)


def has_barn(number: int) -> bool:
    return number % 3 == 0


def is_missed(number: int) -> bool:
    """Where the true mask has a barn that can't be seen."""
    return number % 10 == 1


def field(folder: Path, number: int) -> None:
    """A lawn under the sky; on some stands a barn, and some masks are wrong. Every fourth image has no mask."""
    classes = np.full((36, 48), 3, np.uint8)
    classes[: 6 + number % 20] = 1
    truth = classes.copy()
    if has_barn(number):
        classes[24:34, 8:24] = 2
        truth[24 : 34 - number % 7, 8:24] = 2
    elif is_missed(number):
        truth[24:34, 8:24] = 2
    Image.fromarray(COLOURS[classes]).save(folder / "images" / f"field{number}.png")
    if number % 4:
        Image.fromarray(truth).save(folder / "masks" / f"field{number}.png")


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fields")
    (folder / "network.py").write_text(NETWORK)
    (folder / "classes.txt").write_text("\n".join(CLASSES))
    for name in ("images", "masks"):
        (folder / name).mkdir()
    for number in range(COUNT):
        field(folder, number)
    path = folder / "images" / DAMAGED
    path.write_bytes(path.read_bytes()[:-40])
    return folder


@pytest.fixture(scope="module")
def fields_site(fields: Path, browser: Any) -> Iterator[Site]:  # no server where there is no browser
    with serving(fields, "serve", *FARM) as site:
        yield site


@pytest.fixture
def open_list(new_page: Callable[..., Any], fields_site: Site, console: Console) -> Callable[..., Any]:
    """Open the page once all images are measured."""

    # The damaged image has no small picture.
    console.expected.append("422")

    def open_(address: str = "", **options: Any) -> Any:
        page = new_page(**options)
        page.goto(fields_site.address + address)
        page.locator("[data-testid=measure-failures]").wait_for()
        by_id(page, "measure-progress").wait_for(state="detached")
        return page

    return open_


@pytest.fixture
def page(open_list: Callable[..., Any]) -> Any:
    page = open_list()
    wait_for_map(page)
    return page


def rows(page: Any) -> list[str]:
    """Return the names of the rows in the document, in the order of the list."""
    options = by_id(page, "image-list").get_by_role("option").all()
    pairs = [(int(row.get_attribute("aria-posinset")), row.locator(".name").inner_text()) for row in options]
    return [name for _, name in sorted(pairs)]


def scroll(page: Any, top: int) -> None:
    by_id(page, "image-list").evaluate("(list, top) => { list.scrollTop = top; }", top)
    # The rows follow in the next frame.
    page.wait_for_timeout(100)


def number_of(name: str) -> int:
    return int(re.sub(r"\D", "", name))


def sort_by(page: Any, number: str) -> None:
    by_id(page, "sort").select_option(number)


def state(page: Any) -> str:
    """Return the address once it says what the page shows; it follows a moment later."""
    page.wait_for_timeout(400)
    return str(page.url).partition("#")[2]


def settled(page: Any, count: str) -> None:
    by_id(page, "image-count").filter(has_text=re.compile(rf"^{count}$")).wait_for()


def test_images_where_a_class_fails_come_first(page: Any) -> None:
    sort_by(page, "iou.barn")
    names = rows(page)
    missed = [n for n in range(COUNT - 1) if is_missed(n) and not has_barn(n) and n % 4]
    assert [number_of(name) for name in names[: len(missed)]] == missed
    first = by_id(page, "image-list").locator("[aria-posinset='1']")
    assert "barn IoU 0.00" in first.get_attribute("aria-label")
    # Where there is no barn to find, or none was looked for, there is no number to sort by.
    scroll(page, PITCH * (COUNT - 10))
    last = by_id(page, "image-list").locator(f"[aria-posinset='{COUNT - 5}']")
    assert not re.search(r"barn IoU \d", last.get_attribute("aria-label"))


def test_order_can_be_turned_around_and_is_in_the_address(page: Any, open_list: Callable[..., Any]) -> None:
    sort_by(page, "iou.barn")
    assert text(page, "sort-order") == "lowest first"
    by_id(page, "sort-order").click()
    assert text(page, "sort-order") == "highest first"
    best = rows(page)
    assert "list.sort=iou.barn" in state(page)
    assert "list.order=down" in state(page)
    again = open_list("#" + state(page))
    assert by_id(again, "sort").input_value() == "iou.barn"
    scroll(again, 0)
    assert rows(again)[:5] == best[:5]
    sort_by(again, "share.barn")
    assert text(again, "sort-order") == "highest first"
    assert "list.order" not in state(again)


def test_filters_narrow_the_list_down(page: Any, open_list: Callable[..., Any]) -> None:
    by_id(page, "filter-toggle").click()
    by_id(page, "filter-predicted").select_option("barn")
    predicted = [n for n in range(COUNT - 1) if has_barn(n)]
    settled(page, f"{len(predicted)} of {COUNT}")
    by_id(page, "filter-mask").select_option("with")
    masked = [n for n in predicted if n % 4]
    settled(page, f"{len(masked)} of {COUNT}")
    by_id(page, "filter-name").fill("field1")
    named = [n for n in masked if str(n).startswith("1")]
    settled(page, f"{len(named)} of {COUNT}")
    assert [number_of(name) for name in rows(page)] == named
    again = open_list("#" + state(page))
    assert [number_of(name) for name in rows(again)] == named
    by_id(again, "chip-name").click()
    settled(again, f"{len(masked)} of {COUNT}")
    by_id(again, "filters-clear").click()
    settled(again, str(COUNT))
    assert "list." not in state(again)


def test_true_class_is_not_the_predicted_one(page: Any) -> None:
    by_id(page, "filter-toggle").click()
    by_id(page, "filter-true").select_option("barn")
    truly = [n for n in range(COUNT - 1) if (has_barn(n) or is_missed(n)) and n % 4]
    settled(page, f"{len(truly)} of {COUNT}")


def test_range_is_given_in_numbers(page: Any) -> None:
    by_id(page, "filter-toggle").click()
    by_id(page, "range-add").select_option("share.barn")
    low = by_id(page, "range-low-share.barn")
    low.fill("5")
    low.press("Tab")
    settled(page, rf"\d+ of {COUNT}")
    assert "list.range=share.barn:0.05.." in state(page)
    assert text(page, "chip-share.barn") == "barn share ≥ 5.0 %"
    by_id(page, "range-drop-share.barn").click()
    settled(page, str(COUNT))


def test_filters_that_nothing_passes_are_explained(page: Any) -> None:
    by_id(page, "filter-toggle").click()
    by_id(page, "filter-name").fill("nothing has this name")
    by_id(page, "list-empty").wait_for()
    wait_for_map(page)
    by_id(page, "list-empty-clear").click()
    settled(page, str(COUNT))


def test_keys_step_through_what_is_listed(page: Any) -> None:
    sort_by(page, "iou.barn")
    by_id(page, "filter-toggle").click()
    by_id(page, "filter-predicted").select_option("barn")
    settled(page, rf"\d+ of {COUNT}")
    names = rows(page)
    by_id(page, "image-list").get_by_role("option").first.click()
    wait_for_image(page, names[0])
    by_id(page, "image-list").focus()
    page.keyboard.press("ArrowDown")
    wait_for_image(page, names[1])
    page.keyboard.press("ArrowRight")
    wait_for_image(page, names[2])
    page.keyboard.press("ArrowUp")
    wait_for_image(page, names[1])
    page.keyboard.press("Home")
    wait_for_image(page, names[0])
    page.keyboard.press("End")
    count = int(by_id(page, "image-list").get_by_role("option").first.get_attribute("aria-setsize"))
    last = by_id(page, "image-list").locator(f"[aria-posinset='{count}'][aria-selected='true']")
    last.wait_for()
    assert last.evaluate("(row) => row.getBoundingClientRect().bottom <= innerHeight")
    active = by_id(page, "image-list").get_attribute("aria-activedescendant")
    assert page.locator(f"#{active}").get_attribute("aria-selected") == "true"


def test_selected_image_may_be_left_out(page: Any) -> None:
    by_id(page, "filter-toggle").click()
    by_id(page, "filter-name").fill("field7")
    by_id(page, "image-strayed").wait_for()
    assert by_id(page, "image-list").get_attribute("aria-activedescendant") is None
    assert by_id(page, "importance").get_attribute("data-state") == "ready"
    page.keyboard.press("Tab")
    by_id(page, "image-list").focus()
    page.keyboard.press("ArrowDown")
    wait_for_image(page, "field7.png")
    assert by_id(page, "image-strayed").count() == 0


@pytest.mark.parametrize("width", [1280, 700])
def test_only_rows_in_sight_are_in_the_document(open_list: Callable[..., Any], width: int) -> None:
    page = open_list(viewport={"width": width, "height": 720})
    box = by_id(page, "image-list")
    assert box.get_by_role("option").count() < 60
    assert box.get_by_role("option").first.get_attribute("aria-setsize") == str(COUNT)
    axis = (
        ("scrollTop", "clientHeight", "scrollHeight") if width > 900 else ("scrollLeft", "clientWidth", "scrollWidth")
    )
    for part in (0.1, 0.95, 0.4, 0.0, 1.0):
        # In the frame after the one that scrolled, every place of the list has its row.
        empty = box.evaluate(
            """async (list, [part, offset, length, whole]) => {
                list[offset] = part * list[whole];
                await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
                const box = list.getBoundingClientRect();
                const empty = [];
                for (let at = 12; at < list[length] - 12; at += 20) {
                    const [x, y] = offset === "scrollTop" ? [box.left + 40, box.top + at] : [box.left + at, box.top + 30];
                    const found = document.elementsFromPoint(x, y).some((element) => element.closest("[role=option]"));
                    const [gap] = [(at + list[offset]) % 56];
                    if (!found && (offset === "scrollTop" || gap < 54)) empty.push(at);
                }
                return empty;
            }""",
            [part, *axis],
        )
        assert empty == []


def test_small_pictures_come_to_rows_in_sight(page: Any) -> None:
    scroll(page, 3000)
    row = by_id(page, "image-list").locator(f"[aria-posinset='{3000 // PITCH + 3}']")
    row.locator("img[src^='blob:']").wait_for()
    assert row.locator("img").evaluate("(image) => image.decode().then(() => image.naturalWidth)") > 0


def test_image_that_fails_is_named(page: Any) -> None:
    by_id(page, "measure-failures").locator("summary").click()
    assert DAMAGED in text(page, "measure-failures")
    assert "is damaged" in text(page, "measure-failures")


def test_brushed_points_become_filters(page: Any) -> None:
    by_id(page, "overview-toggle").click()
    by_id(page, "scatter").wait_for()
    by_id(page, "plot-x").select_option("share.barn")
    box = by_id(page, "scatter").bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 4, box["y"] + 200, steps=4)
    page.mouse.up()
    settled(page, rf"\d+ of {COUNT}")
    assert {"chip-iou", "chip-share.barn"} == {
        chip.get_attribute("data-testid") for chip in page.locator("[data-testid^=chip-]").all()
    }
    assert all(has_barn(number_of(name)) for name in rows(page))
    assert re.search(r"list\.range=share\.barn:[\d.]+\.\.[\d.]+", state(page))
    by_id(page, "filters-clear").click()
    settled(page, str(COUNT))
    assert "list.x=share.barn" in state(page)


def test_point_opens_its_image(page: Any) -> None:
    by_id(page, "overview-toggle").click()
    by_id(page, "scatter").wait_for()
    by_id(page, "plot-x").select_option("share.barn")
    box = by_id(page, "scatter").bounding_box()
    # At the left edge are the images without a barn; what is nearest tells its name.
    for step in range(6, 220, 4):
        page.mouse.move(box["x"] + 40, box["y"] + step)
        if ":" in text(page, "scatter-said"):
            break
    name = text(page, "scatter-said").partition(":")[0]
    page.mouse.down()
    page.mouse.up()
    wait_for_image(page, name)


def test_brushed_bars_become_a_filter(page: Any) -> None:
    by_id(page, "overview-toggle").click()
    bars = by_id(page, "histogram-iou.barn")
    bars.wait_for()
    box = bars.bounding_box()
    page.mouse.click(box["x"] + 2, box["y"] + 20)
    missed = [n for n in range(COUNT - 1) if is_missed(n) and not has_barn(n) and n % 4]
    settled(page, f"{len(missed)} of {COUNT}")
    assert sorted(number_of(name) for name in rows(page)) == missed
    by_id(page, "overview-close").click()
    assert "list.x" not in state(page)


@pytest.mark.parametrize(
    "address",
    [
        "list.sort=iou.nobody&list.predicted=nobody&list.true=&list.range=share.nobody:0..1&list.x=iou.nobody&list.y=iou",
        "list.sort=%00&list.order=9&list.mask=x&list.range=iou:a..b&list.range=..&list.range=iou:..&list.x=x",
    ],
)
def test_bad_address_shows_all_images(open_list: Callable[..., Any], address: str) -> None:
    page = open_list("#" + address)
    wait_for_map(page)
    assert text(page, "image-count") == str(COUNT)
    assert by_id(page, "sort").input_value() == "name"
    assert page.locator("[data-testid^=chip-]").count() == 0


def test_work_can_be_paused_and_goes_on(
    new_page: Callable[..., Any], fields: Path, tmp_path: Path, browser: Any
) -> None:
    for name in ("images", "masks", "network.py", "classes.txt"):
        (tmp_path / name).symlink_to(fields / name)
    with serving(tmp_path, "serve", *FARM) as site:
        page = new_page()
        paused = page.request.put(urljoin(site.address, "api/statistics"), data={"paused": True})
        assert paused.ok, paused.text()
        page.goto(site.address)
        by_id(page, "measure-pause").filter(has_text="Go on").wait_for()
        assert text(page, "measure-progress").startswith(f"0 of {COUNT} measured")
        page.reload()
        by_id(page, "measure-pause").filter(has_text="Go on").click()
        by_id(page, "measure-progress").wait_for(state="detached")
        assert by_id(page, "image-list").locator("[data-testid^=number-]").count() > 5
        # Before the server ends, which the page would complain about.
        page.close()
