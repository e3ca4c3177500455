"""The panel for one's own checkpoint: which file, which architecture, and what the file does not tell."""

from collections.abc import Callable
from typing import Any

import gradio as gr

from model_zoo.checkpoints.files.reading import ENDINGS
from simvis_app.page.compare import own_questions
from simvis_app.service.sessions.session import Session


def own_panel(session: Session) -> list[Any]:
    """Report, button, file, upload, architecture and head, then the questions; empty where the owner offers none."""
    if not session.own.offered:
        return []
    with gr.Accordion("Your model", open=False, elem_id="own"):
        gr.HTML(
            "<p>A checkpoint of any timm or torchvision architecture: what comes before its pooling must be whole; "
            "linear and norm layers behind it are recognised.</p>"
        )
        file = gr.Dropdown(
            session.own.files(),
            value=None,
            label="Checkpoint in this server's folder",
            visible=bool(session.own.folder),
        )
        upload = gr.File(
            label="Upload a checkpoint: .safetensors, or .pt/.pth of weights",
            file_types=list(ENDINGS),
            type="filepath",
            height=130,
            visible=session.own.uploads,
        )
        architecture = gr.Textbox(
            label="Architecture", placeholder="timm/resnet50 or torchvision/resnet50", elem_id="architecture"
        )
        head = gr.Radio(
            [("as the file shows", "auto"), ("every one, the classifier too", "keep"), ("none", "none")],
            value="auto",
            label="Layers behind the pooling",
        )
        report = gr.HTML(elem_id="own_report")
        questions = own_questions.widgets()
        button = gr.Button("Load", size="sm", elem_id="load_own")
    return [report, button, file, upload, architecture, head, *questions]


def wire_own(
    own: list[Any], open_model: Callable[..., list[Any]], files: Callable[[], list[str]], network: list[Any]
) -> Any:
    """Of list and upload the last chosen counts; the list follows the folder with each visit.

    ``network`` are the components that a loaded network sets: backbone, pooling, exponent, then notice, card and name.
    """
    report, button, *asked = own
    file, upload, architecture, _, *questions = asked
    file.input(lambda: [None, *own_questions.shown([], [])], None, [upload, *questions], **_PRIVATE)
    upload.upload(lambda: [None, *own_questions.shown([], [])], None, [file, *questions], **_PRIVATE)
    gr.context.Context.root_block.load(lambda: gr.update(choices=files()), None, file, **_PRIVATE)
    return gr.on(
        [button.click, architecture.submit],
        open_model,
        [network[1], network[5], *asked],
        [report, *network, *questions],
        show_progress_on=[report],
        api_visibility="private",
    )


_PRIVATE: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
