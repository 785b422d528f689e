// A live session as a person means it: it may be paused, and outlives its socket by the service's resume token.
import { FrameClock } from "./clock.js";
import { Player } from "./player.js";
import { Retry } from "./retry.js";
import { token } from "./service.js";
import { JOINTS } from "./skeleton.js";
import { Stream } from "./stream.js";

/** Closed by a network, a restart or a full service; all else would happen again. */
const PASSING_CODES = new Set([1001, 1005, 1006, 1012, 1013]);
const NO_TOKEN_CODE = 4401;
/** A paused session is closed so long before the service would do it for idleness. */
const BEFORE_IDLE_S = 3;

/**
 * Streams what `video` shows. Calls `on.status(word)` with connecting, live, paused, reconnecting, ended;
 * `on.hello(hello, { goesOn, again })`, which gives a new session the take it fills; `on.chunk(chunk)`; `on.lost(end)` when it
 * begins to try again; `on.wait(seconds | null)`; `on.drain(seconds)`; `on.locked(line)`; `on.end(end)` where it cannot go on.
 */
export class Session {
  constructor(video, { sidePx, record }, on) {
    Object.assign(this, { video, sidePx, record, on });
    this.retry = new Retry(on.wait);
    this.hello = null;
    this.player = null;
    this.take = null;
    this.clock = null;
    this.connect();
  }

  connect() {
    this.on.status(this.hello ? "reconnecting" : "connecting");
    this.draining = false;
    this.stream = new Stream(
      {
        hello: (hello) => this.begin(hello),
        chunk: (chunk) => this.add(chunk),
        drain: (seconds) => {
          this.draining = true;
          this.on.drain(seconds);
        },
        end: (end) => this.lose(end),
      },
      { resume: this.hello?.session, bearer: token.get(), record: this.record },
    );
  }

  begin(hello) {
    if (hello.joints.join() !== JOINTS.join()) return this.stream.end("The service moves other joints than this page draws.", 1002);
    this.retry.reset();
    const again = Boolean(this.hello); // this session had a socket before
    const goesOn = again && hello.resumed;
    if (goesOn) {
      this.clock.goOn(hello.next_seq);
    } else {
      this.clock?.stop();
      if (this.take) this.take.finished = true;
      this.player = new Player(hello.fps, hello.joints.length);
      const rates = { fps: hello.fps, framesPerToken: hello.frames_per_token, sidePx: this.sidePx };
      this.clock = new FrameClock(this.video, rates, (...frame) => this.stream?.send(...frame));
    }
    this.take = this.on.hello(hello, { goesOn, again }) ?? this.take;
    this.hello = hello;
    this.play();
  }

  add(chunk) {
    const before = this.take.poses.length;
    this.take.add(chunk.first_frame, chunk.poses);
    this.player.add(this.take.poses.slice(before));
    this.on.chunk(chunk);
  }

  /** The socket has closed, and not by us. */
  lose(end) {
    this.stream = null;
    if (end.code === NO_TOKEN_CODE) {
      this.finish();
      this.on.locked(end.line);
    } else if (!PASSING_CODES.has(end.code)) {
      this.finish();
      this.on.end(end);
    } else if (!this.paused) {
      if (this.clock) this.clock.running = false;
      this.video.pause();
      this.on.status(this.hello ? "reconnecting" : "connecting");
      this.on.lost({ ...end, draining: this.draining, never: !this.hello });
      this.retry.later(() => this.connect(), end.retryAfterS ?? 0);
    } // a paused one connects again when it goes on
  }

  pause() {
    this.paused = true;
    this.video.pause();
    this.on.status("paused");
    const { idle_seconds: idleSeconds } = this.hello.limits;
    this.idleTimer = setTimeout(() => {
      this.stream?.close();
      this.stream = null;
    }, Math.max(idleSeconds - BEFORE_IDLE_S, 1) * 1000);
  }

  /** Goes on after a pause, where need be by another connection. */
  play() {
    clearTimeout(this.idleTimer);
    this.paused = false;
    if (!this.stream) return this.connect();
    this.clock.running = true;
    this.on.status("live");
  }

  /** Ends it. Its last motion stays to be played and downloaded. */
  finish() {
    clearTimeout(this.idleTimer);
    this.retry.stop();
    this.clock?.stop();
    this.stream?.close();
    this.stream = null;
    if (this.take) this.take.finished = true;
    this.video.pause();
    this.on.status("ended");
  }
}
