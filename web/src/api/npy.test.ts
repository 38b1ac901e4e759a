import { describe, expect, it } from "vitest";
import { halfToNumber, parseNpy } from "./npy";

/** A `.npy` file as NumPy writes it, header padded to 64 bytes. */
function npy(type: string, shape: string, body: ArrayBufferView, { order = "False", version = 1 } = {}): ArrayBuffer {
  const prefix = version === 1 ? 10 : 12;
  const text = `{'descr': '${type}', 'fortran_order': ${order}, 'shape': ${shape}, }`;
  const length = Math.ceil((prefix + text.length + 1) / 64) * 64 - prefix;
  const bytes = new Uint8Array(prefix + length + body.byteLength);
  bytes.set([0x93, ...[..."NUMPY"].map((letter) => letter.charCodeAt(0)), version, 0]);
  const view = new DataView(bytes.buffer);
  if (version === 1) view.setUint16(8, length, true);
  else view.setUint32(8, length, true);
  bytes.set(new TextEncoder().encode(`${text.padEnd(length - 1)}\n`), prefix);
  bytes.set(new Uint8Array(body.buffer, body.byteOffset, body.byteLength), prefix + length);
  return bytes.buffer;
}

describe("parseNpy", () => {
  it.each([
    ["<f4", new Float32Array([0, -1.5, 3e-5, 7, 8, 9])],
    ["<f8", new Float64Array([0, -1.5, 3e-5, 7, 8, 9])],
    ["|u1", new Uint8Array([0, 1, 2, 253, 254, 255])],
    ["<u2", new Uint16Array([0, 1, 2, 300, 65534, 65535])],
    ["<i4", new Int32Array([0, -1, 2, 70000, -70000, 5])],
  ])("reads %s as it was written", (type, data) => {
    const array = parseNpy(npy(type, "(2, 3)", data));
    expect(array.shape).toEqual([2, 3]);
    expect(array.data).toEqual(data);
  });

  it("reads float16 as float32", () => {
    const bits = new Uint16Array([0x0000, 0x3c00, 0xc000, 0x0001, 0x7bff, 0x3555]);
    const { data } = parseNpy(npy("<f2", "(6,)", bits));
    expect(data).toBeInstanceOf(Float32Array);
    expect([...data.slice(0, 5)]).toEqual([0, 1, -2, 2 ** -24, 65504]);
    expect(data[5]).toBeCloseTo(1 / 3, 3);
  });

  it("reads headers of version 2", () => {
    expect([...parseNpy(npy("|u1", "(3,)", new Uint8Array([4, 5, 6]), { version: 2 })).data]).toEqual([4, 5, 6]);
  });

  it("refuses what is not .npy", () => {
    expect(() => parseNpy(new TextEncoder().encode("<html></html>").buffer)).toThrow("not a .npy array");
  });

  it("refuses an array that is cut short", () => {
    expect(() => parseNpy(npy("<f4", "(2, 3)", new Float32Array(5)))).toThrow("24 bytes expected, 20 came");
  });

  it("refuses column-major order and unknown types", () => {
    expect(() => parseNpy(npy("<f4", "(1, 1)", new Float32Array(1), { order: "True" }))).toThrow("Column-major");
    expect(() => parseNpy(npy("<c8", "(1,)", new Float32Array(2)))).toThrow("type <c8");
  });
});

describe("halfToNumber", () => {
  it("knows infinities and what is no number", () => {
    expect(halfToNumber(0x7c00)).toBe(Infinity);
    expect(halfToNumber(0xfc00)).toBe(-Infinity);
    expect(halfToNumber(0x7e00)).toBeNaN();
  });
});
