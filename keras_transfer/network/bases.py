"""The table of bases: what `keras.applications` offers to transfer from; and those that were registered besides.

Nothing here imports Keras, so that listings and option errors answer at once. Sizes, preprocessing, weights and
accuracies are those published at https://keras.io/api/applications/, the accuracies of ConvNeXt those measured on the
converted weights at https://github.com/sayakpaul/ConvNeXt-TF; parameters and operations were counted on the networks
themselves (`include_top=False`, one image of the native size, a multiply-add as two operations).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_transfer.network import blocks
from keras_transfer.network.blocks import Block
from keras_transfer.recipe.options import AUTO, NOTHING
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.errors import UsageError, nearest
from keras_transfer.support.program import program


@dataclass(frozen=True)
class Base:
    """What the table says of a base.

    Attributes:
        name: What `--base` takes: the constructor's name in lower case.
        constructor: Name in `keras.applications`.
        size: Native input side, px.
        least_size: Smallest input side that the constructor takes, px.
        preprocessing: How pixels 0..255 become the base's input: `caffe` (BGR minus the ImageNet mean), `tf`
            (-1..1), `torch` (ImageNet mean and deviation), or `none` (the base does it itself).
        parameters: Weights without the top, counted one by one.
        gflops: Operations of one forward pass at the native size, in 1e9.
        features: Channels of the last feature map.
        blocks: What can be thawed, from the image upwards.
        top: Name of the block from which the base is fine-tuned by default: the last stage of the network.
        accuracy: Published top-1 accuracy on ImageNet's validation images with the classifier top, 0..1; None where
            https://keras.io/api/applications/ gives none.
        start_here: One of the three to begin with: the smallest, a middle one, and a large one.
    """

    name: str
    constructor: str
    size: int
    least_size: int
    preprocessing: str
    parameters: int
    gflops: float
    features: int
    blocks: tuple[Block, ...]
    top: str
    accuracy: float | None = None
    start_here: bool = False

    @property
    def download_mb(self) -> int:
        """Size of the weights without top, in MB: 4 bytes each."""
        return max(1, round(self.parameters * 4 / 1e6))

    @property
    def use(self) -> str:
        """What a base of its cost is for, one of `USES`."""
        return next(use for use, max_gflops in USES.items() if self.gflops <= max_gflops)

    def demand_size(self, size: int) -> None:
        """Raise `UsageError` for an input side, in px, that the constructor does not take."""
        if size < self.least_size:
            raise UsageError(f"--size: {self.name} takes images of at least {self.least_size} px. Received: {size}.")

    def thawed(self, thaw: str) -> Block | None:
        """Return the lowest block that `--thaw` frees, None for `none`.

        Args:
            thaw: A block's name, a number of top blocks, `all`, `none`, or `auto`.

        Raises:
            UsageError: no such block, naming the nearest, or more blocks than there are.
        """
        if thaw in NOTHING:
            return None
        if thaw == "all":
            return Block("all", "")
        if thaw.isdigit():
            if int(thaw) > len(self.blocks):
                raise UsageError(f"--thaw: {self.name} has {len(self.blocks)} blocks. Received: {thaw}.")
            return self.blocks[-int(thaw)]
        names = [block.name for block in self.blocks]
        wanted = self.top if thaw == "auto" else thaw
        if wanted not in names:
            raise UsageError(
                f"--thaw: {self.name} has no block {thaw!r}.{nearest(thaw, [*names, 'all', 'none'])} "
                f"Its blocks: {', '.join(names)}."
            )
        return self.blocks[names.index(wanted)]


@dataclass(frozen=True)
class RegisteredBase(Base):
    """What was said of a base that `register_base` has registered; the rest is known once it is built.

    Attributes:
        build: Input side, px, to a Keras model from images to a feature map, with its weights.
    """

    build: Callable[[int], Any] = field(kw_only=True, repr=False)


# Most GFLOPs of an image. A processor makes some 100 a second, a GPU many thousands.
USES = {
    "for phones, browsers and a quick look": 1.3,
    "for most tasks, on a processor too": 12.0,
    "for a GPU": float("inf"),
}


def bases() -> tuple[Base, ...]:
    """Return every base of the table, by use, those to start with first, then by published accuracy.

    Those that `register_base` has registered are not listed: little is known of them before they are built, and the
    command line knows nothing of what a Python program registers.
    """
    uses = list(USES)
    return tuple(
        sorted(
            TABLE.values(),
            key=lambda base: (uses.index(base.use), not base.start_here, -(base.accuracy or 0), base.name),
        )
    )


def find(name: str) -> Base:
    """Return the base, of the table or registered, that a name such as `vgg16`, `VGG16` or `efficientnet-b0` means.

    Raises:
        UsageError: naming the nearest base.
    """
    all_bases, key = TABLE | REGISTERED, plain(name)
    if key not in all_bases:
        raise UsageError(
            f"--base: there is no base {name!r}.{nearest(key, all_bases)} See: {program()} bases. A base of one's own "
            "must first be registered, in Python: keras_transfer.register_base."
        )
    return all_bases[key]


def plain(name: str) -> str:
    """Return a base's name without what may be written in several ways: its key in `TABLE` and `REGISTERED`."""
    return name.lower().replace("-", "").replace("_", "")


