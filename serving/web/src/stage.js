// The 3D view: floor grid, light and soft shadows, a camera that follows the body and that a hand or keys can turn, the path of the head.
import * as THREE from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import { Mannequin } from "./mannequin.js";
import { HEAD, NECK, REST_POSE } from "./skeleton.js";
import { Trail } from "./trail.js";

const HOME = new THREE.Vector3(1.9, 0.8, 3.1);
const EYE_HEIGHT_M = 0.98;
// From the best looking to what a processor without a graphics card can draw; the stage walks down until it is fluent.
const QUALITY = [
  { pixelRatio: 2, shadowPx: 1024, pauseMs: 0 },
  { pixelRatio: 1, shadowPx: 1024, pauseMs: 0 },
  // Drawn by the processor, frames at full rate would starve the encoding of the video.
  { pixelRatio: 0.75, shadowPx: 512, pauseMs: 60 },
  { pixelRatio: 0.5, shadowPx: 512, pauseMs: 90 },
  { pixelRatio: 0.35, shadowPx: 256, pauseMs: 120 },
];
const SOFTWARE_QUALITY = 2;
const HEAD_CENTRE_M = 0.1; // above the joint that carries it
// Under which joints the floor is darkened, how widely, and from what height on not any more.
const SPOTS = [
  { joints: [7, 10], size_m: 0.46, fade_m: 0.35 }, { joints: [8, 11], size_m: 0.46, fade_m: 0.35 }, { joints: [0], size_m: 1.3, fade_m: 1.9 },
];
const SLOW_MS = 45;
const JUDGED_FRAMES = 12;
const JUDGED_MS = 900;
// A still picture is drawn once more, finely, after this long.
const STILL_MS = 300;
const REFINED_PIXEL_RATIO = 2;

