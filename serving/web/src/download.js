// A take as a file, written in the browser.
import { toBvh } from "./bvh.js";

const FPS = 20;

export function downloadBvh({ poses, about }) {
  save(`${fileName(about)}.bvh`, toBvh(poses, FPS), "text/plain");
}

export async function downloadGlb({ poses, about }) {
  const { toGlb } = await import("./glb.js"); // large, and seldom wanted
  save(`${fileName(about)}.glb`, await toGlb(poses, FPS, about), "model/gltf-binary");
}

const fileName = ({ name, digest }) => `egoreact-${name.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-")}-${digest.slice(0, 10)}`;

function save(name, content, type) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
