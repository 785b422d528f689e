// A jointed wooden-figure body on the 22 SMPL joints: tapered limbs, balls at the joints, a head with a visor that shows where it faces.
import * as THREE from "three";
import { JOINTS, REST_POSE } from "./skeleton.js";

// From, to, radius at each, metres.
const LIMBS = [
  ["left_hip", "left_knee", 0.082, 0.053], ["right_hip", "right_knee", 0.082, 0.053],
  ["left_knee", "left_ankle", 0.054, 0.034], ["right_knee", "right_ankle", 0.054, 0.034],
  ["left_shoulder", "left_elbow", 0.048, 0.037], ["right_shoulder", "right_elbow", 0.048, 0.037],
  ["left_elbow", "left_wrist", 0.037, 0.025], ["right_elbow", "right_wrist", 0.037, 0.025],
  ["neck", "head", 0.046, 0.042],
];
const BALLS = {
  left_hip: 0.086, right_hip: 0.086, left_knee: 0.059, right_knee: 0.059, left_ankle: 0.039, right_ankle: 0.039,
  left_shoulder: 0.059, right_shoulder: 0.059, left_elbow: 0.042, right_elbow: 0.042, left_wrist: 0.029, right_wrist: 0.029,
};
const UP = new THREE.Vector3(0, 1, 0);

export class Mannequin extends THREE.Group {
  constructor() {
    super();
    this.skin = new THREE.MeshStandardMaterial({ roughness: 0.62 });
    this.dark = new THREE.MeshStandardMaterial({ roughness: 0.5 });
    this.visor = new THREE.MeshStandardMaterial({ roughness: 0.25 });
    this.points = JOINTS.map(() => new THREE.Vector3());
    this.at = Object.fromEntries(JOINTS.map((name, i) => [name, this.points[i]]));

    this.limbs = LIMBS.map(([from, to, near, far]) => {
      const geometry = new THREE.CylinderGeometry(far, near, 1, 20, 1, true).translate(0, 0.5, 0);
      return { mesh: this.part(geometry, this.skin, from), from: this.at[from], to: this.at[to] };
    });
    this.balls = Object.entries(BALLS).map(([name, radius]) => ({
      mesh: this.part(new THREE.SphereGeometry(radius, 24, 16), this.dark, name),
      at: this.at[name],
    }));
    this.pelvis = this.part(ellipsoid(0.155, 0.115, 0.108), this.skin, "pelvis");
    this.waist = this.part(ellipsoid(0.118, 0.13, 0.09), this.dark, "spine1");
    this.chest = this.part(ellipsoid(0.168, 0.205, 0.122), this.skin, "spine3");
    this.head = new THREE.Group();
    this.head.add(
      this.part(ellipsoid(0.078, 0.115, 0.098), this.skin, "head"),
      this.part(new THREE.SphereGeometry(1, 32, 12, 0.35, Math.PI - 0.7, 1.22, 0.5).scale(0.081, 0.118, 0.102), this.visor, "head"),
    );
    this.add(this.head);
    this.hands = ["left", "right"].map((side) => ({
      mesh: this.part(ellipsoid(0.032, 0.078, 0.02), this.skin, `${side}_wrist`), wrist: this.at[`${side}_wrist`], elbow: this.at[`${side}_elbow`],
    }));
    this.feet = ["left", "right"].map((side) => ({
      mesh: this.part(ellipsoid(0.044, 0.036, 0.125), this.skin, `${side}_ankle`), ankle: this.at[`${side}_ankle`], toe: this.at[`${side}_foot`],
    }));
    this.pose(REST_POSE);
  }

  /** A piece of the body that `joint` carries. */
  part(geometry, material, joint) {
    const mesh = new THREE.Mesh(geometry, material);
    mesh.userData.joint = joint;
    mesh.castShadow = true;
    mesh.receiveShadow = true;
    this.add(mesh);
    return mesh;
  }

  paint({ skin, joint, visor }) {
    this.skin.color.set(skin);
    this.dark.color.set(joint);
    this.visor.color.set(visor);
  }

  /** @param {Float32Array} joints 22 × 3 world positions, metres. */
  pose(joints) {
    this.points.forEach((point, i) => point.fromArray(joints, i * 3));
    const { at } = this;
    for (const { mesh, from, to } of this.limbs) {
      v.subVectors(to, from);
      const length = Math.max(v.length(), 1e-4);
      mesh.position.copy(from);
      mesh.scale.set(1, length, 1);
      mesh.quaternion.setFromUnitVectors(UP, v.divideScalar(length));
    }
    for (const { mesh, at: point } of this.balls) mesh.position.copy(point);

    hips.subVectors(at.left_hip, at.right_hip);
    shoulders.subVectors(at.left_shoulder, at.right_shoulder);
    place(this.pelvis, m.lerpVectors(at.left_hip, at.right_hip, 0.5).lerp(at.spine1, 0.3), hips, w.subVectors(at.spine1, at.pelvis));
    place(this.waist, m.lerpVectors(at.spine1, at.spine2, 0.35), hips, w.subVectors(at.spine2, at.spine1));
    place(this.chest, m.lerpVectors(at.spine3, at.neck, 0.3), shoulders, w.subVectors(at.neck, at.spine2));
    w.subVectors(at.head, at.neck);
    place(this.head, m.copy(at.head), shoulders, w);
    this.head.translateY(0.085);
    this.head.translateZ(0.025);
    for (const { mesh, wrist, elbow } of this.hands) {
      v.subVectors(wrist, elbow).normalize();
      mesh.quaternion.setFromUnitVectors(UP, v);
      mesh.position.copy(wrist).addScaledVector(v, 0.075);
    }
    for (const { mesh, ankle, toe } of this.feet) {
      v.subVectors(toe, ankle).setY(0);
      mesh.position.lerpVectors(ankle, toe, 0.62);
      mesh.position.y = Math.max((ankle.y + toe.y) / 2 - 0.018, 0.036);
      place(mesh, mesh.position, w.crossVectors(UP, v), UP);
    }
  }

  dispose() {
    this.traverse((object) => object.geometry?.dispose());
    for (const material of [this.skin, this.dark, this.visor]) material.dispose();
  }
}

const [v, w, m, hips, shoulders, right, forward] = Array.from({ length: 7 }, () => new THREE.Vector3());
const basis = new THREE.Matrix4();

/** Puts `object` at `position`, its x along `across` as far as `up`, its y, allows. */
function place(object, position, across, up) {
  object.position.copy(position);
  const y = up.clone().normalize();
  forward.crossVectors(across, y);
  if (forward.lengthSq() < 1e-8) return;
  forward.normalize();
  right.crossVectors(y, forward);
  object.quaternion.setFromRotationMatrix(basis.makeBasis(right, y, forward));
}

function ellipsoid(x, y, z) {
  return new THREE.SphereGeometry(1, 32, 24).scale(x, y, z);
}
