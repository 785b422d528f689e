// The page: a video at the left, the body it moves at the right, and what a person needs to know about the wire between.
import { downloadBvh, downloadGlb } from "./download.js";
import { listen } from "./hands.js";
import { $, FULL_CODE, lossInWords, quiet, sentence, showAbout, showFigures, showHealth, showModel, showStatus, showTake, tell, tellWait } from "./panel.js";
import { LatencyPlot } from "./plot.js";
import { Retry } from "./retry.js";
import * as service from "./service.js";
import { Session } from "./session.js";
import { Source, whyNot } from "./source.js";
import { Stage } from "./stage.js";
import { Takes } from "./take.js";
import { animate } from "./view.js";

const HEALTH_S = 10;
const LAST_CHUNK_S = 0.5;
const REPEAT_S = 1;

const video = $("video");
const source = new Source(video);
const plot = new LatencyPlot($("plot"));
const takes = new Takes();
takes.clear();
let stage = null;
try {
  stage = new Stage($("canvas"));
} catch (error) {
  console.error(error);
  tell("This browser shows no WebGL, so the body cannot be drawn. Motion is still made, counted and downloaded.");
}

/** All that the page is doing; `window.egoreact` shows it to scripts. */
const NOTHING = { frames: 0, dropped: 0, chunks: 0, batch: 0, latency_ms: null, p95_ms: null, model_ms: null, error: null };
const state = {
  status: "idle", version: null, digest: null, session: null, resumed: false, recorded: false, ...NOTHING,
  get joints() {
    return stage ? Array.from(stage.joints) : null;
  },
  /** Of the take that would be downloaded: 22 × 3 metres a frame. */
  get motion() {
    return takes.offered?.poses.map((pose) => Array.from(pose)) ?? null;
  },
};
window.egoreact = state;

let [model, offered] = [null, false]; // what is served; whether its samples are known
let session = null;
let playing = null; // the session whose motion is on show: the last one, also when it has ended
let repeatTimer = null;
const away = new Retry(tellWait);

const running = () => ["live", "connecting", "reconnecting"].includes(state.status);

function show(status) {
  state.status = status;
  showStatus(status, { camera: source.kind === "camera", ready: source.ready, done: state.frames > 0 });
}

// --- what is served --------------------------------------------------------------------------------------------------

/** Asks what is served, and for samples; again and again, ever later, while the service is away. */
async function greet() {
  try {
    model = await service.model();
    away.reset();
    showHealth(true);
    know(model);
    if (state.status === "away" || state.status === "locked") {
      if (state.status === "away") tell("The service is back.", { calm: true, seconds: 4 });
      show("idle");
    }
    if (!offered) await offerSamples();
  } catch (error) {
    if (error instanceof service.TokenWanted) askToken(error.message);
    else if (error instanceof service.Unanswered) gone(error.message);
    else throw error;
  }
}

function know({ version, digest }) {
  Object.assign(state, { version, digest });
  showModel({ version, digest });
}

async function offerSamples() {
  const rows = await service.samples();
  offered = true;
  $("samples").replaceChildren(...rows.map(({ title, url }) => new Option(title, url)));
  for (const field of [$("samples"), document.querySelector("label[for=samples]")]) field.hidden = !rows.length;
  $("no-samples").hidden = rows.length > 0;
  if (source.kind === "sample" && !source.ready) choose(rows.length ? "sample" : "file");
}

function gone(line) {
  if (state.status !== "away") tell(`${line} This page tries again by itself.`);
  show("away");
  showHealth(false);
  away.later(greet);
}

/** Looks now and then whether the service is well, while nothing else would notice. */
async function watch() {
  if ((state.status === "idle" || state.status === "paused") && !document.hidden) {
    const well = await service.ready();
    showHealth(well);
    if (!well && state.status === "idle") gone("The service does not answer.");
  }
  setTimeout(watch, HEALTH_S * 1000);
}

function tryNow() {
  away.now();
  session?.retry.now();
}

function askToken(line) {
  stop();
  show("locked");
  $("token-error").textContent = line ?? "";
  if (!$("token-dialog").open) $("token-dialog").showModal();
}

function about() {
  if (!model) return;
  showAbout(model);
  $("token-forget").hidden = !service.token.get();
  $("about").showModal();
}

// --- the source ------------------------------------------------------------------------------------------------------

async function choose(kind) {
  stop();
  takes.clear();
  showTake(null);
  document.querySelector(`input[name=source][value=${kind}]`).checked = true;
  for (const pane of document.querySelectorAll(".pane")) pane.classList.toggle("shown", pane.dataset.pane === kind);
  $("repeat-label").hidden = kind === "camera";
  const [option] = $("samples").selectedOptions;
  if (kind === "camera") source.camera();
  else if (kind === "file") source.file($("file").files[0]);
  else if (option) {
    const shown = source.sample({ title: option.text, url: option.value });
    clearMotion();
    await shown.catch((error) => (error instanceof service.TokenWanted ? askToken(error.message) : tell(`The sample did not come. ${error.message}`)));
  } else source.clear(kind);
  clearMotion();
}

