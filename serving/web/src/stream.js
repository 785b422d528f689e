// The live wire, as `protocol.py` tells it: a hello first, then frames up and chunks of motion down.
import { decode, encode } from "@msgpack/msgpack";

export const PROTOCOL = 1;

/** A live session. Calls `on.hello`, `on.chunk`, and `on.end(line, code)` once, with the service's own words where it has any. */
export class Stream {
  constructor(on, seed = 0) {
    this.on = on;
    this.done = false;
    this.last = null;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.socket = new WebSocket(`${scheme}://${location.host}/v1/stream?seed=${seed}`);
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = (event) => this.receive(decode(new Uint8Array(event.data)));
    this.socket.onclose = (event) => this.end(this.last?.error ?? event.reason, event.code);
  }

  receive(message) {
    if (message.type === "hello") {
      if (message.protocol === PROTOCOL) this.on.hello(message);
      else this.end(`The service speaks protocol ${message.protocol}, this page ${PROTOCOL}. Reload the page.`, 1002);
    } else if (message.type === "chunk") {
      const bytes = message.joints;
      // A copy: the message's own buffer need not be aligned to four bytes.
      const values = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
      const [frames, joints] = message.shape;
      const poses = Array.from({ length: frames }, (_, i) => values.subarray(i * joints * 3, (i + 1) * joints * 3));
      this.on.chunk({ ...message, poses, latency_ms: performance.now() - message.captured_at * 1000 });
    } else if (message.type === "error") {
      this.last = message;
    }
  }

  /** Sends the frame of a tick. A socket that cannot keep up gets none: the newest wins here too. */
  send(seq, capturedAt, image) {
    if (this.socket.readyState !== WebSocket.OPEN || this.socket.bufferedAmount > 200_000) return;
    this.socket.send(encode({ seq, captured_at: capturedAt, image }));
  }

  close() {
    this.done = true;
    this.socket.close(1000);
  }

  end(line, code) {
    if (this.done) return;
    this.done = true;
    this.socket.close();
    this.on.end(line, code);
  }
}
