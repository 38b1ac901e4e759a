import { createContext } from "svelte";
import { getGraph, getLayerMaps, type LayerMaps } from "../api/client";
import type { LayersRequest, MethodSpec, NetworkGraph } from "../api/types";
import { cellName, firstFolding, fold, readNetwork, type Cell, type FoldedGraph, type Network } from "../geometry/graph";
import { quickStandIn } from "./defaults";
import type { Explorer } from "./explorer.svelte";
import { Resource } from "./resource.svelte";

/** More cells than this are folded at first. */
const MOST = 24;
/** Longest side of a small map, in pixels. */
const MAP_SIZE = 64;
/** Milliseconds of rest before the small maps are asked for: stepping through classes or images shouldn't wait for them. */
const REST = 100;
/** So many answers about one image are kept, of about 300 kB each: going back to a class shouldn't cost a backward pass. */
const KEPT = 24;
const KEY = "segscope.network";

/** The network panel: its graph, what of it is unfolded, and a small map for every layer. */
export class NetworkState {
  readonly #explorer: Explorer;
  readonly graph = new Resource<NetworkGraph>();
  readonly maps = new Resource<LayerMaps>(KEPT);
  open = $state(true);
  /** True while the panel is in sight; only then are maps computed for it. */
  inSight = $state(false);

  /** The last graph stays while that of the next image is on its way: mostly it is the same. */
  #described = $state.raw<NetworkGraph | null>(null);
  readonly network = $derived<Network | null>(this.#described && readNetwork(this.#described.nodes, this.#described.edges));
  #unfolded = $state.raw<ReadonlySet<string> | null>(null);
  readonly unfolded = $derived<ReadonlySet<string>>(this.#unfolded ?? (this.network ? firstFolding(this.network, MOST) : new Set()));
  readonly folded = $derived<FoldedGraph | null>(this.network && fold(this.network, this.unfolded));
  /** The cell that is, or hides, the question's layer. */
  readonly current = $derived<Cell | null>(this.folded?.cells.find((cell) => cell.layers.includes(this.#explorer.layer ?? "")) ?? null);

  /** What the small maps are by: another method where the question's own would take minutes for all layers. */
  readonly method = $derived.by<MethodSpec | null>(() => quickStandIn(this.#explorer.methods, this.#explorer.method));
  readonly #question = $derived.by<LayersRequest | null>(() => {
    const { question, slow } = this.#explorer;
    if (question === null || this.method === null) return null;
    const { layer: _, ...rest } = question;
    return { ...rest, method: this.method.name, parameters: slow ? {} : rest.parameters, size: MAP_SIZE };
  });
  readonly #key = $derived.by<string | null>(() => {
    const { image } = this.#explorer;
    return this.#question && image ? `${image.id} ${JSON.stringify(this.#question)}` : null;
  });
  /** Those that answer the present question, never older ones. */
  readonly answers = $derived<LayerMaps | null>(this.maps.of(this.#key));
  /** The question whose maps are shown. */
  readonly shownKey = $derived(this.answers && this.#key);

  constructor(explorer: Explorer) {
    this.#explorer = explorer;
    try {
      this.open = localStorage.getItem(KEY) !== "closed";
    } catch {
      this.open = true;
    }
  }

  /** Fetch what the panel shows, from now on. Call it while a component is being set up. */
  start(): void {
    $effect(() => {
      const { image } = this.#explorer;
      if (this.open && image !== null && this.#explorer.predicted !== null) this.graph.load(image.id, (signal) => getGraph(image.id, signal));
    });
    $effect(() => {
      const next = this.graph.value;
      if (next !== null && JSON.stringify(next) !== JSON.stringify(this.#described)) this.#described = next;
    });
    $effect(() => {
      void this.#explorer.image?.id;
      this.maps.forget();
    });
    $effect(() => this.#loadMaps());
  }

  /** The main map goes first, unless it takes long: the small ones are asked for once it is there, and dropped as soon as the question changes. */
  #loadMaps(): (() => void) | undefined {
    const { image, attribution, questionKey, slow } = this.#explorer;
    const [key, question] = [this.#key, this.#question];
    if (key === null || question === null || image === null) return void this.maps.clear();
    this.maps.keepOnly(key);
    const answered = slow || attribution.of(questionKey) !== null || attribution.status === "error";
    if (!answered || !this.open || !this.inSight) return;
    const load = (): void => this.maps.load(key, (signal) => getLayerMaps(image.id, question, signal));
    if (this.maps.has(key)) return void load();
    const timer = setTimeout(load, REST);
    return () => clearTimeout(timer);
  }

  toggle(): void {
    this.open = !this.open;
    try {
      localStorage.setItem(KEY, this.open ? "open" : "closed");
    } catch {
      // The panel then stays so as long as the page.
    }
  }

  select(cell: Cell): void {
    this.#explorer.update({ layer: cell.layer.name });
  }

  unfold(module: string): void {
    this.#unfolded = new Set([...this.unfolded, module]);
  }

  foldUp(module: string): void {
    this.#unfolded = new Set([...this.unfolded].filter((name) => name !== module));
  }

  unfoldCell(cell: Cell): void {
    if (cell.folded) this.unfold(cellName(cell));
  }

  foldAround(cell: Cell): void {
    const module = cell.around.at(-1);
    if (module !== undefined) this.foldUp(module);
  }

  unfoldAll(): void {
    this.#unfolded = new Set(this.network?.modules.keys() ?? []);
  }

  foldAll(): void {
    this.#unfolded = new Set();
  }
}

export const [getNetworkState, setNetworkState] = createContext<NetworkState>();