def check_base(recipe: Recipe) -> Recipe:
    """Return a recipe whose base and block are known, or are those of a file, and whose size is not too small.

    Raises:
        UsageError: naming the nearest base or block, or the least size.
    """
    spec = spec_of(recipe.base)
    if spec is not None:
        if spec.blocks:
            spec.thawed(recipe.thaw)
        if recipe.size != AUTO:
            spec.demand_size(int(recipe.size))
    return recipe


def spec_of(base: str) -> Base | None:
    """Return what is known of a base by its name, or None for the file of a model.

    Raises:
        UsageError: it is neither in the table, nor registered, nor a file.
    """
    if not base.endswith(MODEL_FILES):
        return find(base)
    if not Path(base).expanduser().is_file():
        raise UsageError(f"--base: there is no file {base!r}.")
    return None


def _base(
    constructor: str,
    size: int,
    accuracy: float | None,
    preprocessing: str,
    parameters: int,
    gflops: float,
    features: int,
    blocks: tuple[Block, ...],
    top: str,
    least_size: int = 32,
) -> Base:
    name = constructor.lower()
    return Base(
        name,
        constructor,
        size,
        least_size,
        preprocessing,
        parameters,
        gflops,
        features,
        blocks,
        top,
        accuracy,
        name in _START_HERE,
    )


AS_BUILT = "as built"  # What is said of a registered base's weights that its function gave it.
MODEL_FILES = (".keras", ".h5", ".hdf5")
_START_HERE = ("mobilenetv2", "efficientnetv2b0", "efficientnetv2s")


