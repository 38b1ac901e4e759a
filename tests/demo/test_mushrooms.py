import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import segscope.demo.mushrooms
from segscope.demo.mushrooms import CLASSES, COLORS, image_seed, render, write_dataset
from segscope.demo.mushrooms.composition import compose
from segscope.demo.mushrooms.marching import MUSHROOM, meet
from segscope.demo.mushrooms.tables import Profile, tabulate
from segscope.demo.mushrooms.textures import Noise
from segscope.errors import InvalidInput, SegscopeError

BACKGROUND, VOLVA, GILLS, STIPE, RING, CAP = range(6)


@pytest.fixture(scope="module")
def renderings():
    return [render(seed, size=64) for seed in range(60)]


@pytest.fixture(scope="module")
def alone(renderings):
    """Those with one mushroom that isn't among the hard ones."""
    return [one for one in renderings if one.causes["mushrooms"] == 1 and not one.causes["odd"]]


def digest(rendering):
    return hashlib.sha256(rendering.image.tobytes() + rendering.mask.tobytes()).hexdigest()


def files(directory):
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_public_names():
    assert set(segscope.demo.mushrooms.__all__) == {
        "CLASSES", "COLORS", "Rendering", "image_seed", "render", "write_dataset",
    }  # fmt: skip
    assert CLASSES == ("background", "volva", "gills", "stipe", "ring", "cap")
    assert len(set(COLORS)) == len(CLASSES)


def test_render_gives_an_image_and_a_mask_of_the_size_asked_for():
    rendering = render(3, size=48)
    assert rendering.image.shape == (48, 48, 3)
    assert rendering.image.dtype == np.uint8
    assert rendering.mask.shape == (48, 48)
    assert rendering.mask.dtype == np.uint8
    assert rendering.mask.max() < len(CLASSES)


def test_render_the_same_seed_gives_the_same_bytes_in_another_process():
    code = (
        "import hashlib; from segscope.demo.mushrooms import render; r = render(11, size=40);"
        "print(hashlib.sha256(r.image.tobytes() + r.mask.tobytes()).hexdigest())"
    )
    source = str(Path(segscope.demo.mushrooms.__file__).parents[3])
    environment = {**os.environ, "PYTHONPATH": source, "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1"}
    found = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    assert found.stdout.strip() == digest(render(11, size=40))


def test_render_other_seeds_give_other_images(renderings):
    assert len({digest(one) for one in renderings}) == len(renderings)


def test_render_shows_every_class_often(renderings):
    shown = np.array([[(one.mask == index).sum() >= 8 for index in range(6)] for one in renderings]).mean(0)
    assert shown[[BACKGROUND, STIPE, CAP]].min() > 0.9
    assert shown[[VOLVA, GILLS, RING]].min() > 0.35
    assert shown[[VOLVA, RING]].max() < 0.8


def test_render_covers_the_variety_of_scenes(renderings):
    for cause, least in {"species": 10, "light": 5, "ground": 4, "mushrooms": 4, "odd": 2}.items():
        assert len({one.causes[cause] for one in renderings}) >= least, cause


def test_render_main_mushroom_fills_the_image(alone):
    heights = [np.ptp(np.flatnonzero((one.mask > 0).any(1))) + 1 for one in alone]
    assert 0.5 * 64 < np.median(heights) < 0.95 * 64


def test_mask_without_ring_or_volva_has_none(alone):
    for name, index in (("ring", RING), ("volva", VOLVA)):
        without = [one for one in alone if not one.causes[name]]
        assert without
        assert not any((one.mask == index).any() for one in without)


def test_mask_parts_lie_in_the_order_they_grow(alone):
    def row(one, index):
        rows = np.nonzero(one.mask == index)[0]
        return rows.mean() if rows.size >= 8 else None

    compared = 0
    for upper, lower in ((CAP, STIPE), (CAP, VOLVA), (RING, VOLVA), (STIPE, VOLVA), (GILLS, VOLVA), (CAP, RING)):
        for one in alone:
            above, below = row(one, upper), row(one, lower)
            if above is not None and below is not None:
                compared += 1
                assert above < below, (CLASSES[upper], CLASSES[lower], one.causes)
    assert compared > 50


def test_mask_is_sampled_at_pixel_centers():
    # With three times the pixels every third one has the same centre.
    for seed in (1, 2, 5):
        coarse, fine = render(seed, size=40).mask, render(seed, size=120).mask[1::3, 1::3]
        assert (coarse != fine).mean() < 0.004


def test_image_shows_what_the_mask_says():
    # Neighbours across a boundary of the mask differ more in colour than neighbours within a part.
    for seed in (4, 8, 15):
        rendering = render(seed, size=96)
        step = np.abs(np.diff(rendering.image.astype(float), axis=1)).sum(2)
        boundary = np.diff(rendering.mask.astype(int), axis=1) != 0
        assert step[boundary].mean() > 2 * step[~boundary].mean()


def test_marching_stops_at_the_surface():
    scene = compose(np.random.default_rng(5))
    centers = np.linspace(-0.97, 0.97, 40, dtype=np.float32)
    hits = meet(scene, np.tile(centers, 40), np.repeat(-centers, 40))
    points = scene.camera.eye[:, None] + hits.rays * hits.depth
    for index, mushroom in enumerate(scene.mushrooms):
        met = hits.things == MUSHROOM + index
        distance = mushroom.body.distance(points[:, met])
        assert np.abs(distance).max(initial=0) < 0.004 * mushroom.body.size
    assert (hits.things == MUSHROOM).sum() > 50


