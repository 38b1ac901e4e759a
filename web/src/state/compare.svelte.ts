import { createContext } from "svelte";
import { getAttribution, type AttributionAnswer } from "../api/client";
import type { AttributionRequest } from "../api/types";
import type { Tell } from "../api/work";
import { hasNegative, largestMagnitude } from "../colour/scale";
import { ownScale, sharedScale, type Scale } from "../colour/shared";
import { shrinkToGrey } from "../colour/shrink";
import { INITIAL_COMPARE, moved, MOST_PINS, type CompareChoice, type CompareView, type Pin } from "./compareChoice";
import { encodePin } from "./compareText";
import { neighbour } from "./defaults";
import type { Explorer } from "./explorer.svelte";
import { fetchPin, toPinMap, type PinMap } from "./pinMap";
import { Queue } from "./queue.svelte";
import { Resource } from "./resource.svelte";

const KEY = "segscope.compare";
/** Milliseconds of rest before anything is asked for here: stepping through classes or images shouldn't wait for it. */
export const REST = 100;

/** The compare panel: pinned maps, and a second layer beside the question's. */
export class CompareState {
  readonly #explorer: Explorer;
  readonly queue = new Queue<PinMap>();
  readonly besideMap = new Resource<AttributionAnswer>();
  open = $state(true);
  /** True while the panel is in sight; only then are maps computed for it. */
  inSight = $state(false);

