// How a node's [boot, code] looks; the server's looks.py says the same for the page's first sight.

const BOOTS = {
  booted: { tone: "good", icon: "circle-check", text: "booted" },
  running: { tone: "busy", icon: "loader", text: "starting" },
  dead: { tone: "bad", icon: "circle-x", text: "dead" },
};
const UNKNOWN = { tone: "unknown", icon: "circle-help", text: "unknown" };
const NOTHING = { tone: "", icon: "minus", text: "" };

export const boot = ([state]) => BOOTS[state] ?? UNKNOWN;

/** What became of the start command, or of the machine's process when the node is dead. */
export function command([state, code], hasCommand) {
  if (state === "dead") return code === null ? NOTHING : { tone: "bad", icon: "circle-alert", text: `machine ended (${code})` };
  if (code === null) return hasCommand && state === "booted" ? { tone: "busy", icon: "loader", text: "running" } : NOTHING;
  return code === 0 ? { tone: "good", icon: "check", text: "exit 0" } : { tone: "bad", icon: "circle-alert", text: `exit ${code}` };
}

/** One word for the map: good, busy, bad (dead), failed (its start command) or unknown. */
export function mood([state, code]) {
  if (state === "dead") return "bad";
  if (state && code) return "failed";
  if (state === "booted") return "good";
  return state === "running" ? "busy" : "unknown";
}
