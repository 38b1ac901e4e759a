/** SVG as text, safe whatever names it holds. */

export type Attributes = Readonly<Record<string, string | number>>;

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;" };

/** Text that means itself in XML; characters that XML can't hold become question marks. */
export function escapeXml(text: string): string {
  return (
    text
      // eslint-disable-next-line no-control-regex
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "?")
      .replace(/[&<>"']/g, (character) => ENTITIES[character]!)
  );
}

/** Three decimals are finer than any print. */
export function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

/** An element; its children are markup already. */
export function element(name: string, attributes: Attributes, ...children: readonly string[]): string {
  const written = Object.entries(attributes).map(([key, value]) => ` ${key}="${typeof value === "number" ? round(value) : escapeXml(value)}"`);
  return children.length === 0 ? `<${name}${written.join("")}/>` : `<${name}${written.join("")}>${children.join("")}</${name}>`;
}

export function textElement(text: string, attributes: Attributes): string {
  return element("text", attributes, escapeXml(text));
}
