import { getReasons, type ReasonsAnswer } from "../api/client";
import type { ImageRecord } from "../api/types";
import type { Pointed } from "../colour/groups";
import { Resource } from "./resource.svelte";

/** What the map of reasons depends on. */
export interface ReasonsOf {
  image: ImageRecord | null;
  layer: string | null;
  /** Nothing is worked out before it is looked at. */
  shown: boolean;
}

/** Into how many groups pixels are divided at most. */
export const GROUPS = 6;

/** The map of reasons at the present layer: pixels told apart by why they got their label. */
export class Reasons {
  readonly #of: () => ReasonsOf;
  readonly resource = new Resource<ReasonsAnswer>();
  /** What the pointer or the focus in the legend is on. */
  pointed = $state.raw<Pointed>(null);

  readonly #key = $derived.by<string | null>(() => {
    const { image, layer, shown } = this.#of();
    return shown && image !== null && layer !== null ? `${image.id} ${layer}` : null;
  });
  readonly answer = $derived<ReasonsAnswer | null>(this.resource.of(this.#key));

  constructor(of: () => ReasonsOf) {
    this.#of = of;
  }

  /** Fetch the map once it is shown, from now on. Call it while a component is being set up. */
  start(): void {
    $effect(() => {
      const { image, layer } = this.#of();
      const key = this.#key;
      if (key === null || image === null || layer === null) return this.resource.clear();
      this.pointed = null;
      this.resource.load(key, (signal, tell) => getReasons(image.id, { layer, clusters: GROUPS }, signal, tell));
    });
  }

  /** One byte a pixel, 1 where a group or an outlier is. */
  pixelsOf(pointed: Exclude<Pointed, null>): Uint8Array {
    if (this.answer === null) return new Uint8Array();
    const { groups, outliers } = this.answer;
    return pointed === "outliers" ? outliers.slice() : groups.map((group) => Number(group === pointed));
  }
}
