"""What whoever asks for nothing else gets, on the page, on the command line and in the API; it needs no PyTorch."""

from typing import Final

BACKBONE: Final = "efficientnet_lite0"  # the first card
POOLING: Final = "avg"
SHORT_SIDE: Final = 224  # pixels
FRAMING: Final = "whole"
FRAMINGS_SAID: Final = "whole, square or crop"
POOLINGS_SAID: Final = "avg, max, gem, gem:4, avgmax, catavgmax, flatten, token or own"
ARCHITECTURES_SAID: Final = "timm/NAME, torchvision/NAME, transformers/NAME or open_clip/NAME"
HITS: Final = 20  # of a search
PAIRS: Final = 20  # of each kind, in an evaluation
CURVE_STEPS: Final = 51  # of each insertion and deletion curve
MOST_PASSES: Final = 10_000  # forward passes of SHORT_SIDE in one answer: on two cores some five minutes
