// Server-sent events: connect, tell the page's header how the connection is, connect again when it broke.

import { one } from "./dom.js";

const AGAIN_MS = 2000;
const HIDDEN_MS = 20000;
const WORDS = { live: "Live", lost: "Connection lost, trying again", off: "Connecting" };

/** Call `handlers[name](data)` for each event. `gone` ends it. */
export function live(url, handlers) {
  let source;
  let ended = false;
  const show = (state) => {
    const sign = one("[data-connection]");
    if (!sign) return;
    sign.dataset.state = state;
    sign.title = WORDS[state];
    one("span", sign).textContent = WORDS[state];
  };
  const connect = () => {
    source = new EventSource(url);
    source.onopen = () => show("live");
    source.onerror = () => {
      show("lost");
      if (source.readyState === EventSource.CLOSED && !ended) setTimeout(connect, AGAIN_MS);
    };
    for (const [name, handle] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => handle(JSON.parse(event.data)));
    }
  };
  const close = () => {
    ended = true;
    source.close();
  };
  // A browser has six connections for a host: a page that nobody looks at gives its own back.
  let hiding = 0;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiding);
    if (document.hidden) hiding = setTimeout(() => source.close(), HIDDEN_MS);
    else if (source.readyState === EventSource.CLOSED && !ended) connect();
  });
  // A page kept for "back" would hold its connection, of which a browser has six for a host.
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => event.persisted && !ended && connect());
  connect();
  return close;
}
