// Where the video comes from: a sample of the service, a file of the person's, or the camera.
import { sampleVideo } from "./service.js";

const CAMERA = { width: 640, height: 480, facingMode: "environment" };

export class Source {
  /** @param {HTMLVideoElement} video shows it. */
  constructor(video) {
    this.video = video;
    this.kind = "sample";
    this.name = null;
    this.stream = null;
    this.asked = 0;
  }

  get ready() {
    return this.kind === "camera" || Boolean(this.video.getAttribute("src"));
  }

  /** Loads a sample; a later choice wins over one that is still on its way. */
  async sample({ title, url }) {
    this.clear("sample");
    const mine = this.asked;
    const content = await sampleVideo(url);
    if (mine === this.asked) this.show(content, title);
  }

  file(file) {
    this.clear("file");
    if (file) this.show(file, file.name.replace(/\.[^.]*$/, ""));
  }

  camera() {
    this.clear("camera");
    this.name = "camera";
  }

  /** Ready to be played from its beginning. Raises what `getUserMedia` does. */
  async rewind() {
    if (this.kind !== "camera") {
      this.video.currentTime = 0;
    } else if (!this.stream) {
      if (!navigator.mediaDevices) throw new DOMException("", "SecurityError");
      this.stream = await navigator.mediaDevices.getUserMedia({ video: CAMERA });
      this.video.srcObject = this.stream;
    }
  }

  /** Turns the camera off. */
  release() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
    this.video.srcObject = null;
  }

  clear(kind) {
    this.asked += 1;
    this.kind = kind;
    this.name = null;
    this.release();
    if (this.video.src) URL.revokeObjectURL(this.video.src);
    this.video.removeAttribute("src");
    this.video.load();
  }

  show(content, name) {
    this.name = name;
    this.video.src = URL.createObjectURL(content);
    this.video.load();
  }
}

/** Why a video does not play, in a person's words. */
export function whyNot(error) {
  const cannotPlay = "This browser cannot play that video. An mp4 with H.264 works everywhere.";
  const lines = {
    NotAllowedError: "The browser did not allow the camera. Allow it in the address bar, then start again.",
    NotFoundError: "No camera was found.",
    NotReadableError: "The camera is in use by another program.",
    SecurityError: "The browser gives the camera to secure pages only: open this one by https or on localhost.",
    NotSupportedError: cannotPlay,
    MediaError: cannotPlay,
  };
  return lines[error.name] ?? error.message;
}