  readonly choice = $derived.by<CompareChoice>(() => this.#explorer.choice.compare);
  readonly pins = $derived<readonly Pin[]>(this.choice.pins);
  /** True while the main view waits for nothing, or for what takes long and lets others go first, so that what is asked for here doesn't hold it up. */
  readonly quiet = $derived.by(() => {
    const { attribution, questionKey, image, predicted, gallery, probing, slow } = this.#explorer;
    if (image === null) return gallery.status === "ready";
    if (predicted === null || probing) return false;
    return slow || questionKey === null || attribution.of(questionKey) !== null || attribution.status === "error";
  });
  /** True while maps may be asked for. */
  readonly active = $derived(this.open && this.inSight && this.quiet);

  /** The question of the main view as a pin; null while there is none. */
  readonly present = $derived.by<Pin | null>(() => {
    const { question, image, class: entry, against, layer, method, choice, shownRegion: region } = this.#explorer;
    if (question === null || image === null || entry === null || layer === null || method === null) return null;
    const parameters = question.parameters as Pin["parameters"];
    return { image: image.id, class: entry.name, against: against?.name ?? null, layer, method: method.name, parameters, score: choice.score, region };
  });
  readonly presentText = $derived(this.present && encodePin(this.present));
  readonly texts = $derived(this.pins.map(encodePin));
  readonly pinned = $derived(this.presentText !== null && this.texts.includes(this.presentText));
  readonly full = $derived(this.pins.length >= MOST_PINS);

  readonly pinMaps = $derived(this.texts.map((text) => this.queue.of(text)?.value ?? null));
  readonly pinScale = $derived(this.choice.scale === "own" ? null : sharedScale(this.pinMaps.filter((map) => map !== null)));
  /** Numbers of different methods or scores have no common unit, whatever scale they are shown on. */
  readonly mixed = $derived(new Set(this.pins.map(({ method, score }) => `${method} ${score}`)).size > 1);

  /** The image small and grey, for small maps to lie on. */
  readonly grey = $derived.by(() => this.#explorer.bitmap && shrinkToGrey(this.#explorer.bitmap, 160));

  readonly beside = $derived.by<string | null>(() => {
    const { layer, layerNames } = this.#explorer;
    const { beside } = this.choice;
    if (beside !== null && (layerNames.length === 0 || layerNames.includes(beside))) return beside;
    return neighbour(layerNames, layer, -1) ?? neighbour(layerNames, layer, 1);
  });
  readonly #besideQuestion = $derived.by<AttributionRequest | null>(() => {
    const { question, probing } = this.#explorer;
    return question === null || probing || this.beside === null ? null : { ...question, layer: this.beside };
  });
  readonly #besideKey = $derived.by(() => this.#besideQuestion && this.#explorer.image ? `${this.#explorer.image.id} ${JSON.stringify(this.#besideQuestion)}` : null);
  readonly besideAnswer = $derived(this.besideMap.of(this.#besideKey));
  readonly besideScales = $derived.by<{ main: Scale | null; beside: Scale | null; shared: Scale | null }>(() => {
    const scales = [this.#explorer.answer, this.besideAnswer].map((answer) => {
      const values = answer?.values.data;
      return values ? { limit: largestMagnitude(values), signed: answer.header.signed || hasNegative(values) } : null;
    });
    const [main, beside] = scales.map((map) => map && ownScale(map));
    const shared = this.choice.scale === "own" ? null : sharedScale(scales.filter((map) => map !== null));
    return { main: main && (shared ?? main) || null, beside: beside && (shared ?? beside) || null, shared };
  });

  constructor(explorer: Explorer) {
    this.#explorer = explorer;
    // A link that compares something has to show it.
    const compares = JSON.stringify(explorer.choice.compare) !== JSON.stringify(INITIAL_COMPARE);
    try {
      this.open = compares || localStorage.getItem(KEY) !== "closed";
    } catch {
      this.open = true;
    }
  }

  /** Fetch what the panel shows, from now on. Call it while a component is being set up. */
  start(): void {
    $effect(() => this.#seed());
    $effect(() => this.#loadPins());
    $effect(() => this.#loadBeside());
  }

  /** The main view's map needn't be asked for a second time. */
  #seed(): void {
    const { answer, bitmap, size, shownLines } = this.#explorer;
    const text = this.presentText;
    if (!this.pinned || text === null || answer === null || bitmap === null || size === null) return;
    if (this.queue.of(text)?.value) return;
    this.queue.put(text, toPinMap(answer, bitmap, size, shownLines));
  }

  #loadPins(): (() => void) | undefined {
    const { images, classes } = this.#explorer;
    const jobs = this.pins.map((pin, i) => ({
      key: this.texts[i]!,
      fetch: (signal: AbortSignal, tell: Tell) => {
        const image = images.find(({ id }) => id === pin.image) ?? null;
        const index = classes.find(({ name }) => name === pin.class)?.index ?? -1;
        return fetchPin(pin, image, index, signal, this.#explorer.isSlow(pin.method) ? tell : null);
      },
    }));
    this.queue.want(jobs, "drop");
    if (!this.active || this.choice.view !== "pins") return;
    const timer = setTimeout(() => this.queue.want(jobs), REST);
    return () => clearTimeout(timer);
  }

  #loadBeside(): (() => void) | undefined {
    const { image } = this.#explorer;
    const [key, question] = [this.#besideKey, this.#besideQuestion];
    if (key === null || question === null || image === null) return void this.besideMap.clear();
    this.besideMap.keepOnly(key);
    if (!this.active || this.choice.view !== "layers") return;
    const timer = setTimeout(() => this.besideMap.load(key, (signal, tell) => getAttribution(image.id, question, signal, this.#explorer.isSlow(question.method) ? tell : null)), REST);
    return () => clearTimeout(timer);
  }

  update(part: Partial<CompareChoice>): void {
    this.#explorer.update({ compare: { ...this.choice, ...part } });
  }

  toggle(): void {
    this.open = !this.open;
    try {
      localStorage.setItem(KEY, this.open ? "open" : "closed");
    } catch {
      // The panel then stays so as long as the page.
    }
  }

  /** A second layer chosen by nobody would move along with the first. */
  show(view: CompareView): void {
    this.update({ view, beside: view === "layers" ? this.beside : this.choice.beside });
  }

  /** Pin the question of the main view, or take its pin off. */
  togglePin(): void {
    const { present, presentText } = this;
    if (present === null || presentText === null) return;
    if (this.pinned) this.unpin(presentText);
    else if (!this.full) this.update({ pins: [...this.pins, present] });
  }

  unpin(text: string): void {
    this.update({ pins: this.pins.filter((_, i) => this.texts[i] !== text) });
  }

  movePin(text: string, by: 1 | -1): void {
    this.update({ pins: moved(this.pins, this.texts.indexOf(text), by) });
  }

  /** Ask a pin's question in the main view. */
  openPin(pin: Pin): void {
    const { image, class: name, against, layer, method, parameters, score, region } = pin;
    const explorer = this.#explorer;
    const stays = explorer.image?.id === image;
    if (stays) explorer.changeRegion(region, null);
    explorer.update({ image, class: name, against, layer, method, parameters, score, region, tool: null, live: false, ...(stays ? {} : { view: null }) });
  }

  swapLayers(): void {
    const { layer } = this.#explorer;
    if (this.beside === null || layer === null) return;
    this.#explorer.update({ layer: this.beside, compare: { ...this.choice, beside: layer } });
  }
}

export const [getCompareState, setCompareState] = createContext<CompareState>();
