// What every page does: colours, dialogs, forms sent without leaving the page, tabs, times.

import { all, icon, make, one } from "./dom.js";

const THEMES = ["", "light", "dark"];
const THEME_WORDS = { "": "as the system", light: "light", dark: "dark" };
const TOAST_MS = 8000;

function themes() {
  const button = one("[data-theme-toggle]");
  const root = document.documentElement;
  const show = () => button.setAttribute("aria-label", `Colours: ${THEME_WORDS[root.dataset.theme ?? ""]}`);
  button.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(root.dataset.theme ?? "") + 1) % THEMES.length];
    if (next) root.dataset.theme = next;
    else delete root.dataset.theme;
    document.cookie = `theme=${next}; path=/; max-age=31536000; samesite=strict`;
    show();
    toast("", `Colours: ${THEME_WORDS[next]}`);
    document.dispatchEvent(new CustomEvent("themechange"));
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
    document.dispatchEvent(new CustomEvent("themechange")),
  );
  show();
}

/** Tell the person something in the corner of the page. */
export function toast(tone, title, text = "") {
  const name = { bad: "circle-alert", good: "circle-check" }[tone] ?? "info";
  const words = make("div", {}, make("p", {}, make("strong", {}, title)), text ? make("p", { class: "soft" }, text) : "");
  const shown = make("div", { class: `notice ${tone}` }, icon(name), words);
  const box = one("[data-toasts]");
  while (box.children.length > 2) box.firstChild.remove();
  box.append(shown);
  setTimeout(() => shown.remove(), TOAST_MS);
}

/** Send a form's request; the server's refusal is told as a toast. Resolves to whether it was accepted. */
export async function send(url, body) {
  try {
    const reply = await fetch(url, { method: "POST", body, headers: { accept: "application/json" } });
    if (reply.ok) return true;
    const said = await reply.json().catch(() => ({}));
    toast("bad", said.message ?? `The server refused it (${reply.status})`, said.hint ?? "");
  } catch {
    toast("bad", "The server can't be reached", "Is `benito serve` still running?");
  }
  return false;
}

function forms() {
  document.addEventListener("submit", async (event) => {
    const form = event.target.closest("form[data-post]");
    if (!form) return;
    event.preventDefault();
    const button = event.submitter;
    if (button) button.disabled = true;
    const accepted = await send(form.action, new FormData(form));
    if (button) button.disabled = false;
    if (accepted) form.closest("dialog")?.close();
  });
}

function dialogs() {
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-dialog]");
    if (opener) document.getElementById(opener.dataset.dialog).showModal();
    if (event.target.closest("[data-close]") || event.target.tagName === "DIALOG") event.target.closest("dialog")?.close();
    for (const menu of all("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of all("details.menu[open]")) {
      menu.open = false;
      one("summary", menu).focus();
    }
  });
}

/** Tabs as WAI-ARIA describes them: arrows move, the address keeps which one is open. */
function tabs() {
  const list = one('[role="tablist"]');
  if (!list) return;
  const each = all('[role="tab"]', list);
  const choose = (tab, focus) => {
    for (const other of each) {
      const on = other === tab;
      other.setAttribute("aria-selected", String(on));
      other.tabIndex = on ? 0 : -1;
      document.getElementById(other.getAttribute("aria-controls")).hidden = !on;
    }
    if (focus) tab.focus();
    tab.scrollIntoView({ block: "nearest", inline: "nearest" });
    history.replaceState(null, "", `#${tab.id.slice(4)}`);
    document.dispatchEvent(new CustomEvent("tabchange", { detail: tab.id.slice(4) }));
  };
  list.addEventListener("click", (event) => {
    const tab = event.target.closest('[role="tab"]');
    if (tab) choose(tab);
  });
  list.addEventListener("keydown", (event) => {
    const at = each.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: each.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    choose(each[(to + each.length) % each.length], true);
  });
  const follow = () => {
    const wanted = document.getElementById(`tab-${location.hash.slice(1)}`);
    if (wanted && each.includes(wanted)) choose(wanted);
  };
  addEventListener("hashchange", follow);
  // After the page's own modules have begun to listen.
  setTimeout(follow);
}

const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60]];
const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

export function relative(seconds) {
  const past = Date.now() / 1000 - seconds;
  for (const [unit, length] of UNITS) if (past >= length) return words.format(-Math.floor(past / length), unit);
  return "just now";
}

/** Turn the server's clock times into "5 minutes ago". */
export function times(root = document) {
  for (const time of all("time[data-relative]", root)) {
    const at = new Date(time.dateTime);
    time.title = at.toLocaleString();
    time.textContent = relative(at / 1000);
  }
}

export const csrf = () => document.body.dataset.csrf;

themes();
forms();
dialogs();
tabs();
times();
setInterval(times, 30000);
