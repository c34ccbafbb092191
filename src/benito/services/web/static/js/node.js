// A node's page: its state, the output of its start command, its console log as it grows, a terminal.

import { all, fill, make, one, status } from "./dom.js";
import { live } from "./live.js";
import { boot, command } from "./looks.js";
import "./page.js";

const CONSOLE_KEPT = 400000;
const root = one("[data-node-page]");
const name = root.dataset.nodePage;
const here = `${root.dataset.experiment}/nodes/${encodeURIComponent(name)}`;
const has = root.dataset.command === "yes";
let state = null;

function show(next) {
  if (!next || (state && state[0] === next[0] && state[1] === next[1])) return;
  const first = state === null;
  state = next;
  fill(one("[data-boot]", root), status(boot(state)));
  const said = command(state, has);
  fill(one("[data-code]", root), said.text ? status(said) : null);
  for (const form of all("form[data-when]", root)) form.hidden = !form.dataset.when.split(" ").includes(state[0] ?? "unknown");
  if (!first) output();
}

async function output() {
  const out = one('[data-output="out"]');
  const err = one('[data-output="err"]');
  const reply = await fetch(`${here}/output`);
  const said = await reply.json();
  if (!reply.ok) {
    out.textContent = "";
    out.dataset.empty = said.message;
    return;
  }
  out.textContent = said.out;
  err.textContent = said.err;
  err.hidden = one("[data-err-title]").hidden = !said.err;
}

/** Follow the console log while its tab is open: the server sends what is added. */
function consoleLog() {
  const shown = one("[data-console]");
  const following = one("[data-follow]");
  let source = null;
  const add = (text) => {
    shown.append(document.createTextNode(text));
    while (shown.textContent.length > CONSOLE_KEPT && shown.childNodes.length > 1) shown.firstChild.remove();
    if (following.checked) shown.scrollTop = shown.scrollHeight;
  };
  document.addEventListener("tabchange", (event) => {
    const open = event.detail === "console";
    if (open && !source) {
      shown.replaceChildren();
      source = new EventSource(`${here}/console/stream`);
      source.addEventListener("from", () => shown.replaceChildren());
      source.addEventListener("text", (message) => add(JSON.parse(message.data)));
    } else if (!open && source) {
      source.close();
      source = null;
    }
  });
  following.addEventListener("change", () => following.checked && (shown.scrollTop = shown.scrollHeight));
  addEventListener("pagehide", () => source?.close());
}

function terminals() {
  const box = one("[data-terminal]");
  if (!box) return;
  const kind = one("[data-terminal-kind]");
  const button = one("[data-terminal-open]");
  const sign = one("[data-terminal-state]");
  let current = null;
  const connect = async () => {
    const { BrowserTerminal } = await import("./terminal.js");
    current?.close();
    current = new BrowserTerminal(box, `${here}/terminal?kind=${kind.value}`, (words, tone) => {
      sign.textContent = words;
      sign.className = `status ${tone}`;
      button.lastChild.textContent = tone === "good" ? "Connect again" : "Connect";
    });
  };
  button.addEventListener("click", connect);
  kind.addEventListener("change", () => current && connect());
  document.addEventListener("tabchange", (event) => {
    if (event.detail === "terminal" && !current) connect();
  });
}

one("[data-again]").addEventListener("click", output);
consoleLog();
terminals();
output();
live(`${root.dataset.experiment}/stream`, {
  snapshot: (everything) => show(everything.nodes[name]),
  nodes: (some) => show(some[name]),
  changed: ({ state: now }) => now !== "active" && now !== "activating" && location.reload(),
});
