// How the map looks: shapes say the kind, the border says the state, a sign before the name says it again.

const probe = document.createElement("span");

/** A colour of the page as the canvas wants it. */
function colour(name) {
  if (!probe.isConnected) {
    probe.hidden = true;
    document.body.append(probe);
  }
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}

const SIGNS = { bad: "✕ ", failed: "! ", busy: "… ", unknown: "? ", good: "", "": "" };
export const label = (name, mood) => SIGNS[mood] + name;

/** `scale` is how much larger than laid out names are drawn, or, of many nodes, those that are dead. */
export function style(named, scale) {
  const text = colour("text");
  const font = { "font-family": "Inter, system-ui, sans-serif", color: text };
  const node = named
    ? { ...font, label: "data(label)", "font-size": 12.5 * scale, "font-weight": 500, "text-valign": "center", "text-halign": "center" }
    : { ...font, label: "data(label)", "font-size": 5, "min-zoomed-font-size": 8, "text-valign": "bottom", "text-margin-y": 1 };
  const state = (mood, more) => ({ selector: `node[mood="${mood}"]`, style: { ...(mood === "failed" ? {} : { "border-color": colour(`${mood}-mark`) }), ...more } });
  return [
    { selector: "node", style: { width: "data(w)", height: "data(h)", shape: "round-rectangle", "corner-radius": named ? 6 : 4, "background-color": colour("kind-qemu"), "border-width": named ? 1.5 : 2, "border-color": colour("line-strong"), ...node } },
    { selector: "node.container", style: { "corner-radius": 14, "background-color": colour("kind-container") } },
    { selector: "node.physical", style: { shape: "rectangle", "border-style": "double", "border-width": 4, "background-color": colour("kind-physical") } },
    { selector: "node.lan", style: { shape: named ? "hexagon" : "ellipse", "background-color": colour("kind-lan"), "border-color": colour("map-line"), "font-size": named ? 11 * scale : 5, color: colour("soft") } },
    { selector: "node.pnode", style: { shape: "round-rectangle", "corner-radius": 9, "background-color": colour("map-box"), "border-width": 1, "border-color": colour("line"), label: "data(label)", "font-family": "Inter, system-ui, sans-serif", "font-size": named ? 11 * scale : 9, "font-weight": 500, color: colour("faint"), "text-valign": "top", "text-halign": "center", "text-margin-y": -3, "min-zoomed-font-size": 7, events: "no", "z-index": 0, "z-index-compare": "manual" } },
    state("good", {}),
    state("busy", { "border-style": "dashed" }),
    state("bad", { "border-width": named ? 3 : 4, "background-color": colour(named ? "bad-soft" : "bad-mark"), ...(named ? {} : { shape: "diamond", width: 22 * scale, height: 22 * scale, "z-index": 5 }) }),
    state("failed", { "border-color": colour("bad-mark"), "border-width": named ? 2.5 : 3 }),
    state("unknown", { "border-style": "dotted" }),
    { selector: "edge", style: { width: 1.6, "line-color": colour("map-line"), "curve-style": named ? "bezier" : "haystack", "haystack-radius": 0, opacity: named ? 1 : 0.7, "font-family": "Inter, system-ui, sans-serif", "font-size": named ? 10.5 * scale : 5, color: colour("soft"), "text-background-color": colour("surface"), "text-background-opacity": 0.92, "text-background-padding": 2, "text-wrap": "wrap", "min-zoomed-font-size": 6, "z-index": 1, "z-index-compare": "manual" } },
    { selector: "edge[label]", style: { label: "data(label)" } },
    { selector: "edge.spoke", style: { width: 1.2, "line-style": named ? "dashed" : "solid" } },
    { selector: "edge.carries", style: { "line-color": colour("accent"), width: 2.4 } },
    { selector: ":selected", style: { "overlay-color": colour("accent"), "overlay-opacity": 0.18, "overlay-padding": named ? 6 : 8, "border-color": colour("accent"), "line-color": colour("accent") } },
    { selector: "core", style: { "active-bg-opacity": 0, "selection-box-opacity": 0 } },
  ];
}
