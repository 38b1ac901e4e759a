// @vitest-environment jsdom
import { describe, expect, it } from "vitest";
import { captionOf, titleOf, type Told } from "./caption";
import { bounded, linesInBox, visibleBox } from "./crop";
import { drawFigure, type Figure } from "./figure";
import { fileName, stem } from "./fileName";
import { escapeXml } from "./svg";
import { textWidth, wrap } from "./words";

const HREF = "data:image/png;base64,AAAA";
const FIGURE: Figure = {
  title: "Why cap?",
  size: { width: 200, height: 100 },
  panels: [
    { title: "Input image", layers: [{ href: HREF, opacity: 1, sharp: false }] },
    { title: "Predicted mask", layers: [{ href: HREF, opacity: 1, sharp: true }] },
    { title: "Pixel importance", layers: [{ href: HREF, opacity: 1, sharp: false }, { href: HREF, opacity: 0.6, sharp: false }] },
  ],
  lines: [0, 0, 10, 0, 10, 0, 10, 5],
  spot: null,
  legend: [{ name: "cap", colour: "#ff0000" }, { name: "stipe", colour: "#00ff00" }],
  scale: { range: { low: 0, high: 0.5 }, signed: false, colours: ["rgb(0,0,0)", "rgb(255,255,255)"], beyond: false },
  caption: ["Why cap?", "Network · image.png."],
};

function parse(figure: Figure): Document {
  const parsed = new DOMParser().parseFromString(drawFigure(figure).svg, "image/svg+xml");
  expect(parsed.querySelector("parsererror")).toBeNull();
  return parsed;
}

function texts(parsed: Document): string[] {
  return [...parsed.querySelectorAll("text")].map((node) => node.textContent);
}

