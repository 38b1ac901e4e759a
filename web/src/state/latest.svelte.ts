import { untrack } from "svelte";
import { ApiError } from "../api/client";

interface Wish<T> {
  key: string;
  fetch: (signal: AbortSignal) => Promise<T>;
}

/** So many at once: one is computed while the answer before it travels and is drawn. */
const AT_ONCE = 2;

/** Answers to questions that change faster than they are answered: few requests at a time, and the latest wish is next. */
export class Latest<T> {
  value = $state.raw<T | null>(null);
  error = $state.raw<ApiError | null>(null);

  #wanted: Wish<T> | null = null;
  #asked: Wish<T> | null = null;
  #controller = new AbortController();
  #underWay = 0;
  /** Questions are numbered, so that no answer takes the place of a later one's. */
  #last = 0;
  #shown = 0;

  /** Ask, now or as soon as a request under way is answered; what was wished in between is never asked. */
  ask(key: string, fetch: (signal: AbortSignal) => Promise<T>): void {
    untrack(() => {
      this.#wanted = { key, fetch };
      this.#begin();
    });
  }

  /** Want nothing more, and forget what was answered. */
  stop(): void {
    untrack(() => {
      this.#controller.abort();
      this.#controller = new AbortController();
      this.#underWay = 0;
      this.#wanted = this.#asked = null;
      this.value = null;
      this.error = null;
    });
  }

  #begin(): void {
    if (this.#wanted === null || this.#wanted.key === this.#asked?.key || this.#underWay >= AT_ONCE) return;
    this.#asked = this.#wanted;
    void this.#run(this.#wanted, this.#controller.signal, ++this.#last);
  }

  async #run(wish: Wish<T>, signal: AbortSignal, number: number): Promise<void> {
    this.#underWay++;
    const [value, error] = await settled(wish.fetch(signal));
    if (signal.aborted) return;
    this.#underWay--;
    if (number > this.#shown) {
      this.#shown = number;
      this.value = value;
      this.error = error;
    }
    this.#begin();
  }
}

async function settled<T>(promise: Promise<T>): Promise<[T, null] | [null, ApiError]> {
  try {
    return [await promise, null];
  } catch (error) {
    return [null, error instanceof ApiError ? error : new ApiError("unexpected", String(error), 0)];
  }
}
