// The 22 joints of SMPL as the service names them, and their T pose. The same figures as `egoreact/motion/skeleton.py`.

export const JOINTS = [
  "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle", "spine3",
  "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder", "right_shoulder", "left_elbow",
  "right_elbow", "left_wrist", "right_wrist",
];
export const PARENTS = [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19];
export const CHILDREN = JOINTS.map((_, joint) => PARENTS.flatMap((parent, child) => (parent === joint ? [child] : [])));
export const [PELVIS, CHEST, NECK, HEAD] = [0, 9, 12, 15];

/** Standing at rest, metres, y up, facing +z: what is drawn before any motion has come. */
export const REST_POSE = new Float32Array([
  0, 0.95, 0, 0.1, 0.9, 0, -0.1, 0.9, 0, 0, 1.08, 0, 0.11, 0.5, 0.01, -0.11, 0.5, 0.01, 0, 1.22, 0, 0.12, 0.09, -0.02, -0.12,
  0.09, -0.02, 0, 1.28, 0, 0.14, 0.02, 0.11, -0.14, 0.02, 0.11, 0, 1.49, -0.01, 0.08, 1.43, 0, -0.08, 1.43, 0, 0, 1.6, 0.02,
  0.18, 1.43, -0.01, -0.18, 1.43, -0.01, 0.25, 1.18, -0.02, -0.25, 1.18, -0.02, 0.28, 0.93, 0.04, -0.28, 0.93, 0.04,
]);

/** From parent to joint where all rotations are zero; only the directions count. */
export const T_POSE_DIRECTIONS = [
  [0, 0, 0], [0.62, -0.78, -0.07], [-0.62, -0.78, -0.07], [0, 0.97, -0.22], [0.09, -0.99, -0.01], [-0.09, -0.99, -0.01],
  [0, 1, 0.01], [-0.03, -0.99, -0.11], [0.03, -0.99, -0.11], [0, 0.9, 0.43], [0.19, -0.42, 0.89], [-0.19, -0.42, 0.89],
  [0, 0.98, -0.2], [0.54, 0.81, -0.23], [-0.54, 0.81, -0.23], [0, 0.78, 0.62], [0.94, 0.31, -0.09], [-0.94, 0.31, -0.09],
  [1, -0.05, -0.1], [-1, -0.05, -0.1], [1, 0.04, 0], [-1, 0.04, 0],
];

/** Where the last bones of BVH end, metres from their joint. */
export const END_SITES = { 10: [0, 0, 0.06], 11: [0, 0, 0.06], 15: [0, 0.18, 0], 20: [0.11, 0, 0], 21: [-0.11, 0, 0] };
