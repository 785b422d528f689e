// Motion as GLB: the body that the page draws, skinned to 22 joints, and one animation. Loaded only when asked for.
import * as THREE from "three";
import { GLTFExporter } from "three/addons/exporters/GLTFExporter.js";
import { mergeGeometries } from "three/addons/utils/BufferGeometryUtils.js";
import { fitSkeleton, localRotations, worldRotations } from "./kinematics.js";
import { Mannequin } from "./mannequin.js";
import { JOINTS, PARENTS, PELVIS } from "./skeleton.js";

const COLOURS = { skin: "#d9d4cb", joint: "#8f8a82", visor: "#3a3d46" };

/**
 * @param {Float32Array[]} poses 22 × 3 world positions each, metres, y up.
 * @param {object} about what is kept beside the motion: version, digest.
 * @returns {Promise<ArrayBuffer>} the file's bytes.
 */
export async function toGlb(poses, fps, about) {
  const offsets = fitSkeleton(poses);
  const scene = new THREE.Scene();
  scene.name = "EgoReAct";
  scene.userData = about;
  const bones = JOINTS.map((name, joint) => {
    const bone = new THREE.Bone();
    bone.name = name;
    bone.position.copy(offsets[joint]);
    return bone;
  });
  bones.forEach((bone, joint) => (PARENTS[joint] < 0 ? scene : bones[PARENTS[joint]]).add(bone));
  bones[PELVIS].position.fromArray(poses[0]);
  scene.updateMatrixWorld(true);

  const material = new THREE.MeshStandardMaterial({ vertexColors: true, roughness: 0.6, metalness: 0 });
  const mesh = new THREE.SkinnedMesh(skin(bones), material);
  mesh.name = "body";
  scene.add(mesh);
  mesh.bind(new THREE.Skeleton(bones), new THREE.Matrix4());
  const bytes = await new GLTFExporter().parseAsync(scene, { binary: true, animations: [animation(poses, fps, offsets)] });
  mesh.geometry.dispose();
  material.dispose();
  return bytes;
}

/** The mannequin in the T pose of `bones` as one geometry, each part carried whole by its joint. */
function skin(bones) {
  const at = bones.flatMap((bone) => bone.getWorldPosition(new THREE.Vector3()).toArray());
  const body = new Mannequin();
  body.paint(COLOURS);
  body.pose(new Float32Array(at));
  body.updateMatrixWorld(true);
  const parts = [];
  body.traverse((part) => {
    if (!part.isMesh) return;
    const geometry = part.geometry.clone().applyMatrix4(part.matrixWorld);
    geometry.deleteAttribute("uv");
    const { count } = geometry.attributes.position;
    const each = (values, Type) => new THREE.BufferAttribute(new Type(Array.from({ length: count }, () => values).flat()), values.length);
    geometry.setAttribute("skinIndex", each([JOINTS.indexOf(part.userData.joint), 0, 0, 0], Uint16Array));
    geometry.setAttribute("skinWeight", each([1, 0, 0, 0], Float32Array));
    geometry.setAttribute("color", each(part.material.color.toArray(), Float32Array));
    parts.push(geometry);
  });
  body.dispose();
  return mergeGeometries(parts);
}

function animation(poses, fps, offsets) {
  const times = poses.map((_, i) => i / fps);
  const turns = JOINTS.map(() => []);
  for (const pose of poses) {
    localRotations(worldRotations(pose, offsets)).forEach((turn, joint) => turns[joint].push(...turn.toArray()));
  }
  const tracks = turns.map((values, joint) => new THREE.QuaternionKeyframeTrack(`${JOINTS[joint]}.quaternion`, times, values));
  const places = poses.flatMap((pose) => Array.from(pose.subarray(0, 3)));
  tracks.push(new THREE.VectorKeyframeTrack(`${JOINTS[PELVIS]}.position`, times, places));
  return new THREE.AnimationClip("reaction", -1, tracks);
}
