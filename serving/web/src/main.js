// The page: a video at the left, the body it moves at the right, and what a person needs to know about the wire between.
import { FrameClock } from "./camera.js";
import { JOINTS } from "./mannequin.js";
import { Player } from "./player.js";
import { LatencyPlot } from "./plot.js";
import { Stage } from "./stage.js";
import { Stream } from "./stream.js";

const $ = (id) => document.getElementById(id);
const video = $("video");
const plot = new LatencyPlot($("plot"));
let stage = null;
try {
  stage = new Stage($("canvas"));
} catch (error) {
  console.error(error);
  tell("This browser shows no WebGL, so the body cannot be drawn. Motion is still made and counted.");
}

/** All that the page is doing; `window.egoreact` shows it to scripts. */
const state = {
  status: "idle", frames: 0, dropped: 0, chunks: 0, latency_ms: null, version: null, digest: null, error: null,
  get joints() {
    return stage ? Array.from(stage.joints) : null;
  },
};
window.egoreact = state;

let model = null;
let source = "sample";
let camera = null; // MediaStream
let session = null; // { stream, clock, player }
let repeatTimer = null;

// --- what is served --------------------------------------------------------------------------------------------------

async function loadModel() {
  const answer = await fetch("/v1/model");
  if (!answer.ok) throw new Error(`the service answered ${answer.status}`);
  model = await answer.json();
  showModel(model);
}

function showModel({ version, digest }) {
  Object.assign(state, { version, digest });
  const label = /^\d+$/.test(version) ? `model ${version}` : version;
  $("model-text").replaceChildren(`${label} `, Object.assign(document.createElement("code"), { textContent: digest.slice(0, 10) }));
  $("model").title = `Model ${version}, bundle ${digest}. Opens its details as JSON.`;
}

async function loadSamples() {
  const { samples } = await (await fetch("/v1/samples")).json();
  $("samples").replaceChildren(...samples.map(({ title, url }) => new Option(title, url)));
  $("samples").hidden = !samples.length;
  document.querySelector("label[for=samples]").hidden = !samples.length;
  $("no-samples").hidden = samples.length > 0;
  choose(samples.length ? "sample" : "file");
}

function health(good) {
  $("health").className = `dot ${good ? "good" : "bad"}`;
}

/** Watches the service while no session does, and says when it goes and when it is back. */
async function watch() {
  if (state.status !== "live") {
    const well = await fetch("/readyz", { cache: "no-store" }).then((answer) => answer.ok, () => false);
    health(well);
    if (!well) away();
    else if (state.status === "away") {
      await loadModel().catch(() => {});
      show("idle");
      tell("The service is back.");
      setTimeout(() => $("banner-text").textContent === "The service is back." && quiet(), 4000);
    }
  }
  setTimeout(watch, state.status === "away" ? 1500 : 5000);
}

function away() {
  if (state.status === "away") return;
  stop();
  show("away");
  tell("The service went away. This page tries again until it is back.");
}

// --- the source ------------------------------------------------------------------------------------------------------

function choose(kind) {
  source = kind;
  document.querySelector(`input[name=source][value=${kind}]`).checked = true;
  for (const pane of document.querySelectorAll(".pane")) pane.classList.toggle("shown", pane.dataset.pane === kind);
  stop();
  release();
  if (kind === "sample" && $("samples").value) load($("samples").value);
  else if (kind === "file" && $("file").files[0]) load(URL.createObjectURL($("file").files[0]));
  else unload();
  document.querySelector(".repeat").hidden = kind === "camera";
  refresh();
}

function load(url) {
  video.srcObject = null;
  if (video.src.startsWith("blob:")) URL.revokeObjectURL(video.src);
  video.src = url;
  video.load();
}

function unload() {
  video.srcObject = null;
  video.removeAttribute("src");
  video.load();
}

function release() {
  camera?.getTracks().forEach((track) => track.stop());
  camera = null;
}

async function openCamera() {
  if (!navigator.mediaDevices) throw new Error("The browser gives the camera to secure pages only: open this one by https or on localhost.");
  camera = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480, facingMode: "environment" } });
  video.srcObject = camera;
}

// --- a session -------------------------------------------------------------------------------------------------------

async function start() {
  clearTimeout(repeatTimer);
  if (state.status === "live" || state.status === "connecting") return stop();
  stop();
  show("connecting");
  quiet();
  try {
    if (source === "camera" && !camera) await openCamera();
    if (source !== "camera") video.currentTime = 0;
    await video.play();
  } catch (error) {
    show("idle");
    return tell(playFailure(error));
  }
  if (state.status !== "connecting") return; // stopped meanwhile
  stage?.reset();
  plot.clear();
  Object.assign(state, { frames: 0, dropped: 0, chunks: 0, latency_ms: null, error: null });
  figures();
  const current = { player: null, clock: null, stream: null };
  current.stream = new Stream({
    hello: (hello) => {
      showModel(hello);
      health(true);
      if (hello.joints.join() !== JOINTS.join()) return current.stream.end("The service moves other joints than this page draws.", 1002);
      current.player = new Player(hello.fps, hello.joints.length);
      const rates = { fps: hello.fps, framesPerToken: hello.frames_per_token, sidePx: model?.image_side_px };
      if (source !== "camera") video.currentTime = 0;
      current.clock = new FrameClock(video, rates, (...frame) => current.stream.send(...frame));
      show("live");
    },
    chunk: (chunk) => take(current, chunk),
    end: (line, code) => end(line, code),
  });
  session = current;
}

