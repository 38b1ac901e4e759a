import { createContext, untrack } from "svelte";
import { getAttribution } from "../api/client";
import type { Tell } from "../api/work";
import type { AttributionRequest, ImageRecord, MethodSpec, ModelClass } from "../api/types";
import { rankCorrelation } from "../geometry/ranks";
import { toWire, type Scene } from "../geometry/region";
import type { Choice } from "./choice";
import { REST, type CompareState } from "./compare.svelte";
import type { MethodsChoice } from "./compareChoice";
import { ownParameters } from "./defaults";
import type { Explorer } from "./explorer.svelte";
import { byFamily } from "./families";
import { fewLayers } from "./gridColumns";
import { smallRanks, toMethodMap, type MethodMap } from "./methodMap";
import { findMethods, firstThingsFirst, sortNumber, sortRows, type MapNumbers } from "./methodRows";
import { obstacle } from "./obstacle";
import { Queue, type Job } from "./queue.svelte";

/** A layer, or a class. */
export interface MethodColumn {
  id: string;
  label: string;
  colour: string | null;
}

export interface MethodCell {
  column: string;
  quick: boolean;
  /** Null where it can't be asked, or not yet. */
  key: string | null;
  question: AttributionRequest | null;
  /** Why it can't be asked. */
  reason: string | null;
  /** What the main view has to choose to ask it. */
  choice: Partial<Choice>;
}

export interface MethodRow {
  id: string;
  label: string;
  method: MethodSpec;
  cells: readonly MethodCell[];
}

/** The grid of methods × layers, or methods × classes: what it shows, and its maps. */
export class MethodsState {
  readonly #explorer: Explorer;
  readonly #compare: CompareState;
  readonly queue = new Queue<MethodMap>();

