// A terminal over a WebSocket. Bytes go as binary messages; sizes and acknowledgements as JSON.

import { one } from "./dom.js";
// These are not modules: they put what they make on the window.
import "../vendor/xterm.js";
import "../vendor/addon-canvas.js";
import "../vendor/addon-fit.js";

const { CanvasAddon, FitAddon, Terminal } = { ...window.CanvasAddon, ...window.FitAddon, Terminal: window.Terminal };

const ACK_EVERY = 65536;
const COLOURS = { background: "#0d1117", foreground: "#d6dde8", cursor: "#7ea6ff", selectionBackground: "#2f4a7d" };

export class BrowserTerminal {
  constructor(box, path, told) {
    this.box = box;
    this.told = told;
    this.unacknowledged = 0;
    box.replaceChildren();
    this.screen = new Terminal({
      cursorBlink: true, fontFamily: '"JetBrains Mono", monospace', fontSize: 13, scrollback: 5000,
      screenReaderMode: true, theme: COLOURS, allowProposedApi: false,
    });
    this.fit = new FitAddon();
    this.screen.loadAddon(this.fit);
    // Loaded before opening, so that the renderer that writes style elements, which the page forbids, is never made.
    this.screen.loadAddon(new CanvasAddon());
    this.screen.open(box);
    this.screen.attachCustomKeyEventHandler((event) => this.key(event));
    this.resizes = new ResizeObserver(() => box.offsetHeight && this.fit.fit());
    this.resizes.observe(box);
    this.connect(path);
  }

  connect(path) {
    const address = new URL(path, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    this.socket = new WebSocket(address);
    this.socket.binaryType = "arraybuffer";
    this.told("connecting", "busy");
    this.socket.onopen = () => {
      this.told("connected", "good");
      this.fit.fit();
      this.size();
      this.screen.focus();
    };
    this.socket.onmessage = ({ data }) => this.take(data);
    this.socket.onclose = ({ reason, code }) => this.told(reason || (code === 1000 ? "closed" : "the connection ended"), code === 1000 ? "" : "bad");
    this.screen.onData((text) => this.type(new TextEncoder().encode(text)));
    this.screen.onBinary((text) => this.type(Uint8Array.from(text, (each) => each.charCodeAt(0))));
    this.screen.onResize(() => this.size());
  }

  take(data) {
    if (typeof data === "string") return;
    this.screen.write(new Uint8Array(data), () => {
      this.unacknowledged += data.byteLength;
      if (this.unacknowledged < ACK_EVERY) return;
      this.say({ ack: this.unacknowledged });
      this.unacknowledged = 0;
    });
  }

  type(bytes) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(bytes);
  }

  say(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  size() {
    this.say({ columns: this.screen.cols, rows: this.screen.rows });
  }

  /** Ctrl+Shift+Up leaves the terminal, which takes Tab and Escape for itself. */
  key(event) {
    if (!(event.ctrlKey && event.shiftKey && event.key === "ArrowUp")) return true;
    one("[data-terminal-open]").focus();
    return false;
  }

  close() {
    this.resizes.disconnect();
    this.socket.onclose = null;
    this.socket.close();
    this.screen.dispose();
  }
}
