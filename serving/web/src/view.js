// Draws the body at the screen's pace, from the motion that has come.

const LONGEST_STEP_S = 0.25;

/** @param {() => Player | null} playing whose motion is on show. */
export function animate(stage, playing) {
  let drawnAt = performance.now();
  let drew = false;
  const draw = (now) => {
    requestAnimationFrame(draw);
    const passedMs = now - drawnAt;
    if (passedMs < stage.pauseMs) return;
    drawnAt = now;
    const seconds = Math.min(passedMs / 1000, LONGEST_STEP_S);
    const pose = playing()?.advance(seconds);
    if (pose) stage.pose(pose);
    if (drew && pose) stage.judge(passedMs);
    drew = stage.render(seconds);
  };
  requestAnimationFrame(draw);
}
