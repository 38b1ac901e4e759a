// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiError } from "../api/client";
import { Queue, type Job } from "./queue.svelte";

interface Ask {
  key: string;
  signal: AbortSignal;
  answer: (text: string) => Promise<void>;
  fail: () => Promise<void>;
}

/** Jobs that are answered by hand, and what was asked of them. */
function desk(): { jobs: (...keys: string[]) => Job<string>[]; asked: Ask[] } {
  const asked: Ask[] = [];
  const job = (key: string): Job<string> => ({
    key,
    fetch: (signal) =>
      new Promise((resolve, reject) => {
        const settled = async (act: () => void): Promise<void> => (act(), void (await vi.advanceTimersByTimeAsync(0)));
        asked.push({
          key,
          signal,
          answer: (text) => settled(() => resolve(text)),
          fail: () => settled(() => reject(new ApiError("cannot-explain", "No.", 422))),
        });
      }),
  });
  return { jobs: (...keys) => keys.map(job), asked };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("Queue", () => {
  it("asks for one thing after another", async () => {
    const queue = new Queue<string>();
    const { jobs, asked } = desk();
    queue.want(jobs("a", "b"));
    expect(asked.map(({ key }) => key)).toEqual(["a"]);
    await asked[0]!.answer("A");
    expect(queue.of("a")?.value).toBe("A");
    expect(asked.map(({ key }) => key)).toEqual(["a", "b"]);
    await asked[1]!.answer("B");
    expect([queue.done, queue.total, queue.running]).toEqual([2, 2, null]);
  });

  it("drops what is no longer wanted, and keeps what still is", async () => {
    const queue = new Queue<string>();
    const { jobs, asked } = desk();
    queue.want(jobs("a", "b"));
    await asked[0]!.answer("A");
    queue.want(jobs("a", "c"));
    expect(asked[1]!.signal.aborted).toBe(true);
    await asked[1]!.answer("B");
    expect(queue.of("b")).toBeNull();
    expect(queue.of("a")?.value).toBe("A");
    expect(asked.map(({ key }) => key)).toEqual(["a", "b", "c"]);
  });

  it("asks nothing while it is held, and goes on afterwards", async () => {
    const queue = new Queue<string>();
    const { jobs, asked } = desk();
    queue.want(jobs("a"), "drop");
    expect(asked).toHaveLength(0);
    queue.want(jobs("a"));
    queue.want(jobs("a"), "drop");
    expect(asked[0]!.signal.aborted).toBe(true);
    queue.want(jobs("a"));
    await asked[1]!.answer("A");
    expect(queue.of("a")?.value).toBe("A");
  });

  it("goes on after a failure, and tries again when asked", async () => {
    const queue = new Queue<string>();
    const { jobs, asked } = desk();
    queue.want(jobs("a", "b"));
    await asked[0]!.fail();
    expect(queue.of("a")?.error?.message).toBe("No.");
    await asked[1]!.answer("B");
    expect(asked).toHaveLength(2);
    queue.retry("a");
    await asked[2]!.answer("A");
    expect(queue.of("a")?.value).toBe("A");
  });

  it("can be cancelled, and taken up again", async () => {
    const queue = new Queue<string>();
    const { jobs, asked } = desk();
    queue.want(jobs("a", "b"));
    await asked[0]!.answer("A");
    queue.cancel();
    expect(asked[1]!.signal.aborted).toBe(true);
    expect([queue.cancelled, queue.of("a")?.value, queue.of("b")?.error?.code]).toEqual([true, "A", "cancelled"]);
    queue.want(jobs("a", "b"));
    expect(asked).toHaveLength(2);
    queue.retry();
    await asked[2]!.answer("B");
    expect([queue.cancelled, queue.of("b")?.value]).toEqual([false, "B"]);
  });

  it("takes an answer that is there already", async () => {
    const queue = new Queue<string>();
    const { jobs, asked } = desk();
    queue.want(jobs("a", "b"));
    queue.put("a", "A");
    expect(asked[0]!.signal.aborted).toBe(true);
    expect(queue.of("a")?.value).toBe("A");
    expect(asked[1]!.key).toBe("b");
  });

  it("says so when the whole takes long, however short its parts", async () => {
    const queue = new Queue<string>();
    const { jobs, asked } = desk();
    queue.want(jobs("a", "b", "c"));
    await vi.advanceTimersByTimeAsync(300);
    await asked[0]!.answer("A");
    expect(queue.slow).toBe(false);
    await vi.advanceTimersByTimeAsync(300);
    expect(queue.slow).toBe(true);
    await asked[1]!.answer("B");
    await asked[2]!.answer("C");
    expect(queue.slow).toBe(false);
  });

  it("brings to its end what is under way, and begins nothing more, when it is to finish", async () => {
    const queue = new Queue<string>();
    const { jobs, asked } = desk();
    queue.want(jobs("a", "b"));
    queue.want(jobs("a", "b"), "finish");
    expect(asked[0]!.signal.aborted).toBe(false);
    await asked[0]!.answer("A");
    expect(queue.of("a")?.value).toBe("A");
    expect([asked.length, queue.running]).toEqual([1, null]);
    queue.want(jobs("a", "b"));
    expect(asked.map(({ key }) => key)).toEqual(["a", "b"]);
    queue.want(jobs("a", "c"), "finish");
    expect(asked[1]!.signal.aborted).toBe(true);
    expect(asked).toHaveLength(2);
  });

  it("knows how far what is under way is, and no longer than that", async () => {
    const queue = new Queue<string>();
    let tell: ((told: { share: number; ahead: null }) => void) | undefined;
    const { jobs, asked } = desk();
    const [job] = jobs("a");
    queue.want([{ key: "a", fetch: (signal, told) => ((tell = told), job!.fetch(signal, told)) }]);
    tell?.({ share: 0.25, ahead: null });
    expect(queue.told?.share).toBe(0.25);
    await asked[0]!.answer("A");
    expect(queue.told).toBeNull();
    tell?.({ share: 0.5, ahead: null });
    expect(queue.told).toBeNull();
  });
});
