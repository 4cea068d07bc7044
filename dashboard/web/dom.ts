// Small tools to build elements. Nothing is ever parsed as HTML.

type Child = Node | string | number | null | undefined | false;
type Props = Record<string, string | number | boolean | null | undefined | ((e: any) => void)>;

/** Makes an element. Properties that begin with "on" listen; null and false are left out. */
export function h<K extends keyof HTMLElementTagNameMap>(tag: K, props: Props = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  return fill(document.createElement(tag), props, children);
}

/** Makes an SVG element. */
export function svg<K extends keyof SVGElementTagNameMap>(tag: K, props: Props = {}, ...children: Child[]): SVGElementTagNameMap[K] {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), props, children);
}

function fill<E extends Element>(e: E, props: Props, children: Child[]): E {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") e.addEventListener(name.slice(2), value);
    else e.setAttribute(name, value === true ? "" : String(value));
  }
  for (const c of children) if (c !== null && c !== undefined && c !== false) e.append(typeof c === "number" ? String(c) : c);
  return e;
}

/** Finds the element of an id, which the page has. */
export function by<E extends HTMLElement = HTMLElement>(id: string): E {
  const e = document.getElementById(id);
  if (!e) throw new Error(`no #${id} in the page`);
  return e as E;
}

/** Sets text only when it is other, so that live regions speak of news only. */
export function say(e: Element, text: string): void {
  if (e.textContent !== text) e.textContent = text;
}

/** Replaces children when their text or number is other than before. */
export function put(e: Element, ...children: Child[]): void {
  e.replaceChildren(...children.filter((c): c is Node | string | number => c !== null && c !== undefined && c !== false).map((c) => (typeof c === "number" ? String(c) : c)));
}

/** A row of radio buttons that looks like one control. */
export function segments(into: HTMLElement, name: string, choices: [value: string, label: string][], chosen: string, on: (value: string) => void): void {
  for (const [value, label] of choices) {
    const input = h("input", { type: "radio", name, value, checked: value === chosen, onchange: () => on(value) });
    into.append(h("label", {}, input, h("span", {}, label)));
  }
}
