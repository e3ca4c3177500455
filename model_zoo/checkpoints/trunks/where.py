"""Where in a checkpoint's names the trunk ends, and what goes by a name that is no embedding's."""

import re

from model_zoo.architectures.anatomy import TEXTS
from model_zoo.architectures.arranging import Architecture
from model_zoo.checkpoints.trunks.fitting import Fit
from model_zoo.checkpoints.trunks.loaded_names import FOR_TEXTS


class Place:
    """Where in the file's names the trunk ends: what is inside it, and what goes by a name that is no embedding's."""

    def __init__(self, built: Architecture, fit: Fit) -> None:
        self.fit = fit
        self.tops = {key.partition(".")[0] for key in built.source.state_dict()}
        self.buffers = {name for name, _ in built.source.named_buffers()}
        self.classifiers = tuple(self._outermost(path) for path in built.classifier)
        stacked = built.stack is not None
        self.discarded = () if stacked else built.discarded
        self.called = (*self.classifiers, *(built.discarded if stacked else ()))

    def _outermost(self, path: str) -> str:
        top = path.partition(".")[0]
        return path if top in self.tops else top

    def reason(self, key: str) -> str:
        """Why a tensor of this name is not part of the embedding; "" where it may be."""
        name = self.fit.inner(key)
        if name in self.buffers:
            return "which the network computes itself"
        for path in self.discarded:
            if name is not None and name.startswith(f"{path}."):
                return _OF_TEXTS if path in TEXTS else "a layer of classification alone"
        if name is not None and self._at_classifier(name):
            return ""
        parts = (key if name is None else name).casefold().split(".")
        return next((words for pattern, words in _NAMES if any(pattern.fullmatch(part) for part in parts)), "")

    def inside(self, key: str) -> bool:
        """Whether a tensor lies in a part that the trunk has."""
        name = self.fit.inner(key)
        return name is not None and name.partition(".")[0] in self.tops and not self._at_classifier(name)

    def _at_classifier(self, name: str) -> bool:
        return any(name.startswith(f"{path}.") for path in self.called)


def called_classifier(name: str) -> str:
    """The name up to the part that says classifier."""
    pattern = next(pattern for pattern, words in _NAMES if words == CLASSIFIER)
    parts = name.split(".")
    ends = (at for at, part in enumerate(parts, 1) if pattern.fullmatch(part.casefold()))
    return ".".join(parts[: next(ends, len(parts))])


def _names(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


CLASSIFIER = "a classifier"
_OF_TEXTS = "of the tower for texts"
# Parts of names, in lower case, of what lies beside an embedding network in a checkpoint.
_NAMES = (
    (_names(r"optim\w*|\w*sched\w*|scaler|callbacks|loops|queue\w*|\w*history"), "of the training"),
    (_names(r"(\w+_)?(criterion|criteria|losse?s?)(_\w+)?|(\w+_)?miner\w*"), "of the loss"),
    (_names(r"(\w+_)?(prox(y|ies)|(arc|cos|sphere)_?face|margin|centers?|prototypes|metric_fc)(_\w+)?"), "of the loss"),
    (_names(r"mask_?(token|embed\w*)s?|(\w+_)?decoder(_\w+)?"), "of the pre-training"),
    (_names(r"transformers_pooler"), "transformers' pooler, which ends in tanh: the class token itself is compared"),
    (_names(FOR_TEXTS), _OF_TEXTS),
    (_names(r"classifiers?|(\w+_)?logits|cls_head"), CLASSIFIER),
    (_names(r"(\w+_)?predictor(_\w+)?|pred(iction)?_head"), "of a predictor, which only training runs"),
    (_names(r"aux\w*"), "an auxiliary classifier"),
)
