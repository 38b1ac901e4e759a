/** Which images the list shows, and in which order. */

import type { ImageRecord, ImageStatistics, ModelClass } from "../api/types";
import { isDescending, type ListChoice, type NumberRange } from "./listChoice";
import { classOf, readerOf } from "./numbers";

export type Findings = ReadonlyMap<string, ImageStatistics>;

type Test = (image: ImageRecord, row: ImageStatistics | undefined) => boolean;

/** What the model doesn't know, as after a link made with another one, filters nothing. */
export function knownList(list: ListChoice, classes: readonly ModelClass[]): ListChoice {
  const known = (name: string | null): boolean => name !== null && classes.some((entry) => entry.name === name);
  const hasClass = (number: NumberRange["number"]): boolean => classOf(number) === null || known(classOf(number));
  return {
    ...list,
    sort: list.sort === "name" || hasClass(list.sort) ? list.sort : "name",
    predicted: known(list.predicted) ? list.predicted : null,
    truth: known(list.truth) ? list.truth : null,
    ranges: list.ranges.filter(({ number }) => hasClass(number)),
    plot: list.plot && hasClass(list.plot.x) && hasClass(list.plot.y) ? list.plot : null,
  };
}

function testsOf(list: ListChoice, classes: readonly ModelClass[]): Test[] {
  const tests: Test[] = [];
  const words = list.name.trim().toLowerCase();
  const index = (name: string): number => classes.find((entry) => entry.name === name)?.index ?? -1;
  if (words !== "") tests.push((image) => image.name.toLowerCase().includes(words));
  if (list.mask !== "any") tests.push((image) => image.has_truth === (list.mask === "with"));
  if (list.predicted !== null) {
    const predicted = index(list.predicted);
    tests.push((_, row) => (row?.shares[predicted] ?? 0) > 0);
  }
  if (list.truth !== null) {
    const truth = index(list.truth);
    tests.push((_, row) => (row?.true_shares?.[truth] ?? 0) > 0);
  }
  for (const { number, low, high } of list.ranges) {
    const read = readerOf(number, classes);
    tests.push((_, row) => {
      const value = read(row);
      return value !== null && value >= (low ?? -Infinity) && value <= (high ?? Infinity);
    });
  }
  return tests;
}

/** The images that pass, in order; those without the number come last, either way, and equals stay as they were given. */
export function listImages(images: readonly ImageRecord[], findings: Findings, list: ListChoice, classes: readonly ModelClass[]): readonly ImageRecord[] {
  const tests = testsOf(list, classes);
  const passing = tests.length === 0 ? images : images.filter((image) => tests.every((test) => test(image, findings.get(image.id))));
  const down = isDescending(list);
  if (list.sort === "name") return down ? passing.toReversed() : passing;
  const read = readerOf(list.sort, classes);
  const pairs = passing.map((image) => ({ image, value: read(findings.get(image.id)) }));
  pairs.sort((a, b) => {
    if (a.value === null || b.value === null) return Number(a.value === null) - Number(b.value === null);
    return down ? b.value - a.value : a.value - b.value;
  });
  return pairs.map(({ image }) => image);
}
