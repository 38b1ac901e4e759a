import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Thumbnails } from "./thumbnails";

interface Call {
  id: string;
  signal: AbortSignal;
  answer: (picture: Blob) => void;
  fail: (error: Error) => void;
}

let calls: Call[] = [];
let revoked: string[] = [];
const fetch = (id: string, signal: AbortSignal): Promise<Blob> => new Promise((answer, fail) => calls.push({ id, signal, answer, fail }));
const settle = (): Promise<void> => new Promise((done) => setTimeout(done));

async function answerAll(): Promise<void> {
  for (let i = 0; i < calls.length; i += 1) {
    calls[i]!.answer(new Blob([calls[i]!.id]));
    await settle();
  }
}

beforeEach(() => {
  [calls, revoked] = [[], []];
  let number = 0;
  vi.stubGlobal("URL", Object.assign(class extends URL {}, { createObjectURL: () => `blob:${(number += 1)}`, revokeObjectURL: (address: string) => revoked.push(address) }));
});
afterEach(() => vi.unstubAllGlobals());

const names = (count: number, from = 0): string[] => Array.from({ length: count }, (_, i) => `i${from + i}`);

describe("Thumbnails", () => {
  it("fetches a few at a time, the most urgent first, each once", async () => {
    const thumbnails = new Thumbnails(fetch, 100);
    thumbnails.want(names(10));
    expect(calls.map(({ id }) => id)).toEqual(names(4));
    await answerAll();
    thumbnails.want(names(10));
    expect(calls.map(({ id }) => id)).toEqual(names(10));
    expect(names(10).every((id) => thumbnails.of(id) !== null)).toBe(true);
  });

  it("drops those that went out of sight before they came", async () => {
    const thumbnails = new Thumbnails(fetch, 100);
    thumbnails.want(names(4));
    thumbnails.want(names(4, 100));
    expect(calls.map(({ signal }) => signal.aborted)).toEqual([true, true, true, true, false, false, false, false]);
    await answerAll();
    expect(thumbnails.of("i0")).toBeNull();
    expect(thumbnails.of("i100")).not.toBeNull();
  });

  it("forgets the oldest beyond its bound, never what is in sight", async () => {
    const thumbnails = new Thumbnails(fetch, 6);
    thumbnails.want(names(6));
    await answerAll();
    thumbnails.want(names(4, 10));
    await answerAll();
    expect(names(4, 10).every((id) => thumbnails.of(id) !== null)).toBe(true);
    expect(names(6).filter((id) => thumbnails.of(id) !== null)).toHaveLength(2);
    expect(revoked).toHaveLength(4);
  });

  it("asks once for a picture that can't be had", async () => {
    const thumbnails = new Thumbnails(fetch, 100);
    thumbnails.want(["bad"]);
    calls[0]!.fail(new Error("damaged"));
    await settle();
    thumbnails.want(["bad"]);
    expect(calls).toHaveLength(1);
    expect(thumbnails.of("bad")).toBeNull();
  });
});
