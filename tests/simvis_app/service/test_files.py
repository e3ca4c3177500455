"""Where files for the browser lie: Gradio's own folder, found without Gradio."""

from pathlib import Path

import pytest
from gradio.utils import get_upload_folder

from simvis_app.service.files import folder


@pytest.mark.parametrize("own", [None, "", "elsewhere"], ids=["unsaid", "empty", "named"])
def test_the_folder_is_gradios(monkeypatch, tmp_path, own):
    monkeypatch.delenv("GRADIO_TEMP_DIR", raising=False)
    if own is not None:
        monkeypatch.setenv("GRADIO_TEMP_DIR", own and str(tmp_path / own))
    assert folder() == Path(get_upload_folder())
    assert folder().is_absolute()
