// @vitest-environment jsdom
import { flushSync } from "svelte";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiError } from "../api/client";
import { Resource } from "./resource.svelte";

interface Deferred {
  fetcher: (signal: AbortSignal) => Promise<string>;
  resolve: (value: string) => void;
  aborted: () => boolean;
}

function deferred(): Deferred {
  let signal: AbortSignal | undefined;
  let resolve: (value: string) => void = () => undefined;
  const promise = new Promise<string>((keep) => (resolve = keep));
  return { fetcher: (given) => ((signal = given), promise), resolve, aborted: () => signal?.aborted ?? false };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("Resource", () => {
  it("shows only the answer to the latest question", async () => {
    const resource = new Resource<string>();
    const [first, second] = [deferred(), deferred()];
    resource.load("a", first.fetcher);
    resource.load("b", second.fetcher);
    expect(first.aborted()).toBe(true);
    second.resolve("B");
    await vi.runAllTimersAsync();
    first.resolve("A");
    await vi.runAllTimersAsync();
    expect(resource.value).toBe("B");
    expect(resource.status).toBe("ready");
  });

  it("shows nothing old while the next one is on its way", async () => {
    const resource = new Resource<string>();
    resource.load("a", () => Promise.resolve("A"));
    await vi.runAllTimersAsync();
    resource.load("b", deferred().fetcher);
    expect(resource.value).toBeNull();
    expect(resource.status).toBe("loading");
  });

  it("asks only once for the same thing", async () => {
    const resource = new Resource<string>();
    const fetcher = vi.fn(() => Promise.resolve("A"));
    resource.load("a", fetcher);
    resource.load("a", fetcher);
    await vi.runAllTimersAsync();
    resource.load("a", fetcher);
    expect(fetcher).toHaveBeenCalledTimes(1);
  });

  it("gives at once what came not long ago, as many as it has room for, until told to forget", async () => {
    const resource = new Resource<string>(2);
    const fetcher = vi.fn((key: string) => Promise.resolve(key.toUpperCase()));
    for (const key of ["a", "b", "c"]) {
      resource.load(key, () => fetcher(key));
      await vi.runAllTimersAsync();
    }
    expect(["a", "b", "c"].map((key) => resource.has(key))).toEqual([false, true, true]);
    resource.load("b", () => fetcher("b"));
    expect([resource.status, resource.of("b")]).toEqual(["ready", "B"]);
    expect(fetcher).toHaveBeenCalledTimes(3);
    resource.forget();
    resource.load("c", () => fetcher("c"));
    expect([resource.status, resource.of("c")]).toEqual(["loading", null]);
    await vi.runAllTimersAsync();
    expect(fetcher).toHaveBeenCalledTimes(4);
  });

  it("keeps nothing unless it was given room", async () => {
    const resource = new Resource<string>();
    resource.load("a", () => Promise.resolve("A"));
    await vi.runAllTimersAsync();
    expect(resource.has("a")).toBe(false);
  });

  it("says so when a wait gets long, and stops saying so", async () => {
    const resource = new Resource<string>();
    const slow = deferred();
    resource.load("a", slow.fetcher);
    await vi.advanceTimersByTimeAsync(499);
    expect(resource.slow).toBe(false);
    await vi.advanceTimersByTimeAsync(2);
    expect(resource.slow).toBe(true);
    slow.resolve("A");
    await vi.runAllTimersAsync();
    expect(resource.slow).toBe(false);
  });

  it("keeps the server's error, and tries again when asked", async () => {
    const resource = new Resource<string>();
    const fetcher = vi.fn(() => Promise.resolve("A")).mockRejectedValueOnce(new ApiError("cannot-explain", "No.", 422));
    resource.load("a", fetcher);
    await vi.runAllTimersAsync();
    expect(resource.error?.code).toBe("cannot-explain");
    resource.load("a", fetcher);
    expect(fetcher).toHaveBeenCalledTimes(1);
    resource.retry();
    await vi.runAllTimersAsync();
    expect(resource.error).toBeNull();
    expect(resource.value).toBe("A");
  });

  it("isn't asked again by an effect when it fails", async () => {
    const resource = new Resource<string>();
    const fetcher = vi.fn(() => Promise.reject(new ApiError("cannot-explain", "No.", 422)));
    const stop = $effect.root(() => {
      $effect(() => resource.load("a", fetcher));
    });
    flushSync();
    await vi.runAllTimersAsync();
    flushSync();
    expect(resource.status).toBe("error");
    expect(fetcher).toHaveBeenCalledTimes(1);
    stop();
  });

  it("can be cancelled", async () => {
    const resource = new Resource<string>();
    const pending = deferred();
    resource.load("a", pending.fetcher);
    resource.cancel();
    pending.resolve("A");
    await vi.runAllTimersAsync();
    expect(pending.aborted()).toBe(true);
    expect(resource.value).toBeNull();
    expect(resource.error?.code).toBe("cancelled");
  });

  it("knows how far its answer is, until it is there or another one is wanted", async () => {
    const resource = new Resource<string>();
    const [first, second] = [deferred(), deferred()];
    let tell: ((told: { share: number; ahead: null }) => void) | undefined;
    resource.load("a", (signal, told) => ((tell = told), first.fetcher(signal)));
    tell?.({ share: 0.3, ahead: null });
    expect(resource.told?.share).toBe(0.3);
    resource.load("b", second.fetcher);
    expect(resource.told).toBeNull();
    tell?.({ share: 0.4, ahead: null });
    expect(resource.told).toBeNull();
    second.resolve("B");
    await vi.runAllTimersAsync();
    expect([resource.value, resource.told]).toEqual(["B", null]);
  });
});