export class Stage {
  constructor(canvas) {
    this.canvas = canvas;
    const software = drawnBySoftware();
    this.quality = software ? SOFTWARE_QUALITY : 0;
    this.slow = { frames: 0, ms: 0 };
    this.renderer = new THREE.WebGLRenderer({ canvas, antialias: !software, alpha: true });
    this.renderer.shadowMap.enabled = true;
    this.renderer.shadowMap.type = THREE.PCFShadowMap;
    this.renderer.toneMapping = THREE.NeutralToneMapping;
    this.scene = new THREE.Scene();
    this.camera = new THREE.PerspectiveCamera(34, 1, 0.05, 60);
    this.target = new THREE.Vector3(0, EYE_HEIGHT_M, 0);
    this.controls = new OrbitControls(this.camera, canvas);
    Object.assign(this.controls, {
      enableDamping: !matchMedia("(prefers-reduced-motion: reduce)").matches, dampingFactor: 0.08, enablePan: false, minDistance: 1.4, maxDistance: 9, maxPolarAngle: 1.54,
    });
    this.home();

    this.body = new Mannequin();
    this.scene.add(this.body);
    this.light();
    this.floor();
    this.contacts();
    this.trail = new Trail();
    this.scene.add(this.trail);
    this.joints = REST_POSE;
    this.paint();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.paint());
    new ResizeObserver(() => this.resize()).observe(canvas.parentElement);
    canvas.addEventListener("keydown", (event) => this.key(event));
    this.resize();
  }

  light() {
    this.sky = new THREE.HemisphereLight(0xffffff, 0xb8afa3, 1.5);
    this.sun = new THREE.DirectionalLight(0xfff4e6, 2.3);
    this.sun.castShadow = true;
    this.sun.shadow.radius = 5;
    this.sun.shadow.bias = -0.0006;
    this.sun.shadow.normalBias = 0.01;
    Object.assign(this.sun.shadow.camera, { left: -1.9, right: 1.9, top: 1.9, bottom: -1.9, near: 1, far: 9 });
    this.rim = new THREE.DirectionalLight(0xcfe0ff, 0.9);
    this.scene.add(this.sky, this.sun, this.sun.target, this.rim, this.rim.target);
  }

  floor() {
    const size = 26;
    this.shade = new THREE.Mesh(new THREE.PlaneGeometry(size, size).rotateX(-Math.PI / 2), new THREE.ShadowMaterial());
    this.shade.receiveShadow = true;
    this.gridMaterial = new THREE.ShaderMaterial({
      transparent: true,
      depthWrite: false,
      uniforms: { ink: { value: new THREE.Color() }, centre: { value: new THREE.Vector2() } },
      vertexShader: `varying vec2 p; void main() { vec4 w = modelMatrix * vec4(position, 1.0); p = w.xz; gl_Position = projectionMatrix * viewMatrix * w; }`,
      // A line a half metre and a stronger one each two metres, as wide as a pixel, fading away from the body.
      fragmentShader: `
        uniform vec3 ink; uniform vec2 centre; varying vec2 p;
        float lines(vec2 q, float step_m) { vec2 g = q / step_m; vec2 d = abs(fract(g - 0.5) - 0.5) / fwidth(g); return 1.0 - min(min(d.x, d.y), 1.0); }
        void main() {
          float fade = 1.0 - smoothstep(1.2, 7.5, distance(p, centre));
          float a = max(lines(p, 0.5) * 0.22, lines(p, 2.0) * 0.55) * fade * fade;
          gl_FragColor = vec4(ink, a);
          #include <colorspace_fragment>
        }`,
    });
    this.grid = new THREE.Mesh(this.shade.geometry, this.gridMaterial);
    this.grid.position.y = 0.001;
    this.scene.add(this.shade, this.grid);
  }

  /** A soft dark spot under each foot and the body: where it touches the floor the eye wants more than the sun's shadow. */
  contacts() {
    const geometry = new THREE.PlaneGeometry(1, 1).rotateX(-Math.PI / 2);
    this.spots = SPOTS.map(({ joints, size_m, fade_m }) => {
      const material = new THREE.ShaderMaterial({
        transparent: true,
        depthWrite: false,
        uniforms: { strength: { value: 0 } },
        vertexShader: `varying vec2 p; void main() { p = uv * 2.0 - 1.0; gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0); }`,
        fragmentShader: `uniform float strength; varying vec2 p; void main() { float d = 1.0 - min(length(p), 1.0); gl_FragColor = vec4(0.0, 0.0, 0.0, strength * d * d); }`,
      });
      const mesh = new THREE.Mesh(geometry, material);
      mesh.scale.set(size_m, 1, size_m);
      this.scene.add(mesh);
      return { joints, fade_m, mesh, strength: material.uniforms.strength };
    });
  }

  /** Colours from the style sheet, so that light and dark are told in one place. */
  paint() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    this.body.paint({ skin: colour("skin"), joint: colour("joint"), visor: colour("visor") });
    this.gridMaterial.uniforms.ink.value.set(colour("grid"));
    this.trail.paint(colour("accent"));
    this.shade.material.opacity = Number(colour("shadow"));
    this.dark = Number(colour("contact"));
    this.pose(this.joints);
    this.stale = true;
  }

  /** @param {Float32Array} joints 22 × 3 world positions, metres. */
  pose(joints) {
    this.body.pose(joints);
    this.joints = joints;
    this.stale = true;
    const [neck, head] = [NECK, HEAD].map((joint) => new THREE.Vector3().fromArray(joints, joint * 3));
    this.trail.reach(head.addScaledVector(neck.sub(head).normalize(), -HEAD_CENTRE_M));
    for (const { joints: over, fade_m, mesh, strength } of this.spots) {
      const mean = (axis) => over.reduce((sum, joint) => sum + joints[joint * 3 + axis], 0) / over.length;
      mesh.position.set(mean(0), 0.002, mean(2));
      strength.value = this.dark * Math.max(1 - Math.max(mean(1), 0) / fade_m, 0);
    }
  }

  /** The body at rest at the origin, no trail. */
  reset() {
    this.pose(REST_POSE);
    this.trail.clear(); // it begins where motion does
  }

  /** The view as it was at first, wherever the body is. */
  home() {
    this.controls.target.copy(this.target);
    this.camera.position.copy(this.target).add(HOME);
    this.controls.update();
  }

  key(event) {
    const turns = { ArrowLeft: [-0.12, 0], ArrowRight: [0.12, 0], ArrowUp: [0, -0.08], ArrowDown: [0, 0.08] };
    const offset = new THREE.Spherical().setFromVector3(this.camera.position.clone().sub(this.controls.target));
    if (event.key in turns) {
      offset.theta += turns[event.key][0];
      offset.phi = Math.min(Math.max(offset.phi + turns[event.key][1], 0.1), this.controls.maxPolarAngle);
    } else if (event.key === "+" || event.key === "=") offset.radius = Math.max(offset.radius * 0.9, this.controls.minDistance);
    else if (event.key === "-") offset.radius = Math.min(offset.radius * 1.1, this.controls.maxDistance);
    else if (event.key === "0") return this.home();
    else return;
    event.preventDefault();
    this.camera.position.setFromSpherical(offset).add(this.controls.target);
    this.stale = true;
  }

  /** @param {boolean} refined draw a still picture finer than a moving one. */
  resize(refined = false) {
    const { clientWidth, clientHeight } = this.canvas.parentElement;
    if (!clientWidth || !clientHeight) return;
    const { pixelRatio, shadowPx } = QUALITY[this.quality];
    this.refined = refined;
    this.renderer.setPixelRatio(refined ? REFINED_PIXEL_RATIO : Math.min(devicePixelRatio, pixelRatio));
    this.renderer.setSize(clientWidth, clientHeight, false);
    if (this.sun.shadow.mapSize.x !== shadowPx) {
      this.sun.shadow.mapSize.set(shadowPx, shadowPx);
      this.sun.shadow.map?.dispose();
      this.sun.shadow.map = null;
    }
    this.camera.aspect = clientWidth / clientHeight;
    this.camera.fov = this.camera.aspect < 0.9 ? 46 : 34;
    this.camera.updateProjectionMatrix();
    this.stale = true;
  }

  /** Milliseconds to leave between two frames. */
  get pauseMs() {
    return QUALITY[this.quality].pauseMs;
  }

  /** Takes note of how long a frame took while the body moved, and draws less finely where that is too long. */
  judge(ms) {
    this.slow.frames += 1;
    this.slow.ms += ms;
    if (this.slow.frames < JUDGED_FRAMES && this.slow.ms < JUDGED_MS) return;
    if (this.slow.ms / this.slow.frames > this.pauseMs + SLOW_MS && this.quality < QUALITY.length - 1) {
      this.quality += 1;
      this.resize();
    }
    this.slow = { frames: 0, ms: 0 };
  }

  /** Draws, where anything changed since the last time; says whether it did. */
  render(seconds) {
    const follow = 1 - Math.exp(-seconds * 5);
    const middle = (axis) => (this.joints[axis] + this.joints[HEAD * 3 + axis]) / 2; // of pelvis and head
    const wanted = new THREE.Vector3(middle(0), EYE_HEIGHT_M, middle(2));
    const step = wanted.sub(this.target).multiplyScalar(follow);
    this.target.add(step);
    this.controls.target.add(step);
    this.camera.position.add(step);
    const { target } = this;
    this.sun.position.set(target.x + 1.6, 4.6, target.z + 1.9);
    this.sun.target.position.set(target.x, 0.6, target.z);
    this.rim.position.set(target.x - 2.5, 2.5, target.z - 3);
    this.rim.target.position.copy(target);
    this.shade.position.set(target.x, 0, target.z);
    this.grid.position.set(target.x, 0.001, target.z);
    this.gridMaterial.uniforms.centre.value.set(target.x, target.z);
    const changed = this.controls.update() || this.stale || step.lengthSq() > 1e-9;
    const now = performance.now();
    if (changed) {
      this.changedAt = now;
      if (this.refined) this.resize();
    } else {
      if (this.refined || this.quality === 0 || now - this.changedAt < STILL_MS) return false;
      this.resize(true);
    }
    this.stale = false;
    this.renderer.render(this.scene, this.camera);
    return changed;
  }
}

function drawnBySoftware() {
  const gl = document.createElement("canvas").getContext("webgl2");
  const info = gl?.getExtension("WEBGL_debug_renderer_info");
  const name = info ? gl.getParameter(info.UNMASKED_RENDERER_WEBGL) : "";
  gl?.getExtension("WEBGL_lose_context")?.loseContext();
  return /swiftshader|llvmpipe|software|basic render/i.test(name);
}
