// The last latencies as bars, their median as a line.

const KEEP = 60;

export class LatencyPlot {
  constructor(canvas) {
    this.canvas = canvas;
    this.values = [];
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  get median() {
    const sorted = [...this.values].sort((a, b) => a - b);
    return sorted.length ? sorted[sorted.length >> 1] : null;
  }

  add(value) {
    this.values.push(value);
    if (this.values.length > KEEP) this.values.shift();
    this.draw();
  }

  clear() {
    this.values = [];
    this.draw();
  }

  draw() {
    const { canvas, values, median } = this;
    const style = getComputedStyle(canvas);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    const scale = Math.min(devicePixelRatio, 2);
    Object.assign(canvas, { width: width * scale, height: height * scale });
    const context = canvas.getContext("2d");
    context.scale(scale, scale);
    context.fillStyle = colour("line");
    context.fillRect(0, height - 1, width, 1);
    if (median === null) return;
    const top = Math.max(...values, median * 1.5) * 1.08;
    const step = width / KEEP;
    values.forEach((value, i) => {
      const tall = Math.max((value / top) * (height - 1), 1.5);
      context.globalAlpha = 0.35 + (0.65 * (i + 1)) / values.length;
      context.fillStyle = value > 2 * median ? colour("accent") : colour("quiet");
      context.fillRect(width - (values.length - i) * step, height - 1 - tall, Math.max(step - 1.5, 1), tall);
    });
    context.globalAlpha = 1;
    context.fillStyle = colour("accent");
    context.fillRect(0, Math.round(height - 1 - (median / top) * (height - 1)), width, 1);
  }
}
