"""The shapes of what travels between server and page; the published schema is made of them."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from ..methods.base import Family
from ..reasons import MAX_CLUSTERS
from ..segments import MAX_SUPERPIXELS

__all__ = [
    "AttributionHeader",
    "AttributionRequest",
    "BoxRegion",
    "ClassDescription",
    "ClassSummary",
    "CombinedRegion",
    "ErrorBody",
    "ErrorDescription",
    "ErrorsRegion",
    "EverywhereRegion",
    "ImageFailure",
    "ImageList",
    "ImageProblem",
    "ImageRecord",
    "ImageStatistics",
    "LayerDescription",
    "LayerMap",
    "LayersDescription",
    "LayersRequest",
    "MaskRegion",
    "MethodDescription",
    "ModelDescription",
    "NetworkGraph",
    "OtherRegion",
    "ParameterDescription",
    "PixelRegion",
    "PolygonRegion",
    "PredictedRegion",
    "PredictionSummary",
    "ReasonsDescription",
    "ReasonsRequest",
    "RegionBody",
    "Script",
    "SegmentRegion",
    "StatisticsOverview",
    "StatisticsPause",
    "SuperpixelRegion",
    "TableDescription",
    "TableRequest",
    "TrueRegion",
    "WorkProgress",
    "header_text",
    "to_json",
]

# The whole numbers that JavaScript and 64-bit integers both hold; anything further could only be a mistake.
_LARGEST = 2**53 - 1

Whole: TypeAlias = Annotated[StrictInt, Field(ge=-_LARGEST, le=_LARGEST)]
Number: TypeAlias = Annotated[float, Field(allow_inf_nan=False, strict=True)]
Value: TypeAlias = StrictBool | Whole | Number | StrictStr
ClassReference: TypeAlias = StrictStr | Whole


class _Sent(BaseModel):
    """What the server sends."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class _Received(BaseModel):
    """What the server receives: nothing beyond the fields that are described."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ErrorDescription(_Sent):
    """What went wrong."""

    code: str = Field(description="For programs, in kebab-case.", examples=["unknown-name"])
    message: str = Field(description="For people: what is wrong, what came, what was expected, what to do.")


class ErrorBody(_Sent):
    """The body of every failure."""

    error: ErrorDescription


class ClassDescription(_Sent):
    """A class of the model."""

    index: int
    name: str
    color: str = Field(description="#RRGGBB, the same everywhere.")


class ParameterDescription(_Sent):
    """A setting of a method, from which the page draws a control."""

    name: str
    kind: Literal["bool", "int", "float", "choice"]
    default: bool | int | float | str
    description: str
    minimum: float | None
    maximum: float | None
    step: float | None
    choices: tuple[str, ...]
    unit: str


class MethodDescription(_Sent):
    """An attribution method."""

    name: str
    title: str
    summary: str
    citation: str
    url: str
    cannot: str = Field(description="What the method can't tell, or where it misleads.")
    at: Literal["layer", "input"] = Field(description="Where it is used by default.")
    signed: bool = Field(description="Whether negative values occur with default parameters.")
    family: Family = Field(description="How it works: lists of methods are grouped by it.")
    quick: bool = Field(
        description="Whether one backward pass is enough; others run the network many times and may take minutes."
    )
    tabled: bool = Field(description="Whether there are tables that answer every question of this method at a layer.")
    parameters: tuple[ParameterDescription, ...]


class ModelDescription(_Sent):
    """The model, and how it can be asked."""

    name: str
    bands: int | None = Field(description="How many bands of an image it takes; null where the network doesn't tell.")
    shown_bands: tuple[int, ...] = Field(
        description="The three bands that are shown as red, green and blue, or the one as grey, counted from 0."
    )
    classes: list[ClassDescription]
    methods: list[MethodDescription]


class ImageRecord(_Sent):
    """An image that can be chosen."""

    id: str = Field(description="Opaque; the same whenever the same file is served.")
    name: str
    width: int
    height: int
    has_truth: bool


class ImageProblem(_Sent):
    """A file that can't be used."""

    name: str
    message: str


