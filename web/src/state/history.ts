/** Steps that can be taken back and forth. */

export interface History<T> {
  past: readonly T[];
  future: readonly T[];
}

export const EMPTY_HISTORY: History<never> = { past: [], future: [] };

const LONGEST = 100;

/** The history after a step from the present to something new. */
export function record<T>({ past }: History<T>, present: T): History<T> {
  return { past: [...past, present].slice(-LONGEST), future: [] };
}

export interface Move<T> {
  history: History<T>;
  present: T;
}

/** One step back, or null where there is none. */
export function undo<T>({ past, future }: History<T>, present: T): Move<T> | null {
  if (past.length === 0) return null;
  return { history: { past: past.slice(0, -1), future: [present, ...future] }, present: past.at(-1)! };
}

/** One step forth again, or null where there is none. */
export function redo<T>({ past, future }: History<T>, present: T): Move<T> | null {
  if (future.length === 0) return null;
  return { history: { past: [...past, present], future: future.slice(1) }, present: future[0]! };
}
