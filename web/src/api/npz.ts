/** Decoding of `.npz` files as the server makes them: a zip archive, uncompressed, with a description beside the arrays. */

import { parseNpy, type NpyArray } from "./npy";

export interface NpzFile {
  /** By name, without `.npy`. */
  arrays: ReadonlyMap<string, NpyArray>;
  /** What `description.json` says; null where there is none. */
  description: unknown;
}

const MEMBER = 0x04034b50;
const HEADER = 30;

/** The files of a zip archive, in the order in which they follow each other. */
function readMembers(buffer: ArrayBuffer): Map<string, ArrayBuffer> {
  const view = new DataView(buffer);
  const members = new Map<string, ArrayBuffer>();
  let at = 0;
  while (at + HEADER <= buffer.byteLength && view.getUint32(at, true) === MEMBER) {
    const [flags, method, size] = [view.getUint16(at + 6, true), view.getUint16(at + 8, true), view.getUint32(at + 18, true)];
    if (method !== 0 || (flags & 8) !== 0) throw new Error("Compressed .npz files are not supported.");
    const named = at + HEADER;
    const start = named + view.getUint16(at + 26, true) + view.getUint16(at + 28, true);
    if (start + size > buffer.byteLength) throw new Error("The .npz file is cut short.");
    const name = new TextDecoder().decode(new Uint8Array(buffer, named, view.getUint16(at + 26, true)));
    members.set(name, buffer.slice(start, start + size));
    at = start + size;
  }
  if (members.size === 0) throw new Error("The answer is not a .npz file.");
  return members;
}

export function parseNpz(buffer: ArrayBuffer): NpzFile {
  const arrays = new Map<string, NpyArray>();
  let description: unknown = null;
  for (const [name, content] of readMembers(buffer)) {
    if (name.endsWith(".npy")) arrays.set(name.slice(0, -4), parseNpy(content));
    else if (name === "description.json") description = JSON.parse(new TextDecoder().decode(content));
  }
  return { arrays, description };
}