class ImageList(_Sent):
    """All images, and the files that can't be used."""

    images: list[ImageRecord]
    problems: list[ImageProblem]


class ClassSummary(_Sent):
    """How much of an image was labelled as a class, and how well."""

    index: int
    name: str
    share: float = Field(description="Share of the image's pixels.", ge=0, le=1)
    iou: float | None = Field(
        description="Intersection over union; null without a true mask, or where neither mask has the class.",
        ge=0,
        le=1,
    )


class LayerDescription(_Sent):
    """A layer whose output is a map."""

    name: str
    type: str
    channels: int
    height: int
    width: int


class PredictionSummary(_Sent):
    """What the network made of an image, in numbers."""

    image: ImageRecord
    classes: list[ClassSummary]
    layers: list[LayerDescription] = Field(description="In forward order.")
    default_layer: str
    confidence: float = Field(description="Mean over the pixels of the largest class probability.", ge=0, le=1)
    windows: int = Field(
        description="In how many overlapping windows the network sees the image; more than one takes long.", ge=1
    )


class ImageStatistics(_Sent):
    """An image in numbers, each rounded to six digits behind the point."""

    id: str
    confidence: float = Field(description="Mean over the pixels of the largest class probability.", ge=0, le=1)
    shares: list[float] = Field(description="For each class, its share of the image's pixels.")
    iou: list[float | None] | None = Field(
        description="For each class, intersection over union; null where neither mask has it, or without a true mask."
    )
    mean_iou: float | None = Field(description="Mean over the classes that have one.")
    true_shares: list[float] | None = Field(
        description="For each class, the share of the image's pixels that truly are of it; null without a true mask."
    )


class ImageFailure(_Sent):
    """An image that can't get any numbers."""

    id: str
    message: str


class StatisticsOverview(_Sent):
    """All images in numbers, as far as they are known; ask again while it is running."""

    total: int
    done: int
    failed: int
    running: bool = Field(description="Whether images are being worked on, or looked at for changes.")
    paused: bool = Field(description="Whether a visitor has stopped that.")
    mark: str = Field(description="What to ask with, to be told only what comes after this answer.")
    whole: bool = Field(description="Whether this answer takes the place of all earlier ones.")
    rows: list[ImageStatistics] = Field(description="Of the images that are done, in the order of the list of images.")
    failures: list[ImageFailure] = Field(description="The images that can't get any, and why.")


class StatisticsPause(_Received):
    """Whether the work in the background rests."""

    paused: StrictBool


class AttributionHeader(_Sent):
    """The header X-Segscope-Attribution: what the map beside it answers."""

    class_: str = Field(alias="class")
    layer: str
    method: str
    signed: bool = Field(description="Whether negative values have a meaning.")
    map_height: int = Field(description="Height of the map at the layer's own resolution.")
    map_width: int = Field(description="Width of the map at the layer's own resolution.")
    region_pixels: int = Field(description="Pixels asked about.")
    score_value: float = Field(description="The score that is explained.")
    milliseconds: float = Field(
        description="Time that the answer took, waiting aside; where it was kept, when it was computed."
    )
    seconds: float = Field(description="The same in seconds.")
    passes: int = Field(description="How many images went through the network for it, forward or both ways.")
    measures: dict[str, float] = Field(
        description="What the method measured on the way, by name, for instance completeness_error."
    )


class WorkProgress(_Sent):
    """How far an answer is that takes long."""

    state: Literal["waiting", "running", "unknown"] = Field(
        description="Whether it waits to be begun, or is being worked on; unknown before its request came, and "
        "once it was answered."
    )
    share: float = Field(description="How much of it is done.", ge=0, le=1)
    ahead: int = Field(description="While it waits: how many others wait before it.", ge=0)


class AlternativeDescription(_Sent):
    """A method at a layer that tells regions apart, with default parameters where it is another method."""

    method: str
    layer: str


class SamenessFinding(_Sent):
    """Whether a map says anything about its region in particular; measured."""

    same: bool | None = Field(
        description="Whether every region gets the same map, up to scale. Null where it can't be measured."
    )
    alternatives: tuple[AlternativeDescription, ...] = Field(
        description="Where it is the same: another method at this layer, and this method at an earlier layer, whose "
        "maps of two regions were seen to differ. Empty where none was found."
    )


