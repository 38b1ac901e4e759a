import { createContext } from "svelte";
import { getSameness } from "../api/client";
import type { Alternative, ParameterValue, SamenessFinding } from "../api/types";
import type { RegionKind } from "../geometry/region";
import type { Explorer } from "./explorer.svelte";
import { Resource } from "./resource.svelte";

/** Milliseconds of rest before it is measured: the map itself, and whoever steps on, go first. */
const REST = 300;
/** A map that took longer than this many milliseconds isn't computed several times more without being asked for. */
const LONG = 1000;
/** Regions that ask about the class as a whole. */
const WHOLE: readonly RegionKind[] = ["predicted", "everywhere", "true"];

interface Departure {
  from: { method: string; layer: string; parameters: Readonly<Record<string, ParameterValue>> };
  to: Alternative;
}

/** Whether the shown map says anything about its region in particular, and what would where it doesn't. */
export class Sameness {
  readonly #explorer: Explorer;
  readonly finding = new Resource<SamenessFinding>();

  /** All of the question but its region. */
  readonly #key = $derived.by<string | null>(() => {
    const { question, image } = this.#explorer;
    if (question === null || image === null) return null;
    return `${image.id} ${JSON.stringify({ ...question, region: null })}`;
  });
  readonly #found = $derived(this.finding.of(this.#key));
  readonly same = $derived.by<boolean>(() => this.#found?.same === true && this.#explorer.answer !== null && this.#explorer.largest > 0);
  readonly alternatives = $derived<readonly Alternative[]>(this.#found?.alternatives ?? []);

  readonly #way = $derived.by<string>(() => `${this.#explorer.method?.name} ${this.#explorer.layer}`);
  /** What the visitor wanted to read, or not to, about a method at a layer. */
  #wish = $state.raw<{ way: string; open: boolean } | null>(null);
  readonly #particular = $derived.by<boolean>(() => this.#explorer.probing || !WHOLE.includes(this.#explorer.region.kind));
  /** Spelled out where a particular place is asked about; a remark otherwise. */
  readonly open = $derived.by<boolean>(() => this.same && (this.#wish?.way === this.#way ? this.#wish.open : this.#particular));

  #departure = $state.raw<Departure | null>(null);
  /** What a suggestion was taken instead of, as long as it is the one shown. */
  readonly origin = $derived.by<Departure["from"] | null>(() => {
    const { method, layer } = this.#explorer;
    const taken = this.#departure;
    return taken?.to.method === method?.name && taken?.to.layer === layer ? (taken?.from ?? null) : null;
  });

  constructor(explorer: Explorer) {
    this.#explorer = explorer;
  }

  /** Measure each way of asking once its first map is there. Call it while a component is being set up. */
  start(): void {
    $effect(() => this.#measure());
  }

  #measure(): (() => void) | undefined {
    const { image, question, questionKey, attribution, probing, largest, slow } = this.#explorer;
    const key = this.#key;
    if (key === null || question === null || image === null) return void this.finding.clear();
    this.finding.keepOnly(key);
    const answer = attribution.of(questionKey);
    if (probing || slow || answer === null || largest === 0 || answer.header.milliseconds > LONG) return;
    const timer = setTimeout(() => this.finding.load(key, (signal) => getSameness(image.id, question, signal)), REST);
    return () => clearTimeout(timer);
  }

  toggle(): void {
    this.#wish = { way: this.#way, open: !this.open };
  }

  take(to: Alternative): void {
    const { method, layer, choice } = this.#explorer;
    if (method === null || layer === null) return;
    this.#departure = { from: { method: method.name, layer, parameters: choice.parameters }, to };
    this.#explorer.update({ ...to, parameters: to.method === method.name ? choice.parameters : {} });
  }

  back(): void {
    if (this.origin !== null) this.#explorer.update(this.origin);
  }
}

export const [getSamenessState, setSamenessState] = createContext<Sameness>();
