// An experiment's page: one stream of events feeds the map, the tables, the log and the progress.

import { all, fill, icon, make, one, status } from "./dom.js";
import { live } from "./live.js";
import { LinkTable, traffic } from "./links.js";
import { boot, mood } from "./looks.js";
import { ExperimentMap } from "./map.js";
import { NodeTable } from "./nodes.js";
import { csrf, send, times, toast } from "./page.js";
import { Work } from "./work.js";

const LOG_KEPT = 500;
const GONE_MS = 1500;
const root = one("[data-experiment]");
const url = root.dataset.experiment;
const nodes = new NodeTable(one("#view-nodes"));
const links = new LinkTable(root);
const work = new Work(root);
let map = null;
let selected = null;
let troubled = "";
let asked = 0;
let askedHead = 0;
/** What the stream has told of each node. */
const latest = new Map();

/** What is swapped out, or not started yet, isn't unknown. */
function moods(states) {
  const one = (state) => (nodes.running || state[0] ? mood(state) : "");
  return Object.fromEntries(Object.entries(states).map(([name, state]) => [name, one(state)]));
}

async function drawMap() {
  const place = one("[data-map]");
  const wait = one("[data-map-wait]");
  try {
    const reply = await fetch(place.dataset.map);
    if (!reply.ok) throw new Error(`${reply.status}`);
    map = new ExperimentMap(place, await reply.json(), { chosen: choose, opened: open });
    wait.hidden = true;
    map.paint(moods(Object.fromEntries(nodes.states)));
    performance.mark("map-drawn");
  } catch (error) {
    wait.textContent = `The map could not be drawn (${error.message}). The Nodes tab has everything.`;
  }
}

const open = (name) => location.assign(`${url}/nodes/${encodeURIComponent(name)}`);

/** Show what is chosen on the map in the side panel. */
function choose(element) {
  selected = element;
  const box = one("[data-chosen]");
  if (!element) {
    fill(box, make("p", { class: "soft nothing" }, "Choose a node or a link on the map."));
    return;
  }
  const name = element.data("name");
  const facts = name ? nodes.facts(name) : links.facts(element.data("lan"));
  const title = make("h2", {}, name ?? element.data("lan"));
  const list = make("dl", { class: "facts" });
  for (const [heading, text] of facts.slice(name ? 1 : 0)) if (text) list.append(make("dt", {}, heading), make("dd", {}, text));
  const state = name ? status(boot(nodes.states.get(name) ?? [null, null])) : null;
  const page = `${url}/nodes/${encodeURIComponent(name)}`;
  const steer = root.dataset.maySteer;
  const ways = name
    ? make("div", { class: "side-end" },
        make("a", { class: "button", href: page }, icon("file-text"), "Output and console"),
        steer ? make("a", { class: "button", href: `${page}#terminal` }, icon("square-terminal"), "Terminal") : "")
    : null;
  fill(box, title, state, list, ways);
  one("[data-map-said]").textContent = `${title.textContent} ${facts.map(([, text]) => text).filter(Boolean).slice(0, 3).join(", ")}`;
}

function states(changed, flash) {
  const began = performance.now();
  for (const [name, state] of Object.entries(changed)) latest.set(name, state);
  nodes.learn(changed, flash);
  map?.paint(moods(changed));
  const counts = tally();
  if (selected?.data("name") in changed) choose(selected);
  // What may be done depends on whether anything is down; which pnodes can't be reached, on what is unknown.
  const trouble = counts.booted < nodes.rows.size ? `${counts.unknown} unknown` : "";
  if (flash && trouble !== troubled) renewHead();
  troubled = trouble;
  performance.measure("states", { start: began });
}

/** Show how many nodes are how; returns it. */
function tally() {
  const counts = nodes.counts();
  for (const [name, count] of Object.entries(counts)) {
    const shown = one(`[data-stat="${name}"]`);
    if (!shown) continue;
    shown.firstChild.textContent = `${count} `;
    if (name !== "booted") shown.parentElement.classList.toggle("bad", count > 0);
  }
  const unknown = one("[data-unknown]");
  if (unknown) unknown.textContent = counts.unknown ? `${counts.unknown} unknown` : "";
  return counts;
}

