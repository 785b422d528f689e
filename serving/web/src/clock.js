// From a playing <video> to the frames that tokens perceive: the picture on show at ticks 0, 4, 8, … of a 20-a-second clock.
// The clock stands while the video does, so a pause or a lost connection leaves no gap in the motion.

const FALLBACK_SIDE_PX = 112;
const QUALITY = 0.88;

/** Sends what `video` shows through `send(seq, capturedAt, bytes)` at every token boundary, while it plays and `running`. */
export class FrameClock {
  constructor(video, { fps, framesPerToken, sidePx }, send) {
    this.video = video;
    this.fps = fps;
    this.framesPerToken = framesPerToken;
    // Twice what the model sees keeps its own resampling good, and the wire small.
    this.sidePx = Math.max(2 * (sidePx || FALLBACK_SIDE_PX), 64);
    this.send = send;
    this.running = true;
    this.canvas = document.createElement("canvas");
    this.context = this.canvas.getContext("2d", { alpha: false, willReadFrequently: true });
    this.goOn(0);
    this.tickedAt = performance.now();
    this.timer = setInterval(() => this.tick(), 1000 / fps / 2);
  }

  /** The next frame is that of the first boundary that is `seq` or later. */
  goOn(seq) {
    const boundary = Math.ceil(seq / this.framesPerToken) * this.framesPerToken;
    this.boundary = boundary - this.framesPerToken;
    this.elapsedMs = (boundary * 1000) / this.fps;
  }

  tick() {
    const now = performance.now();
    const passed = now - this.tickedAt;
    this.tickedAt = now;
    const { video } = this;
    if (!this.running || video.readyState < 2 || video.paused || video.ended) return;
    const tick = Math.floor((this.elapsedMs * this.fps) / 1000 + 1e-6);
    this.elapsedMs += passed;
    const boundary = tick - (tick % this.framesPerToken);
    if (boundary <= this.boundary) return;
    this.boundary = boundary;
    this.send(boundary, now / 1000, this.picture());
  }

  /** The picture on show as the bytes of a JPEG. */
  picture() {
    const { videoWidth, videoHeight } = this.video;
    const scale = Math.min(1, this.sidePx / Math.min(videoWidth, videoHeight));
    const width = Math.max(16, Math.round(videoWidth * scale));
    const height = Math.max(16, Math.round(videoHeight * scale));
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    this.context.drawImage(this.video, 0, 0, width, height);
    // Not toBlob: it waits for an idle moment of the page, up to a second. At this size the direct way takes a millisecond.
    const [, base64] = this.canvas.toDataURL("image/jpeg", QUALITY).split(",");
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  }

  stop() {
    clearInterval(this.timer);
  }
}
