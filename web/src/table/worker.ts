/** Answers from a large table beside the page, so that the page goes on meanwhile. */

import { inPage, type Answerer, type FromWorker, type ToWorker } from "./answerer";

let answerer: Answerer | null = null;

function say(message: FromWorker, transferred: Transferable[] = []): void {
  // In a worker, the second argument lists what is handed over.
  (postMessage as (message: FromWorker, transferred: Transferable[]) => void)(message, transferred);
}

addEventListener("message", async ({ data }: MessageEvent<ToWorker>) => {
  if ("table" in data) {
    answerer = inPage(data.table);
    return say({ ready: true });
  }
  const answer = (await answerer?.ask(data.question)) ?? null;
  say({ number: data.number, answer }, answer ? [answer.values.buffer as ArrayBuffer] : []);
});
