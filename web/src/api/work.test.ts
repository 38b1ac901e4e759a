import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { WorkProgress } from "./types";
import { describeLeft, describeTold, followed, workName, type Told } from "./work";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A server that is looked at, and answers when told to. */
function server(states: readonly WorkProgress[]): { look: ReturnType<typeof vi.fn<(name: string, signal: AbortSignal) => Promise<WorkProgress>>>; ask: (name: string) => Promise<string>; answer: (text: string) => void; names: string[] } {
  const names: string[] = [];
  let answer: (text: string) => void = () => undefined;
  const left = [...states];
  const look = vi.fn((_name: string, _signal: AbortSignal) => {
    const next = left.shift();
    return next === undefined ? Promise.reject(new Error("gone")) : Promise.resolve(next);
  });
  const ask = (name: string): Promise<string> => {
    names.push(name);
    return new Promise((resolve) => (answer = resolve));
  };
  return { look, ask, answer: (text) => answer(text), names };
}

describe("workName", () => {
  it("is 32 hexadecimal digits, never the same", () => {
    expect(workName()).toMatch(/^[0-9a-f]{32}$/);
    expect(workName()).not.toBe(workName());
  });
});

describe("followed", () => {
  it("tells how far the request is, and stops with its answer", async () => {
    const { look, ask, answer, names } = server([
      { state: "unknown", share: 0, ahead: 0 },
      { state: "waiting", share: 0, ahead: 2 },
      { state: "running", share: 0.5, ahead: 0 },
    ]);
    const told: Told[] = [];
    const result = followed(ask, look, (entry) => told.push(entry), new AbortController().signal);
    await vi.advanceTimersByTimeAsync(1000);
    expect(told).toEqual([{ share: 0, ahead: 2, left: null }, { share: 0.5, ahead: null, left: null }]);
    expect(look.mock.calls.every(([name]) => name === names[0])).toBe(true);
    answer("map");
    expect(await result).toBe("map");
    const looks = look.mock.calls.length;
    await vi.advanceTimersByTimeAsync(2000);
    expect(look.mock.calls).toHaveLength(looks);
  });

  it("doesn't look once nobody waits, nor at what is answered at once", async () => {
    const { look, ask, answer } = server([{ state: "running", share: 0.5, ahead: 0 }]);
    const controller = new AbortController();
    void followed(ask, look, () => expect.unreachable(), controller.signal);
    controller.abort();
    await vi.advanceTimersByTimeAsync(2000);
    const quick = followed(ask, look, () => expect.unreachable(), new AbortController().signal);
    answer("map");
    await quick;
    await vi.advanceTimersByTimeAsync(2000);
    expect(look).not.toHaveBeenCalled();
  });

  it("hands on the request's failure, and stops", async () => {
    const look = vi.fn(() => Promise.reject(new Error("no")));
    const failing = followed(() => Promise.reject(new Error("refused")), look, () => undefined, new AbortController().signal);
    await expect(failing).rejects.toThrow("refused");
    await vi.advanceTimersByTimeAsync(2000);
    expect(look).not.toHaveBeenCalled();
  });
});

describe("the time that is left", () => {
  it("is told after a while, by what was done since", async () => {
    const states = Array.from({ length: 20 }, (_, i) => ({ state: "running" as const, share: 0.1 + i / 100, ahead: 0 }));
    const { look, ask } = server(states);
    const told: Told[] = [];
    void followed(ask, look, (entry) => told.push(entry), new AbortController().signal).catch(() => undefined);
    await vi.advanceTimersByTimeAsync(3000);
    expect(told[0]!.left).toBeNull();
    // A hundredth in each quarter of a second.
    expect(told[10]!.left).toBeCloseTo((1 - told[10]!.share) * 25, 6);
  });

  it("is written in steps", () => {
    const words = (left: number | null): string => describeLeft({ share: 0.5, ahead: null, left });
    expect([null, 0.2, 3.2, 41, 57, 130].map(words)).toEqual(["", "", "about 4 s left", "about 45 s left", "about 1 min left", "about 3 min left"]);
    expect(describeLeft(null)).toBe("");
  });
});

describe("describeTold", () => {
  it("says how far it is, or what it waits for", () => {
    expect(describeTold(null)).toBe("");
    expect(describeTold({ share: 0.999, ahead: null })).toBe("99 %");
    expect(describeTold({ share: 0.0239, ahead: null })).toBe("2.3 %");
    expect(describeTold({ share: 0, ahead: null })).toBe("0 %");
    expect(describeTold({ share: 0, ahead: 0 })).toBe("waiting for its turn");
    expect(describeTold({ share: 0, ahead: 1 })).toBe("waiting for 1 other question");
    expect(describeTold({ share: 0, ahead: 3 })).toBe("waiting for 3 other questions");
  });
});
