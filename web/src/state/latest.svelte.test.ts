// @vitest-environment jsdom
import { describe, expect, it, vi } from "vitest";
import { ApiError } from "../api/client";
import { Latest } from "./latest.svelte";

interface Questions {
  asked: string[];
  signals: AbortSignal[];
  fetch: (key: string) => (signal: AbortSignal) => Promise<string>;
  /** Answer the question that was asked last by this key, with the key in capitals. */
  answer: (key: string) => Promise<void>;
  fail: (key: string) => Promise<void>;
}

function questions(): Questions {
  const asked: string[] = [];
  const signals: AbortSignal[] = [];
  const open = new Map<string, [(text: string) => void, (error: unknown) => void]>();
  const settle = async (act: () => void): Promise<void> => {
    act();
    await Promise.resolve();
    await new Promise((done) => setTimeout(done));
  };
  return {
    asked,
    signals,
    answer: (key) => settle(() => open.get(key)![0](key.toUpperCase())),
    fail: (key) => settle(() => open.get(key)![1](new ApiError("cannot-explain", "No.", 422))),
    fetch: (key) => (signal) => {
      asked.push(key);
      signals.push(signal);
      return new Promise((resolve, reject) => open.set(key, [resolve, reject]));
    },
  };
}

describe("Latest", () => {
  it("asks two things at a time, and then the latest", async () => {
    const latest = new Latest<string>();
    const { asked, answer, fetch } = questions();
    for (const key of ["a", "b", "c", "d"]) latest.ask(key, fetch(key));
    expect(asked).toEqual(["a", "b"]);
    await answer("a");
    expect(latest.value).toBe("A");
    expect(asked).toEqual(["a", "b", "d"]);
    await answer("b");
    await answer("d");
    expect(latest.value).toBe("D");
    expect(asked).toEqual(["a", "b", "d"]);
  });

  it("keeps a later answer when an earlier one comes after it", async () => {
    const latest = new Latest<string>();
    const { answer, fail, fetch } = questions();
    for (const key of ["a", "b"]) latest.ask(key, fetch(key));
    await answer("b");
    await answer("a");
    expect(latest.value).toBe("B");
    for (const key of ["c", "d"]) latest.ask(key, fetch(key));
    await answer("d");
    await fail("c");
    expect(latest.value).toBe("D");
    expect(latest.error).toBeNull();
  });

  it("does not ask again for what it shows", async () => {
    const latest = new Latest<string>();
    const { asked, answer, fetch } = questions();
    latest.ask("a", fetch("a"));
    await answer("a");
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
    await answer("a");
    expect(latest.value).toBeNull();
    latest.ask("a", fetch("a"));
    await vi.waitFor(() => expect(asked).toEqual(["a", "a"]));
    await answer("a");
    expect(latest.value).toBe("A");
  });

  it("goes on after a failure", async () => {
    const latest = new Latest<string>();
    const { answer, fail, fetch } = questions();
    latest.ask("a", fetch("a"));
    latest.ask("b", fetch("b"));
    await fail("a");
    expect(latest.error?.message).toBe("No.");
    await answer("b");
    expect(latest.error).toBeNull();
    expect(latest.value).toBe("B");
  });
});
