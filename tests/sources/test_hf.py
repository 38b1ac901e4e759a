"""Networks of transformers: every kind that segments images, tiny, with random weights, from a folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from segscope import InvalidInput, Preprocess, SegmentationModel
from tests.matrix import Cell, check, joined

transformers = pytest.importorskip("transformers")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

LABELS = {0: "wall", 1: "door", 2: "door", 3: "sky"}
CLASSES = ("wall", "door", "door (2)", "sky")
COMMON = {"id2label": LABELS, "label2id": {"wall": 0, "door": 1, "sky": 3}}


def logits(raw: Any) -> torch.Tensor:
    return raw.logits


def swin(**options: Any) -> Any:
    return transformers.SwinConfig(
        image_size=64,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        window_size=2,
        out_features=["stage1", "stage2", "stage3", "stage4"],
        **options,
    )


def segformer() -> Any:
    return transformers.SegformerConfig(
        hidden_sizes=[8, 8, 16, 16],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=16,
        **COMMON,
    )


def upernet(backbone: Any) -> Any:
    return transformers.UperNetConfig(
        backbone_config=backbone, hidden_size=16, auxiliary_in_channels=None, auxiliary_channels=8, **COMMON
    )


def convnext() -> Any:
    return transformers.ConvNextConfig(
        hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], out_features=["stage1", "stage2", "stage3", "stage4"]
    )


def beit(kind: Any) -> Any:
    return kind(
        image_size=64,
        patch_size=8,
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=32,
        out_indices=[1, 2, 3, 4],
        use_relative_position_bias=True,
        **COMMON,
    )


def dpt() -> Any:
    return transformers.DPTConfig(
        image_size=64,
        patch_size=8,
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=32,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 8, 16, 16],
        fusion_hidden_size=16,
        is_hybrid=False,
        **COMMON,
    )


def mobilenet() -> Any:
    return transformers.MobileNetV2Config(depth_multiplier=0.35, image_size=64, **COMMON)


def mobilevit(version: int) -> Any:
    if version == 2:
        return transformers.MobileViTV2Config(image_size=64, width_multiplier=0.5, n_attn_blocks=[1, 1, 1], **COMMON)
    return transformers.MobileViTConfig(
        image_size=64,
        hidden_sizes=[16, 16, 24],
        neck_hidden_sizes=[8, 8, 16, 16, 16, 16, 32],
        num_attention_heads=2,
        aspp_out_channels=16,
        **COMMON,
    )


def maskformer() -> Any:
    return transformers.MaskFormerConfig(
        backbone_config=swin(),
        decoder_config=transformers.DetrConfig(
            d_model=32,
            encoder_layers=1,
            decoder_layers=2,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=32,
            decoder_ffn_dim=32,
            num_queries=6,
        ),
        fpn_feature_size=32,
        mask_feature_size=32,
        **COMMON,
    )


def mask2former() -> Any:
    return transformers.Mask2FormerConfig(
        backbone_config=swin(),
        feature_size=32,
        mask_feature_size=32,
        hidden_dim=32,
        encoder_feedforward_dim=32,
        dim_feedforward=32,
        encoder_layers=1,
        decoder_layers=2,
        num_attention_heads=2,
        num_queries=6,
        **COMMON,
    )


def oneformer() -> Any:
    return transformers.OneFormerConfig(
        backbone_config=swin(),
        num_queries=6,
        task_seq_len=8,
        max_seq_len=8,
        text_encoder_width=32,
        text_encoder_context_length=8,
        text_encoder_num_layers=1,
        text_encoder_vocab_size=300,
        text_encoder_proj_layers=1,
        text_encoder_n_ctx=2,
        conv_dim=32,
        mask_dim=32,
        hidden_dim=32,
        encoder_feedforward_dim=32,
        encoder_layers=1,
        decoder_layers=2,
        query_dec_layers=1,
        dim_feedforward=32,
        num_attention_heads=2,
        is_training=False,
        **COMMON,
    )


def eomt(kind: Any, **options: Any) -> Any:
    return kind(
        image_size=64,
        patch_size=8,
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=32,
        num_blocks=2,
        num_queries=6,
        num_upscale_blocks=1,
        **options,
        **COMMON,
    )


def tokenizer(folder: Path) -> None:
    """The smallest tokenizer of the kind that OneFormer reads its task with."""
    letters = [chr(code) for code in range(97, 123)]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    transformers.CLIPTokenizer(vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt")).save_pretrained(
        folder
    )


KINDS: dict[str, tuple[str, Callable[[], Any], Any]] = {
    "segformer": ("SegformerForSemanticSegmentation", segformer, logits),
    "upernet-convnext": ("UperNetForSemanticSegmentation", lambda: upernet(convnext()), logits),
    "upernet-swin": ("UperNetForSemanticSegmentation", lambda: upernet(swin()), logits),
    "dpt": ("DPTForSemanticSegmentation", dpt, logits),
    "beit": ("BeitForSemanticSegmentation", lambda: beit(transformers.BeitConfig), logits),
    "data2vec": ("Data2VecVisionForSemanticSegmentation", lambda: beit(transformers.Data2VecVisionConfig), logits),
    "mobilenet-v2": ("MobileNetV2ForSemanticSegmentation", mobilenet, logits),
    "mobilevit": ("MobileViTForSemanticSegmentation", lambda: mobilevit(1), logits),
    "mobilevit-v2": ("MobileViTV2ForSemanticSegmentation", lambda: mobilevit(2), logits),
    "maskformer": ("MaskFormerForInstanceSegmentation", maskformer, joined),
    "mask2former": ("Mask2FormerForUniversalSegmentation", mask2former, joined),
    "oneformer": ("OneFormerForUniversalSegmentation", oneformer, joined),
    "eomt": ("EomtForUniversalSegmentation", lambda: eomt(transformers.EomtConfig), joined),
    "eomt-dinov3": ("EomtDinov3ForUniversalSegmentation", lambda: eomt(transformers.EomtDinov3Config), joined),
}


def save(kind: str, folder: Path) -> nn.Module:
    name, configure, _ = KINDS[kind]
    network_class = getattr(transformers, name, None)
    if network_class is None:
        pytest.skip(f"this transformers has no {name}")
    torch.manual_seed(0)
    config = configure()
    network = network_class(config)
    # As large as trained ones: where weights are tiny, nothing but rounding reaches the first layers.
    for parameter in network.parameters():
        if parameter.ndim > 1:
            parameter.data.normal_(0, (1.5 / parameter[0].numel()) ** 0.5)
    network.save_pretrained(folder)
    if hasattr(config, "task_seq_len"):
        tokenizer(folder)
    return network.eval()


@pytest.mark.parametrize("kind", KINDS)
def test_network_works(kind: str, tmp_path: Path) -> None:
    save(kind, tmp_path)
    read = KINDS[kind][2]
    check(Cell(kind, lambda: SegmentationModel.load(f"hf:{tmp_path}"), read, exact=read is not joined))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save("segformer", tmp_path)
    return tmp_path


def test_folder_has_weights_and_classes(folder: Path) -> None:
    network = save("segformer", folder)
    model = SegmentationModel.load(f"hf:{folder}")
    assert model.classes == CLASSES
    for name, weights in model.network.state_dict().items():
        torch.testing.assert_close(weights, network.state_dict()[name], rtol=0, atol=0)


def test_folder_is_read_without_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("somebody looked for a host")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    SegmentationModel.load(f"hf:{folder}")


def test_weights_of_ones_own(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    from safetensors.torch import save_file

    network = SegmentationModel.load(f"hf:{folder}", weights="random").network
    file = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save_file(network.state_dict(), file)
    (folder / "model.safetensors").unlink()
    loaded = SegmentationModel.load(f"hf:{folder}", weights=file).network
    for name, weights in loaded.state_dict().items():
        assert torch.equal(weights, network.state_dict()[name])


SEGFORMER = {
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "rescale_factor": 1 / 255,
    "size": {"height": 48, "width": 32},
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Preprocess((48, 32), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))),
        ({"do_normalize": False, "do_resize": False}, Preprocess(mean=(0, 0, 0), std=(1, 1, 1))),
        (
            {"size": {"shortest_edge": 40, "longest_edge": 90}, "size_divisor": 32, "do_normalize": False},
            Preprocess(40, fit="shortest", longest=90, multiple_of=32, mean=(0, 0, 0), std=(1, 1, 1)),
        ),
        (
            {"size": 40, "do_rescale": False, "image_mean": [127.5] * 3, "image_std": [255.0] * 3},
            Preprocess(40, mean=(0.5,) * 3, std=(1,) * 3),
        ),
    ],
)
def test_image_processor_becomes_preprocessing(folder: Path, changes: dict[str, Any], expected: Preprocess) -> None:
    (folder / "preprocessor_config.json").write_text(json.dumps(SEGFORMER | changes))
    found = SegmentationModel.load(f"hf:{folder}").preprocess
    for field in ("size", "fit", "longest", "multiple_of", "channels"):
        assert getattr(found, field) == getattr(expected, field), field
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-12)
    np.testing.assert_allclose(found.std, expected.std, rtol=1e-12)


def test_preprocessing_gives_the_image_processors_numbers(folder: Path, image: np.ndarray) -> None:
    processor = transformers.SegformerImageProcessor(size={"height": 40, "width": 56})
    processor.save_pretrained(folder)
    tensor, _ = SegmentationModel.load(f"hf:{folder}").preprocess(image)
    theirs = processor(image, return_tensors="pt")["pixel_values"][0]
    torch.testing.assert_close(tensor, theirs, rtol=0, atol=1e-5)


def test_channels_are_flipped_where_the_processor_does(folder: Path) -> None:
    model = SegmentationModel.load(f"hf:{folder}")
    (folder / "preprocessor_config.json").write_text(json.dumps({**SEGFORMER, "do_flip_channel_order": True}))
    flipped = SegmentationModel.load(f"hf:{folder}")
    tensor = torch.rand(3, 48, 32)
    np.testing.assert_array_equal(model.predict(tensor).logits, flipped.predict(tensor.flip(0)).logits)


def test_untrained_head_is_refused(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "model.safetensors")
    save_file(
        {k: v for k, v in state.items() if "decode_head" not in k}, folder / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(InvalidInput, match=r"lacks \d+ weights of SegformerForSemanticSegmentation, .*decode_head"):
        SegmentationModel.load(f"hf:{folder}")


def test_network_that_does_not_segment(tmp_path: Path) -> None:
    config = transformers.ViTConfig(
        image_size=32, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    transformers.ViTForImageClassification(config).save_pretrained(tmp_path)
    with pytest.raises(
        InvalidInput, match="is a ViTForImageClassification; expected .* one whose class ends with ForSem"
    ):
        SegmentationModel.load(f"hf:{tmp_path}")


@pytest.mark.parametrize("kind", ["maskformer", "mask2former", "oneformer", "eomt"])
def test_masks_lead_to_the_pixel_decoders_last_map(kind: str, tmp_path: Path) -> None:
    save(kind, tmp_path)
    with SegmentationModel.load(f"hf:{tmp_path}").predict(torch.rand(3, 64, 64)) as prediction:
        layer = prediction.layers[prediction.default_layer]
        assert (layer.height, layer.width) == prediction.logits.shape[1:]
        assert "decoder" in layer.name or "upscale" in layer.name
        assert layer.channels not in (6, len(CLASSES))


def test_folder_of_older_weights(folder: Path) -> None:
    state = SegmentationModel.load(f"hf:{folder}").network.state_dict()
    torch.save(state, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    loaded = SegmentationModel.load(f"hf:{folder}").network.state_dict()
    assert all(torch.equal(loaded[name], weights) for name, weights in state.items())


def test_folder_whose_weights_would_run_code(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save(nn.Conv2d(1, 1, 1), folder / "pytorch_model.bin")
    with pytest.raises(InvalidInput, match="UnpicklingError: Weights only load failed"):
        SegmentationModel.load(f"hf:{folder}")


def test_folder_without_an_image_processor_takes_images_as_they_are(folder: Path, image: np.ndarray) -> None:
    with SegmentationModel.load(f"hf:{folder}").predict(image) as prediction:
        assert (prediction.input.height, prediction.input.width) == image.shape[:2]


@pytest.mark.parametrize(
    ("rest", "message"),
    [("./nowhere", "There is no folder './nowhere'"), ("", "There is no folder"), ("a/b/c", "There is no folder")],
)
def test_folder_that_is_not_there(rest: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        SegmentationModel.load(f"hf:{rest}")


def test_folder_without_a_network(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="has no config.json"):
        SegmentationModel.load(f"hf:{tmp_path}")