describe("figure", () => {
  it("is a standalone SVG of its size, with pictures inside and text as text", () => {
    const parsed = parse(FIGURE);
    const { size } = drawFigure(FIGURE);
    expect(parsed.documentElement.namespaceURI).toBe("http://www.w3.org/2000/svg");
    expect(parsed.documentElement.getAttribute("viewBox")).toBe(`0 0 ${size.width} ${size.height}`);
    const images = [...parsed.querySelectorAll("image")];
    expect(images.map((image) => image.getAttribute("xlink:href"))).toEqual([HREF, HREF, HREF, HREF]);
    expect(images.map((image) => image.getAttribute("opacity"))).toEqual([null, null, null, "0.6"]);
    expect(images.map((image) => image.getAttribute("image-rendering"))).toEqual([null, "pixelated", null, null]);
    expect(texts(parsed)).toEqual(expect.arrayContaining(["Input image", "Predicted mask", "Pixel importance", "cap", "stipe", "0", "0.5", "Why cap?"]));
    expect(parsed.querySelector("title")?.textContent).toBe("Why cap?");
  });

  it("asks for nothing from elsewhere, and runs nothing", () => {
    const { svg } = drawFigure(FIGURE);
    expect([...svg.matchAll(/(?:href|src)="([^"]*)"/g)].every(([, address]) => address!.startsWith("data:image/png"))).toBe(true);
    expect(svg).not.toMatch(/<script|<foreignObject|\son\w+=|url\((?!#)/);
  });

  it("keeps hostile names as text", () => {
    const name = `</text><script>alert(1)</script>"'&\u0000\ud800]]>`;
    const parsed = parse({ ...FIGURE, title: name, legend: [{ name, colour: `"/><script/>` }], caption: [name], panels: [{ ...FIGURE.panels[0]!, title: name }] });
    expect(parsed.querySelector("script")).toBeNull();
    expect(texts(parsed)).toContain(name.replace("\u0000", "?").replace("\ud800", "?"));
  });

  it("outlines the region in every picture, or points at a single pixel", () => {
    expect(parse(FIGURE).querySelectorAll("svg > svg > path")).toHaveLength(6);
    const path = parse(FIGURE).querySelector("svg > svg > path")!.getAttribute("d");
    // 200 pixels are drawn 288 units wide.
    expect(path).toBe("M0 0H14.4M14.4 0V7.2");
    const pointed = parse({ ...FIGURE, spot: { row: 1, column: 2 } });
    expect(pointed.querySelectorAll("svg > svg > path")).toHaveLength(0);
    expect(pointed.querySelector("svg > svg > circle")?.getAttribute("cx")).toBe("3.6");
    // Pixels large enough are outlined themselves.
    expect(parse({ ...FIGURE, size: { width: 20, height: 10 }, spot: { row: 1, column: 2 } }).querySelector("svg > svg > circle")).toBeNull();
  });

  it("writes the scale with its power of ten, and opens its end where values lie beyond", () => {
    const scale = { range: { low: -3e-7, high: 3e-7 }, signed: true, colours: ["rgb(0,0,0)", "rgb(9,9,9)"], beyond: true };
    const parsed = parse({ ...FIGURE, scale });
    expect(texts(parsed)).toEqual(expect.arrayContaining(["×10⁻⁷", "−2", "0", "2"]));
    expect(parsed.querySelectorAll("linearGradient stop")).toHaveLength(2);
    expect(parsed.querySelectorAll("svg > path")).toHaveLength(7);
    expect(parse({ ...FIGURE, scale: null }).querySelector("linearGradient")).toBeNull();
  });

  it("stays within bounds for images of any size", () => {
    for (const size of [{ width: 1, height: 1 }, { width: 8000, height: 6000 }, { width: 2000, height: 3 }]) {
      const drawn = drawFigure({ ...FIGURE, size }).size;
      expect(drawn.width).toBeLessThanOrEqual(2100);
      expect(drawn.height).toBeLessThanOrEqual(900);
    }
  });

  it("wraps a long legend and caption, and keeps both inside", () => {
    const legend = Array.from({ length: 30 }, (_, i) => ({ name: `a class of number ${i}`, colour: "#123456" }));
    const parsed = parse({ ...FIGURE, legend, caption: ["word ".repeat(200), "w".repeat(900)] });
    const { size } = drawFigure({ ...FIGURE, legend, caption: ["word ".repeat(200), "w".repeat(900)] });
    for (const node of parsed.querySelectorAll("text")) {
      expect(Number(node.getAttribute("x")) + textWidth(node.textContent, 12) - 20).toBeLessThanOrEqual(size.width);
      expect(Number(node.getAttribute("y"))).toBeLessThanOrEqual(size.height);
    }
  });
});

describe("caption", () => {
  const told: Told = {
    model: "Net",
    image: "a.png",
    against: null,
    method: "Grad-CAM",
    parameters: {},
    region: { kind: "everywhere" },
    score: "logit",
    header: { class: "cap", layer: "conv", region_pixels: 1, score_value: 4.321 },
    bound: null,
    least: 0,
    part: null,
  };

  it("says all that the map depends on", () => {
    expect(captionOf(told)).toEqual(["Why cap? Grad-CAM at conv, on the whole image (1 pixel); score 4.32 (mean logit).", "Net · a.png · scale of this map."]);
    expect(titleOf({ ...told, against: "stipe" })).toBe("Why cap and not stipe? a.png");
  });

  it("tells contrast, settings, held scale and the part that is in sight", () => {
    const part = { top: 10, left: 20, bottom: 30, right: 40 };
    const [first, second] = captionOf({ ...told, against: "stipe", parameters: { relu: false }, score: "probability", bound: 0.5, part });
    expect(first).toContain("Why cap and not stipe? Grad-CAM (relu = false) at conv");
    expect(first).toContain("(mean probability, cap minus stipe)");
    expect(second).toBe("Net · a.png · rows 10 to 29, columns 20 to 39 · scale held at 0.5.");
  });
});

describe("crop", () => {
  const image = { width: 100, height: 50 };

  it("is the whole image where all of it is in sight, and else the pixels that are", () => {
    expect(visibleBox({ scale: 2, left: 0, top: 50 }, image, { width: 200, height: 200 })).toEqual({ top: 0, left: 0, bottom: 50, right: 100 });
    expect(visibleBox({ scale: 4, left: -41, top: -40 }, image, { width: 100, height: 80 })).toEqual({ top: 10, left: 10, bottom: 30, right: 36 });
    expect(visibleBox({ scale: 1, left: 500, top: 500 }, image, { width: 10, height: 10 })).toEqual({ top: 0, left: 0, bottom: 1, right: 1 });
  });

  it("moves lines into the box, and leaves out those beside it", () => {
    expect(linesInBox([0, 5, 20, 5, 0, 40, 20, 40], { top: 0, left: 10, bottom: 10, right: 30 })).toEqual([-10, 5, 10, 5]);
  });

  it("bounds the longest side, and enlarges nothing", () => {
    expect(bounded({ width: 3200, height: 800 }, 1600)).toEqual({ width: 1600, height: 400 });
    expect(bounded({ width: 3, height: 2 }, 1600)).toEqual({ width: 3, height: 2 });
    expect(bounded({ width: 90_000, height: 1 }, 1600)).toEqual({ width: 1600, height: 1 });
  });
});

describe("file name", () => {
  it("is made of words that every file system takes", () => {
    expect(fileName(["farm0", "barn", "", "relu", "grad-cam"], "png")).toBe("segscope-farm0-barn-relu-grad-cam.png");
    expect(fileName(["../../etc/passwd", 'a"b<c>|?*:\n', ".hidden."], "npz")).toBe("segscope-etc-passwd-a-b-c-hidden.npz");
    expect(fileName(["蘑菇", "Größe"], "svg")).toBe("segscope-蘑菇-Größe.svg");
    expect(fileName(["x".repeat(500)], "svg")).toHaveLength(104);
    expect(stem("photo.of.me.jpg")).toBe("photo.of.me");
    expect(stem(".jpg")).toBe(".jpg");
  });
});

describe("text", () => {
  it("is escaped for XML", () => {
    expect(escapeXml(`<a b="c">&'\u0007😀`)).toBe("&lt;a b=&quot;c&quot;&gt;&amp;&apos;?😀");
  });

  it("is wrapped at words, and within them where one is longer than a line", () => {
    expect(wrap("one two three", 60, 10)).toEqual(["one two", "three"]);
    expect(wrap("", 60, 10)).toEqual([""]);
    expect(wrap("a".repeat(25), 60, 10).map((line) => line.length)).toEqual([10, 10, 5]);
  });
});