_BASES = (
    _base("VGG16", 224, 0.713, "caffe", 14714688, 30.71, 512, blocks.vgg(), "block5"),
    _base("VGG19", 224, 0.713, "caffe", 20024384, 39.04, 512, blocks.vgg(), "block5"),
    _base("ResNet50", 224, 0.749, "caffe", 23587712, 7.75, 2048, blocks.resnet(3, 4, 6, 3), "conv5"),
    _base("ResNet101", 224, 0.764, "caffe", 42658176, 15.19, 2048, blocks.resnet(3, 4, 23, 3), "conv5"),
    _base("ResNet152", 224, 0.766, "caffe", 58370944, 22.64, 2048, blocks.resnet(3, 8, 36, 3), "conv5"),
    _base("ResNet50V2", 224, 0.76, "tf", 23564800, 6.99, 2048, blocks.resnet(3, 4, 6, 3), "conv5"),
    _base("ResNet101V2", 224, 0.772, "tf", 42626560, 14.43, 2048, blocks.resnet(3, 4, 23, 3), "conv5"),
    _base("ResNet152V2", 224, 0.78, "tf", 58331648, 21.88, 2048, blocks.resnet(3, 8, 36, 3), "conv5"),
    _base("Xception", 299, 0.79, "tf", 20861480, 16.77, 2048, blocks.xception(), "block13", 71),
    _base("InceptionV3", 299, 0.779, "tf", 21802784, 11.46, 2048, blocks.inception_v3(), "mixed9", 75),
    _base("InceptionResNetV2", 299, 0.803, "tf", 54336736, 26.38, 1536, blocks.inception_resnet_v2(), "block8", 75),
    _base("MobileNet", 224, 0.704, "tf", 3228864, 1.15, 1024, blocks.mobilenet(), "block12"),
    _base("MobileNetV2", 224, 0.713, "tf", 2257984, 0.61, 1280, blocks.mobilenet_v2(), "block14"),
    _base("MobileNetV3Small", 224, None, "none", 939120, 0.12, 576, blocks.mobilenet_v3(10), "block9"),
    _base("MobileNetV3Large", 224, None, "none", 2996352, 0.44, 960, blocks.mobilenet_v3(14), "block13"),
    _base("DenseNet121", 224, 0.75, "torch", 7037504, 5.7, 1024, blocks.densenet(), "conv5"),
    _base("DenseNet169", 224, 0.762, "torch", 12642880, 6.76, 1664, blocks.densenet(), "conv5"),
    _base("DenseNet201", 224, 0.773, "torch", 18321984, 8.63, 1920, blocks.densenet(), "conv5"),
    _base("NASNetMobile", 224, 0.744, "tf", 4269716, 1.15, 1056, blocks.nasnet(4), "cell9"),
    _base("NASNetLarge", 331, 0.825, "tf", 84916818, 47.79, 4032, blocks.nasnet(6), "cell13"),
    _base("EfficientNetB0", 224, 0.771, "none", 4049571, 0.8, 1280, blocks.efficientnet(7), "block7"),
    _base("EfficientNetB1", 240, 0.791, "none", 6575239, 1.42, 1280, blocks.efficientnet(7), "block7"),
    _base("EfficientNetB2", 260, 0.801, "none", 7768569, 2.05, 1408, blocks.efficientnet(7), "block7"),
    _base("EfficientNetB3", 300, 0.816, "none", 10783535, 3.76, 1536, blocks.efficientnet(7), "block7"),
    _base("EfficientNetB4", 380, 0.829, "none", 17673823, 9.02, 1792, blocks.efficientnet(7), "block7"),
    _base("EfficientNetB5", 456, 0.836, "none", 28513527, 21.0, 2048, blocks.efficientnet(7), "block7"),
    _base("EfficientNetB6", 528, 0.84, "none", 40960143, 38.92, 2304, blocks.efficientnet(7), "block7"),
    _base("EfficientNetB7", 600, 0.843, "none", 64097687, 76.86, 2560, blocks.efficientnet(7), "block7"),
    _base("EfficientNetV2B0", 224, 0.787, "none", 5919312, 1.46, 1280, blocks.efficientnet(6), "block6"),
    _base("EfficientNetV2B1", 240, 0.798, "none", 6931124, 2.42, 1280, blocks.efficientnet(6), "block6"),
    _base("EfficientNetV2B2", 260, 0.805, "none", 8769374, 3.44, 1408, blocks.efficientnet(6), "block6"),
    _base("EfficientNetV2B3", 300, 0.82, "none", 12930622, 6.09, 1536, blocks.efficientnet(6), "block6"),
    _base("EfficientNetV2S", 384, 0.839, "none", 20331360, 16.89, 1280, blocks.efficientnet(6), "block6"),
    _base("EfficientNetV2M", 480, 0.853, "none", 53150388, 49.57, 1280, blocks.efficientnet(7), "block7"),
    _base("EfficientNetV2L", 480, 0.857, "none", 117746848, 112.87, 1280, blocks.efficientnet(7), "block7"),
    _base("ConvNeXtTiny", 224, 0.813, "none", 27820128, 8.78, 768, blocks.convnext("tiny"), "stage3"),
    _base("ConvNeXtSmall", 224, 0.824, "none", 49454688, 17.15, 768, blocks.convnext("small"), "stage3"),
    _base("ConvNeXtBase", 224, 0.854, "none", 87566464, 30.42, 1024, blocks.convnext("base"), "stage3"),
    _base("ConvNeXtLarge", 224, 0.864, "none", 196230336, 68.28, 1536, blocks.convnext("large"), "stage3"),
    _base("ConvNeXtXLarge", 224, 0.867, "none", 348147968, 121.25, 2048, blocks.convnext("xlarge"), "stage3"),
)
TABLE = {base.name: base for base in _BASES}
REGISTERED: dict[str, Base] = {}
