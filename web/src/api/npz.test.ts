import { describe, expect, it } from "vitest";
import { parseNpz } from "./npz";

/** As the server made it of maps [[1.5, -2]] and a description. */
const FILE =
  "UEsDBBQAAAAAABG/dl39z6UIiAAAAIgAAAAIAAAAbWFwcy5ucHmTTlVNUFkBAHYAeydkZXNjcic6ICc8ZjQnLCAnZm9ydHJhbl9vcmRlcic6IEZhbHNlLCAnc2hhcGUnOiAoMSwgMiksIH0gICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgCgAAwD8AAADAUEsDBBQAAAAAABG/dl1Xoc7LFAAAABQAAAAQAAAAZGVzY3JpcHRpb24uanNvbnsibWV0aG9kIjogIlx1MDBlOSJ9UEsBAhQDFAAAAAAAEb92Xf3PpQiIAAAAiAAAAAgAAAAAAAAAAAAAAIABAAAAAG1hcHMubnB5UEsBAhQDFAAAAAAAEb92XVehzssUAAAAFAAAABAAAAAAAAAAAAAAAIABrgAAAGRlc2NyaXB0aW9uLmpzb25QSwUGAAAAAAIAAgB0AAAA8AAAAAAA";

function bytes(): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(FILE), (letter) => letter.charCodeAt(0));
}

describe("parseNpz", () => {
  it("reads arrays and their description", () => {
    const { arrays, description } = parseNpz(bytes().buffer);
    expect([...arrays.keys()]).toEqual(["maps"]);
    expect(arrays.get("maps")).toEqual({ shape: [1, 2], data: new Float32Array([1.5, -2]) });
    expect(description).toEqual({ method: "é" });
  });

  it("refuses what is cut short, compressed, or something else", () => {
    expect(() => parseNpz(bytes().buffer.slice(0, 100))).toThrow("cut short");
    const compressed = bytes();
    compressed[8] = 8;
    expect(() => parseNpz(compressed.buffer)).toThrow("Compressed");
    expect(() => parseNpz(new TextEncoder().encode("<html>, say, from a proxy that failed").buffer)).toThrow("not a .npz");
  });
});
