import { createContext } from "svelte";
import { getAttribution, getImages, getMask, getModel, getPicture, getPrediction, getTruth, type AttributionAnswer } from "../api/client";
import type { NpyArray } from "../api/npy";
import type { AttributionRequest, ImageList, ImageRecord, Layer, MethodSpec, Model, ModelClass, Prediction } from "../api/types";
import { parseColour } from "../colour/hex";
import { hasNegative, largestMagnitude, rangeOf, type Range } from "../colour/scale";
import { boundingBox, boxBetween, centralPixel, fits, regionPixels, toWire, type Labels, type Region, type RegionKind, type Scene } from "../geometry/region";
import type { Pixel, Size } from "../geometry/view";
import type { Choice } from "./choice";
import { decodeChoice } from "./address";
import { defaultClass, neighbour, ownParameters } from "./defaults";
import { Resource } from "./resource.svelte";

/** What is selected, what the server said about it, and what follows from both. */
export class Explorer {
  choice = $state.raw<Choice>(decodeChoice(window.location.hash));

  readonly model = new Resource<Model>();
  readonly gallery = new Resource<ImageList>();
  readonly picture = new Resource<ImageBitmap>();
  readonly prediction = new Resource<Prediction>();
  readonly mask = new Resource<NpyArray>();
  readonly truth = new Resource<NpyArray>();
  readonly attribution = new Resource<AttributionAnswer>();

  /** Those of the last prediction, so that the list of layers stays while the next one is on its way. */
  #layers = $state.raw<readonly Layer[]>([]);
  #defaultLayer = $state("");

