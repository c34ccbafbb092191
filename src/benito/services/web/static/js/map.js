// The map on a canvas: places come from the server, states from events; keyboard and mouse choose nodes and links.

import cytoscape from "../vendor/cytoscape.esm.min.mjs";
import { boxes, fitting, grown, shaped } from "./map-shape.js";
import { label, style } from "./map-style.js";

const STEP = 1.35;
/** Room for the buttons at the right. */
const PADDING = 52;
const NARROW = 640;
const NARROW_PADDING = 22;
const FOUND = 0.5;
const LARGEST = 2.2;
const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** The map in its element; `chosen(element | null)` is told what is chosen, `opened(name)` what is to be opened. */
export class ExperimentMap {
  constructor(container, asLaidOut, { chosen, opened }) {
    const drawn = shaped(asLaidOut, container.clientWidth, container.clientHeight);
    this.drawn = drawn;
    this.chosen = chosen;
    this.opened = opened;
    const many = !drawn.named;
    this.unpainted = {};
    this.painting = false;
    const fits = fitting(drawn, container.clientWidth, container.clientHeight);
    this.padding = container.clientWidth < NARROW ? NARROW_PADDING : PADDING;
    this.scale = drawn.named ? grown(drawn, fits, LARGEST) : Math.max(1, FOUND / fits);
    this.cy = cytoscape({
      container,
      elements: elements(drawn, drawn.named ? this.scale : 1),
      style: style(drawn.named, this.scale),
      layout: { name: "preset", fit: true, padding: this.padding },
      autoungrabify: true,
      boxSelectionEnabled: false,
      selectionType: "single",
      minZoom: 0.03,
      maxZoom: 6,
      textureOnViewport: many,
      hideEdgesOnViewport: many,
      hideLabelsOnViewport: many,
      pixelRatio: many ? 1 : "auto",
    });
    if (this.cy.zoom() > 1.6) this.cy.zoom(1.6).center();
    this.cy.on("select unselect", () => this.tell());
    this.cy.on("dbltap", "node[name]", (event) => this.opened(event.target.data("name")));
    this.listening = new AbortController();
    const { signal } = this.listening;
    container.addEventListener("keydown", (event) => this.key(event), { signal });
    document.addEventListener("themechange", () => this.cy.style(style(drawn.named, this.scale)), { signal });
    this.resizes = new ResizeObserver(() => this.cy.resize());
    this.resizes.observe(container);
  }

  end() {
    this.resizes.disconnect();
    this.listening.abort();
    this.cy.destroy();
  }

  tell() {
    const [element] = this.cy.$(":selected");
    this.chosen(element ?? null);
  }

  /** Show states: `moods` is `{name: good | busy | bad | failed | unknown | ""}`. */
  paint(moods) {
    Object.assign(this.unpainted, moods);
    if (this.drawn.named) this.paintNow();
    else if (!this.painting) {
      // To draw a thousand nodes takes longer than a frame: what the page says in words is shown before it.
      this.painting = true;
      requestAnimationFrame(() => setTimeout(() => this.paintNow()));
    }
  }

  paintNow() {
    const moods = this.unpainted;
    this.unpainted = {};
    this.painting = false;
    if (this.cy.destroyed()) return;
    this.cy.batch(() => {
      for (const [name, mood] of Object.entries(moods)) {
        const node = this.cy.getElementById(`n:${name}`);
        if (node.empty() || node.data("mood") === mood) continue;
        node.data({ mood, label: label(this.drawn.named ? node.data("short") : name, mood) });
      }
    });
  }

  /** Show what goes over links now: `rates` is `{link: text}`, empty text for nothing. */
  carry(rates) {
    this.cy.batch(() => {
      for (const edge of this.cy.edges()) {
        const rate = rates[edge.data("lan")];
        if (rate === undefined) continue;
        edge.toggleClass("carries", rate !== "");
        if (this.drawn.named && !edge.hasClass("spoke")) {
          edge.data("label", [edge.data("asked"), rate].filter(Boolean).join("\n"));
        }
      }
    });
  }

  choose(element) {
    if (!element || element.empty?.()) return;
    this.cy.$(":selected").unselect();
    element.select();
    const view = this.cy.extent();
    const at = element.isNode() ? element.position() : element.midpoint();
    const outside = at.x < view.x1 || at.x > view.x2 || at.y < view.y1 || at.y > view.y2;
    if (!this.drawn.named && this.cy.zoom() < 1) this.cy.zoom({ level: 1.6, position: at });
    if (outside || !this.drawn.named) this.cy.center(element);
  }

  find(name) {
    const node = this.cy.getElementById(`n:${name}`);
    this.choose(node);
    return node.nonempty();
  }

  zoom(way) {
    if (way === "fit") this.cy.fit(undefined, this.padding);
    else {
      const level = this.cy.zoom() * (way === "in" ? STEP : 1 / STEP);
      this.cy.zoom({ level, renderedPosition: { x: this.cy.width() / 2, y: this.cy.height() / 2 } });
    }
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const zooms = { "+": "in", "=": "in", "-": "out", "0": "fit" };
    if (WAYS[event.key]) this.step(...WAYS[event.key]);
    else if (zooms[event.key]) this.zoom(zooms[event.key]);
    else if (event.key === "Escape") this.cy.$(":selected").unselect();
    else if (event.key === "Enter") {
      const [node] = this.cy.$("node:selected");
      if (node?.data("name")) this.opened(node.data("name"));
    } else return;
    event.preventDefault();
  }

  /** Choose the nearest node in a direction, the first node when none is chosen. */
  step(dx, dy) {
    const nodes = this.cy.nodes("[name]");
    const [from] = this.cy.$("node[name]:selected");
    if (!from) return this.choose(nodes[0]);
    const here = from.position();
    let best = null;
    let least = Infinity;
    for (const node of nodes) {
      const x = node.position("x") - here.x;
      const y = node.position("y") - here.y;
      const ahead = x * dx + y * dy;
      const aside = Math.abs(x * dy) + Math.abs(y * dx);
      if (ahead <= 1 || ahead + 2 * aside >= least) continue;
      least = ahead + 2 * aside;
      best = node;
    }
    return this.choose(best);
  }
}

function elements(drawn, scale) {
  const at = (part) => ({ x: part.x, y: part.y });
  const groups = boxes(drawn, scale).map((box) => ({
    group: "nodes", classes: "pnode", selectable: false, position: at(box),
    data: { id: `g:${box.name}`, label: box.name, w: box.w, h: box.h },
  }));
  const nodes = drawn.nodes.map((node) => ({
    group: "nodes", classes: node.kind, position: at(node),
    data: { id: `n:${node.name}`, name: node.name, short: node.short, label: drawn.named ? node.short : node.name, w: node.w * scale, h: node.h * scale, mood: "" },
  }));
  const lans = drawn.lans.map((lan) => ({
    group: "nodes", classes: "lan", position: at(lan),
    data: { id: `l:${lan.name}`, lan: lan.name, label: `${lan.short} ${lan.label}`.trim(), w: (lan.w + (drawn.named ? 20 : 0)) * scale, h: lan.h * scale },
  }));
  const edges = drawn.edges.map((edge, number) => ({
    group: "edges", classes: edge.spoke ? "spoke" : "",
    data: { id: `e:${number}`, source: edge.a, target: edge.b, lan: edge.lan, ...(edge.label ? { label: edge.label } : {}), asked: edge.label },
  }));
  return [...groups, ...edges, ...nodes, ...lans];
}
