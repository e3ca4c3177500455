"""A link to the pair that is shown."""

from typing import Any

import gradio as gr

from simvis_app.page.address.address import Address
from simvis_app.page.pair.asked import PairAsked, PairLook, pair_of
from simvis_app.service import words
from simvis_app.service.links import LinkedPictures
from simvis_app.service.sessions.session import Session
from simvis_core import SimvisError


def pair_link(session: Session, pictures: LinkedPictures, asked: PairAsked, look: PairLook, **more: Any) -> str:
    """The query of a link to what is shown, for which both pictures are kept; ``more`` are other fields of `Address`.

    Raises gr.Error where a picture is missing, cannot be read or cannot be kept.
    """
    pair_of(session, asked)
    assert asked.files is not None
    try:
        a, b = map(pictures.keep, asked.files)
    except SimvisError as error:
        raise gr.Error(words.toast(error), print_exception=False) from error
    return Address(
        a=a,
        b=b,
        backbone=asked.backbone,
        pooling=asked.pooling,
        exponent=asked.exponent,
        short_side=asked.short_side,
        framing=asked.framing,
        method=asked.method or "auto",
        colours=look.colours,
        opacity=look.opacity,
        pin=look.viewer["pin"],
        mode=look.viewer["mode"],
        **more,
    ).query()
