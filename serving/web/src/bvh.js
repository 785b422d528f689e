// Motion as BVH: 22 joints under SMPL's names, centimetres, y up, rotations ZXY in degrees, T pose at rest.
import { Euler } from "three";
import { fitSkeleton, localRotations, worldRotations } from "./kinematics.js";
import { CHILDREN, END_SITES, JOINTS, PARENTS, PELVIS } from "./skeleton.js";

const CM = 100;
const fixed = (numbers) => numbers.map((number) => number.toFixed(6)).join(" ");

/**
 * @param {Float32Array[]} poses 22 × 3 world positions each, metres, y up.
 * @returns {string} the file's text.
 */
export function toBvh(poses, fps) {
  const offsets = fitSkeleton(poses);
  const order = [];
  const hierarchy = (joint, depth) => {
    order.push(joint);
    const indent = "  ".repeat(depth);
    const root = PARENTS[joint] < 0;
    const place = root ? "6 Xposition Yposition Zposition" : "3";
    const lines = [
      `${indent}${root ? "ROOT" : "JOINT"} ${JOINTS[joint]}`,
      `${indent}{`,
      `${indent}  OFFSET ${fixed(offsets[joint].toArray().map((v) => v * CM))}`,
      `${indent}  CHANNELS ${place} Zrotation Xrotation Yrotation`,
      ...CHILDREN[joint].flatMap((child) => hierarchy(child, depth + 1)),
    ];
    const end = END_SITES[joint];
    if (end) lines.push(`${indent}  End Site`, `${indent}  {`, `${indent}    OFFSET ${fixed(end.map((v) => v * CM))}`, `${indent}  }`);
    return [...lines, `${indent}}`];
  };
  const lines = ["HIERARCHY", ...hierarchy(PELVIS, 0), "MOTION", `Frames: ${poses.length}`, `Frame Time: ${(1 / fps).toFixed(8)}`];
  let before = null;
  for (const pose of poses) {
    const local = localRotations(worldRotations(pose, offsets));
    let degrees = order.flatMap((joint) => {
      const { x, y, z } = new Euler().setFromQuaternion(local[joint], "ZXY");
      return [z, x, y].map((angle) => (angle * 180) / Math.PI);
    });
    // A turn goes on beyond 180 degrees, as programs that blend between frames expect.
    if (before) degrees = degrees.map((angle, i) => angle - 360 * Math.round((angle - before[i]) / 360));
    before = degrees;
    lines.push(fixed([...Array.from(pose.subarray(0, 3), (v) => v * CM), ...degrees]));
  }
  return lines.join("\n") + "\n";
}
