// A long operation as it goes: its steps, how far the nodes are, how it ended.

import { chip, fill, icon, make, one } from "./dom.js";

const TITLES = { swapin: "Swapping in", swapout: "Swapping out", terminate: "Terminating", modify: "Modifying" };
// The usual ones in their order; others that a kind of machine has stand between.
const FIRST = ["waiting", "starting", "waking", "running"];
const LAST = ["configuring", "booted", "stopping", "dead"];
const TONES = { booted: "good", dead: "bad", waiting: "unknown" };

export class Work {
  constructor(root) {
    this.panel = one("[data-work]", root);
    this.ticking = null;
  }

  /** Take `{kind, running, seconds, steps: [{text, kind, seconds}], phases: {phase: count}, total, failure}`. */
  show(operation) {
    const part = (name) => one(`[data-work-${name}]`, this.panel);
    const ended = !operation.running;
    clearInterval(this.ticking);
    this.panel.hidden = ended && !operation.failure;
    one("[data-work-title]", this.panel).textContent = operation.failure
      ? `${TITLES[operation.kind] ?? "Work"} failed`
      : (TITLES[operation.kind] ?? "At work");
    const began = performance.now() / 1000 - operation.seconds;
    const tick = () => (part("time").textContent = `${Math.floor(performance.now() / 1000 - began)} s`);
    if (ended) part("time").textContent = `${operation.seconds.toFixed(1)} s`;
    else {
      tick();
      this.ticking = setInterval(tick, 1000);
    }
    this.bar(part("bar"), operation, ended);
    const others = Object.keys(operation.phases).filter((phase) => !FIRST.includes(phase) && !LAST.includes(phase));
    const phases = [...FIRST, ...others.sort(), ...LAST].filter((phase) => operation.phases[phase]);
    fill(part("phases"), ...phases.map((phase) =>
      make("li", {}, chip({ tone: TONES[phase] ?? "busy", icon: phase === "booted" ? "check" : phase === "dead" ? "x" : "circle-dot", text: `${operation.phases[phase]} ${phase}` }))));
    fill(part("steps"), ...operation.steps.map((step, at) => this.step(step, at === operation.steps.length - 1 && !ended)));
    if (operation.failure) {
      const words = [operation.failure.message, operation.failure.hint].filter(Boolean).join(": ");
      part("steps").append(make("li", { class: "failed" }, icon("circle-x"), make("span", {}, words)));
    }
  }

  bar(bar, operation, ended) {
    const share = operation.total ? (operation.phases.booted ?? 0) / operation.total : 0;
    const known = operation.kind === "swapin" && operation.total > 0;
    bar.hidden = ended;
    bar.toggleAttribute("data-unknown", !known);
    bar.setAttribute("aria-valuenow", String(Math.round(100 * share)));
    bar.firstElementChild.style.setProperty("--done", `${100 * share}%`);
  }

  step(step, now) {
    const name = step.kind === "notice" ? "info" : now ? "loader" : "check";
    return make("li", { class: step.kind === "notice" ? "note" : now ? "now" : "" },
      icon(name), make("span", {}, step.text), make("time", {}, `${step.seconds.toFixed(1)} s`));
  }
}
