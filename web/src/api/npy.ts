/** Decoding of NumPy's `.npy` format, version 1 to 3, little-endian, row-major. */

export type NumberArray = Float32Array | Float64Array | Uint8Array | Int8Array | Uint16Array | Int16Array | Uint32Array | Int32Array;

export interface NpyArray<T extends NumberArray = NumberArray> {
  shape: readonly number[];
  data: T;
}

const MAGIC = "\x93NUMPY";

type Constructor = new (buffer: ArrayBuffer) => NumberArray;

const CONSTRUCTORS: Readonly<Record<string, Constructor>> = {
  "<f4": Float32Array,
  "<f8": Float64Array,
  "|u1": Uint8Array,
  "|i1": Int8Array,
  "|b1": Uint8Array,
  "<u2": Uint16Array,
  "<i2": Int16Array,
  "<u4": Uint32Array,
  "<i4": Int32Array,
};

interface Header {
  type: string;
  shape: number[];
  start: number;
}

function readHeader(buffer: ArrayBuffer): Header {
  const bytes = new Uint8Array(buffer);
  if (bytes.length < 10 || String.fromCharCode(...bytes.subarray(0, 6)) !== MAGIC) throw new Error("The answer is not a .npy array.");
  const view = new DataView(buffer);
  const longLength = (bytes[6] ?? 1) > 1;
  const length = longLength ? view.getUint32(8, true) : view.getUint16(8, true);
  const start = (longLength ? 12 : 10) + length;
  const text = new TextDecoder().decode(bytes.subarray(longLength ? 12 : 10, start));
  const type = /'descr':\s*'([^']+)'/.exec(text)?.[1];
  const shape = /'shape':\s*\(([^)]*)\)/.exec(text)?.[1];
  if (type === undefined || shape === undefined) throw new Error("The .npy header could not be read.");
  if (/'fortran_order':\s*True/.test(text)) throw new Error("Column-major .npy arrays are not supported.");
  return { type, shape: shape.split(",").filter((part) => part.trim() !== "").map(Number), start };
}

/** Value of every float16 bit pattern. One table is faster than arithmetic for each number. */
let halfTable: Float32Array | null = null;

export function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * 2 ** -24 * fraction;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  return sign * 2 ** (exponent - 15) * (1 + fraction / 1024);
}

function decodeHalf(buffer: ArrayBuffer): Float32Array {
  halfTable ??= Float32Array.from({ length: 65536 }, (_, bits) => halfToNumber(bits));
  const table = halfTable;
  const bits = new Uint16Array(buffer);
  const values = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) values[i] = table[bits[i]!]!;
  return values;
}

/** Decode a whole `.npy` file. float16 becomes float32; every other type stays as it came. */
export function parseNpy(buffer: ArrayBuffer): NpyArray {
  const { type, shape, start } = readHeader(buffer);
  const body = buffer.slice(start);
  const constructor = CONSTRUCTORS[type];
  if (type !== "<f2" && constructor === undefined) throw new Error(`Arrays of type ${type} are not supported.`);
  const count = shape.reduce((product, length) => product * length, 1);
  const width = type === "<f2" ? 2 : Number(type.slice(2));
  if (body.byteLength !== count * width) throw new Error(`The .npy array is cut short: ${count * width} bytes expected, ${body.byteLength} came.`);
  return { shape, data: constructor === undefined ? decodeHalf(body) : new constructor(body) };
}
