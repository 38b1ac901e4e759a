/** Who answers from a table: the page itself where that is done within a frame, a worker beside it otherwise. */

import { parseNpz } from "../api/npz";
import { answerOf, linksOf, readTable, type TableAnswer, type TableQuestion } from "./table";

export interface Answerer {
  /** Null where the region is empty, or nothing there depends on the layer. */
  ask(question: TableQuestion): Promise<TableAnswer | null>;
  close(): void;
}

/** What a worker is told, and what it says. */
export type ToWorker = { table: ArrayBuffer } | { number: number; question: TableQuestion };
export type FromWorker = { ready: true } | { number: number; answer: TableAnswer | null };

/** Bytes of a table whose sums take a few milliseconds; handing them to a worker and back would cost a frame. */
const QUICK = 8 * 2 ** 20;

export async function openTable(table: ArrayBuffer): Promise<Answerer> {
  return table.byteLength <= QUICK ? inPage(table) : besides(table);
}

export function inPage(content: ArrayBuffer): Answerer {
  const table = readTable(parseNpz(content));
  const links = linksOf(table.description);
  return { ask: async (question) => answerOf(table, links, question), close: () => {} };
}

function besides(content: ArrayBuffer): Promise<Answerer> {
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  const waiting = new Map<number, (answer: TableAnswer | null) => void>();
  let asked = 0;
  const tell = (message: ToWorker, transferred: Transferable[] = []): void => worker.postMessage(message, transferred);
  const answerer: Answerer = {
    ask: (question) =>
      new Promise((resolve) => {
        const number = ++asked;
        waiting.set(number, resolve);
        tell({ number, question });
      }),
    close: () => worker.terminate(),
  };
  return new Promise((resolve, reject) => {
    worker.onerror = (event) => reject(new Error(event.message));
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      if ("ready" in data) return resolve(answerer);
      waiting.get(data.number)?.(data.answer);
      waiting.delete(data.number);
    };
    tell({ table: content }, [content]);
  });
}