def test_tabulate_agrees_with_the_distance_to_a_ball():
    angle = np.linspace(np.pi / 2, -np.pi / 2, 60)
    half_circle = np.stack([0.2 * np.cos(angle), 0.3 + 0.2 * np.sin(angle)], 1).astype(np.float32)
    half_circle[[0, -1], 0] = 0  # exactly on the axis, as every solid profile starts and ends
    _, table = tabulate([Profile(half_circle, solid=True)], radius=0.4, bottom=0.0, top=0.7)
    generator = np.random.default_rng(0)
    radius, height = generator.uniform(0.0, 0.39, 500), generator.uniform(0.02, 0.65, 500)
    expected = np.hypot(radius, height - 0.3) - 0.2
    found = table.at(radius.astype(np.float32), height.astype(np.float32))
    np.testing.assert_allclose(found, expected, atol=0.004)


def test_noise_stays_in_range_and_is_continuous():
    noise = Noise(np.random.default_rng(0))
    x = np.linspace(-30, 30, 4001, dtype=np.float32)
    for values in (noise.plane(x, x * 0.3), noise.volume(x, x * 0.5, x * 0.2), noise.fractal(x, x, 3)):
        assert values.min() >= 0
        assert values.max() <= 1
        assert np.ptp(values) > 0.3
        assert np.abs(np.diff(values)).max() < 0.2


@pytest.mark.parametrize(
    ("seed", "size", "message"),
    [
        (-1, 64, "seed must be a whole number of at least 0, but is -1"),
        (1.5, 64, "seed must be a whole number"),
        (True, 64, "seed must be a whole number"),
        ("1", 64, "seed must be a whole number"),
        (1, 31, "size must be a whole number from 32 to 2048, but is 31"),
        (1, 2049, "size must be a whole number from 32 to 2048"),
        (1, 64.0, "size must be a whole number"),
    ],
)
def test_render_bad_arguments_are_refused(seed, size, message):
    with pytest.raises(InvalidInput, match=message):
        render(seed, size=size)


def test_write_dataset_writes_images_masks_and_classes(tmp_path):
    calls = []
    root = write_dataset(tmp_path / "new", count=2, seed=4, size=32, workers=1, progress=lambda *at: calls.append(at))
    assert root == tmp_path / "new"
    assert sorted(files(root)) == [
        "classes.json", "images/000000.png", "images/000001.png", "masks/000000.png", "masks/000001.png",
        "rendered.json",
    ]  # fmt: skip
    assert calls == [(0, 2), (1, 2), (2, 2)]
    expected = render(image_seed(4, 1), size=32)
    with Image.open(root / "images/000001.png") as image, Image.open(root / "masks/000001.png") as mask:
        assert image.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(image), expected.image)
        assert mask.mode == "P"
        np.testing.assert_array_equal(np.asarray(mask), expected.mask)
        palette = mask.getpalette() or []
        assert bytes(palette[:18]).hex() == "".join(color[1:] for color in COLORS)
    described = json.loads((root / "classes.json").read_text(encoding="utf-8"))["classes"]
    assert [(entry["index"], entry["name"], entry["color"]) for entry in described] == [
        (index, name, COLORS[index]) for index, name in enumerate(CLASSES)
    ]


def test_write_dataset_does_not_depend_on_workers_or_count(tmp_path):
    alone = files(write_dataset(tmp_path / "alone", count=5, seed=9, size=32, workers=1))
    together = files(write_dataset(tmp_path / "together", count=5, seed=9, size=32, workers=2))
    fewer = files(write_dataset(tmp_path / "fewer", count=2, seed=9, size=32, workers=1))
    assert together == alone
    assert fewer.items() <= alone.items()


def test_write_dataset_goes_on_where_it_stopped(tmp_path):
    def interrupt(there, _):
        if there == 2:
            raise KeyboardInterrupt

    root = tmp_path / "interrupted"
    with pytest.raises(KeyboardInterrupt):
        write_dataset(root, count=4, seed=1, size=32, workers=1, progress=interrupt)
    assert len(list((root / "images").iterdir())) == 2
    (root / "masks/000001.png").unlink()
    kept = (root / "images/000000.png").stat().st_mtime_ns
    calls = []
    write_dataset(root, count=4, seed=1, size=32, workers=1, progress=lambda *at: calls.append(at))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert (root / "images/000000.png").stat().st_mtime_ns == kept
    assert files(root) == files(write_dataset(tmp_path / "whole", count=4, seed=1, size=32, workers=1))


def test_write_dataset_does_not_mix_seeds_or_sizes(tmp_path):
    write_dataset(tmp_path, count=1, seed=1, size=32, workers=1)
    before = files(tmp_path)
    for seed, size in ((2, 32), (1, 48)):
        with pytest.raises(InvalidInput, match=r'already holds renderings of \{ "seed": 1, "size": 32 \}'):
            write_dataset(tmp_path, count=2, seed=seed, size=size, workers=1)
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "count must be a whole number from 1 to 1000000, but is 0"),
        ({"count": -3}, "count must be a whole number"),
        ({"count": 2.0}, "count must be a whole number"),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
        ({"size": 16}, "size must be a whole number from 32 to 2048"),
        ({"workers": 0}, "workers must be a whole number"),
    ],
)
def test_write_dataset_bad_arguments_write_nothing(tmp_path, options, message):
    with pytest.raises(InvalidInput, match=message) as caught:
        write_dataset(tmp_path / "new", **options)
    assert isinstance(caught.value, SegscopeError)
    assert not (tmp_path / "new").exists()
