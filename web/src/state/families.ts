/** Kinds of methods: lists of methods are grouped by them. */

import type { Family, MethodSpec } from "../api/types";

/** In the order in which they are listed. */
export const FAMILY_TITLES: Readonly<Record<Family, string>> = {
  cam: "Class activation maps",
  gradient: "Gradients",
  perturbation: "Perturbation",
  relevance: "Relevance propagation",
  attention: "Attention",
  other: "Other",
};

export const FAMILIES = Object.keys(FAMILY_TITLES) as readonly Family[];

/** Family by family; within each, as the server lists them. */
export function byFamily(methods: readonly MethodSpec[]): readonly MethodSpec[] {
  return FAMILIES.flatMap((family) => methods.filter((method) => method.family === family));
}
