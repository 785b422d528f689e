// The path of the head: a tapered tube in the air, and its shadow-like trace on the floor.
import * as THREE from "three";

const POINTS = 120;
const STEP_M = 0.03;
const RING = 6;
const ROUNDS = 6;
const RADIUS_M = 0.013;
const UP = new THREE.Vector3(0, 1, 0);
const RIGHT = new THREE.Vector3(1, 0, 0);

export class Trail extends THREE.Group {
  constructor() {
    super();
    this.places = [];
    this.geometry = new THREE.BufferGeometry();
    this.positions = new THREE.BufferAttribute(new Float32Array(POINTS * RING * 3), 3);
    this.geometry.setAttribute("position", this.positions);
    const index = [];
    for (let i = 0; i + 1 < POINTS; i++) {
      for (let k = 0; k < RING; k++) {
        const [a, b] = [i * RING + k, i * RING + ((k + 1) % RING)];
        index.push(a, b, a + RING, b, b + RING, a + RING);
      }
    }
    this.geometry.setIndex(index);
    this.material = new THREE.MeshBasicMaterial({ side: THREE.DoubleSide });
    this.traceMaterial = new THREE.MeshBasicMaterial({ transparent: true, opacity: 0.28, side: THREE.DoubleSide, depthWrite: false });
    const tube = new THREE.Mesh(this.geometry, this.material);
    const trace = new THREE.Mesh(this.geometry, this.traceMaterial);
    trace.scale.y = 0;
    trace.position.y = 0.004;
    for (const mesh of [tube, trace]) mesh.frustumCulled = false;
    this.add(tube, trace);
    this.write();
  }

  paint(colour) {
    this.material.color.set(colour);
    this.traceMaterial.color.set(colour);
  }

  clear() {
    this.places = [];
    this.write();
  }

  /** @param {THREE.Vector3} head where it is now, metres. */
  reach(head) {
    if (!this.places.length) this.places.push(head.clone());
    // Evenly spaced, however seldom a frame is drawn.
    const before = this.places.length;
    for (let gap = head.distanceTo(this.places.at(-1)); gap > STEP_M; gap -= STEP_M) {
      this.places.push(this.places.at(-1).clone().lerp(head, STEP_M / gap));
    }
    if (this.places.length === before) return;
    this.places.splice(0, this.places.length - POINTS);
    this.write();
  }

  write() {
    const places = smooth(this.places);
    const count = Math.max(places.length - 1, 0); // the newest is inside the head
    for (let i = 0; i < count; i++) {
      const along = places[i + 1].clone().sub(places[Math.max(i - 1, 0)]).normalize();
      const across = new THREE.Vector3().crossVectors(along, Math.abs(along.y) > 0.9 ? RIGHT : UP).normalize();
      const other = new THREE.Vector3().crossVectors(along, across);
      const radius = RADIUS_M * (0.12 + 0.88 * (i / count));
      for (let k = 0; k < RING; k++) {
        const angle = (k / RING) * 2 * Math.PI;
        const point = places[i].clone().addScaledVector(across, radius * Math.cos(angle)).addScaledVector(other, radius * Math.sin(angle));
        this.positions.setXYZ(i * RING + k, point.x, point.y, point.z);
      }
    }
    this.positions.needsUpdate = true;
    this.geometry.setDrawRange(0, Math.max(count - 1, 0) * RING * 6);
  }
}

/** Corners, which seldom drawn frames leave, made round; the ends stay. */
function smooth(places) {
  for (let round = 0; round < ROUNDS; round++) {
    places = places.map((place, i) => {
      const [before, after] = [places[i - 1], places[i + 1]];
      return before && after ? before.clone().add(after).multiplyScalar(0.5).lerp(place, 0.5) : place;
    });
  }
  return places;
}
