"""The panel for one's own checkpoint: its components, how what they name is loaded, and what is said of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from model_zoo.checkpoints.choices import with_arguments
from model_zoo.checkpoints.doubts import Doubt, UndecidedError
from model_zoo.checkpoints.files.reading import ENDINGS
from simvis_app.page.compare import own_questions
from simvis_app.page.compare.own_questions import Of, QuestionFields, Questions
from simvis_app.page.pair.networks import NetworkChosen, NetworkRefused, choose_network, network_updates
from simvis_app.page.pair.places import NetworkFields
from simvis_app.page.updates import Updates
from simvis_app.service import words
from simvis_app.service.sessions.session import Session
from simvis_core import SimvisError


@dataclass(frozen=True)
class OwnFields:
    """The panel's components. ``head`` says which layers behind the pooling are meant."""

    file: gr.Dropdown
    upload: gr.File
    architecture: gr.Textbox
    head: gr.Radio
    report: gr.HTML
    questions: QuestionFields
    load: gr.Button


def own_panel(session: Session) -> OwnFields | None:
    """Lays the panel out; None where the owner offers none."""
    if not session.own.offered:
        return None
    with gr.Accordion("Your model", open=False, elem_id="own"):
        gr.HTML(
            "<p>A checkpoint of any architecture of timm, torchvision, transformers or open_clip: what comes before "
            "its pooling must be whole; linear and norm layers behind it are recognised.</p>"
        )
        return OwnFields(
            file=gr.Dropdown(
                session.own.files(),
                value=None,
                label="Checkpoint in this server's folder",
                visible=bool(session.own.folder),
            ),
            upload=gr.File(
                label="Upload a checkpoint: .safetensors, or .pt/.pth of weights",
                file_types=list(ENDINGS),
                type="filepath",
                height=130,
                visible=session.own.uploads,
            ),
            architecture=gr.Textbox(
                label="Architecture", placeholder="timm/resnet50, transformers/OWNER/NAME, ...", elem_id="architecture"
            ),
            head=gr.Radio(
                [("as the file shows", "auto"), ("every one, the classifier too", "keep"), ("none", "none")],
                value="auto",
                label="Layers behind the pooling",
            ),
            report=gr.HTML(elem_id="own_report"),
            questions=own_questions.question_fields(),
            load=gr.Button("Load", size="sm", elem_id="load_own"),
        )


@dataclass(frozen=True)
class OwnAsked:
    """A checkpoint of the server's folder, or an uploaded one; its architecture; and what was answered so far."""

    file: str | None = None
    upload: str | None = None
    architecture: str | None = None
    head: str = "auto"
    questions: Questions | None = None
    answers: tuple[str | None, ...] = ()

    @property
    def of(self) -> Of:
        """What the questions are about."""
        return self.file or self.upload, (self.architecture or "").strip(), self.head


@dataclass(frozen=True)
class OwnOpened:
    """What was loaded, in a sentence; the network as it is chosen; and what was taken where the file does not tell."""

    report: str
    network: NetworkChosen | NetworkRefused
    doubts: Sequence[Doubt]


@dataclass(frozen=True)
class OwnUndecided:
    """What a file leaves open that must be answered first."""

    reason: UndecidedError


@dataclass(frozen=True)
class OwnRefused:
    """Why a checkpoint cannot be loaded."""

    reason: SimvisError


Own = OwnOpened | OwnUndecided | OwnRefused


def open_own(session: Session, asked: OwnAsked, pooling: str, working: str) -> Own:
    """Loads a checkpoint and chooses it as `choose_network` does."""
    try:
        said = with_arguments(own_questions.said(asked.questions, asked.of, asked.answers), None, asked.head, None)
        session.check_folder(asked.of[1])
        source = _checkpoint(session, asked)
        name, report = session.open_model(source, asked.of[1], said, public=asked.upload is None)
    except UndecidedError as error:
        return OwnUndecided(error)
    except SimvisError as error:
        return OwnRefused(error)
    return OwnOpened(report, choose_network(session, name, pooling, working), session.own.doubts(name))


def own_updates(found: Own, of: Of, own: OwnFields, network: NetworkFields) -> Updates:
    """What the page shows of it; a refusal keeps network and questions as they are."""
    if isinstance(found, OwnRefused):
        return {own.report: words.notice(str(found.reason))}
    if isinstance(found, OwnUndecided):
        questions = own_questions.shown(found.reason.doubts, of, own.questions)
        return {own.report: words.notice(str(found.reason)), **questions}
    questions = own_questions.shown(found.doubts, of, own.questions)
    return {own.report: words.report(found.report), **network_updates(found.network, network), **questions}


def _checkpoint(session: Session, asked: OwnAsked) -> Path:
    """The chosen file; the page has no place to upload one where the owner allows none, but a request may."""
    if asked.upload is not None:
        return session.own.uploaded(asked.upload)
    if not asked.file:
        raise SimvisError("no checkpoint", "one of the list, or an upload", "choose one first")
    return session.own.path(asked.file)
