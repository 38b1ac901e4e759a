import { createContext, untrack } from "svelte";
import { ApiError, getStatistics, getThumbnail, putStatistics } from "../api/client";
import type { ImageFailure, ImageRecord, ImageStatistics, Statistics } from "../api/types";
import type { Explorer } from "./explorer.svelte";
import { INITIAL_LIST, isFiltered, type ListChoice } from "./listChoice";
import { knownList, listImages, type Findings } from "./listing";
import { numberOptions } from "./numbers";
import { Thumbnails } from "./thumbnails";

/** Milliseconds between two questions: short at first, longer while nothing new comes. */
const [SOON, LATE] = [400, 4000];
/** After this many milliseconds without a first map, the numbers are asked for all the same. */
const PATIENCE = 4000;
const HOLD = 3000;
const THUMBNAILS = 600;

/** The list of images: their numbers as they come, what it is sorted and filtered by, and what it shows. */
export class GalleryState {
  readonly #explorer: Explorer;
  readonly thumbnails = new Thumbnails(getThumbnail, THUMBNAILS);
  findings = $state.raw<Findings>(new Map<string, ImageStatistics>());
  failures = $state.raw<readonly ImageFailure[]>([]);
  progress = $state.raw<Omit<Statistics, "rows" | "failures"> | null>(null);
  error = $state.raw<ApiError | null>(null);
  /** True while someone is busy in the list, which then keeps its order whatever comes in. */
  #held = $state(false);
  filtering = $state(false);
  /** What the list is sorted and filtered by. */
  #ordered = $state.raw<Findings>(new Map<string, ImageStatistics>());

  readonly list = $derived.by<ListChoice>(() => knownList(this.#explorer.choice.list, this.#explorer.classes));
  readonly filtered = $derived(isFiltered(this.list));
  readonly hasMasks = $derived.by(() => this.#explorer.images.some((image) => image.has_truth));
  readonly hasUnmasked = $derived.by(() => this.#explorer.images.some((image) => !image.has_truth));
  readonly options = $derived.by(() => numberOptions(this.#explorer.classes, this.hasMasks));
  /** What tells most where nothing was chosen yet: how sure it was against how right. */
  readonly defaultPlot = $derived<NonNullable<ListChoice["plot"]>>(
    this.hasMasks ? { x: "confidence", y: "iou" } : { x: "confidence", y: this.options.at(-1)?.value ?? "confidence" },
  );
  readonly images = $derived.by<readonly ImageRecord[]>(() => listImages(this.#explorer.images, this.#ordered, this.list, this.#explorer.classes));
  readonly shown = $derived<ReadonlySet<string>>(new Set(this.images.map((image) => image.id)));
  /** Whether the selected image is one that the filters leave out. */
  readonly strayed = $derived.by(() => this.#explorer.image !== null && !this.shown.has(this.#explorer.image.id));
  readonly failed = $derived<ReadonlyMap<string, string>>(new Map(this.failures.map(({ id, message }) => [id, message])));

  #timer: ReturnType<typeof setTimeout> | undefined;
  #holding: ReturnType<typeof setTimeout> | undefined;
  #controller: AbortController | null = null;
  #wait = SOON;

  constructor(explorer: Explorer) {
    this.#explorer = explorer;
    explorer.order = () => this.images;
  }

  /** Ask for the numbers, from now on. Call it while a component is being set up. */
  start(): void {
    let begun = $state(false);
    const ready = $derived(this.#explorer.images.length > 0 && (this.#explorer.answer !== null || this.#explorer.attribution.status === "error" || this.#explorer.regionEmpty));
    const count = $derived(this.#explorer.images.length);
    const timer = setTimeout(() => (begun = true), PATIENCE);
    $effect(() => {
      if (ready) begun = true;
    });
    // Uploads are measured as well.
    $effect(() => {
      // What comes of asking must not have it asked again.
      if (begun && count > 0) untrack(() => this.ask());
    });
    $effect(() => {
      if (!this.#held || untrack(() => this.#ordered.size === 0)) this.#ordered = this.findings;
    });
    $effect(() => {
      // Who comes back may have changed files meanwhile.
      const look = (): void => void (begun && this.ask(true));
      window.addEventListener("focus", look);
      return () => {
        window.removeEventListener("focus", look);
        clearTimeout(timer);
        clearTimeout(this.#holding);
        this.#stop();
      };
    });
  }

  /** Someone is pointing, scrolling or stepping in the list: nothing should move under their hand for a while. */
  hold(): void {
    clearTimeout(this.#holding);
    this.#held = true;
    this.#holding = setTimeout(() => (this.#held = false), HOLD);
  }

  update(part: Partial<ListChoice>): void {
    this.#ordered = this.findings;
    this.#explorer.update({ list: { ...this.list, ...part } });
  }

  clearFilters(): void {
    const { sort, descending, plot } = this.list;
    this.update({ ...INITIAL_LIST, sort, descending, plot });
  }

  /** Ask for news now, and go on while there may be more. */
  ask(again = false): void {
    this.#stop();
    this.#wait = SOON;
    void this.#run((signal) => getStatistics(this.progress?.mark ?? "", again, signal));
  }

  pause(paused: boolean): void {
    this.#stop();
    this.#wait = SOON;
    void this.#run((signal) => putStatistics(paused, signal));
  }

  async #run(fetch: (signal: AbortSignal) => Promise<Statistics>): Promise<void> {
    const controller = new AbortController();
    this.#controller = controller;
    try {
      const answer = await fetch(controller.signal);
      if (controller.signal.aborted) return;
      this.error = null;
      this.#take(answer);
    } catch (error) {
      if (controller.signal.aborted) return;
      this.error = error instanceof ApiError ? error : new ApiError("unexpected", String(error), 0);
      return;
    }
    const { progress } = this;
    if (progress === null || progress.paused) return;
    if (!progress.running && progress.done + progress.failed >= progress.total) return;
    this.#timer = setTimeout(() => void this.#run((signal) => getStatistics(this.progress?.mark ?? "", false, signal)), this.#wait);
  }

  #take({ rows, failures, ...progress }: Statistics): void {
    this.progress = progress;
    this.#wait = rows.length > 0 ? Math.min(2 * this.#wait, LATE / 3) : Math.min(1.5 * this.#wait, LATE);
    if (!progress.whole && rows.length === 0 && failures.length === 0) return;
    const findings = new Map(progress.whole ? [] : this.findings);
    for (const row of rows) findings.set(row.id, row);
    const renewed = new Set([...rows, ...failures].map(({ id }) => id));
    for (const { id } of failures) findings.delete(id);
    this.findings = findings;
    this.failures = [...(progress.whole ? [] : this.failures.filter(({ id }) => !renewed.has(id))), ...failures];
  }

  #stop(): void {
    clearTimeout(this.#timer);
    this.#controller?.abort();
    this.#controller = null;
  }
}

export const [getGallery, setGallery] = createContext<GalleryState>();
