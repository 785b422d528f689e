// The latency of the last chunks, frame in to motion out: a bar each, the model's share darker, and lines at p50 and p95.

const KEEP = 60; // 12 s of motion
const LABEL_PX = 11;

export class LatencyPlot {
  constructor(canvas) {
    this.canvas = canvas;
    this.bars = [];
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  /** Milliseconds that this share of the last chunks took at most; null before the first. */
  quantile(share, of = "ms") {
    const sorted = this.bars.map((bar) => bar[of]).sort((a, b) => a - b);
    return sorted.length ? sorted[Math.min(Math.ceil(share * sorted.length), sorted.length) - 1] : null;
  }

  /** @param {boolean} dropped whether frames gave way before this chunk. */
  add(ms, modelMs, dropped) {
    this.bars.push({ ms, modelMs, dropped });
    if (this.bars.length > KEEP) this.bars.shift();
    this.draw();
  }

  clear() {
    this.bars = [];
    this.draw();
  }

  draw() {
    const { canvas, bars } = this;
    const style = getComputedStyle(canvas);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    const scale = Math.min(devicePixelRatio, 2);
    Object.assign(canvas, { width: width * scale, height: height * scale });
    const context = canvas.getContext("2d");
    context.scale(scale, scale);
    context.font = `${LABEL_PX}px ${style.fontFamily}`;
    const right = width - 34; // labels stand there
    const [base, room] = [height - 6, height - 6 - LABEL_PX / 2];
    context.fillStyle = colour("line");
    context.fillRect(0, base, right, 1);
    const [p50, p95] = [this.quantile(0.5), this.quantile(0.95)];
    if (p50 === null) return;
    const top = Math.max(p95 * 1.25, 10); // a rare giant is cut off rather than making all others dwarfs
    const y = (ms) => base - Math.min(ms / top, 1) * room;
    const step = right / KEEP;
    const thick = Math.max(step - 1.2, 1);
    bars.forEach(({ ms, modelMs, dropped }, i) => {
      const x = right - (bars.length - i) * step;
      context.fillStyle = colour("bar");
      context.fillRect(x, y(ms), thick, base - y(ms));
      context.fillStyle = colour("bar-model");
      context.fillRect(x, y(Math.min(modelMs, ms)), thick, base - y(Math.min(modelMs, ms)));
      if (!dropped) return;
      context.fillStyle = colour("accent");
      context.fillRect(x, base + 2, thick, 4);
    });
    const lines = [[p50, "p50"], [p95, "p95"]];
    for (const [ms, name] of lines) {
      context.fillStyle = colour("accent");
      context.globalAlpha = name === "p50" ? 1 : 0.6;
      context.fillRect(0, Math.round(y(ms)), right, 1);
      context.globalAlpha = 1;
      context.fillStyle = colour("quiet");
      // The two do not write over each other.
      const apart = Math.min(y(p50) - LABEL_PX, y(p95));
      context.fillText(name, right + 6, (name === "p50" ? y(p50) : apart) + LABEL_PX / 2 - 1);
    }
  }
}
