// Trying again, later and later: 1, 2, 4, … 30 s, a little scattered so that many pages do not come back in one instant.

const FIRST_S = 1;
const MOST_S = 30;

export class Retry {
  /** @param {(secondsLeft: number | null) => void} onWait told each second of a wait, and null when it is over. */
  constructor(onWait) {
    this.onWait = onWait;
    this.attempts = 0;
    this.timer = null;
  }

  /** Calls `action` after the next pause, of `leastS` seconds or more. */
  later(action, leastS = 0) {
    this.stop();
    const pauseS = Math.max(Math.min(FIRST_S * 2 ** this.attempts, MOST_S) * (0.9 + 0.2 * Math.random()), leastS);
    this.attempts += 1;
    this.action = action;
    const dueAt = performance.now() + pauseS * 1000;
    const tick = () => {
      const leftS = (dueAt - performance.now()) / 1000;
      if (leftS <= 0) return this.now();
      this.onWait(Math.ceil(leftS));
      this.timer = setTimeout(tick, Math.min(leftS * 1000, 1000));
    };
    tick();
  }

  /** Does what waits at once. */
  now() {
    if (!this.waiting) return;
    const { action } = this;
    this.stop();
    action();
  }

  get waiting() {
    return this.timer !== null;
  }

  /** Waits no longer. */
  stop() {
    clearTimeout(this.timer);
    if (this.waiting) this.onWait(null);
    this.timer = null;
  }

  /** It went well: the next pause is a short one again. */
  reset() {
    this.stop();
    this.attempts = 0;
  }
}