function log(entries) {
  const list = one("[data-log]");
  one("[data-log-empty]").hidden = true;
  for (const [time, who, what, tone] of entries) {
    const at = new Date(time * 1000);
    list.prepend(make("li", { class: tone },
      make("time", { datetime: at.toISOString() }, at.toTimeString().slice(0, 8)),
      make("span", { class: "who" }, who), make("span", { class: "what" }, what)));
  }
  while (list.children.length > LOG_KEPT) list.lastChild.remove();
}

/** The experiment's own state has changed: take what the server's page says now, all but what is live anyway. */
async function changed({ state }) {
  if (state === "gone") {
    toast("", `${root.dataset.name} is gone`, "It was terminated, or isn't yours to see any more.");
    setTimeout(() => location.assign("/experiments"), GONE_MS);
    return;
  }
  if (state === "swapped") latest.clear();
  await renew();
}

/** Take what stands at the head, with what may be done now, from the server. */
async function renewHead() {
  const mine = (askedHead += 1);
  const reply = await fetch(`${url}/head`);
  const text = await reply.text();
  if (reply.ok && mine === askedHead) showHead(new DOMParser().parseFromString(text, "text/html").body);
}

function showHead(from) {
  const head = one('[data-fragment="head"]');
  const focused = document.activeElement?.closest?.('[data-fragment="head"] button')?.textContent;
  head.replaceChildren(...from.childNodes);
  times(head);
  if (focused) all("button", head).find((button) => button.textContent === focused)?.focus();
  tally();
}

/** Take head and node rows from the server's page. Of several that are asked for, only the last is taken. */
async function renew() {
  const mine = (asked += 1);
  const mineOfHead = (askedHead += 1);
  const reply = await fetch(url);
  const text = await reply.text();
  if (!reply.ok || mine !== asked) return;
  const page = new DOMParser().parseFromString(text, "text/html");
  if (mineOfHead === askedHead) showHead(one('[data-fragment="head"]', page));
  nodes.replace(one("[data-nodes]", page));
  // What the stream has told meanwhile is newer than the page.
  nodes.learn(Object.fromEntries(latest), false);
  tally();
  const place = one("[data-map]");
  const now = one("[data-map]", page).dataset.map;
  if (place.dataset.map === now) {
    map?.paint(moods(Object.fromEntries(nodes.states)));
    return;
  }
  place.dataset.map = now;
  map?.end();
  drawMap();
}

function carry(counted) {
  links.learn(counted);
  map?.carry(Object.fromEntries(Object.entries(counted).map(([name, each]) => [name, traffic(each)])));
  if (selected && !selected.data("name") && selected.data("lan") in counted) choose(selected);
}

function tools() {
  for (const button of all("[data-zoom]")) button.addEventListener("click", () => map?.zoom(button.dataset.zoom));
  const find = one("[data-find]");
  find.addEventListener("change", () => {
    if (find.value && map && !map.find(find.value.trim())) toast("", `There is no node ${find.value}`);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.closest("input, textarea, select")) return;
    event.preventDefault();
    (one("#view-nodes").hidden ? find : nodes.filter).focus();
  });
  one("[data-measure]")?.addEventListener("click", async (event) => {
    const button = event.currentTarget;
    button.disabled = true;
    const body = new FormData();
    body.set("csrf", csrf());
    if (await send(`${url}/measure`, body)) toast("", "Measuring", "Round trips appear in the table as they are measured.");
    button.disabled = false;
  });
}

tools();
drawMap();
live(`${url}/stream?since=${root.dataset.changed}`, {
  snapshot: (all) => {
    states(all.nodes, false);
    if (all.operation) work.show(all.operation);
  },
  nodes: (some) => states(some, true),
  events: log,
  operation: (operation) => {
    work.show(operation);
    // What may be done depends on whether anything is under way.
    if (!operation.running) renewHead();
  },
  links: carry,
  measured: (results) => links.measured(results),
  changed,
});
