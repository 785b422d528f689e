// What the page says beside its two pictures: the model, the state, figures, and the banner for what went wrong.

export const $ = (id) => document.getElementById(id);

const WORDS = {
  idle: "ready", connecting: "connecting…", live: "live", paused: "paused", reconnecting: "reconnecting…", away: "no service",
  locked: "token needed",
};
const DATE = { minute: "2-digit", hour: "2-digit", day: "numeric", month: "short", year: "numeric" };

/** @param {string} status see `WORDS`. */
export function showStatus(status, { camera, ready, done }) {
  const running = ["connecting", "reconnecting", "live"].includes(status);
  $("state").textContent = status === "idle" && done ? "done" : WORDS[status];
  $("state").classList.toggle("live", status === "live");
  const label = status === "locked" ? "Token…" : status === "live" ? (camera ? "Stop" : "Pause") : running ? "Cancel" : camera ? "Start" : "Play";
  $("start").textContent = label;
  $("play").setAttribute("aria-label", label);
  $("start").disabled = !running && status !== "locked" && (!ready || status === "away");
  $("play").hidden = running || !ready || status === "away" || status === "locked";
  $("empty").hidden = ready;
  document.documentElement.dataset.status = status;
}

export function showModel({ version, digest }) {
  const label = /^\d+$/.test(version) ? `model ${version}` : version;
  $("model-text").replaceChildren(`${label} `, Object.assign(document.createElement("code"), { textContent: digest.slice(0, 10) }));
  $("model").setAttribute("aria-label", `The model being served: ${label}, bundle ${digest.slice(0, 10)}. Details`);
}

export function showHealth(good) {
  $("health").className = `dot ${good ? "good" : "bad"}`;
}

/** From the model's answer: what leads from this page back to the run and the data. */
export function showAbout(model) {
  const released = model.release?.released_at && new Date(model.release.released_at).toLocaleString(undefined, DATE);
  const rows = {
    Version: model.version, "Bundle digest": model.digest, Released: released, "Data revision": model.origin?.data_revision,
    Commit: model.origin?.commit, "MLflow run": model.origin?.mlflow_run, Protocol: model.protocol,
    "Sessions at once": model.limits?.max_sessions,
  };
  $("about-rows").replaceChildren(...Object.entries(rows).filter(([, value]) => value).flatMap(([name, value]) => [
    Object.assign(document.createElement("dt"), { textContent: name }), Object.assign(document.createElement("dd"), { textContent: value }),
  ]));
}

export function showFigures(state, plot) {
  const ms = (value) => (value === null ? "–" : value.toFixed(value < 9.95 ? 1 : 0));
  $("latency").textContent = ms(state.latency_ms);
  $("latency-95").textContent = ms(state.p95_ms);
  $("seconds").textContent = (state.frames / 20).toFixed(1);
  $("dropped").textContent = state.dropped;
  $("batch").textContent = state.batch > 1 ? ` · ${state.batch} sessions a step` : "";
  $("model-ms").textContent = state.model_ms === null ? "–" : `${ms(state.model_ms)} ms`;
  const said = plot.bars.length ? `half within ${ms(state.latency_ms)} ms, 95 % within ${ms(state.p95_ms)} ms` : "none yet";
  $("plot").setAttribute("aria-label", `Latency of the last chunks; ${said}`);
  document.documentElement.dataset.frames = state.frames;
}

export function showTake(take, fps = 20) {
  for (const id of ["bvh", "glb"]) $(id).disabled = !take;
  $("take-seconds").textContent = take ? `${(take.poses.length / fps).toFixed(1)} s` : "";
  const bridged = take?.bridged ? `; ${(take.bridged / fps).toFixed(1)} s were lost and are bridged` : "";
  $("take-note").textContent = take ? `${take.about.name}${bridged}` : "The motion, once some is made";
}

/** The service has no room. */
export const FULL_CODE = 1013;
const RESTART_CODE = 1012;

export const sentence = (line) => `${line[0].toUpperCase()}${line.slice(1)}`.replace(/[^.]$/, "$&.");

/** Why a session that goes on trying has no connection. `never`: it had none yet. */
export function lossInWords({ line, code, draining, never }) {
  if (code === FULL_CODE) return sentence(line ?? "the service is full");
  if (code === RESTART_CODE || draining) return "The service restarts. This page goes on by itself when it is back.";
  if (never) return "The service does not answer. This page tries again by itself.";
  return "The connection to the service is lost. This page tries again by itself.";
}

/** Says `line` until it is closed, replaced or `seconds` are over. */
export function tell(line, { calm = false, seconds = null } = {}) {
  $("banner").hidden = false;
  $("banner").classList.toggle("calm", calm);
  $("banner-text").textContent = line;
  if (seconds) setTimeout(() => $("banner-text").textContent === line && quiet(), seconds * 1000);
}

/** How long until it is tried again; null where nothing waits. */
export function tellWait(seconds) {
  $("banner-wait").textContent = seconds === null ? "" : `Next try in ${seconds} s.`;
  $("banner-now").hidden = seconds === null;
}

export function quiet() {
  $("banner").hidden = true;
  $("banner-text").textContent = "";
}
