// The map's shape on this screen: turned on its side where the screen is high, its boxes around what is drawn larger.

const APART = 6;
const MARGIN = 16;
const WORTH = 1.15;

const meets = (a, b) => 2 * Math.abs(a.x - b.x) < a.w + b.w && 2 * Math.abs(a.y - b.y) < a.h + b.h;
const inside = (box, part) => 2 * Math.abs(box.x - part.x) <= box.w && 2 * Math.abs(box.y - part.y) <= box.h;
export const fitting = (drawn, width, height) => Math.min(width / drawn.width, height / drawn.height);

/** Return a map of few nodes for a screen of that size: as it is, or turned if that shows it clearly larger. */
export function shaped(drawn, width, height) {
  if (!drawn.named || width >= height || drawn.width <= drawn.height) return drawn;
  const parts = [...drawn.nodes, ...drawn.lans];
  const stretch = stretched(parts);
  const turn = (part) => ({ ...part, x: part.y * stretch, y: part.x });
  const nodes = drawn.nodes.map(turn);
  const lans = drawn.lans.map(turn);
  const groups = drawn.groups.map((box) => around(box, nodes.filter((_, at) => inside(box, drawn.nodes[at])), 1));
  const all = [...nodes, ...lans, ...groups];
  const size = (at, of) => Math.max(...all.map((part) => part[at] + part[of] / 2)) - Math.min(...all.map((part) => part[at] - part[of] / 2));
  const turned = { ...drawn, nodes, lans, groups, width: size("x", "w"), height: size("y", "h") };
  const clash = groups.some((box, at) => groups.some((other, to) => to > at && meets(box, other)));
  return !clash && fitting(turned, width, height) > WORTH * fitting(drawn, width, height) ? turned : drawn;
}

/** Names stay level: by how much what stood one above the other must be parted when it stands side by side. */
function stretched(parts) {
  let most = 1;
  for (const [at, a] of parts.entries()) {
    for (const b of parts.slice(at + 1)) {
      if (Math.abs(a.x - b.x) >= (a.h + b.h) / 2 + APART) continue;
      most = Math.max(most, ((a.w + b.w) / 2 + APART) / Math.max(1, Math.abs(a.y - b.y)));
    }
  }
  return most;
}

/** Return a box that holds its nodes, each drawn larger by `scale`; one without nodes as it is. */
function around(box, nodes, scale) {
  if (!nodes.length) return box;
  const edges = (at, of) => [
    Math.min(...nodes.map((node) => node[at] - (scale * node[of]) / 2)) - MARGIN,
    Math.max(...nodes.map((node) => node[at] + (scale * node[of]) / 2)) + MARGIN,
  ];
  const [left, right] = edges("x", "w");
  const [top, bottom] = edges("y", "h");
  return { ...box, x: (left + right) / 2, y: (top + bottom) / 2, w: right - left, h: bottom - top };
}

/** Return the map's boxes, wide enough for nodes that are drawn larger than laid out. */
export const boxes = (drawn, scale) =>
  scale === 1 ? drawn.groups : drawn.groups.map((box) => around(box, drawn.nodes.filter((node) => inside(box, node)), scale));

/** How much larger than laid out things may be drawn to be read at the first sight, without touching each other. */
export function grown(drawn, least, most) {
  const parts = [...drawn.nodes, ...drawn.lans];
  let scale = Math.max(1, Math.min(most, 1 / least));
  for (let a = 0; a < parts.length; a += 1) {
    for (let b = a + 1; b < parts.length; b += 1) {
      const across = (2 * (Math.abs(parts[a].x - parts[b].x) - APART)) / (parts[a].w + parts[b].w);
      const down = (2 * (Math.abs(parts[a].y - parts[b].y) - APART)) / (parts[a].h + parts[b].h);
      scale = Math.max(1, Math.min(scale, Math.max(across, down)));
    }
  }
  return scale;
}
