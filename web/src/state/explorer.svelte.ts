import { createContext } from "svelte";
import { getAttribution, getImages, getMask, getModel, getPicture, getPrediction, getSuperpixels, getTruth, type AttributionAnswer } from "../api/client";
import type { NpyArray } from "../api/npy";
import type { Tell } from "../api/work";
import type { AttributionRequest, ImageList, ImageRecord, Layer, MethodSpec, Model, ModelClass, Prediction } from "../api/types";
import { parseColour } from "../colour/hex";
import { hasNegative, largestMagnitude, rangeOf, type Range } from "../colour/scale";
import { outline } from "../geometry/outline";
import { fits, includesKind, isFollowing, needsTruth, regionPixels, SUPERPIXELS, toWire, type FollowingKind, type Labels, type Region, type Scene, type Shape } from "../geometry/region";
import { canonical, proposal, type ProposedKind } from "../geometry/propose";
import { combine, type Operation } from "../geometry/strokes";
import { encodeRuns } from "../geometry/runs";
import type { Pixel, Size } from "../geometry/view";
import type { Choice } from "./choice";
import { Costs } from "./costs.svelte";
import { decodeChoice } from "./address";
import { defaultClass, legendOrder, neighbour, ownParameters } from "./defaults";
import { EMPTY_HISTORY, record, redo, undo, type History, type Move } from "./history";
import { Latest } from "./latest.svelte";
import { Paced } from "./paced.svelte";
import { Reasons } from "./reasons.svelte";
import { Resource } from "./resource.svelte";
import { Tables } from "./tables.svelte";
import { isPointTool, toolOf, type Tool } from "./tools";

interface LiveAnswer {
  /** The question without its region. */
  stem: string;
  key: string;
  region: Shape;
  answer: AttributionAnswer;
}

/** A map, what it is about, and where on it the pointer is. */
interface Told {
  answer: AttributionAnswer | null;
  region: Region;
  range: Range | null;
  largest: number;
  pointer: Pixel | null;
}

/** What is selected, what the server said about it, and what follows from both. */
export class Explorer {
  choice = $state.raw<Choice>(decodeChoice(window.location.hash));

