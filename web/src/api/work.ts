/** Requests that take long, followed from beside. */

import type { WorkProgress } from "./types";

/** How far the server is: it waits for others, or has done this share, 0 to 1. */
export interface Told {
  share: number;
  /** How many others wait before it; null once it has begun. */
  ahead: number | null;
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
  while (!signal.aborted) {
    await pause(signal);
    if (signal.aborted) return;
    try {
      const { state, share, ahead } = await look(name, signal);
      if (!signal.aborted && state !== "unknown") tell({ share, ahead: state === "waiting" ? ahead : null });
    } catch {
      // The request itself says what is wrong.
    }
  }
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
  if (told.ahead === null) return `${Math.floor(told.share * 100)} %`;
  return told.ahead === 0 ? "waiting for its turn" : `waiting for ${told.ahead} ${told.ahead === 1 ? "other question" : "other questions"}`;
}
