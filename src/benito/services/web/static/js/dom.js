// Small tools for elements. Text is only ever set as text: nothing that comes from a node or a file becomes markup.

const SVG = "http://www.w3.org/2000/svg";
const SPRITE = new URL("../icons.svg", import.meta.url).pathname;

export const one = (selector, root = document) => root.querySelector(selector);
export const all = (selector, root = document) => [...root.querySelectorAll(selector)];

/** Make an element: `make("p", {class: "soft"}, "text", child)`. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== ""));
  return element;
}

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `${SPRITE}#${name}`);
  svg.append(use);
  return svg;
}

/** A state as colour, icon and words: `{tone, icon, text}`. */
export const status = (look) => make("span", { class: `status ${look.tone}` }, icon(look.icon), look.text);
export const chip = (look) => make("span", { class: `chip ${look.tone}` }, icon(look.icon), look.text);

export function fill(element, ...children) {
  element.replaceChildren(...children.filter(Boolean));
}
