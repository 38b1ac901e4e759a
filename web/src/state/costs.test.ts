import { describe, expect, it } from "vitest";
import type { MethodSpec } from "../api/types";
import { costMark, costWords, formatPasses, formatSeconds } from "./costs.svelte";
import { quickStandIn } from "./defaults";

const method: MethodSpec = { name: "rise", title: "RISE", family: "perturbation", quick: false, tabled: false, summary: "", citation: "", url: "", cannot: "", signed: false, at: "input", parameters: [] };

describe("costs", () => {
  it("are written short", () => {
    expect([0.0001, 0.004, 0.04, 0.3, 3.21, 12.4, 89, 100, 600].map(formatSeconds)).toEqual(["< 0.001 s", "0.004 s", "0.04 s", "0.3 s", "3.2 s", "12 s", "89 s", "2 min", "10 min"]);
    expect([1, 400].map(formatPasses)).toEqual(["1 pass", "400 passes"]);
  });

  it("mark slow methods, by what was measured as soon as it is known", () => {
    expect(costMark({ ...method, quick: true }, { seconds: 3, passes: 9 })).toBeNull();
    expect(costMark(method, null)).toBe("slow");
    expect(costMark(method, { seconds: 12, passes: 400 })).toBe("12 s");
    expect(costWords(null)).toMatch(/from seconds to minutes\.$/);
    expect(costWords({ seconds: 12, passes: 400 })).toMatch(/the last time 12 s, for 400 passes\.$/);
  });
});

describe("quickStandIn", () => {
  const quick = (name: string, at: MethodSpec["at"]): MethodSpec => ({ ...method, name, at, quick: true });

  it("takes the place of slow methods alone", () => {
    const methods = [method, quick("saliency", "input"), quick("hires-cam", "layer"), quick("grad-cam", "layer")];
    expect(quickStandIn(methods, methods[1]!)?.name).toBe("saliency");
    expect(quickStandIn(methods, method)?.name).toBe("grad-cam");
    expect(quickStandIn(methods.slice(0, 3), method)?.name).toBe("hires-cam");
    expect(quickStandIn(methods.slice(0, 2), method)?.name).toBe("saliency");
    expect(quickStandIn([method], method)).toBeNull();
    expect(quickStandIn(methods, null)).toBeNull();
  });
});
