// Plays chunks of motion smoothly at 20 frames a second, a little behind the newest, so that jitter does not show.

const BEHIND_FRAMES = 3;
const HURRY_FRAMES = 10;
const JUMP_FRAMES = 40;
const KEEP_FRAMES = 64;

export class Player {
  constructor(fps, joints) {
    this.fps = fps;
    this.poses = [];
    this.first = 0; // motion frame of poses[0]
    this.playhead = -BEHIND_FRAMES;
    this.pose = new Float32Array(joints * 3);
  }

  get newest() {
    return this.first + this.poses.length - 1;
  }

  add(poses) {
    this.poses.push(...poses);
    const surplus = this.poses.length - KEEP_FRAMES;
    if (surplus > 0) {
      this.poses.splice(0, surplus);
      this.first += surplus;
    }
    this.playhead = Math.max(this.playhead, this.first);
  }

  /** Moves on by `seconds` and gives the pose to draw; null before the first, and where it would be the same again. */
  advance(seconds) {
    if (!this.poses.length || this.playhead === this.newest) return null;
    const behind = this.newest - this.playhead;
    if (behind > JUMP_FRAMES) this.playhead = this.newest - BEHIND_FRAMES;
    const hurry = behind > HURRY_FRAMES ? 1.25 : 1;
    this.playhead = Math.min(this.playhead + seconds * this.fps * hurry, this.newest);
    const at = Math.max(this.playhead - this.first, 0);
    const index = Math.min(Math.floor(at), this.poses.length - 1);
    const [a, b] = [this.poses[index], this.poses[Math.min(index + 1, this.poses.length - 1)]];
    const mix = at - index;
    for (let i = 0; i < this.pose.length; i++) this.pose[i] = a[i] + (b[i] - a[i]) * mix;
    return this.pose;
  }
}
