"""Watching a network while it learns, from anybody's training loop, three lines long."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from simvis_core.errors import SimvisError
from simvis_core.files.numbers import UNITS, three
from simvis_core.learning.metrics import retrieval_figures
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.pairs.share_picture import Panel, PanelRow, row_figure
from simvis_core.pairs.sides import SIDES
from simvis_core.pictures.overlays import common_scale
from simvis_core.pictures.views import Framing, Preprocess, View
from simvis_core.progress.resting import resting, undisturbed
from simvis_core.progress.series import network_state
from simvis_core.progress.series_files import SeriesFiles
from simvis_core.progress.watches import SeenQuery, Watch, WatchedStep, WatchFiles
from simvis_core.progress.watching import PairFigures, WatchedPair, mean_figures, watched
from simvis_core.progress.worst import LabelledPicture, WhyWrong, WorstQuery, why_wrong, worst_queries
from simvis_core.progress.writers import Writer

WORST = 5  # queries that are kept of a step
SHOWN_WIDTH = 720  # pixels, of what a writer is given
SAID = ("why wrong (red), why right (blue)", "the wrong one", "the right one")


class Watcher:
    """Looks at fixed pairs every so many steps of a training, and writes what it sees to a folder.

    At each look it keeps each pair's maps, score, concentration, share of the top 10 features, share on the ``masks``
    and change since the look before; with a ``gallery`` of labelled pictures also its MAP@R, and of up to five of its
    worst queries why they find the wrong picture rather than the right one. `open_watch` reads the folder; a ``writer``
    (TensorBoard, W&B, a table) gets the same numbers and pictures.

    With the ``architecture`` that `model_zoo.load` knows the network by, each look also stores the network itself, in
    half precision, and the gallery's embeddings: the folder then is a checkpoint series too, which the page and the
    command `series` open; let the gallery's names be its files' paths.

    It looks at a copy of the module: weights, gradients, modes, batch norms' statistics and the random numbers to come
    stay as they were. ``network`` is an `EmbeddingNetwork` whose backbone and head are being trained, or a module, see
    `resting`; pictures are seen as its preprocessing says, for a module as ``preprocess`` does.

    Raises SimvisError for no pair, two pairs of one name, a folder that holds another watch (unless ``resumed``), a
    gallery none of whose pictures has another of its class, and ``every`` below 1.

    >>> import tempfile
    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import Preprocess
    >>> from simvis_core.progress.watcher import Watcher
    >>> from simvis_core.progress.watching import WatchedPair
    >>> module = nn.Sequential(nn.Conv2d(3, 4, 8, 8), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    >>> pair = WatchedPair("two", Image.new("RGB", (60, 40), "orange"), Image.new("RGB", (40, 40), "red"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     watcher = Watcher(module, [pair], every=10, folder=folder, preprocess=Preprocess(short_side=32, stride=8))
    ...     for step in range(21):
    ...         seen = watcher(step)  # after the optimiser's step
    ...
    ...     [one.step for one in watcher.watch.steps], watcher.look(25).step, sorted(seen.figures)
    ...
    ([0, 10, 20], 25, ['change', 'concentration', 'score', 'top'])
    """

    def __init__(
        self,
        network: EmbeddingNetwork | nn.Module,
        pairs: Sequence[WatchedPair],
        every: int = 100,
        folder: str | Path = "watched",
        writer: Writer | None = None,
        *,
        gallery: Sequence[LabelledPicture] = (),
        preprocess: Preprocess | None = None,
        short_side: int | None = None,
        framing: Framing = "whole",
        architecture: str | None = None,
        resumed: bool = False,
    ) -> None:
        _check(pairs, every, gallery)
        self.network, self.pairs, self.every, self.writer, self.gallery = network, pairs, every, writer, gallery
        self._preprocess, self._short_side, self._framing = preprocess, short_side, framing
        first = self._resting()
        images = {pair.name: (pair.a, pair.b) for pair in pairs}
        self._files = WatchFiles(folder, first.name, str(first.pooling), images, resumed)
        self._series = None if architecture is None else self._series_files(first, architecture, resumed)

    @property
    def watch(self) -> Watch:
        """What was seen so far."""
        return self._files.watch

    def __call__(self, step: int) -> WatchedStep | None:
        """Looks where ``step``, the number of optimiser steps made, is a multiple of ``every``; else None."""
        return None if step % self.every else self.look(step)

    def end_of_iteration(self, trainer: Any) -> None:
        """For pytorch-metric-learning's trainers, as their ``end_of_iteration_hook``: looks as a call does.

        Iterations are counted over all epochs.

        >>> from simvis_core.progress.watcher import Watcher
        >>> callable(Watcher.end_of_iteration)
        True
        """
        self(trainer.get_global_iteration() + 1)  # it counts from 0, and this one is done

    def look(self, step: int) -> WatchedStep:
        """Looks now, whatever the step; gives what was kept.

        Raises SimvisError for a folder that cannot be written, an embedding without direction, and pictures or views
        that the network does not take.
        """
        with undisturbed():  # writers draw random names too
            return self._looked(step)

    def _looked(self, step: int) -> WatchedStep:
        network = self._resting()
        seen = [self._seen(network, pair, step) for pair in self.pairs]
        embeddings = self._embeddings(network)
        worst = self._worst(network, embeddings)
        figures = mean_figures(seen) | self._retrieval(embeddings)
        whys = [why for _, why in worst]
        maps = {f"{at}_{side}": map for at, one in enumerate(seen) for side, map in zip(SIDES, one.maps, strict=True)}
        maps |= {f"worst_{at}_{of}": getattr(why, of) for at, why in enumerate(whys) for of in WHY_MAPS}
        kept = [self._query(query) for query, _ in worst]
        watch = self._files.add(step, figures, tuple(one.figures() for one in seen), maps, kept)
        if self._series is not None:
            held = ([one.name for one in self.gallery], embeddings) if self.gallery else None
            self._series.add(step, network_state(network), figures=figures, embeddings=held, last=True)
        if self.writer is not None:
            self._tell(network, step, figures, seen, worst)
        return watch.at(step)

    def _series_files(self, network: EmbeddingNetwork, architecture: str, resumed: bool) -> SeriesFiles:
        about = {"framing": self._framing, "labels": [one.label for one in self.gallery]}
        return SeriesFiles(
            self.watch.folder,
            self.watch.folder.resolve().name,
            architecture,
            str(network.pooling),
            short_side=self._short_side or network.preprocess.short_side,
            about=about,
            half=True,
            resumed=resumed,
        )

    def _resting(self) -> EmbeddingNetwork:
        return resting(self.network, self._preprocess)

    def _seen(self, network: EmbeddingNetwork, pair: WatchedPair, step: int) -> PairFigures:
        watch = self._files.watch
        last = next((one.step for one in reversed(watch.steps) if one.step < step), None)
        before = None if last is None else (watch.map(last, pair.name, "a"), watch.map(last, pair.name, "b"))
        return watched(network, pair, before, self._short_side, self._framing)

    def _embeddings(self, network: EmbeddingNetwork) -> Tensor:
        """Of the gallery's pictures, in their order; of no rows without a gallery."""
        return torch.cat([self._embedded(network, one.image) for one in self.gallery] or [torch.zeros(0, 1)])

    def _retrieval(self, embeddings: Tensor) -> dict[str, float]:
        labels = [one.label for one in self.gallery]
        numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
        numbered = torch.tensor([numbers[label] for label in labels])
        return retrieval_figures(embeddings, numbered).told() if labels else {}

    def _worst(self, network: EmbeddingNetwork, embeddings: Tensor) -> list[tuple[WorstQuery, WhyWrong]]:
        found = worst_queries(embeddings, [one.label for one in self.gallery], WORST) if self.gallery else ()
        return [(query, self._why(network, query)) for query in found]

    def _embedded(self, network: EmbeddingNetwork, image: Image.Image) -> Tensor:
        return network.embed(self._view(network, image).pixels[None]).cpu()

    def _why(self, network: EmbeddingNetwork, query: WorstQuery) -> WhyWrong:
        query_image, wrong, right = (self.gallery[at].image for at in query[:3])
        return why_wrong(network, (query_image, wrong, right), self._short_side, self._framing)

    def _query(self, query: WorstQuery) -> SeenQuery:
        asked, wrong, right = (self.gallery[at] for at in query[:3])
        return SeenQuery((asked.name, wrong.name, right.name), query.margin, (asked.image, wrong.image, right.image))

    def _view(self, network: EmbeddingNetwork, image: Image.Image) -> View:
        return network.view(image, self._short_side, self._framing)

    def _tell(
        self,
        network: EmbeddingNetwork,
        step: int,
        figures: Mapping[str, float],
        seen: Sequence[PairFigures],
        worst: Sequence[tuple[WorstQuery, WhyWrong]],
    ) -> None:
        assert self.writer is not None
        of_pairs = {f"pairs/{one.name}/{name}": value for one in seen for name, value in one.figures().items()}
        self.writer.scalars(step, {f"watch/{name}": value for name, value in figures.items()} | of_pairs)
        rows = {
            f"pairs/{pair.name}": self._pair_row(network, pair, one) for pair, one in zip(self.pairs, seen, strict=True)
        }
        rows |= {f"worst/{place}": self._worst_row(*both) for place, both in enumerate(worst)}
        self.writer.images(step, {name: row_figure(row, width=SHOWN_WIDTH) for name, row in rows.items()})

    def _pair_row(self, network: EmbeddingNetwork, pair: WatchedPair, seen: PairFigures) -> PanelRow:
        panels = [
            Panel(self._view(network, pair.picture(side)), map, side.upper())
            for side, map in zip(SIDES, seen.maps, strict=True)
        ]
        return PanelRow(f"score {three(seen.score)}", panels, common_scale(*seen.maps), UNITS[seen.method])

    def _worst_row(self, query: WorstQuery, why: WhyWrong) -> PanelRow:
        maps = why.contrast, why.wrong, why.right
        panels = [Panel(view, map, said) for view, map, said in zip(why.views, maps, SAID, strict=True)]
        asked, wrong, right = (self.gallery[at].name for at in query[:3])
        said = f"{asked} finds {wrong} rather than {right}, by {three(query.margin)}"
        return PanelRow(said, panels, common_scale(*maps), UNITS[why.method])


def _check(pairs: Sequence[WatchedPair], every: int, gallery: Sequence[LabelledPicture]) -> None:
    names = [pair.name for pair in pairs]
    if not names:
        raise SimvisError("no pair to watch", "one or more", "give a WatchedPair")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SimvisError(f"two pairs called '{twice}'", "a name for each", "call one of them otherwise")
    if every < 1:
        raise SimvisError(f"a look every {every} steps", "1 or more", "choose how often")
    labels = [one.label for one in gallery]
    if labels and len(set(labels)) == len(labels):
        raise SimvisError("a gallery without two pictures of one class", "one with two", "add pictures or join classes")


WHY_MAPS = ("contrast", "wrong", "right")
