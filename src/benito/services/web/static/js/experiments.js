// The list of experiments, replaced by the server's own rows whenever something has changed.

import { one } from "./dom.js";
import { live } from "./live.js";
import { times } from "./page.js";

const list = one("[data-list]");

async function renew() {
  const reply = await fetch("/experiments/rows");
  if (!reply.ok) return;
  const focused = document.activeElement?.getAttribute?.("href");
  list.replaceChildren(...parse(await reply.text()));
  times(list);
  if (focused) one(`a[href="${CSS.escape(focused)}"]`, list)?.focus();
}

/** The server's own template as nodes; what people and nodes wrote is escaped in it. */
function parse(text) {
  return new DOMParser().parseFromString(text, "text/html").body.childNodes;
}

live(list.dataset.stream, { changed: renew });
