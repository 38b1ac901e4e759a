import { createContext } from "svelte";
import { getConfidence, type AttributionAnswer } from "../api/client";
import type { NpyArray } from "../api/npy";
import { commonExponent, formatNumber, powerLabel } from "../colour/scale";
import { importanceShares, type Shares } from "../geometry/shares";
import type { Labels } from "../geometry/region";
import type { Pixel } from "../geometry/view";
import type { Explorer } from "./explorer.svelte";
import { Resource } from "./resource.svelte";

/** What can be read off the pictures in numbers: how importance is divided, how sure the network is, what is hidden. */
export class Reading {
  readonly #explorer: Explorer;
  readonly confidence = new Resource<NpyArray>();

  /** The classes that importance is divided among are those of the mask that is shown. */
  readonly byTruth = $derived.by<boolean>(() => this.#explorer.choice.mask === "truth" && this.#explorer.scene?.truth != null);
  readonly #labels = $derived.by<Labels | null>(() => {
    const { scene } = this.#explorer;
    return scene && (this.byTruth ? scene.truth : scene.mask);
  });
  readonly #answer = $derived.by<AttributionAnswer | null>(() => this.#explorer.told.answer);
  /** Of the whole map, whatever the threshold; null where there is none. */
  readonly shares = $derived.by<Shares | null>(
    () => this.#answer && this.#labels && importanceShares(this.#answer.values.data, this.#labels, this.#explorer.classes.length),
  );

  readonly #exponent = $derived.by<number>(() => commonExponent(this.#explorer.range?.high ?? 0));
  /** In the power of ten that the scale has, to be written beside it. */
  readonly leastOnScale = $derived.by<string>(() => formatNumber(Number(this.#explorer.least.toPrecision(2)), this.#exponent));
  readonly leastText = $derived.by<string>(() => (this.#explorer.least > 0 ? this.leastOnScale + powerLabel(this.#exponent) : "–"));

  constructor(explorer: Explorer) {
    this.#explorer = explorer;
  }

  /** Fetch what is read, once it is: how sure the network is waits for a pointer. Call it while a component is being set up. */
  start(): void {
    $effect(() => {
      const { image, pointer, scene } = this.#explorer;
      if (image === null) return this.confidence.clear();
      this.confidence.keepOnly(image.id);
      if (pointer !== null && scene !== null) this.confidence.load(image.id, (signal) => getConfidence(image.id, signal));
    });
  }

  /** Share of the importance that falls on a class, by its index. */
  shareOf(index: number): number | null {
    return this.shares?.positive?.[index] ?? null;
  }

  /** The probability of the class predicted at a pixel, as a byte. */
  confidenceAt({ row, column }: Pixel): number | null {
    const { image, size } = this.#explorer;
    return (size && this.confidence.of(image?.id ?? null)?.data[row * size.width + column]) ?? null;
  }
}

export const [getReading, setReading] = createContext<Reading>();
