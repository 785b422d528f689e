// From a playing <video> to the frames that tokens perceive: the picture on show at ticks 0, 4, 8, … of a 20-a-second clock.

const FALLBACK_SIDE_PX = 224;

/** Sends what `video` shows through `send(seq, capturedAt, bytes)` at every token boundary, while it plays. */
export class FrameClock {
  constructor(video, { fps, framesPerToken, sidePx }, send) {
    this.video = video;
    this.fps = fps;
    this.framesPerToken = framesPerToken;
    // Twice what the model sees keeps its own resampling good, and the wire small.
    this.sidePx = Math.max(2 * (sidePx || FALLBACK_SIDE_PX / 2), 64);
    this.send = send;
    this.canvas = document.createElement("canvas");
    this.context = this.canvas.getContext("2d", { alpha: false, willReadFrequently: true });
    this.boundary = -framesPerToken;
    this.startedAt = null;
    this.timer = setInterval(() => this.tick(), 1000 / fps / 2);
  }

  tick() {
    const { video } = this;
    if (video.readyState < 2 || video.paused || video.ended) return;
    const now = performance.now();
    this.startedAt ??= now;
    const tick = Math.floor(((now - this.startedAt) / 1000) * this.fps);
    const boundary = tick - (tick % this.framesPerToken);
    if (boundary <= this.boundary) return;
    this.boundary = boundary;
    this.capture(boundary, now / 1000);
  }

  capture(seq, capturedAt) {
    const { videoWidth, videoHeight } = this.video;
    const scale = Math.min(1, this.sidePx / Math.min(videoWidth, videoHeight));
    const width = Math.max(16, Math.round(videoWidth * scale));
    const height = Math.max(16, Math.round(videoHeight * scale));
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    this.context.drawImage(this.video, 0, 0, width, height);
    // Not toBlob: it waits for an idle moment of the page, up to a second. At this size the direct way takes a millisecond.
    const [, base64] = this.canvas.toDataURL("image/jpeg", 0.88).split(",");
    this.send(seq, capturedAt, Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)));
  }

  stop() {
    clearInterval(this.timer);
  }
}
