// @vitest-environment jsdom
import { describe, expect, it, vi } from "vitest";
import { ApiError } from "../api/client";
import { Latest } from "./latest.svelte";

function questions(): { asked: string[]; answer: (text: string) => Promise<void>; fail: () => Promise<void>; fetch: (key: string) => (signal: AbortSignal) => Promise<string>; signals: AbortSignal[] } {
  const asked: string[] = [];
  const signals: AbortSignal[] = [];
  let keep: (text: string) => void = () => undefined;
  let refuse: (error: unknown) => void = () => undefined;
  const settle = async (act: () => void): Promise<void> => {
    act();
    await Promise.resolve();
    await new Promise((done) => setTimeout(done));
  };
  return {
    asked,
    signals,
    answer: (text) => settle(() => keep(text)),
    fail: () => settle(() => refuse(new ApiError("cannot-explain", "No.", 422))),
    fetch: (key) => (signal) => {
      asked.push(key);
      signals.push(signal);
      return new Promise((resolve, reject) => ([keep, refuse] = [resolve, reject]));
    },
  };
}

describe("Latest", () => {
  it("asks one thing at a time, and then the latest", async () => {
    const latest = new Latest<string>();
    const { asked, answer, fetch } = questions();
    for (const key of ["a", "b", "c", "d"]) latest.ask(key, fetch(key));
    expect(asked).toEqual(["a"]);
    await answer("A");
    expect(latest.value).toBe("A");
    expect(asked).toEqual(["a", "d"]);
    await answer("D");
    expect(latest.value).toBe("D");
    expect(asked).toEqual(["a", "d"]);
  });

  it("does not ask again for what it shows", async () => {
    const latest = new Latest<string>();
    const { asked, answer, fetch } = questions();
    latest.ask("a", fetch("a"));
    await answer("A");
    latest.ask("a", fetch("a"));
    expect(asked).toEqual(["a"]);
    latest.ask("b", fetch("b"));
    expect(asked).toEqual(["a", "b"]);
  });

  it("shows nothing that comes after the end", async () => {
    const latest = new Latest<string>();
    const { answer, fetch, signals, asked } = questions();
    latest.ask("a", fetch("a"));
    latest.stop();
    expect(signals[0]!.aborted).toBe(true);
    await answer("A");
    expect(latest.value).toBeNull();
    latest.ask("a", fetch("a"));
    await vi.waitFor(() => expect(asked).toEqual(["a", "a"]));
    await answer("A again");
    expect(latest.value).toBe("A again");
  });

  it("goes on after a failure", async () => {
    const latest = new Latest<string>();
    const { answer, fail, fetch } = questions();
    latest.ask("a", fetch("a"));
    latest.ask("b", fetch("b"));
    await fail();
    expect(latest.error?.message).toBe("No.");
    await answer("B");
    expect(latest.error).toBeNull();
    expect(latest.value).toBe("B");
  });
});
