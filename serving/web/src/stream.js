// The live wire, as docs/stream-protocol.md tells it: a hello first, then frames up and chunks of motion down.
import { decode, encode } from "@msgpack/msgpack";

const PROTOCOL = 2;
const SUBPROTOCOL = "egoreact.v2";
const MODEL_STAGES = ["perception", "gpt", "decode"];
const MAX_BUFFERED_BYTES = 200_000;

/**
 * A socket of a session. Calls `on.hello`, `on.chunk`, `on.drain(seconds)`, and once `on.end({ line, code, retryAfterS })`.
 * `resume` is the token of a session that lost its socket, `bearer` the one that lets in, `record` consents to be kept.
 */
export class Stream {
  constructor(on, { seed = 0, resume = null, bearer = null, record = false } = {}) {
    this.on = on;
    this.done = false;
    this.error = null;
    const query = new URLSearchParams({ seed, ...(resume && { resume }), ...(record && { consent: "record" }) });
    const url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/stream?${query}`;
    // A browser sets no headers on a socket, so the token goes where subprotocols go. None is asked for without it: a
    // browser ends a connection whose server picks none of those it asked for.
    this.socket = new WebSocket(url, bearer ? [SUBPROTOCOL, `bearer.${bearer}`] : []);
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = (event) => this.receive(decode(new Uint8Array(event.data)));
    this.socket.onclose = (event) => this.end(this.error?.error || event.reason || null, event.code);
  }

  receive(message) {
    if (this.done) return;
    if (message.type === "hello") {
      if (message.protocol === PROTOCOL) this.on.hello(message);
      else this.end(`The service speaks protocol ${message.protocol}, this page ${PROTOCOL}. Reload the page.`, 1002);
    } else if (message.type === "chunk") {
      const bytes = message.joints;
      // A copy: the message's own buffer need not be aligned to four bytes.
      const values = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
      const [frames, joints] = message.shape;
      const poses = Array.from({ length: frames }, (_, i) => values.slice(i * joints * 3, (i + 1) * joints * 3));
      const model_ms = MODEL_STAGES.reduce((sum, stage) => sum + (message.timings_ms[stage] ?? 0), 0);
      this.on.chunk({ ...message, poses, model_ms, latency_ms: performance.now() - message.captured_at * 1000 });
    } else if (message.type === "drain") {
      this.on.drain(message.seconds_left);
    } else if (message.type === "error") {
      this.error = message;
    }
  }

  /** Sends the frame of a tick. A socket that cannot keep up gets none: the newest wins here too. */
  send(seq, capturedAt, image) {
    if (this.socket.readyState !== WebSocket.OPEN || this.socket.bufferedAmount > MAX_BUFFERED_BYTES) return;
    this.socket.send(encode({ seq, captured_at: capturedAt, image }));
  }

  close() {
    this.done = true;
    this.socket.close(1000);
  }

  end(line, code) {
    if (this.done) return;
    this.done = true;
    this.socket.close(1000); // without a code the session would be kept for who comes back
    this.on.end({ line, code, retryAfterS: this.error?.retry_after_s ?? null });
  }
}