class NetworkGraph(_Sent):
    """The network as one image went through it; nested modules are in the dots of the names."""

    nodes: list[LayerDescription] = Field(description="The input and the layers, in forward order.")
    edges: list[tuple[str, str]] = Field(
        description="[from, to]: the second uses what the first puts out, with no other layer between."
    )


class LayerMap(_Sent):
    """What the small map of a layer is."""

    name: str
    limit: float | None = Field(description="Largest magnitude of the map at the image's size; null without map.")
    reason: str | None = Field(description="Why there is no map; null where there is one.")


class LayersDescription(_Sent):
    """``description.json`` in the answer: which layers the maps beside it are of."""

    class_: str = Field(alias="class")
    method: str
    signed: bool = Field(description="Whether negative values have a meaning.")
    milliseconds: float = Field(description="Time that the answer took, waiting aside.")
    layers: list[LayerMap] = Field(description="In forward order, one for each map.")


class TableDescription(_Sent):
    """``description.json`` in the answer: what a table is of, and how images, logits and maps lie on each other."""

    layer: str
    method: str
    kind: Literal["weights", "contributions"] = Field(
        description="Whether the values are weights of the layer's channels, or the maps' own numbers."
    )
    image: tuple[int, int] = Field(description="Height and width of the image in pixels.")
    content: tuple[int, int] = Field(description="Height and width of the image resized, in the network's input.")
    offset: tuple[int, int] = Field(description="Row and column of the input at which it starts.")
    input: tuple[int, int] = Field(description="Height and width of the network's input, padding included.")
    logits: tuple[int, int] = Field(description="Height and width of the logits.")
    map: tuple[int, int] = Field(description="Height and width of the layer's maps.")
    way: Literal["forward", "backward"] = Field(description="By which mode of differentiation it was made.")
    reason: str = Field(description="Why forward mode, which is faster, couldn't serve; empty where it did.")


class ChannelDescription(_Sent):
    """A channel that tells a group of reasons from the others."""

    channel: int = Field(description="Counted from 0.")
    more: float = Field(description="How much more of it there is in the group's reasons than in all others', 0..2.")


class ReasonDescription(_Sent):
    """A group of pixels with like reasons."""

    share: float = Field(description="Share of the image's pixels.", ge=0, le=1)
    classes: dict[str, float] = Field(description="Of which predicted classes its places are, the largest share first.")
    channels: list[ChannelDescription] = Field(description="The largest first.")


class ReasonsDescription(_Sent):
    """``description.json`` in the answer: the groups of reasons, by their numbers in the map beside it."""

    layer: str
    groups: list[ReasonDescription]
    outlier_share: float = Field(description="Share of the image's pixels whose reason is far from their segment's.")
    way: Literal["forward", "backward"] = Field(description="By which mode of differentiation it was made.")
    reason: str = Field(description="Why forward mode, which is faster, couldn't serve; empty where it did.")


class Script(_Sent):
    """What makes a map again."""

    python: str = Field(description="A script; it says in comments what it relies on.")
    command: str | None = Field(description="The command line that does the same; null where none can.")


class EverywhereRegion(_Received):
    """The whole image."""

    kind: Literal["everywhere"]


class PredictedRegion(_Received):
    """The pixels predicted as a class."""

    kind: Literal["predicted"]
    class_: ClassReference = Field(alias="class")


class PixelRegion(_Received):
    """One pixel, counted from 0 at the top left."""

    kind: Literal["pixel"]
    row: Whole
    column: Whole


class BoxRegion(_Received):
    """Rows top to bottom - 1, columns left to right - 1."""

    kind: Literal["box"]
    top: Whole
    left: Whole
    bottom: Whole
    right: Whole


class PolygonRegion(_Received):
    """The pixels whose centre lies inside; corners are [row, column], and pixel i covers [i, i + 1)."""

    kind: Literal["polygon"]
    points: Annotated[list[tuple[Number, Number]], Field(min_length=3, max_length=1000)]


