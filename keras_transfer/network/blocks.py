"""What can be thawed of each family of bases: its blocks, from the image upwards."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Block:
    """A part of a base that can be thawed, together with all that lies above it.

    `boundary` names the layer whose output is the last frozen activation; after a `<`, the layer
    whose *input* is. Empty: nothing stays frozen.
    """

    name: str
    boundary: str


def _blocks(*pairs: tuple[str, str]) -> tuple[Block, ...]:
    return tuple(Block(name, boundary) for name, boundary in pairs)


def vgg() -> tuple[Block, ...]:
    """Return the blocks of a VGG."""
    return _blocks(("block1", ""), *((f"block{k}", f"block{k - 1}_pool") for k in range(2, 6)))


def resnet(*depths: int) -> tuple[Block, ...]:
    """Return the blocks of a ResNet, of either version, whose stages have so many units."""
    stages = [("conv1", ""), ("conv2", "pool1_pool")]
    return _blocks(*stages, *((f"conv{k + 3}", f"conv{k + 2}_block{n}_out") for k, n in enumerate(depths[:3])))


def densenet() -> tuple[Block, ...]:
    """Return the blocks of a DenseNet."""
    return _blocks(("conv1", ""), ("conv2", "pool1"), *((f"conv{k}", f"pool{k - 1}_pool") for k in range(3, 6)))


def mobilenet() -> tuple[Block, ...]:
    """Return the blocks of MobileNet."""
    return _blocks(
        ("conv1", ""), ("block1", "conv1_relu"), *((f"block{k}", f"conv_pw_{k - 1}_relu") for k in range(2, 14))
    )


def mobilenet_v2() -> tuple[Block, ...]:
    """Return the blocks of MobileNetV2."""
    return _blocks(("stem", ""), *((f"block{k}", f"<block_{k}_expand") for k in range(1, 17)), ("top", "<Conv_1"))


def mobilenet_v3(last: int) -> tuple[Block, ...]:
    """Return the blocks of a MobileNetV3 whose last cell has this number."""
    cells = ((f"block{k}", f"<expanded_conv_{k}_expand") for k in range(1, last + 1))
    return _blocks(("stem", ""), *cells, ("top", "<conv_1"))


def efficientnet(stages: int) -> tuple[Block, ...]:
    """Return the blocks of an EfficientNet, of either version, with so many stages."""
    return _blocks(
        ("block1", ""), *((f"block{k}", f"<block{k}a_expand_conv") for k in range(2, stages + 1)), ("top", "<top_conv")
    )


def convnext(variant: str) -> tuple[Block, ...]:
    """Return the blocks of a ConvNeXt: `tiny`, `small`, `base`, `large` or `xlarge`."""
    stage = f"<convnext_{variant}_downsampling_block_"
    return _blocks(("stage0", ""), *((f"stage{k}", f"{stage}{k - 1}") for k in range(1, 4)))


def inception_v3() -> tuple[Block, ...]:
    """Return the blocks of InceptionV3."""
    return _blocks(("mixed0", ""), *((f"mixed{k}", f"mixed{k - 1}") for k in range(1, 11)))


def inception_resnet_v2() -> tuple[Block, ...]:
    """Return the blocks of InceptionResNetV2."""
    return _blocks(
        ("mixed_5b", ""),
        ("block35", "mixed_5b"),
        ("mixed_6a", "block35_10_ac"),
        ("block17", "mixed_6a"),
        ("mixed_7a", "block17_20_ac"),
        ("block8", "mixed_7a"),
        ("conv_7b", "<conv_7b"),
    )


def xception() -> tuple[Block, ...]:
    """Return the blocks of Xception."""
    middle = ((f"block{k}", f"<block{k}_sepconv1_act") for k in range(3, 14))
    return _blocks(("block1", ""), ("block2", "block1_conv2_act"), *middle, ("block14", "<block14_sepconv1"))


def nasnet(cells: int) -> tuple[Block, ...]:
    """Return the blocks of a NASNet with so many cells in each of three stages.

    Cells 0..n-1, a reduction, n+1..2n, a reduction, 2n+1..3n; each cell reads the two before it.
    """
    before = {cells + 1: f"reduction_concat_reduce_{cells}", 2 * cells + 1: f"reduction_concat_reduce_{2 * cells}"}
    normal = [*range(1, cells), *range(cells + 1, 2 * cells + 1), *range(2 * cells + 1, 3 * cells + 1)]
    return _blocks(("stem", ""), *((f"cell{k}", before.get(k, f"normal_concat_{k - 1}")) for k in normal))
