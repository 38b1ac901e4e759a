import { createContext } from "svelte";
import { getLayerMaps, type LayerMaps } from "../api/client";
import type { LayersRequest, ModelClass } from "../api/types";
import { toWire } from "../geometry/region";
import type { Choice } from "./choice";
import { REST, type CompareState } from "./compare.svelte";
import { ownParameters, quickStandIn } from "./defaults";
import type { Explorer } from "./explorer.svelte";
import { spreadLayers } from "./gridColumns";
import { obstacle } from "./obstacle";
import { Queue } from "./queue.svelte";

/** Longest side of a cell's map, in pixels. */
const MAP_SIZE = 80;

/** A row of a grid whose columns are layers: one question to all of them. */
export interface GridRow {
  id: string;
  label: string;
  colour: string | null;
  /** Null where it can't be asked. */
  key: string | null;
  question: LayersRequest | null;
  /** Why it can't be asked; null where it can, or as long as that isn't known. */
  reason: string | null;
  /** What the main view has to choose to ask it. */
  choice: Partial<Choice>;
}

/** Which classes and layers the grid shows, and their maps. */
export class GridState {
  readonly #explorer: Explorer;
  readonly #compare: CompareState;
  readonly queue = new Queue<LayerMaps>();

  readonly #usualClasses = $derived.by<readonly string[]>(() => {
    const shares = this.#explorer.predicted?.classes ?? [];
    return shares.filter(({ share }) => share > 0).map(({ name }) => name);
  });
  readonly #layers = $derived.by(() => this.#explorer.predicted?.layers ?? []);
  readonly layerNames = $derived.by(() => this.#explorer.layerNames.filter((name) => name !== "input"));
  /** In the order of the legend. */
  readonly classNames = $derived.by<readonly string[]>(() => {
    const wanted = this.#compare.choice.rows ?? this.#usualClasses;
    return this.#explorer.classes.map(({ name }) => name).filter((name) => wanted.includes(name));
  });
  readonly #usualLayers = $derived.by(() => spreadLayers(this.#layers, this.#explorer.predicted?.default_layer ?? ""));
  /** In forward order. */
  readonly columns = $derived.by<readonly string[]>(() => {
    const wanted = this.#compare.choice.columns ?? this.#usualLayers;
    return this.layerNames.filter((name) => wanted.includes(name));
  });
  readonly rows = $derived.by<readonly GridRow[]>(() =>
    this.classNames.flatMap((name) => {
      const entry = this.#explorer.classes.find((candidate) => candidate.name === name);
      return entry ? [this.#row(entry)] : [];
    }),
  );

  /** What the maps are by: another method where the question's own would take minutes for all layers. */
  readonly method = $derived.by(() => quickStandIn(this.#explorer.methods, this.#explorer.method));

  constructor(explorer: Explorer, compare: CompareState) {
    this.#explorer = explorer;
    this.#compare = compare;
  }

  /** Fetch what the grid shows, from now on. Call it while a component is being set up. */
  start(): void {
    $effect(() => {
      const { image } = this.#explorer;
      const asks = this.#compare.choice.view === "grid" && image !== null;
      const jobs = asks ? this.rows.flatMap(({ key, question }) => (key && question ? [{ key, fetch: (signal: AbortSignal) => getLayerMaps(image.id, question, signal) }] : [])) : [];
      this.queue.want(jobs, "drop");
      if (!asks || !this.#compare.active) return;
      const timer = setTimeout(() => this.queue.want(jobs), REST);
      return () => clearTimeout(timer);
    });
  }

  /** The present question about another class: a region that follows the class follows this one. */
  #row(entry: ModelClass): GridRow {
    const { against, choice, image, region, slow } = this.#explorer;
    const { method } = this;
    const row: GridRow = { id: entry.name, label: entry.name, colour: entry.color, key: null, question: null, reason: obstacle(this.#explorer, entry), choice: { class: entry.name } };
    if (row.reason !== null || method === null || image === null || this.#explorer.regionPixels === null) return row;
    row.question = {
      class: entry.name,
      against: against?.name ?? null,
      method: method.name,
      score: choice.score,
      parameters: slow ? {} : ownParameters(method, choice.parameters),
      region: toWire(region, entry.name),
      size: MAP_SIZE,
    };
    row.key = `${image.id} ${JSON.stringify(row.question)}`;
    return row;
  }

  /** Null: those that are shown where none were chosen. */
  chooseRows(rows: readonly string[] | null): void {
    this.#compare.update({ rows });
  }

  chooseColumns(columns: readonly string[] | null): void {
    this.#compare.update({ columns });
  }

  /** Ask a cell's question in the main view. */
  open(row: GridRow, layer: string): void {
    this.#explorer.update({ ...row.choice, layer });
  }
}

export const [getGridState, setGridState] = createContext<GridState>();
