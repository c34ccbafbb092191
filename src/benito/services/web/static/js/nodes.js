// The table of nodes: states as they come, a filter, sorting; what the map's side panel tells is read from its rows.

import { all, fill, one, status } from "./dom.js";
import { boot, command, mood } from "./looks.js";

/** With more changes at once than this, rows don't light up: everything would. */
const FLASHED = 50;

export class NodeTable {
  constructor(root) {
    this.table = one("[data-nodes]", root);
    this.body = one("tbody", this.table);
    this.index();
    this.filter = one("[data-filter]", root);
    this.onlyBad = one("[data-only-bad]", root);
    this.filter.addEventListener("input", () => this.sift());
    this.onlyBad.addEventListener("change", () => this.sift());
    one("thead", this.table).addEventListener("click", (event) => this.sort(event.target.closest("[data-sort]")));
    this.sift();
  }

  /** Take the rows of another table in the place of ours, with the states that it tells. */
  replace(table) {
    const body = one("tbody", table);
    this.table.toggleAttribute("data-running", table.hasAttribute("data-running"));
    this.body.replaceChildren(...body.children);
    this.index();
    this.sift();
  }

  index() {
    this.rows = new Map(all("tr[data-node]", this.body).map((row) => [row.dataset.node, row]));
    this.states = new Map();
    // Of an experiment that is swapped out, nothing is known and nothing is amiss.
    this.running = this.table.hasAttribute("data-running");
    for (const [name, row] of this.rows) {
      if (row.dataset.state) this.states.set(name, JSON.parse(row.dataset.state));
    }
  }

  /** Take `{name: [boot, code]}`. */
  learn(states, flash) {
    const news = Object.entries(states);
    for (const [name, state] of news) {
      const row = this.rows.get(name);
      const before = this.states.get(name);
      if (!row || (before && before[0] === state[0] && before[1] === state[1])) continue;
      this.states.set(name, state);
      const has = row.hasAttribute("data-command");
      fill(one("[data-boot]", row), status(boot(state)));
      const said = command(state, has);
      fill(one("[data-code]", row), said.text ? status(said) : null);
      if (flash && news.length <= FLASHED) {
        row.classList.remove("flash");
        requestAnimationFrame(() => row.classList.add("flash"));
      }
    }
    if (this.onlyBad.checked) this.sift();
  }

  sift() {
    const words = this.filter.value.trim().toLowerCase();
    let shown = 0;
    for (const [name, row] of this.rows) {
      const bad = mood(this.states.get(name) ?? [null, null]) !== "good";
      row.hidden = (words && !row.textContent.toLowerCase().includes(words)) || (this.onlyBad.checked && !bad);
      shown += row.hidden ? 0 : 1;
    }
    const root = this.table.closest(".panel");
    one("[data-shown]", root).textContent = shown === this.rows.size ? `${shown} nodes` : `${shown} of ${this.rows.size} nodes`;
    one("[data-none]", root).hidden = shown > 0;
    this.table.hidden = shown === 0;
  }

  sort(button) {
    if (!button) return;
    const header = button.closest("th");
    const way = header.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    for (const other of all("th", this.table)) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", way);
    const column = Number(button.dataset.sort);
    const compare = new Intl.Collator("en", { numeric: true }).compare;
    const keyed = [...this.rows.values()].map((row) => [row.cells[column].textContent, row]);
    keyed.sort((a, b) => (way === "ascending" ? 1 : -1) * compare(a[0], b[0]));
    this.body.append(...keyed.map(([, row]) => row));
  }

  /** What the table says of a node: `[[heading, text], ...]`. */
  facts(name) {
    const row = this.rows.get(name);
    const headings = all("th button", this.table).map((button) => button.textContent);
    return row ? headings.map((heading, at) => [heading, row.cells[at].textContent.trim()]).slice(1) : [];
  }

  counts() {
    const states = [...this.rows.keys()].map((name) => this.states.get(name) ?? [null, null]);
    return {
      booted: states.filter(([state]) => state === "booted").length,
      dead: states.filter(([state]) => state === "dead").length,
      unknown: this.running ? states.filter(([state]) => state === null).length : 0,
      failed: states.filter(([state, code]) => state !== "dead" && code).length,
    };
  }
}
