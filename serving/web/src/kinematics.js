// From joint positions to rotations of a rigid skeleton that stands in a T pose, by the rules of `egoreact/motion/kinematics.py`:
// pelvis and chest have three bones each, which fix their turn; the spine shares the difference; all else swings the shortest way.
import { Quaternion, Vector3 } from "three";
import { CHEST, CHILDREN, JOINTS, PARENTS, PELVIS, T_POSE_DIRECTIONS } from "./skeleton.js";

const SPINE_SHARES = { 3: 1 / 3, 6: 2 / 3 };
const TEMPLATE_ROUNDS = 10;

/** A pose's 22 × 3 numbers as vectors, metres. */
export const points = (pose) => JOINTS.map((_, i) => new Vector3().fromArray(pose, i * 3));

/** Rest offsets, metres, of the rigid skeleton that moves most nearly like these poses: bones have their mean lengths. */
export function fitSkeleton(poses) {
  const frames = poses.map(points);
  const lengths = PARENTS.map((parent, joint) => {
    if (parent < 0) return 0;
    return frames.reduce((sum, frame) => sum + frame[joint].distanceTo(frame[parent]), 0) / frames.length;
  });
  const offsets = T_POSE_DIRECTIONS.map((direction, joint) => new Vector3(...direction).normalize().multiplyScalar(lengths[joint]));
  for (const joint of [PELVIS, CHEST]) {
    const children = CHILDREN[joint];
    const observed = frames.map((frame) => bonesOf(frame, joint));
    for (let round = 0; round < TEMPLATE_ROUNDS; round++) {
      const template = children.map((child) => offsets[child].clone());
      const sums = children.map(() => new Vector3());
      for (const bones of observed) {
        const back = register(template, bones).invert();
        bones.forEach((bone, i) => sums[i].add(bone.clone().applyQuaternion(back)));
      }
      children.forEach((child, i) => offsets[child].copy(sums[i].normalize().multiplyScalar(lengths[child])));
    }
  }
  return offsets;
}

/** World rotations of the joints of one pose, each carrying its bones from rest to where they point. */
export function worldRotations(pose, offsets) {
  const at = points(pose);
  const rotations = [];
  for (const joint of [PELVIS, CHEST]) {
    rotations[joint] = register(CHILDREN[joint].map((child) => offsets[child]), bonesOf(at, joint));
  }
  for (let joint = 1; joint < JOINTS.length; joint++) {
    if (joint === CHEST) continue;
    const share = SPINE_SHARES[joint];
    const before = share ? rotations[PELVIS].clone().slerp(rotations[CHEST], share) : rotations[PARENTS[joint]];
    const [child] = CHILDREN[joint];
    if (child === undefined) {
      rotations[joint] = before.clone();
      continue;
    }
    const carried = offsets[child].clone().applyQuaternion(before).normalize();
    const bone = at[child].clone().sub(at[joint]).normalize();
    rotations[joint] = new Quaternion().setFromUnitVectors(carried, bone).multiply(before);
  }
  return rotations;
}

/** Rotations relative to the parents: what BVH and glTF store. */
export function localRotations(rotations) {
  return rotations.map((rotation, joint) =>
    PARENTS[joint] < 0 ? rotation.clone() : rotations[PARENTS[joint]].clone().invert().multiply(rotation));
}

const bonesOf = (at, joint) => CHILDREN[joint].map((child) => at[child].clone().sub(at[joint]));

/** The rotation that brings the vectors `from` nearest to `to`: Horn's unit quaternion. */
function register(from, to) {
  const s = (a, b) => from.reduce((sum, vector, i) => sum + vector[a] * to[i][b], 0);
  const [xx, xy, xz, yx, yy, yz, zx, zy, zz] = ["x", "y", "z"].flatMap((a) => ["x", "y", "z"].map((b) => s(a, b)));
  const [w, x, y, z] = greatestEigenvector([
    [xx + yy + zz, yz - zy, zx - xz, xy - yx],
    [yz - zy, xx - yy - zz, xy + yx, zx + xz],
    [zx - xz, xy + yx, yy - xx - zz, yz + zy],
    [xy - yx, zx + xz, yz + zy, zz - xx - yy],
  ]);
  return new Quaternion(x, y, z, w).normalize();
}

/** Of a symmetric 4 × 4 matrix, by Jacobi's rotations. */
function greatestEigenvector(matrix) {
  const vectors = matrix.map((_, i) => matrix.map((_, j) => (i === j ? 1 : 0)));
  for (let sweep = 0; sweep < 12; sweep++) {
    for (let p = 0; p < 3; p++) {
      for (let q = p + 1; q < 4; q++) {
        if (Math.abs(matrix[p][q]) < 1e-15) continue;
        const angle = 0.5 * Math.atan2(2 * matrix[p][q], matrix[q][q] - matrix[p][p]);
        const [c, s] = [Math.cos(angle), Math.sin(angle)];
        for (const row of [...matrix, ...vectors]) [row[p], row[q]] = [c * row[p] - s * row[q], s * row[p] + c * row[q]];
        [matrix[p], matrix[q]] = [matrix[p].map((v, k) => c * v - s * matrix[q][k]), matrix[q].map((v, k) => s * matrix[p][k] + c * v)];
      }
    }
  }
  const greatest = matrix.reduce((best, row, i) => (row[i] > matrix[best][best] ? i : best), 0);
  return vectors.map((row) => row[greatest]);
}
