"""The vision transformer below the depth head: DINOv2 ViT-S/14 in the layout of DINOv2's own state dict.

transformers' `Dinov2Model` is the same network under other names, and stretches the table of positions differently.

Sharing work with the semantic encoder (`egoreact.vision.dinov2`, facebook/dinov2-small): one pass could serve both
only where three things hold. The weights are equal (`attn.qkv` is query, key and value stacked); the image is equal;
the positions are equal (only at the table's own size, 518 px square, is it not stretched: elsewhere DINOv2 scales by
(patches + 0.1) / 37, transformers by patches / 37). Depth Anything trained its encoder further for depth, so with the
published weights the first fails. `BackbonesConfig.semantics` chooses: both encoders, or this one's class token.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

POSITION_OFFSET = 0.1
"""DINOv2's, against rounding: changes the scale by which the table of positions is sampled."""


class LayerScale(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class Attention(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "n tokens width"]) -> Float[Tensor, "n tokens width"]:
        query, key, value = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = nn.functional.scaled_dot_product_attention(query, key, value)
        return self.proj(attended.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(nn.functional.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.ls1 = LayerScale(width)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width)
        self.ls2 = LayerScale(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class PatchEmbedding(nn.Module):
    def __init__(self, width: int, patch_px: int):
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch_px, stride=patch_px)

    def forward(self, images: Tensor) -> Tensor:
        return self.proj(images)


class VisionTransformer(nn.Module):
    def __init__(self, width: int, layers: int, heads: int, patch_px: int, table_side: int, taps: tuple[int, ...]):
        """Args:
        table_side: patches along a side of the image that the table of positions is for.
        taps: blocks, counted from 0, whose output is given.
        """
        super().__init__()
        self.table_side, self.taps = table_side, taps
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + table_side**2, width))
        self.mask_token = nn.Parameter(torch.zeros(1, width))  # in the checkpoint; only DINOv2's training uses it
        self.patch_embed = PatchEmbedding(width, patch_px)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(
        self, images: Float[Tensor, "n 3 height width"]
    ) -> tuple[list[Float[Tensor, "n channels rows columns"]], Float[Tensor, "n channels"]]:
        """Normed patch tokens of the tapped blocks, as maps, and the last block's class token, normed.

        Sides are multiples of the patch.
        """
        patches = self.patch_embed(images)
        rows, columns = patches.shape[-2:]
        class_tokens = (self.cls_token + self.pos_embed[:, :1]).expand(len(images), -1, -1)
        x = torch.cat([class_tokens, (patches + self._positions(rows, columns)).flatten(2).mT], dim=1)
        maps = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.taps:
                maps.append(self.norm(x)[:, 1:].mT.unflatten(-1, (rows, columns)))
        return maps, self.norm(x[:, 0])

    def _positions(self, rows: int, columns: int) -> Float[Tensor, "1 width rows columns"]:
        side = self.table_side
        table = self.pos_embed[:, 1:].mT.unflatten(-1, (side, side))
        if rows == columns == side:
            return table
        scale = ((rows + POSITION_OFFSET) / side, (columns + POSITION_OFFSET) / side)
        # float32: bicubic sampling in half precision shifts the positions
        return nn.functional.interpolate(table.float(), scale_factor=scale, mode="bicubic").to(table.dtype)
