// @vitest-environment jsdom
import { flushSync } from "svelte";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { PACE, Paced } from "./paced.svelte";

let number = $state(0);
let hurries = $state(true);
let paced: Paced<number>;
let stop: () => void;

beforeEach(() => {
  vi.useFakeTimers();
  number = 0;
  hurries = true;
  paced = new Paced(() => number, () => hurries);
  stop = $effect.root(() => paced.start());
  flushSync();
  vi.advanceTimersByTime(PACE);
});

afterEach(() => {
  stop();
  vi.useRealTimers();
});

function change(to: number): number {
  number = to;
  flushSync();
  return paced.value;
}

it("reads what changes in a hurry once in a while, and always its last", () => {
  const read = new Set<number>();
  for (let to = 1; to <= 100; to++) {
    read.add(change(to));
    vi.advanceTimersByTime(PACE / 10);
  }
  expect(read.size).toBe(10);
  vi.advanceTimersByTime(PACE);
  expect(paced.value).toBe(100);
});

it("keeps up with each change where nothing hurries, and reads the first that does at once", () => {
  hurries = false;
  for (let to = 1; to <= 5; to++) expect(change(to)).toBe(to);
  hurries = true;
  expect(change(6)).toBe(6);
  expect(change(7)).toBe(6);
});