function takeFile(file) {
  if (!file) return;
  choose("file");
  source.file(file);
  $("file-name").textContent = file.name;
  show(state.status);
}

function clearMotion() {
  playing = null;
  stage?.reset();
  plot.clear();
  Object.assign(state, NOTHING);
  showFigures(state, plot);
  show(state.status);
}

// --- a session -------------------------------------------------------------------------------------------------------

/** Play, pause, go on, or give up: whichever the moment asks for. */
function toggle() {
  if (state.status === "locked") return askToken();
  if (state.status === "paused") return session.play();
  if (state.status === "live" && source.kind !== "camera") return session.pause();
  if (running()) return stop();
  if (source.ready && state.status !== "away") start();
}

async function start() {
  stop();
  quiet();
  show("connecting");
  try {
    await source.rewind();
  } catch (error) {
    show("idle");
    return tell(whyNot(error));
  }
  if (state.status !== "connecting") return; // given up meanwhile
  clearMotion();
  const mine = new Session(video, { sidePx: model?.image_side_px, record: $("consent").checked }, {
    status: (word) => arrive(word),
    hello: (hello, how) => begin(hello, how),
    chunk: (chunk) => take(chunk),
    lost: (end) => lost(end),
    wait: tellWait,
    drain: (seconds) => tell(`The service is about to restart: this session may go on for ${Math.round(seconds)} s.`),
    locked: (line) => askToken(line),
    end: ({ line, code }) => refused(line, code),
  });
  session = playing = mine;
}

function arrive(word) {
  if (word === "live") {
    showHealth(true);
    video.play().catch((error) => error.name === "AbortError" || refused(whyNot(error)));
  }
  show(word === "ended" ? "idle" : word);
}

function begin(hello, { goesOn, again }) {
  know(hello);
  Object.assign(state, { session: hello.session ?? null, resumed: goesOn, recorded: hello.recorded ?? false });
  $("kept").hidden = !state.recorded;
  state.error = null;
  if (!again) quiet();
  else tell(goesOn ? "Connected again: the session goes on where it was." : "Connected again, in a new session.", { calm: true, seconds: 4 });
  if (goesOn) return null;
  if (again) stage?.reset();
  return takes.begin({ name: source.name, version: hello.version, digest: hello.digest });
}

function take(chunk) {
  plot.add(chunk.latency_ms, chunk.model_ms, chunk.dropped * chunk.poses.length > state.dropped);
  state.frames = session.take.poses.length;
  state.chunks += 1;
  state.dropped = chunk.dropped * chunk.poses.length;
  state.batch = chunk.batch ?? 1;
  state.latency_ms = plot.quantile(0.5);
  state.p95_ms = plot.quantile(0.95);
  state.model_ms = plot.quantile(0.5, "modelMs");
  showFigures(state, plot);
  showTake(takes.offered);
}

function lost(end) {
  state.error = end.line || `closed with code ${end.code}`;
  if (end.code !== FULL_CODE) showHealth(false);
  tell(lossInWords(end));
}

/** The session cannot go on, and trying again would not help. */
function refused(line, code) {
  state.error = line || `closed with code ${code}`;
  stop();
  tell(line ? sentence(line) : `The service ended the session (code ${code}).`);
}

function stop() {
  clearTimeout(repeatTimer);
  const ended = session;
  session = null;
  if (ended) ended.finish();
  $("kept").hidden = true;
  if (source.kind === "camera") source.release();
  video.pause();
  showTake(takes.offered);
  if (running() || state.status === "paused") show("idle");
}

/** A new session from the beginning, the body at its origin, the view as it was at first. */
function again() {
  const onceMore = running() || state.status === "paused";
  stop();
  clearMotion();
  stage?.home();
  quiet();
  if (onceMore) start();
  else if (source.kind !== "camera") video.currentTime = 0;
}

video.addEventListener("ended", () => {
  if (!session) return;
  repeatTimer = setTimeout(() => {
    stop(); // by now the last chunk has come
    if ($("repeat").checked) repeatTimer = setTimeout(start, REPEAT_S * 1000);
  }, LAST_CHUNK_S * 1000);
});
video.addEventListener("error", () => {
  if (video.getAttribute("src")) refused(whyNot({ name: "MediaError" }));
});
video.addEventListener("loadeddata", () => show(state.status));
video.addEventListener("timeupdate", () => {
  const part = video.currentTime / video.duration;
  $("played").hidden = !(part > 0); // also where a camera has no duration
  if (part > 0) $("played").value = part;
});

// --- begin -----------------------------------------------------------------------------------------------------------

if (matchMedia("(prefers-reduced-motion: reduce)").matches) $("repeat").checked = false;
listen({
  toggle, again, choose, takeFile, tryNow, stop, greet, about,
  bvh: () => downloadBvh(takes.offered), glb: () => downloadGlb(takes.offered),
});
showFigures(state, plot);
show("idle");
if (stage) animate(stage, () => playing?.player);
greet();
setTimeout(watch, HEALTH_S * 1000);