  readonly model = new Resource<Model>();
  readonly gallery = new Resource<ImageList>();
  readonly picture = new Resource<ImageBitmap>();
  readonly prediction = new Resource<Prediction>();
  readonly mask = new Resource<NpyArray>();
  readonly truth = new Resource<NpyArray>();
  readonly superpixels = new Resource<NpyArray>();
  readonly attribution = new Resource<AttributionAnswer>();
  readonly live = new Latest<LiveAnswer>();
  readonly costs = new Costs();
  readonly reasons = new Reasons(() => ({ image: this.image, layer: this.#stem?.layer ?? null, shown: this.choice.mask === "reasons" }));
  readonly tables = new Tables(() => ({ image: this.image, layer: this.#stem?.layer ?? null, method: this.method, score: this.choice.score, live: this.choice.live }));

  /** The images in the order in which the list shows them. */
  order: () => readonly ImageRecord[] = () => this.images;

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
  /** The bands to show that were chosen; null where none were, or the network has no such bands. */
  readonly bands = $derived(this.choice.bands?.every((band) => band < (this.model.value?.bands ?? 0)) ? this.choice.bands : null);
  readonly #pictureKey = $derived(this.image && [this.image.id, ...(this.bands ?? [])].join(" "));
  /** What the server said about the selected image, and no other. */
  readonly bitmap = $derived(this.picture.of(this.#pictureKey));
  readonly predicted = $derived(this.prediction.of(this.#imageId));
  readonly class = $derived<ModelClass | null>(
    this.classes.find((entry) => entry.name === this.choice.class) ?? defaultClass(this.classes, this.predicted),
  );
  /** In the order of the legend. */
  readonly listed = $derived(legendOrder(this.classes, this.predicted));
  readonly against = $derived<ModelClass | null>(
    this.classes.find((entry) => entry.name === this.choice.against && entry !== this.class) ?? null,
  );
  readonly method = $derived<MethodSpec | null>(
    this.methods.find((entry) => entry.name === this.choice.method) ?? this.methods[0] ?? null,
  );
  /** True where the method runs the network many times, and may take minutes. */
  readonly slow = $derived(this.method !== null && !this.method.quick);
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
    return {
      size: this.size,
      mask: mask.data,
      truth: this.truth.of(this.#imageId)?.data ?? null,
      patches: this.superpixels.of(this.#imageId)?.data ?? null,
    };
  });
  readonly region = $derived<Region>(this.choice.region);
  readonly tool = $derived<Tool>(this.choice.tool ?? toolOf(this.region));
  /** A region that was put forward with its tool: the first stroke takes its place, or takes from what was there before. */
  #proposal = $state.raw<{ region: Region; before: Region } | null>(null);
  #steps = $state.raw<{ image: string | null; history: History<Region> }>({ image: null, history: EMPTY_HISTORY });
  /** Regions of other images can't be gone back to. */
  readonly #history = $derived<History<Region>>(this.#steps.image === this.#imageId ? this.#steps.history : EMPTY_HISTORY);
  readonly canUndo = $derived(this.#history.past.length > 0);
  readonly canRedo = $derived(this.#history.future.length > 0);
  /** One byte a pixel; null until all that it depends on is known. */
  readonly regionPixels = $derived.by<Uint8Array | null>(() => {
    if (this.scene === null || this.class === null || !fits(this.region, this.scene.size)) return null;
    if (needsTruth(this.region) && this.scene.truth === null) return null;
    if (includesKind(this.region, "superpixel") && this.scene.patches === null) return null;
    return regionPixels(this.region, this.class.index, this.scene);
  });
  readonly regionEmpty = $derived(this.regionPixels !== null && !this.regionPixels.includes(1));

  /** The question on whatever region, or null while it can't be asked yet. */
  readonly #stem = $derived.by<Omit<AttributionRequest, "region"> | null>(() => {
    const { class: entry, method, layer, predicted } = this;
    if (entry === null || method === null || layer === null || predicted === null) return null;
    return {
      class: entry.name,
      against: this.against?.name ?? null,
      layer,
      method: method.name,
      score: this.choice.score,
      parameters: ownParameters(method, this.choice.parameters),
    };
  });
  /** The question to the server, or null while it can't be asked yet. */
  readonly question = $derived.by<AttributionRequest | null>(() => {
    if (this.#stem === null || this.regionPixels === null || this.regionEmpty) return null;
    return { ...this.#stem, region: toWire(this.region, this.#stem.class as string) };
  });
  readonly questionKey = $derived(this.question && this.image ? `${this.image.id} ${JSON.stringify(this.question)}` : null);

  /** Where the pointer or the crosshair is: what live mode asks about. */
  pointer = $state.raw<Pixel | null>(null);
  readonly #liveRegion = $derived.by<Shape | null>(() => {
    if (!this.choice.live || this.slow || this.pointer === null || this.scene === null || !isPointTool(this.tool)) return null;
    const place: Shape = { kind: this.tool, ...this.pointer };
    return fits(place, this.scene.size) ? canonical(place, this.scene) : null;
  });
  readonly #liveStem = $derived(this.#stem && this.image ? `${this.image.id} ${JSON.stringify(this.#stem)}` : null);
  readonly #liveAnswer = $derived(this.live.value?.stem === this.#liveStem ? this.live.value : null);
  /** True while the map shown follows the pointer. */
  readonly probing = $derived(this.#liveRegion !== null);

  /** What the shown map is about: the chosen region, or in live mode the place whose map was the last to come. */
  readonly shownRegion = $derived<Region>(this.#liveRegion === null ? this.region : (this.#liveAnswer?.region ?? this.#liveRegion));
  readonly shownPixels = $derived.by<Uint8Array | null>(() => {
    if (this.#liveRegion === null) return this.regionPixels;
    return this.scene === null || this.class === null ? null : regionPixels(this.shownRegion, this.class.index, this.scene);
  });
  /** The outline of the shown region, in lines along pixel edges. */
  readonly shownLines = $derived(this.shownPixels && this.size ? outline(this.shownPixels, this.size) : []);
  readonly shownKey = $derived(this.probing ? (this.#liveAnswer?.key ?? null) : this.questionKey);

  /** The map that answers the present question, never an older one; in live mode, the latest on the pointer's way. */
  readonly answer = $derived<AttributionAnswer | null>(this.probing ? (this.#liveAnswer?.answer ?? null) : this.attribution.of(this.questionKey));
  readonly largest = $derived(this.answer ? largestMagnitude(this.answer.values.data) : 0);
  readonly signed = $derived(this.answer !== null && (this.answer.header.signed || hasNegative(this.answer.values.data)));
  readonly range = $derived<Range | null>(this.answer && rangeOf(this.choice.bound ?? this.largest, this.signed));
  /** Importance of a smaller magnitude than this is hidden; 0 hides none. */
  readonly least = $derived(this.choice.threshold * (this.range?.high ?? 0));

  readonly #told = new Paced<Told>(
    () => ({ answer: this.answer, region: this.shownRegion, range: this.range, largest: this.largest, pointer: this.pointer }),
    () => this.probing && this.answer !== null,
  );
  /** What the text beside the map is about, always together. */
  readonly told = $derived<Told>(this.#told.value);

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
    $effect(() => this.#loadPicture(this.image));
    $effect(() => {
      if (this.prediction.value === null) return;
      this.#layers = this.prediction.value.layers;
      this.#defaultLayer = this.prediction.value.default_layer;
    });
    $effect(() => {
      const { questionKey, question, image } = this;
      if (questionKey === null || question === null || image === null) this.attribution.clear();
      else this.attribution.load(questionKey, (signal, tell) => this.#ask(image, question, this.regionPixels, signal, this.#follows(question, tell)));
    });
    $effect(() => {
      const { image, tool, region } = this;
      if (image === null) return this.superpixels.clear();
      if (tool !== "superpixel" && !includesKind(region, "superpixel")) return;
      this.superpixels.load(image.id, (signal) => getSuperpixels(image.id, SUPERPIXELS, signal));
    });
    this.tables.start();
    this.reasons.start();
    $effect(() => this.#probe());
    this.#told.start();
    $effect(() => {
      // What came from a table says nothing about the method's cost.
      if (this.attribution.value?.header.passes) this.costs.note(this.attribution.value.header);
    });
  }

  /** Answer from the layer's table where there is one, without the server; the pixels are those of the question's region. */
  async #ask(image: ImageRecord, question: AttributionRequest, pixels: Uint8Array | null, signal: AbortSignal, tell: Tell | null = null): Promise<AttributionAnswer> {
    return (await this.tables.answer(question, pixels, this.classes)) ?? getAttribution(image.id, question, signal, tell);
  }

  /** Only what takes long is worth being asked how far it is. */
  #follows({ method }: AttributionRequest, tell: Tell): Tell | null {
    return this.isSlow(method) ? tell : null;
  }

  /** Whether an answer takes long: the method runs the network many times, or the network sees the image in many windows. */
  isSlow(method: string): boolean {
    return (this.prediction.value?.windows ?? 1) > 1 || this.methods.find(({ name }) => name === method)?.quick === false;
  }

  #probe(): void {
    const region = this.#liveRegion;
    const [stem, question, image] = [this.#liveStem, this.#stem, this.image];
    if (region === null || stem === null || question === null || image === null) return this.live.stop();
    const asked = { ...question, region: toWire(region, question.class as string) };
    const key = `${image.id} ${JSON.stringify(asked)}`;
    const pixels = this.scene && this.class && regionPixels(region, this.class.index, this.scene);
    this.live.ask(key, async (signal) => ({ stem, key, region, answer: await this.#ask(image, asked, pixels, signal) }));
  }

  #loadImage(image: ImageRecord | null): void {
    const resources = [this.prediction, this.mask, this.truth];
    if (image === null) return resources.forEach((resource) => resource.clear());
    this.prediction.load(image.id, (signal, tell) => getPrediction(image.id, signal, tell));
    this.mask.load(image.id, (signal, tell) => getMask(image.id, signal, tell));
    if (image.has_truth) this.truth.load(image.id, (signal) => getTruth(image.id, signal));
    else this.truth.clear();
  }

  #loadPicture(image: ImageRecord | null): void {
    const { bands } = this;
    if (image === null || this.#pictureKey === null) this.picture.clear();
    // A link may ask for bands, which only the model knows to be there.
    else if (this.choice.bands === null || this.model.status !== "loading") this.picture.load(this.#pictureKey, (signal) => getPicture(image.id, signal, bands));
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
    const stays = isFollowing(this.region) && (image.has_truth || !needsTruth(this.region));
    this.update({ image: image.id, class: this.class?.name ?? null, view: null, region: stays ? this.region : { kind: "predicted" } });
  }

  stepImage(step: 1 | -1): void {
    const image = neighbour(this.order(), this.image, step);
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

  selectClassAt(pixel: Pixel): void {
    const entry = this.predictedAt(pixel);
    if (entry !== null) this.selectClass(entry.name);
  }

  /** Change the kind of region; one that needs a place gets the given pixel, or the middle of the predicted class. */
  selectRegion(kind: FollowingKind | ProposedKind, pixel: Pixel | null): void {
    if (kind !== "pixel" && kind !== "box" && kind !== "segment" && kind !== "superpixel") return this.changeRegion({ kind }, null);
    if (this.scene === null || this.class === null) return;
    const region = proposal(kind, pixel, this.class.index, this.scene);
    const before = this.#proposal?.region === this.region ? this.#proposal.before : this.region;
    this.changeRegion(region, kind);
    this.#proposal = { region, before };
  }

  /** Change the tool. Where nothing was drawn yet, a tool that needs a place puts one forward. */
  selectTool(tool: Tool, pixel: Pixel | null): void {
    const drawn = !isFollowing(this.region) && this.#proposal?.region !== this.region;
    if (drawn || tool === "point" || tool === "lasso" || tool === "brush") this.update({ tool });
    else this.selectRegion(tool, pixel);
  }

  /** Add a shape to the region, or take it away. */
  stroke(shape: Shape, operation: Operation): void {
    const { scene, class: entry, tool } = this;
    if (scene === null || entry === null) return;
    if (operation !== "remove" && shape.kind !== "superpixel" && !regionPixels(shape, entry.index, scene).includes(1)) return;
    const proposed = this.#proposal?.region === this.region ? this.#proposal.before : null;
    if (proposed === null) this.changeRegion(combine(this.region, operation, shape, entry.index, scene), tool);
    else this.changeRegion(operation === "remove" ? combine(proposed, operation, shape, entry.index, scene) : shape, tool);
  }

  /** A step that can be undone; the tool goes with the region where none is given. */
  changeRegion(region: Region, tool: Tool | null = this.choice.tool): void {
    if (JSON.stringify(region) !== JSON.stringify(this.region)) {
      const isProposal = this.#proposal?.region === this.region;
      this.#steps = { image: this.#imageId, history: isProposal ? { ...this.#history, future: [] } : record(this.#history, this.region) };
    }
    this.#proposal = null;
    this.update({ region, tool });
  }

  /** Ask about pixels that were found, not drawn. */
  selectPixels(pixels: Uint8Array): void {
    if (this.size !== null && pixels.includes(1)) this.changeRegion({ kind: "mask", size: this.size, runs: encodeRuns(pixels) }, "brush");
  }

  clearRegion(): void {
    this.changeRegion({ kind: "predicted" }, this.tool);
  }

  undo(): void {
    this.#go(undo(this.#history, this.region));
  }

  redo(): void {
    this.#go(redo(this.#history, this.region));
  }

  #go(move: Move<Region> | null): void {
    if (move === null) return;
    this.#steps = { image: this.#imageId, history: move.history };
    this.#proposal = null;
    this.update({ region: move.present, tool: this.tool });
  }

  /** Explain what is under the pointer as it moves; a tool that can't follow it gives way to the pixel. */
  toggleLive(): void {
    const live = !this.choice.live;
    this.update({ live, tool: live && !isPointTool(this.tool) ? "pixel" : this.tool });
  }

  /** Put an image first in the gallery, and show it. */
  addImage(image: ImageRecord): void {
    const images = [image, ...this.images.filter((entry) => entry.id !== image.id)];
    this.gallery.value = { images, problems: this.gallery.value?.problems ?? [] };
    this.selectImage(image);
  }
}

export const [getExplorer, setExplorer] = createContext<Explorer>();