  readonly classes = $derived<readonly ModelClass[]>(this.model.value?.classes ?? []);
  readonly methods = $derived<readonly MethodSpec[]>(this.model.value?.methods ?? []);
  readonly colours = $derived(this.classes.map((entry) => parseColour(entry.color)));
  readonly images = $derived<readonly ImageRecord[]>(this.gallery.value?.images ?? []);
  readonly image = $derived<ImageRecord | null>(
    this.choice.image === null ? (this.images[0] ?? null) : (this.images.find((entry) => entry.id === this.choice.image) ?? null),
  );
  readonly size = $derived<Size | null>(this.image && { width: this.image.width, height: this.image.height });
  readonly #imageId = $derived(this.image?.id ?? null);
  /** What the server said about the selected image, and no other. */
  readonly bitmap = $derived(this.picture.of(this.#imageId));
  readonly predicted = $derived(this.prediction.of(this.#imageId));
  readonly class = $derived<ModelClass | null>(
    this.classes.find((entry) => entry.name === this.choice.class) ?? defaultClass(this.classes, this.predicted),
  );
  readonly against = $derived<ModelClass | null>(
    this.classes.find((entry) => entry.name === this.choice.against && entry !== this.class) ?? null,
  );
  readonly method = $derived<MethodSpec | null>(
    this.methods.find((entry) => entry.name === this.choice.method) ?? this.methods[0] ?? null,
  );
  /** In forward order, the input first. */
  readonly layerNames = $derived<readonly string[]>(this.#layers.length > 0 ? ["input", ...this.#layers.map((layer) => layer.name)] : []);
  readonly layer = $derived.by<string | null>(() => {
    const asked = this.choice.layer;
    if (asked !== null && (this.layerNames.length === 0 || this.layerNames.includes(asked))) return asked;
    return this.layerNames.length === 0 ? null : this.method?.at === "input" ? "input" : this.#defaultLayer;
  });

  readonly scene = $derived.by<Scene | null>(() => {
    const mask = this.mask.of(this.#imageId);
    if (mask === null || this.size === null) return null;
    return { size: this.size, mask: mask.data, truth: this.truth.of(this.#imageId)?.data ?? null };
  });
  readonly region = $derived<Region>(this.choice.region);
  /** One byte a pixel; null until all that it depends on is known. */
  readonly regionPixels = $derived.by<Uint8Array | null>(() => {
    if (this.scene === null || this.class === null || !fits(this.region, this.scene.size)) return null;
    const needsTruth = this.region.kind === "true" || this.region.kind === "errors";
    return needsTruth && this.scene.truth === null ? null : regionPixels(this.region, this.class.index, this.scene);
  });
  readonly regionEmpty = $derived(this.regionPixels !== null && !this.regionPixels.includes(1));

  /** The question to the server, or null while it can't be asked yet. */
  readonly question = $derived.by<AttributionRequest | null>(() => {
    const { class: entry, method, layer, predicted } = this;
    if (entry === null || method === null || layer === null || predicted === null || this.regionPixels === null || this.regionEmpty) return null;
    return {
      class: entry.name,
      against: this.against?.name ?? null,
      region: toWire(this.region, entry.name),
      layer,
      method: method.name,
      score: this.choice.score,
      parameters: ownParameters(method, this.choice.parameters),
    };
  });
  readonly questionKey = $derived(this.question && this.image ? `${this.image.id} ${JSON.stringify(this.question)}` : null);

  /** The map that answers the present question, never an older one. */
  readonly answer = $derived(this.attribution.of(this.questionKey));
  readonly largest = $derived(this.answer ? largestMagnitude(this.answer.values.data) : 0);
  readonly signed = $derived(this.answer !== null && (this.answer.header.signed || hasNegative(this.answer.values.data)));
  readonly range = $derived<Range | null>(this.answer && rangeOf(this.choice.bound ?? this.largest, this.signed));

  /** The choice with its open places filled in: what a link has to say. */
  readonly resolved = $derived<Choice>({
    ...this.choice,
    image: this.image?.id ?? this.choice.image,
    class: this.class?.name ?? this.choice.class,
    layer: this.layer ?? this.choice.layer,
    method: this.method?.name ?? this.choice.method,
  });

  /** Fetch whatever the choice needs, from now on. Call it while a component is being set up. */
  start(): void {
    this.model.load("model", getModel);
    this.gallery.load("gallery", getImages);
    $effect(() => this.#loadImage(this.image));
    $effect(() => {
      if (this.prediction.value === null) return;
      this.#layers = this.prediction.value.layers;
      this.#defaultLayer = this.prediction.value.default_layer;
    });
    $effect(() => {
      const { questionKey, question, image } = this;
      if (questionKey === null || question === null || image === null) this.attribution.clear();
      else this.attribution.load(questionKey, (signal) => getAttribution(image.id, question, signal));
    });
  }

  #loadImage(image: ImageRecord | null): void {
    const resources = [this.picture, this.prediction, this.mask, this.truth];
    if (image === null) return resources.forEach((resource) => resource.clear());
    this.picture.load(image.id, (signal) => getPicture(image.id, signal));
    this.prediction.load(image.id, (signal) => getPrediction(image.id, signal));
    this.mask.load(image.id, (signal) => getMask(image.id, signal));
    if (image.has_truth) this.truth.load(image.id, (signal) => getTruth(image.id, signal));
    else this.truth.clear();
  }

  /** The class predicted at a pixel; null while there is no mask. */
  predictedAt(pixel: Pixel): ModelClass | null {
    return this.#classAt(this.scene?.mask, pixel);
  }

  /** The class that a pixel truly has; null without a true mask, or where it names no class. */
  trueAt(pixel: Pixel): ModelClass | null {
    return this.#classAt(this.scene?.truth, pixel);
  }

  #classAt(labels: Labels | null | undefined, pixel: Pixel): ModelClass | null {
    const label = labels?.[pixel.row * (this.size?.width ?? 0) + pixel.column];
    return this.classes.find(({ index }) => index === label) ?? null;
  }

  update(part: Partial<Choice>): void {
    this.choice = { ...this.choice, ...part };
  }

  /** The class goes along; a region drawn on one image says nothing about the next one, those that follow the class do. */
  selectImage(image: ImageRecord): void {
    const { kind } = this.region;
    const stays = kind === "everywhere" || (image.has_truth && (kind === "true" || kind === "errors"));
    this.update({ image: image.id, class: this.class?.name ?? null, view: null, region: stays ? this.region : { kind: "predicted" } });
  }

  stepImage(step: 1 | -1): void {
    const image = neighbour(this.images, this.image, step);
    if (image !== null) this.selectImage(image);
  }

  stepLayer(step: 1 | -1): void {
    const layer = neighbour(this.layerNames, this.layer, step);
    if (layer !== null) this.update({ layer });
  }

  /** The class stays explicit from now on, also on images where it was not predicted. */
  selectClass(name: string): void {
    this.update({ class: name, against: this.choice.against === name ? null : this.choice.against });
  }

  /** A method at home elsewhere goes home; otherwise the layer stays. */
  selectMethod(name: string): void {
    const next = this.methods.find((entry) => entry.name === name);
    this.update({ method: name, parameters: {}, layer: next?.at === this.method?.at ? this.choice.layer : null });
  }

  /** Change the kind of region; one that needs a place gets the given pixel, or the middle of the predicted class. */
  selectRegion(kind: RegionKind, pixel: Pixel | null): void {
    if (kind !== "pixel" && kind !== "box") return this.update({ region: { kind } });
    if (this.size === null || this.scene === null || this.class === null) return;
    const { size } = this;
    const segment = regionPixels({ kind: "predicted" }, this.class.index, this.scene);
    if (kind === "pixel") {
      const middle = { row: Math.floor(size.height / 2), column: Math.floor(size.width / 2) };
      this.update({ region: { kind, ...(pixel ?? centralPixel(segment, size) ?? middle) } });
    } else {
      const quarter = { row: Math.floor(size.height / 4), column: Math.floor(size.width / 4) };
      const opposite = { row: size.height - 1 - quarter.row, column: size.width - 1 - quarter.column };
      this.update({ region: { kind, ...(boundingBox(segment, size) ?? boxBetween(quarter, opposite)) } });
    }
  }

  /** Put an image first in the gallery, and show it. */
  addImage(image: ImageRecord): void {
    const images = [image, ...this.images.filter((entry) => entry.id !== image.id)];
    this.gallery.value = { images, problems: this.gallery.value?.problems ?? [] };
    this.selectImage(image);
  }
}

export const [getExplorer, setExplorer] = createContext<Explorer>();