  readonly choice = $derived.by<MethodsChoice>(() => this.#compare.choice.methods);
  readonly methods = $derived.by(() => byFamily(this.#explorer.methods));
  readonly names = $derived.by<readonly string[]>(() => {
    const wanted = this.choice.names ?? this.#explorer.methods.filter(({ quick }) => quick).map(({ name }) => name);
    return this.methods.map(({ name }) => name).filter((name) => wanted.includes(name));
  });
  readonly #usualLayer = $derived.by(() => this.#explorer.predicted?.default_layer ?? "");
  /** In forward order, the input first. */
  readonly layers = $derived.by<readonly string[]>(() => {
    const wanted = this.choice.layers ?? fewLayers(this.#explorer.predicted?.layers ?? [], this.#usualLayer);
    return this.#explorer.layerNames.filter((name) => wanted.includes(name));
  });
  /** In the order of the legend. */
  readonly classes = $derived.by<readonly ModelClass[]>(() => {
    const there = this.#explorer.predicted?.classes.filter(({ share }) => share > 0).map(({ name }) => name);
    const wanted = this.#compare.choice.rows ?? there ?? [];
    return this.#explorer.classes.filter(({ name }) => wanted.includes(name));
  });
  /** Where methods are asked that are at home at a layer, if classes are the columns. */
  readonly at = $derived.by<string>(() => (this.#explorer.layerNames.includes(this.choice.at ?? "") ? this.choice.at! : this.#usualLayer));
  readonly columns = $derived.by<readonly MethodColumn[]>(() => {
    if (this.choice.across === "classes") return this.classes.map(({ name, color }) => ({ id: name, label: name, colour: color }));
    return this.layers.map((name) => ({ id: name, label: name, colour: null }));
  });
  /** The cell of the main view's question, wherever it is. */
  readonly current = $derived.by<{ row: string; column: string } | null>(() => {
    const { method, layer, class: entry } = this.#explorer;
    if (method === null || layer === null || entry === null) return null;
    if (this.choice.across === "layers") return { row: method.name, column: layer };
    return layer === this.#layerOf(method) ? { row: method.name, column: entry.name } : null;
  });
  /** The column whose maps' agreement is shown. */
  readonly among = $derived.by<string | null>(() => {
    const ids = this.columns.map(({ id }) => id);
    return [this.choice.among, this.current?.column ?? null].find((id) => id !== null && ids.includes(id)) ?? ids.at(-1) ?? null;
  });

  readonly #chosen = $derived.by<readonly MethodRow[]>(() =>
    this.methods.filter(({ name }) => this.names.includes(name)).map((method) => ({ id: method.name, label: method.title, method, cells: this.columns.map(({ id }) => this.#cell(method, id)) })),
  );
  readonly #found = $derived.by<readonly MethodRow[]>(() => {
    const found = findMethods(this.methods, this.choice.family, this.choice.find);
    return this.#chosen.filter(({ method }) => found.includes(method));
  });
  readonly rows = $derived.by<readonly MethodRow[]>(() => sortRows(this.#found, (row) => sortNumber(this.mapsOf(row).map((map) => this.numbersOf(map)), this.choice.sort)));

  /** Of the main view's map, whose agreement with others is measured. */
  readonly #ranks = $derived.by<Float64Array | null>(() => {
    const { answer, size } = this.#explorer;
    return answer && size && smallRanks(answer.values.data, size);
  });

  constructor(explorer: Explorer, compare: CompareState) {
    this.#explorer = explorer;
    this.#compare = compare;
  }

  mapOf({ key }: MethodCell): MethodMap | null {
    return key === null ? null : (this.queue.of(key)?.value ?? null);
  }

  mapsOf({ cells }: MethodRow): readonly MethodMap[] {
    return cells.map((cell) => this.mapOf(cell)).filter((map) => map !== null);
  }

  numbersOf({ ranks, share, seconds }: MethodMap): MapNumbers {
    return { agreement: this.#ranks && rankCorrelation(ranks, this.#ranks), share, seconds };
  }

  /** Fetch what the grid shows, from now on. Call it while a component is being set up. */
  start(): void {
    $effect(() => {
      const { image, scene } = this.#explorer;
      const { active, open, choice } = this.#compare;
      if (choice.view !== "methods" || image === null || scene === null) return this.queue.want([], "drop");
      const jobs = this.#jobs(image, scene);
      // What was begun is brought to its end, also out of sight: it may have taken a minute already.
      this.queue.want(jobs, open ? "finish" : "drop");
      if (!active) return;
      const timer = setTimeout(() => this.queue.want(jobs), REST);
      return () => clearTimeout(timer);
    });
  }

  /** Of the rows that are shown; what others have is kept. */
  #jobs(image: ImageRecord, scene: Scene): readonly Job<MethodMap>[] {
    const shown = firstThingsFirst(this.#found.flatMap(({ cells }) => cells), this.among);
    const hidden = this.#chosen.filter((row) => !this.#found.includes(row)).flatMap(({ cells }) => cells);
    const kept = untrack(() => hidden.filter((cell) => this.mapOf(cell) !== null));
    return [...shown, ...kept].flatMap(({ key, question, quick }) => {
      if (key === null || question === null) return [];
      return [{ key, fetch: (signal: AbortSignal, tell: Tell) => this.#fetch(image, scene, question, signal, quick ? null : tell) }];
    });
  }

  async #fetch(image: ImageRecord, scene: Scene, question: AttributionRequest, signal: AbortSignal, tell: Tell | null): Promise<MethodMap> {
    const answer = await getAttribution(image.id, question, signal, tell);
    this.#explorer.costs.note(answer.header);
    const { classes } = this.#explorer;
    const index = classes.find(({ name }) => name === question.class)?.index ?? -1;
    return toMethodMap(answer, scene.size, scene.mask, index, classes.length);
  }

  #layerOf(method: MethodSpec): string {
    return method.at === "input" ? "input" : this.at;
  }

  /** The present question by another method, at a column's layer or about its class; a region that follows the class follows that one. */
  #cell(method: MethodSpec, column: string): MethodCell {
    const { class: main, classes, against, choice, image, region, regionPixels, method: present } = this.#explorer;
    const across = this.choice.across === "classes";
    const entry = across ? (classes.find(({ name }) => name === column) ?? null) : main;
    const layer = across ? this.#layerOf(method) : column;
    const parameters = method === present ? ownParameters(method, choice.parameters) : {};
    const reason = entry && obstacle(this.#explorer, entry);
    const cell: MethodCell = { column, quick: method.quick, key: null, question: null, reason, choice: { method: method.name, parameters, layer, ...(across && { class: column }) } };
    if (entry === null || reason !== null || image === null || regionPixels === null) return cell;
    cell.question = { class: entry.name, against: against?.name ?? null, layer, method: method.name, score: choice.score, parameters, region: toWire(region, entry.name) };
    cell.key = `${image.id} ${JSON.stringify(cell.question)}`;
    return cell;
  }

  update(part: Partial<MethodsChoice>): void {
    this.#compare.update({ methods: { ...this.choice, ...part } });
  }

  /** Null: those predicted in the image. */
  chooseClasses(rows: readonly string[] | null): void {
    this.#compare.update({ rows });
  }

  /** Ask a cell's question in the main view. */
  open({ choice }: MethodCell): void {
    this.#explorer.update(choice);
  }

  /** Ask again for all that failed. */
  retry(): void {
    for (const { key } of this.#found.flatMap(({ cells }) => cells)) if (key !== null && this.queue.of(key)?.error) this.queue.retry(key);
  }
}

export const [getMethodsState, setMethodsState] = createContext<MethodsState>();
