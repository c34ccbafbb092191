// The table of links: what goes over each now, and round trips when somebody has them measured.

import { all, fill, make, one } from "./dom.js";

const UNITS = ["b/s", "kb/s", "Mb/s", "Gb/s"];

/** Bits a second for people. */
export function rate(bits) {
  let unit = 0;
  let value = bits;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** Both directions in one line; empty when nothing goes either way. */
export const traffic = ([forward, backward]) => (forward || backward ? `→ ${rate(forward)}  ← ${rate(backward)}` : "");

export class LinkTable {
  constructor(root) {
    this.rows = new Map(all("tr[data-link]", root).map((row) => [row.dataset.link, row]));
    this.now = new Map();
  }

  /** Take `{link: [forward b/s, backward b/s, lost, dropped]}`. */
  learn(links) {
    for (const [name, counted] of Object.entries(links)) {
      this.now.set(name, counted);
      const row = this.rows.get(name);
      if (!row) continue;
      one("[data-rate]", row).textContent = traffic(counted) || "idle";
      one("[data-lost]", row).textContent = `${counted[2]} / ${counted[3]}`;
    }
  }

  /** Take measurements: `[{lan, text, bad}]`. */
  measured(results) {
    for (const { lan, text, bad } of results) {
      const row = this.rows.get(lan);
      if (row) fill(one("[data-rtt]", row), make("span", { class: bad ? "status bad" : "" }, text));
    }
  }

  facts(name) {
    const row = this.rows.get(name);
    if (!row) return [];
    const text = (at) => [...row.cells[at].children].map((part) => part.innerText ?? part.textContent).join("\n") || row.cells[at].textContent;
    return [["Between", row.cells[1].textContent], ["Asked", text(2).trim()], ["Traffic now", row.cells[3].textContent], ["Lost / dropped", row.cells[4].textContent], ["Round trip", row.cells[5].textContent.trim()]];
  }
}
