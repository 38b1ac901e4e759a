import { afterEach, describe, expect, it, vi } from "vitest";
import { ApiError, getAttribution, getModel, getPrediction } from "./client";

const signal = new AbortController().signal;

function answer(response: Response): ReturnType<typeof vi.fn<typeof fetch>> {
  const fake = vi.fn<typeof fetch>().mockResolvedValue(response);
  vi.stubGlobal("fetch", fake);
  return fake;
}

afterEach(() => vi.unstubAllGlobals());

describe("client", () => {
  it("makes an ApiError of the server's error body", async () => {
    answer(Response.json({ error: { code: "unknown-name", message: "There is no image 'x'." } }, { status: 404 }));
    await expect(getPrediction("x", signal)).rejects.toMatchObject({ name: "ApiError", code: "unknown-name", status: 404, message: "There is no image 'x'." });
  });

  it("makes an ApiError of any other failure", async () => {
    answer(new Response("Bad Gateway", { status: 502 }));
    await expect(getModel(signal)).rejects.toMatchObject({ code: "unexpected-answer", status: 502 });
  });

  it("says so when the server can't be reached", async () => {
    vi.stubGlobal("fetch", vi.fn<typeof fetch>().mockRejectedValue(new TypeError("Failed to fetch")));
    await expect(getModel(signal)).rejects.toMatchObject({ code: "no-connection", status: 0 });
  });

  it("lets a cancelled request stay a cancelled request", async () => {
    const controller = new AbortController();
    controller.abort();
    vi.stubGlobal("fetch", vi.fn<typeof fetch>().mockRejectedValue(controller.signal.reason));
    await expect(getModel(controller.signal)).rejects.not.toBeInstanceOf(ApiError);
  });

  it("escapes names in addresses", async () => {
    const fake = answer(Response.json({}));
    await getPrediction("a/b ?", signal);
    expect(fake.mock.calls[0]?.[0]).toBe("./api/images/a%2Fb%20%3F/prediction");
  });

  it("wants to know where a map came from", async () => {
    answer(new Response(new ArrayBuffer(0)));
    const body = { class: "cap", against: null, region: null, layer: null, method: "grad-cam", score: "logit", parameters: {} } as const;
    await expect(getAttribution("x", body, signal)).rejects.toMatchObject({ code: "unexpected-answer" });
  });
});
