// What was streamed, kept in the browser for a download: a take is the motion of one session, without gaps.

const LEAST_FRAMES = 2;

export class Take {
  constructor(about) {
    this.about = about; // version and digest of the model, the name of the source
    this.poses = [];
    this.bridged = 0; // frames that were lost on the way and are drawn straight between their neighbours
    this.finished = false;
  }

  get usable() {
    return this.poses.length >= LEAST_FRAMES;
  }

  /** @param {number} firstFrame motion frame of the first of `poses`. */
  add(firstFrame, poses) {
    const last = this.poses.at(-1);
    const lost = last ? Math.max(firstFrame - this.poses.length, 0) : 0;
    for (let i = 1; i <= lost; i++) this.poses.push(last.map((value, k) => value + ((poses[0][k] - value) * i) / (lost + 1)));
    this.bridged += lost;
    this.poses.push(...poses);
  }
}

/** The newest take that is whole, while a repeat of it is being made; otherwise the newest. */
export class Takes {
  clear() {
    this.current = this.before = null;
  }

  begin(about) {
    if (this.current?.usable) this.before = this.current;
    this.current = new Take(about);
    return this.current;
  }

  get offered() {
    const { current, before } = this;
    if (!current?.usable || (!current.finished && before)) return before ?? null;
    return current;
  }
}
