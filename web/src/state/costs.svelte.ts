import { SvelteMap } from "svelte/reactivity";
import type { AttributionHeader, MethodSpec } from "../api/types";

export interface Cost {
  seconds: number;
  /** How many images went through the network. */
  passes: number;
}

/** What each method cost when it was last asked. */
export class Costs {
  readonly #known = new SvelteMap<string, Cost>();

  of(method: string): Cost | null {
    return this.#known.get(method) ?? null;
  }

  note({ method, seconds, passes }: AttributionHeader): void {
    this.#known.set(method, { seconds, passes });
  }
}

/** “0.04 s”, “3.2 s”, “12 s”, “2 min”. */
export function formatSeconds(seconds: number): string {
  if (seconds < 0.0995) return `${seconds < 0.0005 ? "< 0.001" : seconds.toPrecision(1)} s`;
  if (seconds < 9.95) return `${Number(seconds.toFixed(1))} s`;
  return seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}

export function formatPasses(passes: number): string {
  return `${passes} ${passes === 1 ? "pass" : "passes"}`;
}

/** What stands behind a slow method's name: how long it took here, or that it takes long; null for quick ones. */
export function costMark(method: MethodSpec, known: Cost | null): string | null {
  if (method.quick) return null;
  return known === null ? "slow" : formatSeconds(known.seconds);
}

/** What a slow method costs, in a sentence. */
export function costWords(known: Cost | null): string {
  const words = "It runs the network many times, which takes from seconds to minutes";
  return known === null ? `${words}.` : `${words}; the last time ${formatSeconds(known.seconds)}, for ${formatPasses(known.passes)}.`;
}
