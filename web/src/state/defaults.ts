/** What is taken where nothing was chosen. */

import type { MethodSpec, ModelClass, ParameterValue, Prediction } from "../api/types";

/** More classes than can be seen at once. */
const MANY = 12;

/** Classes as the legend lists them: where they are many, those that the image holds come first, the largest on top. */
export function legendOrder(classes: readonly ModelClass[], prediction: Prediction | null): readonly ModelClass[] {
  if (classes.length <= MANY || prediction === null) return classes;
  const shares = new Map(prediction.classes.map(({ name, share }) => [name, share]));
  return [...classes].sort((one, other) => (shares.get(other.name) ?? 0) - (shares.get(one.name) ?? 0));
}

/** The largest predicted class that isn't the background; null until the prediction is known. */
export function defaultClass(classes: readonly ModelClass[], prediction: Prediction | null): ModelClass | null {
  if (prediction === null) return null;
  const largest = (pool: readonly { name: string; share: number }[]): string | undefined =>
    pool.reduce<{ name: string; share: number } | null>((best, entry) => (entry.share > (best?.share ?? 0) ? entry : best), null)?.name;
  const foreground = prediction.classes.filter((entry) => entry.name.toLowerCase() !== "background");
  const name = largest(foreground) ?? largest(prediction.classes);
  return classes.find((entry) => entry.name === name) ?? classes[0] ?? null;
}

/** The entry before or after the present one; null at the ends. From nowhere, the first. */
export function neighbour<T>(entries: readonly T[], present: T | null, step: 1 | -1): T | null {
  const position = present === null ? -1 : entries.indexOf(present);
  return (position < 0 ? entries[0] : entries[position + step]) ?? null;
}

/** The method itself where it is quick; else one that can answer for all layers at once in its place, Grad-CAM if it is there. */
export function quickStandIn(methods: readonly MethodSpec[], method: MethodSpec | null): MethodSpec | null {
  if (method === null || method.quick) return method;
  const quick = methods.filter((entry) => entry.quick);
  return quick.find((entry) => entry.name === "grad-cam") ?? quick.find((entry) => entry.at === "layer") ?? quick[0] ?? null;
}

/** Only parameters that the method has, so that a link made with another method does no harm. */
export function ownParameters(method: MethodSpec, chosen: Readonly<Record<string, ParameterValue>>): Record<string, ParameterValue> {
  return Object.fromEntries(Object.entries(chosen).filter(([name]) => method.parameters.some((parameter) => parameter.name === name)));
}
