import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from segscope.demo.augment import augment, warp
from segscope.demo.checkpoint import read_checkpoint
from segscope.demo.dataset import LabelledImages, read_labelled_images
from segscope.demo.evaluate import Evaluation, confusion_matrix, evaluate, intersection_over_union, predict_masks
from segscope.demo.examples import select_examples, write_examples
from segscope.demo.export import export
from segscope.demo.losses import class_weights, segmentation_loss, soft_jaccard_loss
from segscope.demo.pspnet import PSPNetVGG16
from segscope.demo.recipe import Recipe
from segscope.demo.training import train
from segscope.demo.weights import load_weights, save_weights
from segscope.errors import InvalidInput

CLASSES = ("background", "square", "disc")
RECIPE = Recipe(classes=3, width=0.125, steps=6, batch_size=2, stages=((0.5, 32), (1.0, 48)), seed=3)


def draw(count, *, seed):
    """Bright squares and dark discs on noise, with exact masks."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:64, :64]
    images = random.integers(90, 150, (count, 64, 64, 3), dtype=np.uint8)
    masks = np.zeros((count, 64, 64), np.uint8)
    for image, mask in zip(images, masks, strict=True):
        top, left = random.integers(4, 20, 2)
        mask[top : top + 22, left : left + 22] = 1
        row, column = random.integers(44, 54, 2)
        mask[(rows - row) ** 2 + (columns - column) ** 2 < 64] = 2
        image[mask == 1] += 100
        image[mask == 2] //= 4
    return images, masks


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("sets")
    for name, count, seed in (("train", 5, 1), ("val", 2, 2)):
        images, masks = draw(count, seed=seed)
        for folder, pictures in (("images", images), ("masks", masks)):
            (root / name / folder).mkdir(parents=True)
            for index, picture in enumerate(pictures):
                Image.fromarray(picture).save(root / name / folder / f"{index:06d}.png")
    return root


def run(folders, directory, recipe=RECIPE, **options):
    return train(
        directory,
        data=folders / "train",
        validation=folders / "val",
        classes=CLASSES,
        recipe=recipe,
        **{"checkpoint_every": 2, "progress": False, **options},
    )


@pytest.fixture(scope="module")
def checkpoint(folders, tmp_path_factory):
    return run(folders, tmp_path_factory.mktemp("whole"), data_seed=1, validation_seed=2)


def test_resumed_training_equals_one_that_never_stopped(folders, checkpoint, tmp_path):
    for pause_after in (3, 1, None):
        resumed = run(folders, tmp_path, data_seed=1, validation_seed=2, pause_after=pause_after)
    whole, parts = read_checkpoint(checkpoint), read_checkpoint(resumed)
    assert whole["trainer"]["step"] == parts["trainer"]["step"] == 6
    for group in ("network", "auxiliary", "average"):
        for name, value in whole["trainer"][group].items():
            assert torch.equal(value, parts["trainer"][group][name]), name
    torch.testing.assert_close(
        whole["trainer"]["optimizer"]["state"], parts["trainer"]["optimizer"]["state"], rtol=0, atol=0
    )
    for entry, other in zip(whole["history"], parts["history"], strict=True):
        assert {**entry, "minutes": 0} == {**other, "minutes": 0}


def test_training_changes_with_the_seed(folders, checkpoint, tmp_path):
    other = run(folders, tmp_path, recipe=Recipe.from_dict({**RECIPE.to_dict(), "seed": 4}), pause_after=1)
    name = "block1_conv1.convolution.weight"
    assert not torch.equal(
        read_checkpoint(checkpoint)["trainer"]["network"][name], read_checkpoint(other)["trainer"]["network"][name]
    )


def test_training_learns(folders, tmp_path):
    recipe = Recipe(
        classes=3, width=0.125, steps=40, batch_size=4, stages=((1.0, 32),), learning_rate=5e-3, average_decay=0.8
    )
    history = read_checkpoint(run(folders, tmp_path, recipe=recipe, checkpoint_every=10))["history"]
    assert history[-1]["loss"] < 0.7 * history[0]["loss"]


def test_training_leaves_the_random_state(folders, tmp_path):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    run(folders, tmp_path, pause_after=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_training_by_minutes_ends_in_time_and_counts_earlier_runs(folders, tmp_path):
    class Clock:
        seconds = 0.0

        def __call__(self):
            self.seconds += 1.0
            return self.seconds

    recipe = Recipe.from_dict({**RECIPE.to_dict(), "steps": None, "minutes": 0.5})
    paused = read_checkpoint(run(folders, tmp_path, recipe=recipe, pause_after=2, clock=Clock()))
    finished = read_checkpoint(run(folders, tmp_path, recipe=recipe, clock=Clock()))
    assert 0 < paused["seconds"] < 30 <= finished["seconds"] < 40
    assert finished["trainer"]["step"] > paused["trainer"]["step"] == 2


def test_training_anew_replaces_the_checkpoint(folders, tmp_path):
    run(folders, tmp_path, pause_after=2)
    assert read_checkpoint(run(folders, tmp_path, resume=False, pause_after=1))["trainer"]["step"] == 1


def test_resume_with_another_recipe_is_refused(folders, tmp_path):
    run(folders, tmp_path, pause_after=1)
    with pytest.raises(InvalidInput, match="another directory, or start anew"):
        run(folders, tmp_path, recipe=Recipe.from_dict({**RECIPE.to_dict(), "learning_rate": 1.0}))


def test_damaged_checkpoint_is_refused(folders, tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"PK nothing")
    with pytest.raises(InvalidInput, match="can't be read as a checkpoint"):
        run(folders, tmp_path)


def test_training_leaves_no_half_written_file(checkpoint):
    assert sorted(file.name for file in checkpoint.parent.iterdir()) == ["checkpoint.pt", "current.safetensors"]


def test_current_weights_are_the_average_so_far(checkpoint):
    network, record = load_weights(checkpoint.parent / "current.safetensors")
    average = read_checkpoint(checkpoint)["trainer"]["average"]
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, average[name], rtol=1e-3, atol=1e-5)
    assert record["length"]["steps"] == 6


def test_export_writes_float16_and_the_record(folders, checkpoint, tmp_path):
    test = read_labelled_images(folders / "val", classes=3)
    record = export(checkpoint, tmp_path / "net.safetensors", test=test, test_seed=2)
    tensors = load_file(tmp_path / "net.safetensors")
    assert {value.dtype for value in tensors.values() if value.dim() > 1} == {torch.float16}
    network, stored = load_weights(tmp_path / "net.safetensors")
    assert stored == record == json.loads((tmp_path / "net.json").read_text(encoding="utf-8"))
    assert not network.training
    assert list(record["test"]["class_iou"]) == list(CLASSES)
    evaluation = evaluate(network, test)
    assert record["test"]["class_iou"]["background"] == pytest.approx(evaluation.class_iou[0], abs=1e-4)


def test_record_tells_how_the_weights_came_to_be(checkpoint, tmp_path):
    record = export(checkpoint, tmp_path / "net.safetensors")
    assert record["command"] == (
        "segscope train --data train --data-seed 1 --validation val --validation-seed 2 "
        "--width 0.125 --seed 3 --steps 6"
    )
    assert {name: (part["images"], part["seed"]) for name, part in record["data"].items()} == {
        "training": (5, 1),
        "validation": (2, 2),
    }
    assert all(re.fullmatch("[0-9a-f]{64}", part["sha256"]) for part in record["data"].values())
    assert Recipe.from_dict(record["recipe"]) == RECIPE
    assert record["network"]["classes"] == list(CLASSES)
    assert record["versions"]["torch"] == torch.__version__
    assert [entry["step"] for entry in record["history"]] == [2, 4, 6]
    assert record["length"]["images"] == 12


def test_record_names_no_path(folders, checkpoint, tmp_path):
    text = json.dumps(export(checkpoint, tmp_path / "net.safetensors"))
    assert str(folders.parent) not in text
    assert "/" not in json.loads(text)["command"]


def test_weights_that_diverged_are_not_saved(tmp_path):
    network = PSPNetVGG16(3, width=0.125)
    torch.nn.init.constant_(network.classifier.weight, 1e6)
    with pytest.raises(InvalidInput, match=r"classifier\.weight holds a weight that is NaN or beyond"):
        save_weights(tmp_path / "net.safetensors", network, {})
    assert not list(tmp_path.iterdir())


def test_loading_refuses_what_is_no_weights_file(tmp_path):
    with pytest.raises(InvalidInput, match="can't be read as weights"):
        load_weights(tmp_path / "missing.safetensors")
    (tmp_path / "text.safetensors").write_text("no weights at all, only text", encoding="utf-8")
    with pytest.raises(InvalidInput, match="can't be read as weights"):
        load_weights(tmp_path / "text.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(InvalidInput, match="of network None: expected 'PSPNetVGG16'"):
        load_weights(tmp_path / "other.safetensors")
    metadata = {"network": "PSPNetVGG16", "classes": "3", "width": "0.125", "record": "{}"}
    save_file({"a": torch.zeros(1)}, tmp_path / "torn.safetensors", metadata=metadata)
    with pytest.raises(InvalidInput, match="does not fit a PSPNetVGG16 of width"):
        load_weights(tmp_path / "torn.safetensors")


def test_confusion_counts_true_by_predicted():
    truth = torch.tensor([[0, 0, 1], [1, 1, 2]])
    predicted = torch.tensor([[0, 1, 1], [1, 0, 1]])
    assert confusion_matrix(truth, predicted, classes=4).tolist() == [
        [1, 1, 0, 0],
        [1, 2, 0, 0],
        [0, 1, 0, 0],
        [0, 0, 0, 0],
    ]


def test_iou_of_a_hand_computed_confusion():
    confusion = torch.tensor([[1, 1, 0, 0], [1, 2, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]])
    iou = intersection_over_union(confusion).tolist()
    assert iou[:3] == pytest.approx([1 / 3, 2 / 5, 0])
    assert np.isnan(iou[3])


def test_evaluation_pools_pixels_of_all_images():
    evaluation = Evaluation(torch.tensor([[[3, 1], [0, 0]], [[0, 0], [2, 2]]]))
    assert evaluation.class_iou == pytest.approx((3 / 6, 2 / 5))
    assert evaluation.mean_iou == pytest.approx((3 / 6 + 2 / 5) / 2)
    assert evaluation.image_iou == pytest.approx((3 / 4, 2 / 4))
    assert evaluation.accuracy == pytest.approx(5 / 8)


def test_evaluate_compares_masks_at_the_image_resolution():
    images, masks = (torch.from_numpy(array) for array in draw(3, seed=0))
    data = LabelledImages(images.permute(0, 3, 1, 2), masks, ("a", "b", "c"))
    torch.manual_seed(0)
    network = PSPNetVGG16(3, width=0.125)
    done: list[int] = []
    evaluation = evaluate(network, data, batch_size=2, progress=done.append)
    assert network.training
    assert done == [2, 1]
    predicted = predict_masks(network.eval(), data.images)
    assert predicted.shape == masks.shape
    expected = [
        [[int(((mask == true) & (guess == other)).sum()) for other in range(3)] for true in range(3)]
        for mask, guess in zip(masks, predicted, strict=True)
    ]
    assert evaluation.confusions.tolist() == expected


def test_augmentation_is_repeatable_and_labels_follow_pixels():
    images, masks = (torch.from_numpy(array) for array in draw(4, seed=0))
    images = images.permute(0, 3, 1, 2)
    first = augment(images, masks, size=40, generator=torch.Generator().manual_seed(1))
    again = augment(images, masks, size=40, generator=torch.Generator().manual_seed(1))
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    assert first[0].shape == (4, 3, 40, 40)
    assert 0 <= first[0].min() <= first[0].max() <= 1
    assert set(first[1].unique().tolist()) <= {0, 1, 2}
    pixels, labels = warp(images.float() / 255, masks, size=64, generator=torch.Generator().manual_seed(2))
    brightness = pixels.mean(1)
    assert brightness[labels == 1].mean() > brightness[labels == 0].mean() + 0.3
    assert brightness[labels == 2].mean() < brightness[labels == 0].mean() - 0.2


def test_class_weights_rise_with_rarity_and_average_to_one():
    masks = torch.tensor([[[0] * 90 + [1] * 10]], dtype=torch.uint8)
    weights = class_weights(masks, classes=3, exponent=0.5)
    assert weights[1] / weights[0] == pytest.approx(3.0)
    assert weights[2] > weights[1]
    assert 0.9 * weights[0] + 0.1 * weights[1] == pytest.approx(1.0, abs=0.1)


def test_soft_jaccard_of_certain_decisions_is_one_minus_iou():
    masks = torch.tensor([[[0, 0, 1, 1]]])
    decided = torch.nn.functional.one_hot(torch.tensor([[[0, 1, 1, 1]]]), 3).permute(0, 3, 1, 2).float()
    assert soft_jaccard_loss(decided, masks) == pytest.approx(1 - (1 / 2 + 2 / 3) / 2)


def test_segmentation_loss_falls_towards_the_truth():
    masks = torch.zeros(1, 16, 16, dtype=torch.long)
    masks[:, 8:] = 1
    truth = torch.zeros(1, 2, 2, 2)
    truth[:, 0, 0], truth[:, 1, 1] = 9.0, 9.0
    losses = [float(segmentation_loss(truth * factor, masks, weights=torch.ones(2))) for factor in (-1, 0, 1)]
    assert losses == sorted(losses, reverse=True)


def test_schedules_follow_the_position():
    recipe = Recipe(steps=10, warm_up=0.1, learning_rate=1.0, stages=((0.5, 32), (1.0, 48)))
    assert [recipe.size_at(position) for position in (0, 0.5, 0.51, 1)] == [32, 32, 48, 48]
    assert recipe.learning_rate_at(0.1) == pytest.approx(1.0)
    assert recipe.learning_rate_at(0) < recipe.learning_rate_at(0.05) < 1
    assert recipe.learning_rate_at(1) == pytest.approx(0.002)
    assert recipe.position(steps=5, seconds=0) == 0.5
    assert Recipe(minutes=2).position(steps=5, seconds=30) == 0.25


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "expected one of them"),
        ({"steps": 1, "minutes": 1}, "expected one of them"),
        ({"steps": 0}, "expected one of them"),
        ({"steps": 1, "stages": ((0.5, 32),)}, "rising positions"),
        ({"steps": 1, "batch_size": 1}, "at least 2 images"),
    ],
)
def test_impossible_recipe_is_refused(options, message):
    with pytest.raises(InvalidInput, match=message):
        Recipe(**options)


def test_reading_images_refuses_what_can_not_be_used(tmp_path):
    with pytest.raises(InvalidInput, match="holds no images"):
        read_labelled_images(tmp_path, classes=2)
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "images" / "a.png")
    with pytest.raises(InvalidInput, match=r"masks/a\.png is missing"):
        read_labelled_images(tmp_path, classes=2)
    Image.new("L", (8, 8), 2).save(tmp_path / "masks" / "a.png")
    with pytest.raises(InvalidInput, match="class indices 0 to 1"):
        read_labelled_images(tmp_path, classes=2)
    Image.new("L", (8, 9), 1).save(tmp_path / "masks" / "a.png")
    with pytest.raises(InvalidInput, match="Resize all to one size"):
        read_labelled_images(tmp_path, classes=2)


def test_examples_range_from_easiest_to_hardest():
    iou = np.random.default_rng(0).permutation(100) / 100
    chosen = iou[select_examples(iou.tolist(), count=20, failures=5)]
    assert chosen.tolist() == sorted(chosen, reverse=True)
    assert len(set(chosen.tolist())) == 20
    assert chosen[0] == 0.99
    assert chosen[-5:].tolist() == [0.04, 0.03, 0.02, 0.01, 0.0]
    gaps = -np.diff(chosen[:15])
    assert gaps.max() - gaps.min() < 0.02


def test_examples_need_enough_images():
    with pytest.raises(InvalidInput, match="expected 0 ≤ failures < count ≤ images"):
        select_examples([0.5] * 3, count=4)


def test_written_examples_keep_masks_and_look_alike(tmp_path):
    images, masks = (torch.from_numpy(array) for array in draw(3, seed=0))
    data = LabelledImages(images.permute(0, 3, 1, 2), masks, ("a", "b", "c"))
    colors = ("#000000", "#ff0000", "#00ff00")
    written = write_examples(tmp_path, data, [2, 0], colors=colors)
    assert [file.name for file in written] == ["01-c.jpg", "02-a.jpg"]
    again = read_labelled_images(tmp_path, classes=3)
    assert torch.equal(again.masks, masks[[2, 0]])
    assert (again.images.float() - data.images[[2, 0]].float()).abs().mean() < 8
    palette = Image.open(tmp_path / "masks" / "01-c.png").getpalette() or []
    assert palette[:9] == [0, 0, 0, 255, 0, 0, 0, 255, 0]