function take({ player }, chunk) {
  player.add(chunk.poses);
  plot.add(chunk.latency_ms);
  state.frames += chunk.poses.length;
  state.chunks += 1;
  state.dropped = chunk.dropped * chunk.poses.length;
  state.latency_ms = plot.median;
  state.model_ms = ["perception", "gpt", "decode"].reduce((sum, name) => sum + (chunk.timings_ms[name] ?? 0), 0);
  figures();
}

/** The service ended the session. */
function end(line, code) {
  stop();
  state.error = line || `closed with code ${code}`;
  if (code === 1006 || code === 1012 || code === 1001) {
    health(false);
    away();
  } else {
    show("idle");
    tell(line ? `The service ended the session: ${line}.` : `The service ended the session (code ${code}).`);
  }
}

function stop() {
  clearTimeout(repeatTimer);
  session?.clock?.stop();
  session?.stream.close();
  if (session) ending = session; // its last motion plays out
  session = null;
  video.pause();
  if (state.status !== "away") show("idle");
}
let ending = null;

function reset() {
  const again = state.status === "live" || state.status === "connecting";
  stop();
  ending = null;
  stage?.reset();
  stage?.home();
  plot.clear();
  Object.assign(state, { frames: 0, dropped: 0, chunks: 0, latency_ms: null, model_ms: null });
  figures();
  show(state.status);
  if (source !== "camera" && video.src) video.currentTime = 0;
  if (again) start();
}

video.addEventListener("ended", () => {
  if (!session) return;
  session.clock?.stop();
  repeatTimer = setTimeout(() => {
    stop(); // by now the last chunk has come
    if ($("repeat").checked) repeatTimer = setTimeout(start, 1000);
  }, 500);
});
video.addEventListener("error", () => {
  if (!video.getAttribute("src")) return;
  stop();
  tell(`This browser cannot play that video. An mp4 with H.264 works everywhere.`);
});

function playFailure(error) {
  if (error.name === "NotAllowedError") return "The browser did not allow the camera. Allow it in the address bar, then start again.";
  if (error.name === "NotFoundError") return "No camera was found.";
  if (error.name === "NotSupportedError") return "This browser cannot play that video. An mp4 with H.264 works everywhere.";
  return error.message;
}

// --- what is shown ---------------------------------------------------------------------------------------------------

const WORDS = { connecting: "connecting…", live: "live", away: "waiting for the service" };

function show(status) {
  state.status = status;
  $("state").textContent = WORDS[status] ?? (state.frames ? "done" : "at rest");
  $("state").classList.toggle("live", status === "live");
  refresh();
}

function refresh() {
  const running = state.status === "live" || state.status === "connecting";
  const ready = source === "camera" || Boolean(video.getAttribute("src"));
  $("start").textContent = running ? "Stop" : "Start";
  $("start").disabled = !ready || state.status === "away";
  $("play").hidden = running || !ready;
  $("play").disabled = state.status === "away";
  $("empty").hidden = ready;
  document.documentElement.dataset.status = state.status;
}

function figures() {
  $("latency").textContent = state.latency_ms === null ? "–" : state.latency_ms.toFixed(state.latency_ms < 9.95 ? 1 : 0);
  $("seconds").textContent = (state.frames / 20).toFixed(1);
  $("dropped").textContent = state.dropped;
  $("model-ms").textContent = state.model_ms ? `${state.model_ms.toFixed(1)} ms` : "–";
  document.documentElement.dataset.frames = state.frames;
}

function tell(line) {
  $("banner-text").textContent = line;
  $("banner").hidden = false;
}

function quiet() {
  $("banner").hidden = true;
}

// --- hands and keys --------------------------------------------------------------------------------------------------

for (const input of document.querySelectorAll("input[name=source]")) input.addEventListener("change", () => choose(input.value));
$("samples").addEventListener("change", () => choose("sample"));
$("file").addEventListener("change", () => take_file($("file").files[0]));
$("start").addEventListener("click", start);
$("play").addEventListener("click", start);
$("reset").addEventListener("click", reset);
$("banner-close").addEventListener("click", quiet);
$("canvas").addEventListener("pointerdown", () => $("hint").classList.add("gone"));

function take_file(file) {
  if (!file) return;
  choose("file");
  load(URL.createObjectURL(file));
  $("file-name").textContent = file.name;
  refresh();
}

addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
addEventListener("dragleave", (event) => event.relatedTarget ?? document.body.classList.remove("dropping"));
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  take_file([...event.dataTransfer.files].find((file) => file.type.startsWith("video/")));
});
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  if (event.key === "r" || event.key === "R") reset();
  if (event.key === " " && !event.target.matches("button, a")) {
    event.preventDefault();
    if (!$("start").disabled) start();
  }
});
addEventListener("pagehide", () => stop());

// --- drawing ---------------------------------------------------------------------------------------------------------

let drawnAt = performance.now();
let drew = false;
function draw(now) {
  const passed = now - drawnAt;
  if (passed < stage.pauseMs) return requestAnimationFrame(draw);
  drawnAt = now;
  const pose = (session?.player ?? ending?.player)?.advance(Math.min(passed / 1000, 0.25));
  if (pose) stage.pose(pose);
  if (drew && pose) stage.judge(passed);
  drew = stage.render(Math.min(passed / 1000, 0.25));
  requestAnimationFrame(draw);
}

figures();
show("idle");
if (stage) requestAnimationFrame(draw);
loadModel().then(() => health(true), () => away());
loadSamples().catch(() => choose("file"));
setTimeout(watch, 5000);
