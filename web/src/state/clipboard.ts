/** Put text on the clipboard; false where the browser doesn't let the page, as without https. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

/** Select all text of an element, so that one key copies it. */
export function selectText(node: Node): void {
  window.getSelection()?.selectAllChildren(node);
}
