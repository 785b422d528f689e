"""The same scenes through pyrender on OSMesa: the renderer that the simulator's is measured against.

Panels are textured quads, solids meshes with a colour a face, skins are uploaded anew for each frame. One directional light and no
shadows: pyrender needs framebuffers for those, which its OSMesa platform has none of. Colour and depth are read back.
"""

import ctypes
import os
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from egoreact.errors import EgoReactError
from egoreact.hrd.simulate.picture.raster.scan import NEAR_M
from egoreact.hrd.simulate.scenery.bake import bake
from egoreact.hrd.simulate.simulate import Staged
from egoreact.hrd.simulate.solids import Solid

FAR_M = 200.0
_OSMESA = {
    "OSMESA_FORMAT": 0x22, "OSMESA_DEPTH_BITS": 0x30, "OSMESA_PROFILE": 0x33, "OSMESA_CORE_PROFILE": 0x34,
    "OSMESA_CONTEXT_MAJOR_VERSION": 0x36, "OSMESA_CONTEXT_MINOR_VERSION": 0x37,
}  # fmt: skip


class Rival:
    """One staged clip in pyrender. Its textures are on their way before the first frame is asked for.

    Raises:
        EgoReactError: pyrender or OSMesa is not installed.
    """

    def __init__(self, staged: Staged, size_px: int):
        self.pyrender = _import_pyrender()
        self.T_world_camera = staged.T_world_camera.astype(np.float64)
        self.scene = self.pyrender.Scene(ambient_light=[0.6, 0.6, 0.6], bg_color=[0.5, 0.6, 0.8])
        self.scene.add(self.pyrender.Mesh(self._quads(staged)))
        solids = [s for s in (*staged.place.things, *staged.arrival.solids) if s.seen]
        self.rigid = [(self.scene.add(self._mesh(s)), s) for s in solids if s.skin_m is None]
        self.skinned = [s for s in solids if s.skin_m is not None]
        self.skins: list[Any] = []
        K = staged.K
        camera = self.pyrender.IntrinsicsCamera(K[0, 0], K[1, 1], K[0, 2] + 0.5, K[1, 2] + 0.5, NEAR_M, FAR_M)
        self.camera = self.scene.add(camera)
        self.scene.add(self.pyrender.DirectionalLight(intensity=2.0))
        self.renderer = self.pyrender.OffscreenRenderer(size_px, size_px)

    def render(self, frame: int) -> tuple[UInt8[np.ndarray, "side side 3"], Float32[np.ndarray, "side side"]]:
        """Colour, and depth in m; 0 where there is nothing."""
        for node, solid in self.rigid:
            node.matrix = solid.T_world_solid[frame]
        for node in self.skins:
            self.scene.remove_node(node)
        self.skins = [self.scene.add(self._mesh(solid, frame)) for solid in self.skinned]
        # OpenGL's cameras look along -z, y up.
        self.scene.set_pose(self.camera, self.T_world_camera[frame] @ np.diag([1.0, -1.0, -1.0, 1.0]))
        return self.renderer.render(self.scene)

    def close(self) -> None:
        self.renderer.delete()

    def _quads(self, staged: Staged) -> list[Any]:
        panels = bake(staged.place, detail=2.0)
        quads = []
        for k, corners in enumerate(staged.place.rectangles_m):
            start, width, height = panels.start[0, k], panels.width[0, k], panels.height[0, k]
            texels = panels.texels[start : start + width * height].view(np.uint8).reshape(height, width, 4)
            picture = self.pyrender.Texture(source=np.ascontiguousarray(texels[..., :3]), source_channels="RGB")
            quads.append(
                self.pyrender.Primitive(
                    positions=corners.astype(np.float32),
                    normals=np.tile(staged.place.normals[k], (4, 1)),
                    texcoord_0=np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32),
                    indices=np.array([[0, 1, 2], [0, 2, 3]]),
                    material=self._matt(baseColorTexture=picture),
                )
            )
        return quads

    def _mesh(self, solid: Solid, frame: int = 0) -> Any:
        mesh = solid.mesh
        corners = mesh.faces.ravel()
        vertices_m = mesh.vertices_m if solid.skin_m is None else solid.skin_m[frame]
        colours = np.c_[np.repeat(mesh.face_colours, 3, axis=0), np.ones(len(corners))].astype(np.float32)
        primitive = self.pyrender.Primitive(
            positions=vertices_m[corners], normals=mesh.normals[corners], color_0=colours, material=self._matt()
        )
        return self.pyrender.Mesh([primitive])

    def _matt(self, **more: Any) -> Any:
        return self.pyrender.MetallicRoughnessMaterial(
            metallicFactor=0.0, roughnessFactor=1.0, doubleSided=True, **more
        )


def _import_pyrender() -> Any:
    """pyrender on OSMesa. Its last release asks for PyOpenGL 3.1.0 and numpy 1: what is missing since is put in its place."""
    os.environ.setdefault("PYOPENGL_PLATFORM", "osmesa")
    try:
        from OpenGL import osmesa, platform
        from OpenGL.raw.osmesa import _types

        library = platform.PLATFORM.OSMesa
        if not hasattr(np, "infty"):
            np.infty = np.inf  # type: ignore[attr-defined]  # numpy 1's name
        if not hasattr(osmesa, "OSMesaCreateContextAttribs"):
            # PyOpenGL 3.1.0 knows neither the function nor its constants, though the library has them.
            create = library.OSMesaCreateContextAttribs
            create.restype, create.argtypes = _types.OSMesaContext, [ctypes.c_void_p, ctypes.c_void_p]
            osmesa.OSMesaCreateContextAttribs = lambda attributes, _: create(
                np.array(attributes, np.int32).ctypes.data, None
            )
            for name, value in _OSMESA.items():
                setattr(osmesa, name, value)
            # Contexts are keys of PyOpenGL's own tables.
            _types.OSMesaContext.__hash__ = lambda one: hash(_address(one))
            _types.OSMesaContext.__eq__ = lambda one, other: _address(one) == _address(other)
        import pyrender
    except (ImportError, AttributeError, OSError) as error:
        raise EgoReactError(
            f"pyrender on OSMesa is not there ({error})",
            where="bench render",
            remedy="pip install 'egoreact[dev]' and apt-get install libosmesa6",
        ) from error
    return pyrender


def _address(context: Any) -> int | None:
    return ctypes.cast(context, ctypes.c_void_p).value
