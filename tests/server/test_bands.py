"""Images of any number of bands over HTTP: listed, uploaded, shown, predicted and explained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from segscope import SegmentationModel, SeveralInputs, show
from segscope.server import Gallery, Origin, create_app
from segscope.server.pictures import MAX_PIXELS, encode_small

from .conftest import Client, encode, error_of, npy

COUNTS = (1, 4, 12)
KINDS = ("npy", "tif")
OCTETS = "application/octet-stream"


def network(bands: int) -> nn.Module:
    torch.manual_seed(bands)
    return nn.Sequential(nn.Conv2d(bands, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 3, 1))


def scene(bands: int, dtype: Any = np.uint16, size: tuple[int, int] = (24, 36)) -> NDArray[Any]:
    return np.random.default_rng(bands).integers(0, 250, (*size, bands)).astype(dtype)


def as_file(values: NDArray[Any], kind: str) -> bytes:
    file = BytesIO()
    if kind == "npy":
        np.save(file, values)
    else:
        tifffile.imwrite(file, np.moveaxis(values, 2, 0).copy(), photometric="minisblack", compression="zlib")
    return file.getvalue()


def picture(response: Any) -> NDArray[np.uint8]:
    assert response.status_code == 200, response.text
    return np.asarray(Image.open(BytesIO(response.content)))


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """Serve a model over scenes of as many bands as it takes: a.npy and b.tif."""
    apps: list[Any] = []

    def serve_it(model: SegmentationModel, origin: Origin | None = None) -> Client:
        for name, kind in (("a", "npy"), ("b", "tif")):
            (tmp_path / f"{name}.{kind}").write_bytes(as_file(scene(model.bands or 3), kind))
        apps.append(create_app(model, Gallery(tmp_path), origin=origin))
        return Client(apps[-1])

    yield serve_it
    for app in apps:
        app.state.session.close()


def ids_of(client: Client) -> dict[str, str]:
    return {entry["name"]: entry["id"] for entry in client.get("/api/images").json()["images"]}


@pytest.mark.parametrize("bands", COUNTS)
def test_folder_of_scenes_is_predicted_and_explained(serve: Callable[..., Client], bands: int) -> None:
    client = serve(SegmentationModel(network(bands), classes=("a", "b", "c")))
    with SegmentationModel(network(bands)).predict(scene(bands)) as prediction:
        mask, image = prediction.mask, prediction.image
    listed = client.get("/api/images").json()["images"]
    assert [(entry["name"], entry["height"], entry["width"]) for entry in listed] == [
        ("a.npy", 24, 36),
        ("b.tif", 24, 36),
    ]
    for entry in listed:
        address = f"/api/images/{entry['id']}"
        np.testing.assert_array_equal(npy(client.get(f"{address}/mask")), mask)
        np.testing.assert_array_equal(picture(client.get(f"{address}/picture")), image)
        assert picture(client.get(f"{address}/thumbnail")).shape == (24, 36, 3)
        question = {"class": "b", "layer": "input", "method": "saliency", "region": {"kind": "everywhere"}}
        assert npy(client.post(f"{address}/attribution", json=question)).shape == (24, 36)
        assert client.get(f"{address}/file").content[:4] in (b"\x93NUM", b"II*\0")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bands", COUNTS)
def test_upload(serve: Callable[..., Client], bands: int, kind: str) -> None:
    client = serve(SegmentationModel(network(bands)))
    for dtype in (np.uint8, np.uint16):
        values = scene(bands, dtype, size=(17, 19))
        if bands == 1 and kind == "tif":
            data = encode(Image.fromarray(values[..., 0]), "TIFF")
        else:
            data = as_file(values, kind)
        response = client.upload(data, f"mine.{kind}", OCTETS)
        assert response.status_code == 201, response.text
        record = response.json()
        assert (record["name"], record["height"], record["width"]) == (f"mine.{kind}", 17, 19)
        with SegmentationModel(network(bands)).predict(values) as prediction:
            np.testing.assert_array_equal(npy(client.get(f"/api/images/{record['id']}/mask")), prediction.mask)


def test_upload_of_the_networks_input(serve: Callable[..., Client]) -> None:
    client = serve(SegmentationModel(network(4)))
    values = np.random.default_rng(0).normal(size=(4, 10, 15)).astype(np.float32)
    record = client.upload(as_file(values, "npy"), "input.npy", OCTETS).json()
    assert (record["height"], record["width"]) == (10, 15)
    with SegmentationModel(network(4)).predict(values) as prediction:
        np.testing.assert_array_equal(npy(client.get(f"/api/images/{record['id']}/mask")), prediction.mask)


def test_bands_are_chosen(serve: Callable[..., Client]) -> None:
    model = SegmentationModel(network(12), shown_bands=(7, 3, 1))
    client = serve(model)
    described = client.get("/api/model").json()
    assert (described["bands"], described["shown_bands"]) == (12, [7, 3, 1])
    address = f"/api/images/{ids_of(client)['a.npy']}"
    whole = client.get(f"{address}/picture")
    np.testing.assert_array_equal(picture(whole), model.picture(scene(12)))
    for asked, bands in (("11,0,5", (11, 0, 5)), ("4", (4, 4, 4))):
        response = client.get(f"{address}/picture", params={"bands": asked})
        np.testing.assert_array_equal(picture(response), model.picture(scene(12), bands=bands))
        assert response.headers["etag"] != whole.headers["etag"]
        same = client.get(
            f"{address}/picture", params={"bands": asked}, headers={"If-None-Match": response.headers["etag"]}
        )
        assert same.status_code == 304
    assert client.get(f"{address}/thumbnail").content == encode_small(model.picture(scene(12)))


@pytest.mark.parametrize(
    ("bands", "message"), [("12,0,0", "0 to 11"), ("1,2", "bands"), ("a", "bands"), ("", "bands"), ("-1", "bands")]
)
def test_bands_that_are_not_there(serve: Callable[..., Client], bands: str, message: str) -> None:
    client = serve(SegmentationModel(network(12)))
    response = client.get(f"/api/images/{ids_of(client)['a.npy']}/picture", params={"bands": bands})
    assert response.status_code == 422
    assert message in error_of(response)["message"]


def test_default_of_the_page(client: Client) -> None:
    described = client.get("/api/model").json()
    assert (described["bands"], described["shown_bands"]) == (3, [0, 1, 2])


def test_colours_of_a_photograph_can_be_chosen(client: Client, ids: dict[str, str]) -> None:
    address = f"/api/images/{ids['image2.png']}/picture"
    whole = picture(client.get(address))
    np.testing.assert_array_equal(picture(client.get(address, params={"bands": "2,1,0"})), whole[..., ::-1])
    np.testing.assert_array_equal(picture(client.get(address, params={"bands": "1"})), whole[..., [1, 1, 1]])


def test_image_of_other_bands_is_a_clear_error(serve: Callable[..., Client]) -> None:
    client = serve(SegmentationModel(network(12)))
    for data, name in ((as_file(scene(4), "npy"), "four.npy"), (encode(Image.new("RGB", (9, 9))), "photo.png")):
        record = client.upload(data, name, OCTETS).json()
        response = client.get(f"/api/images/{record['id']}/prediction")
        assert response.status_code == 422
        assert "the network's first convolution takes 12" in error_of(response)["message"]


def claims(shape: tuple[int, ...], descr: str = "|u1") -> bytes:
    """A .npy file of a few bytes which announces any shape."""
    file = BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue() + b"\0" * 100


def tiff_that_claims(width: int, height: int) -> bytes:
    file = BytesIO()
    tifffile.imwrite(file, scene(5, np.uint8), photometric="minisblack", planarconfig="contig")
    data = bytearray(file.getvalue())
    with tifffile.TiffFile(BytesIO(data)) as tiff:
        for name, value in (("ImageWidth", width), ("ImageLength", height), ("RowsPerStrip", height)):
            tag = tiff.pages.first.tags[name]
            size = 2 if tag.dtype == 3 else 4
            data[tag.valueoffset : tag.valueoffset + size] = value.to_bytes(size, "little")
    return bytes(data)


HOSTILE: dict[str, tuple[bytes, int]] = {
    "npy that claims more than it has": (claims((5000, 5000, 12)), 422),
    "npy of objects": (
        b"\x93NUMPY\x01\x00" + b"v\0" + b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(118),
        422,
    ),
    "npy that claims overflow": (claims((2**40, 2**40, 12)), 422),
    "npy of nothing": (claims((0, 5, 3)), 422),
    "npy cut in its header": (claims((5, 5, 3))[:20], 422),
    "npy of signed numbers": (as_file(scene(12, np.int16), "npy"), 422),
    "npy of NaN": (as_file(np.full((4, 5, 5), np.nan), "npy"), 422),
    "tiff that claims many pixels": (tiff_that_claims(60_000, 60_000), 413),
    "tiff that claims more than it has": (tiff_that_claims(2000, 2000), 422),
    "tiff of bands cut": (as_file(scene(12), "tif")[:3000], 422),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_file_is_refused_clearly(client: Client, name: str) -> None:
    data, status = HOSTILE[name]
    response = client.upload(data, "scene", OCTETS)
    assert response.status_code == status, response.text
    assert error_of(response)["code"] in ("too-large", "invalid-image")
    assert len(client.get("/api/images").json()["images"]) == 3


def test_too_many_bytes_are_refused_before_they_are_read(tmp_path: Path) -> None:
    with (tmp_path / "a.npy").open("wb") as file:
        file.write(claims((5000, 5000, 20))[:-100])
        file.truncate(5000 * 5000 * 20 + 128)  # a file with a hole
    Image.new("RGB", (9, 9)).save(tmp_path / "b.png")
    gallery = Gallery(tmp_path)
    assert [image.name for image in gallery.images()] == ["b.png"]
    assert f"at most {8 * MAX_PIXELS / 1e6:g} are taken" in gallery.problems()[0].message


def test_damaged_files_never_fail_the_server(client: Client) -> None:
    generator = np.random.default_rng(0)
    originals = [as_file(scene(5), kind) for kind in KINDS] + [as_file(scene(5, np.float32), "tif")]
    for number in range(120):
        data = bytearray(originals[number % len(originals)])
        for place in generator.integers(0, min(len(data), 600), 1 + number % 9):
            data[place] = generator.integers(0, 256)
        response = client.upload(bytes(data[: int(generator.integers(1, len(data) + 1))]), "scene", OCTETS)
        assert response.status_code in (201, 413, 422), (number, response.text)


class Fusion(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = network(4)

    def forward(self, image: Tensor, depth: Tensor) -> Tensor:
        return self.body(torch.cat([image, depth], 1))


def test_network_of_several_inputs(serve: Callable[..., Client]) -> None:
    model = SegmentationModel(SeveralInputs(Fusion(), {"image": 3, "depth": 1}), classes=("a", "b", "c"))
    client = serve(model)
    address = f"/api/images/{ids_of(client)['a.npy']}"
    layers = [layer["name"] for layer in client.get(f"{address}/prediction").json()["layers"]]
    assert layers[:2] == ["image", "depth"]
    edges = client.get(f"{address}/graph").json()["edges"]
    assert ["input", "depth"] in [list(edge.values()) if isinstance(edge, dict) else edge for edge in edges]
    question = {"class": "b", "layer": "depth", "method": "saliency", "region": {"kind": "everywhere"}}
    assert npy(client.post(f"{address}/attribution", json=question)).any()
    np.testing.assert_array_equal(picture(client.get(f"{address}/picture")), model.picture(scene(4)[..., :4]))
    record = client.upload(encode(Image.new("RGB", (9, 9)))).json()
    response = client.get(f"/api/images/{record['id']}/prediction")
    assert response.status_code == 422
    assert "network's inputs are image (3 channels), depth (1 channel)" in error_of(response)["message"]


@pytest.mark.parametrize("windows", [20, (24, 20)])
def test_scenes_are_seen_in_windows(serve: Callable[..., Client], windows: Any) -> None:
    model = SegmentationModel(network(12), windows=windows)
    client = serve(model)
    assert len(client.get("/api/model").json()["classes"]) == 3  # learned from the first window
    with model.predict(scene(12)) as prediction:
        for id_ in ids_of(client).values():
            np.testing.assert_array_equal(npy(client.get(f"/api/images/{id_}/mask")), prediction.mask)


def test_script_names_the_bands(serve: Callable[..., Client]) -> None:
    client = serve(
        SegmentationModel(network(12), classes=("a", "b", "c"), shown_bands=(7, 3, 1)),
        Origin(source="nets.py:twelve", shown_bands=(7, 3, 1)),
    )
    question = {"class": "b", "layer": "input", "method": "saliency", "region": {"kind": "everywhere"}}
    script = client.post(f"/api/images/{ids_of(client)['a.npy']}/script", json=question).json()
    assert 'SegmentationModel.load("nets.py:twelve").with_options(shown_bands=(7, 3, 1))' in script["python"]
    assert "--bands 7,3,1" in script["command"]


@pytest.mark.parametrize("bands", COUNTS)
def test_arrays_of_any_number_of_bands_are_shown(bands: int) -> None:
    import httpx

    given: list[Any] = [scene(bands), np.moveaxis(scene(bands), 2, 0).astype(np.float32), torch.zeros(bands, 5, 6)]
    model = SegmentationModel(network(bands))
    with show(model, given) as viewer, httpx.Client(base_url=viewer.url) as client:
        listed = client.get("/api/images").json()["images"]
        assert len(listed) == 3
        for entry, values in zip(listed, given, strict=True):
            with model.predict(values) as prediction:
                found = np.load(BytesIO(client.get(f"/api/images/{entry['id']}/mask").content))
                np.testing.assert_array_equal(found, prediction.mask)