class TrueRegion(_Received):
    """The pixels that are a class by the true mask."""

    kind: Literal["true"]
    class_: ClassReference = Field(alias="class")


class ErrorsRegion(_Received):
    """The pixels that the network got wrong about a class, by the true mask."""

    kind: Literal["errors"]
    class_: ClassReference = Field(alias="class")
    error: Literal["any", "false-positive", "false-negative"] = "any"


class SegmentRegion(_Received):
    """The connected part of the predicted mask around a pixel."""

    kind: Literal["segment"]
    row: Whole
    column: Whole


class SuperpixelRegion(_Received):
    """The patch of similar colour around a pixel."""

    kind: Literal["superpixel"]
    row: Whole
    column: Whole
    count: Annotated[Whole, Field(ge=1, le=MAX_SUPERPIXELS)] = Field(
        default=200, description="Into about how many patches the image is divided."
    )


class CombinedRegion(_Received):
    """The pixels in all, or in any, of some regions."""

    kind: Literal["and", "or"]
    regions: Annotated[list[RegionBody], Field(min_length=1, max_length=64)]


class OtherRegion(_Received):
    """The pixels outside a region."""

    kind: Literal["not"]
    region: RegionBody


class MaskRegion(_Received):
    """The pixels marked in a mask: row by row, the lengths of runs of unmarked and marked pixels, unmarked first."""

    kind: Literal["mask"]
    size: tuple[Annotated[Whole, Field(ge=1)], Annotated[Whole, Field(ge=1)]] = Field(description="Height and width.")
    runs: list[Annotated[Whole, Field(ge=0)]]


RegionBody: TypeAlias = Annotated[
    EverywhereRegion
    | PredictedRegion
    | PixelRegion
    | BoxRegion
    | PolygonRegion
    | TrueRegion
    | ErrorsRegion
    | SegmentRegion
    | SuperpixelRegion
    | CombinedRegion
    | OtherRegion
    | MaskRegion,
    Field(discriminator="kind"),
]


class _Question(_Received):
    """What is asked, wherever it is."""

    class_: ClassReference = Field(alias="class", description="Name or index.", examples=["cap"])
    against: ClassReference | None = Field(default=None, description="The contrast class.")
    region: RegionBody | None = Field(default=None, description="Null: the pixels predicted as the class.")
    method: StrictStr = Field(default="grad-cam", description="A name from the model's methods.")
    score: Literal["logit", "probability"] = Field(default="logit", description="What is averaged over the region.")
    parameters: dict[str, Value] = Field(default_factory=dict, description="The method's own settings.")


class AttributionRequest(_Question):
    """A question: why is this region labelled as this class (and not as another)?"""

    layer: StrictStr | None = Field(
        default=None, description="Null: the method's usual place.", examples=["aggregation_conv"]
    )


class LayersRequest(_Question):
    """The same question to all layers at once."""

    size: Annotated[Whole, Field(ge=16, le=128)] = Field(
        default=64, description="The longest side of each map in pixels; its proportions are those of the image."
    )


class TableRequest(_Received):
    """Which layer's table."""

    layer: StrictStr = Field(description="A layer's name, or input.", examples=["block5_conv3"])
    method: StrictStr = Field(default="grad-cam", description="One of the methods that are tabled.")


class ReasonsRequest(_Received):
    """Which layer's reasons, in how many groups."""

    layer: StrictStr = Field(description="A layer's name, or input.", examples=["block5_conv3"])
    clusters: Annotated[Whole, Field(ge=1, le=MAX_CLUSTERS)] = Field(default=6, description="How many groups at most.")


def header_text(body: BaseModel) -> str:
    """Return a body as it travels in a header: compact JSON in ASCII."""
    return json.dumps(to_json(body), separators=(",", ":"))


def to_json(body: BaseModel) -> dict[str, Any]:
    """Return a body as the data that came, with the names that travel."""
    return body.model_dump(by_alias=True, mode="json")


for _recursive in (CombinedRegion, OtherRegion, AttributionRequest, LayersRequest):
    _recursive.model_rebuild()
