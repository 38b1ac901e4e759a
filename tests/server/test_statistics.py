"""The numbers of all images: right, kept, worked out again when something changed, and never in a visitor's way."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import segscope
from segscope.files import cache_folder
from segscope.server import Gallery, create_app
from segscope.server.statistics import fingerprint
from segscope.server.store import Row, open_store
from segscope.server.work import Work
from tests.conftest import CLASSES

from .conftest import Client, npy
from .test_work import stay, visitor


def finished(client: Client) -> dict[str, Any]:
    """Ask when no pass is under way, which begins one, and again when that has ended."""
    rest(client)
    client.get("/api/statistics")
    rest(client)
    return client.get("/api/statistics").json()


def rest(client: Client) -> None:
    for _ in range(3000):
        if not running(client):
            return
        time.sleep(0.02)
    raise AssertionError("a pass that doesn't end")


def running(client: Client) -> bool:
    thread = client.app.state.session.statistics._thread
    return thread is not None and thread.is_alive()


@pytest.fixture
def start(folder: Path, network: torch.nn.Module) -> Iterator[Callable[[], tuple[Client, list[int]]]]:
    """Start a server over the folder; it comes with a count of forward passes."""
    clients: list[Client] = []

    def begin() -> tuple[Client, list[int]]:
        for client in clients:
            client.app.state.session.close()
        model = segscope.SegmentationModel(network, classes=CLASSES)
        clients.append(Client(create_app(model, Gallery(folder / "images", masks=folder / "masks"))))
        calls: list[int] = []
        served = clients[-1].app.state.session.model
        predict = served.predict

        def counted(*arguments: Any, **options: Any) -> Any:
            calls.append(1)
            return predict(*arguments, **options)

        served.predict = counted  # this object alone
        return clients[-1], calls

    yield begin
    for client in clients:
        client.app.state.session.close()


def test_numbers_are_those_of_each_prediction(start: Any, ids: dict[str, str]) -> None:
    client, _ = start()
    body = finished(client)
    assert (body["total"], body["done"], body["failed"]) == (3, 3, 0)
    assert [row["id"] for row in body["rows"]] == [ids["image2.png"], ids["image10.png"], ids["upright.jpg"]]
    for row in body["rows"]:
        single = client.get(f"/api/images/{row['id']}/prediction").json()
        assert row["confidence"] == pytest.approx(single["confidence"], abs=1e-6)
        assert row["shares"] == pytest.approx([entry["share"] for entry in single["classes"]], abs=1e-6)
        ious = [entry["iou"] for entry in single["classes"]]
        if not single["image"]["has_truth"]:
            assert row["iou"] is None
            assert row["mean_iou"] is None
            assert row["true_shares"] is None
        else:
            assert row["iou"] == pytest.approx(ious, abs=1e-6)
            assert row["mean_iou"] == pytest.approx(np.mean([iou for iou in ious if iou is not None]), abs=1e-6)
            truth = npy(client.get(f"/api/images/{row['id']}/truth"))
            assert row["true_shares"] == pytest.approx(np.bincount(truth.ravel(), minlength=4) / truth.size, abs=1e-6)


def test_numbers_outlive_the_server(start: Any, cache: Path) -> None:
    client, calls = start()
    first = finished(client)
    assert len(calls) == 3
    assert [path.name for path in cache.iterdir()] == ["statistics-2.duckdb"]
    client, calls = start()
    assert {**finished(client), "mark": first["mark"]} == first
    assert calls == []


def test_changed_image_and_changed_mask_are_worked_out_again(start: Any, folder: Path) -> None:
    client, calls = start()
    before = {row["id"]: row for row in finished(client)["rows"]}
    mask = folder / "masks" / "image2.png"
    Image.fromarray(np.zeros((40, 56), np.uint8)).save(mask)
    image = folder / "images" / "image10.png"
    os.utime(image, ns=(1, 1))
    calls.clear()
    finished(client)
    after = {row["id"]: row for row in finished(client)["rows"]}
    assert len(calls) == 2
    assert sorted(before[key]["iou"] != after[key]["iou"] for key in before) == [False, False, True]
    client, calls = start()
    assert {row["id"]: row for row in finished(client)["rows"]} == after
    assert calls == []


def test_changed_weights_are_worked_out_again(start: Any, network: torch.nn.Module) -> None:
    client, _ = start()
    before = finished(client)
    with torch.no_grad():
        next(iter(network.parameters())).add_(0.5)
    client, calls = start()
    assert finished(client)["rows"] != before["rows"]
    assert len(calls) == 3


def test_fingerprint_is_of_weights_and_preprocessing(network: torch.nn.Module) -> None:
    first = fingerprint(segscope.SegmentationModel(network, classes=CLASSES))
    assert fingerprint(segscope.SegmentationModel(network, classes=None)) == first
    scaled = segscope.SegmentationModel(network, preprocess=segscope.Preprocess(mean=0.5))
    assert fingerprint(scaled) != first
    with torch.no_grad():
        next(iter(network.buffers())).view(-1)[0] += 1
    assert fingerprint(segscope.SegmentationModel(network, classes=CLASSES)) != first


def test_image_that_fails_is_named_and_the_others_go_on(start: Any, folder: Path, ids: dict[str, str]) -> None:
    client, _ = start()
    path = folder / "images" / "image10.png"
    path.write_bytes(path.read_bytes()[:-200])
    body = finished(client)
    assert (body["total"], body["done"], body["failed"]) == (3, 2, 1)
    assert len(body["rows"]) == 2
    assert [failure["id"] for failure in body["failures"]] == [ids["image10.png"]]
    assert "'image10.png' is damaged" in body["failures"][0]["message"]


def test_answer_holds_only_what_is_new(start: Any, folder: Path, ids: dict[str, str]) -> None:
    client, _ = start()
    first = finished(client)
    assert first["whole"]
    known = client.get("/api/statistics", params={"since": first["mark"]}).json()
    assert (known["whole"], known["rows"], known["done"], known["mark"]) == (False, [], 3, first["mark"])
    os.utime(folder / "images" / "image10.png", ns=(1, 1))
    client.get("/api/statistics", params={"since": first["mark"], "again": True})
    rest(client)
    news = client.get("/api/statistics", params={"since": first["mark"]}).json()
    assert [row["id"] for row in news["rows"]] == [ids["image10.png"]]
    assert not news["whole"]


def test_asking_for_news_reads_no_files_once_all_is_known(start: Any) -> None:
    client, _ = start()
    mark = finished(client)["mark"]
    rest(client)
    before = client.app.state.session.statistics._thread
    client.get("/api/statistics", params={"since": mark})
    assert client.app.state.session.statistics._thread is before


@pytest.mark.parametrize("mark", ["another-3", "-1", "-", "0", "\u00b2", "x" * 3000])
def test_mark_of_another_server_gets_everything(start: Any, mark: str) -> None:
    client, _ = start()
    finished(client)
    body = client.get("/api/statistics", params={"since": mark}).json()
    assert body["whole"]
    assert len(body["rows"]) == 3


def test_pause_lasts_until_it_is_ended(start: Any) -> None:
    client, calls = start()
    paused = client.request("PUT", "/api/statistics", json={"paused": True}).json()
    assert (paused["paused"], paused["running"], paused["done"]) == (True, False, 0)
    assert finished(client)["done"] == 0
    assert calls == []
    client.request("PUT", "/api/statistics", json={"paused": False})
    body = finished(client)
    assert (body["paused"], body["done"]) == (False, 3)


def test_pause_keeps_what_is_done(start: Any) -> None:
    client, calls = start()
    statistics = client.app.state.session.statistics
    measure = statistics._measure

    def interrupted(image: Any) -> Any:
        if image.name == "image10.png":
            statistics.pause()
        return measure(image)

    statistics._measure = interrupted
    assert finished(client)["done"] == 2
    statistics._measure = measure
    statistics.resume()
    assert finished(client)["done"] == 3
    assert len(calls) == 3


def test_mask_that_turns_out_damaged_leaves_the_other_numbers(start: Any, folder: Path, ids: dict[str, str]) -> None:
    client, _ = start()
    path = folder / "masks" / "image2.png"
    path.write_bytes(path.read_bytes()[:300])
    row = next(row for row in finished(client)["rows"] if row["id"] == ids["image2.png"])
    assert (row["iou"], row["mean_iou"], row["true_shares"]) == (None, None, None)
    assert sum(row["shares"]) == pytest.approx(1, abs=1e-5)


def test_uploads_get_numbers_that_are_not_kept(start: Any, folder: Path) -> None:
    client, _ = start()
    upload = client.upload((folder / "images" / "image10.png").read_bytes()).json()["id"]
    body = finished(client)
    assert (body["total"], body["rows"][0]["id"]) == (4, upload)
    client, calls = start()
    assert finished(client)["total"] == 3
    assert calls == []


@pytest.mark.parametrize("obstacle", ["file in place of the folder", "damaged database"])
def test_without_a_database_the_numbers_come_all_the_same(start: Any, cache: Path, obstacle: str) -> None:
    if obstacle == "damaged database":
        (cache / "statistics-2.duckdb").write_bytes(b"no database at all" * 1000)
    else:
        cache.rmdir()
        cache.write_text("in the way")
    client, calls = start()
    assert finished(client)["done"] == 3
    assert len(calls) == 3


def test_store_keeps_what_is_undefined(tmp_path: Path) -> None:
    rows = {
        "a": Row(0.5, [0.25, 0.75], [None, 1.0], [0.0, 1.0]),
        "b": Row(0.5, [1.0, 0.0], None),
        "c": Row(0.5, [1.0], [None]),
    }
    with open_store(tmp_path / "new", "model") as store:
        assert store
        for name, row in rows.items():
            store.save(name, "0", Row(0, [0], None))
            store.save(name, "1", row)
    with open_store(tmp_path / "new", "model") as store:
        assert store
        assert store.load() == {name: ("1", row) for name, row in rows.items()}
    with open_store(tmp_path / "new", "other model") as store:
        assert store
        assert store.load() == {}


def test_background_waits_for_visitors() -> None:
    work, stop = Work(), threading.Event()
    order: list[str] = []
    background = threading.Thread(target=lambda: work.in_background(lambda: order.append("background"), stop))

    def note() -> bool:
        order.append("visitor")
        return True

    async def scenario() -> None:
        release = threading.Event()
        jobs = [asyncio.ensure_future(work.on_network(visitor(stay), lambda: release.wait(20)))]
        await asyncio.sleep(0.05)
        background.start()
        jobs += [asyncio.ensure_future(work.on_network(visitor(stay), note)) for _ in "12"]
        await asyncio.sleep(0.1)
        release.set()
        await asyncio.gather(*jobs)
        assert order == ["visitor", "visitor"]

    asyncio.run(scenario())
    background.join(20)
    work.close()
    assert order == ["visitor", "visitor", "background"]


def test_background_can_be_stopped_while_it_waits() -> None:
    work, stop = Work(), threading.Event()
    work._asking = 1
    stop.set()
    with pytest.raises(CancelledError):
        work.in_background(lambda: None, stop)
    work.close()


def test_stop_keeps_what_is_done(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client, calls = start()
    statistics = client.app.state.session.statistics
    measure = statistics._measure

    def slow(image: Any) -> Any:
        if image.name == "image10.png":
            statistics._stop.set()
        return measure(image)

    statistics._measure = slow
    client.get("/api/statistics")
    statistics._thread.join(30)
    assert len(calls) == 2
    client, calls = start()
    assert finished(client)["done"] == 3
    assert len(calls) == 1


def test_cache_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_folder() == Path(os.environ["SEGSCOPE_CACHE"])
    monkeypatch.delenv("SEGSCOPE_CACHE")
    name = "LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME"
    monkeypatch.setenv(name, str(tmp_path))
    assert cache_folder() == (tmp_path / "segscope" / "Cache" if os.name == "nt" else tmp_path / "segscope")
    monkeypatch.delenv(name)
    assert cache_folder().is_relative_to(Path.home())
