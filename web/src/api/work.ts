/** Requests that take long, followed from beside. */

import type { WorkProgress } from "./types";

/** How far the server is: it waits for others, or has done this share, 0 to 1. */
export interface Told {
  share: number;
  /** How many others wait before it; null once it has begun. */
  ahead: number | null;
  /** About how many seconds the rest takes; null as long as that can't be told. */
  left?: number | null;
}

export type Tell = (told: Told) => void;

/** Milliseconds between two looks. */
const PAUSE = 250;

/** A name that nobody guesses: 32 hexadecimal digits. */
export function workName(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Send a request under a name, and look how far it is until it is answered. */
export async function followed<T>(
  ask: (name: string) => Promise<T>,
  look: (name: string, signal: AbortSignal) => Promise<WorkProgress>,
  tell: Tell,
  signal: AbortSignal,
): Promise<T> {
  const name = workName();
  const over = new AbortController();
  const answer = ask(name);
  void follow(name, look, tell, AbortSignal.any([signal, over.signal]));
  try {
    return await answer;
  } finally {
    over.abort();
  }
}

async function follow(name: string, look: (name: string, signal: AbortSignal) => Promise<WorkProgress>, tell: Tell, signal: AbortSignal): Promise<void> {
  let first: { share: number; time: number } | null = null;
  while (!signal.aborted) {
    await pause(signal);
    if (signal.aborted) return;
    try {
      const { state, share, ahead } = await look(name, signal);
      if (signal.aborted || state === "unknown") continue;
      if (state === "running") first ??= { share, time: Date.now() };
      tell({ share, ahead: state === "waiting" ? ahead : null, left: first && timeLeft(share - first.share, 1 - share, (Date.now() - first.time) / 1000) });
    } catch {
      // The request itself says what is wrong.
    }
  }
}

/** Seconds for the rest, from what was done in some seconds; early guesses are too wild to be told. */
function timeLeft(done: number, rest: number, seconds: number): number | null {
  return seconds >= 2 && done > 0 ? (rest * seconds) / done : null;
}

function pause(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, PAUSE);
    signal.addEventListener("abort", end);
  });
}

/** “34 %”, or what it waits for. */
export function describeTold(told: Told | null): string {
  if (told === null) return "";
  if (told.ahead === null) return `${told.share > 0 && told.share < 0.1 ? (Math.floor(told.share * 1000) / 10).toFixed(1) : Math.floor(told.share * 100)} %`;
  return told.ahead === 0 ? "waiting for its turn" : `waiting for ${told.ahead} ${told.ahead === 1 ? "other question" : "other questions"}`;
}

/** “about 40 s left”, in steps that don't flicker. */
export function describeLeft(told: Told | null): string {
  const left = told?.left ?? null;
  if (left === null || left < 1) return "";
  if (left < 55) return `about ${left < 10 ? Math.ceil(left) : Math.ceil(left / 5) * 5} s left`;
  return `about ${Math.ceil(left / 60)} min left`;
}
