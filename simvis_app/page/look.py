"""The page's look: theme, styles, and what its frame adds for keyboards, screen readers and fingers."""

from pathlib import Path

import gradio as gr

HERE = Path(__file__).parent
CSS = (HERE / "page.css").read_text()
HEAD = f"<style>{(HERE / 'frame.css').read_text()}</style><script>{(HERE / 'frame.js').read_text()}</script>"
# A key that Gradio says aloud and has no words for.
WORDS = gr.I18n(en={"common.complete": "Done"})
# Soft's own label, hint and selection colours stand out less than 4.5 to 1.
CONTRAST = {
    "body_text_color_subdued": "*neutral_600",
    "body_text_color_subdued_dark": "*neutral_300",
    "block_label_text_color": "*primary_800",
    "block_title_text_color": "*primary_800",
    "block_label_background_fill_dark": "*primary_700",
    "checkbox_label_background_fill_selected": "*primary_600",
    "checkbox_label_background_fill_selected_dark": "*primary_700",
    "button_primary_background_fill": "*primary_600",
    "button_primary_background_fill_hover": "*primary_700",
    "button_primary_background_fill_dark": "*primary_700",
    "button_primary_background_fill_hover_dark": "*primary_800",
    "button_secondary_background_fill_hover_dark": "*primary_700",
    "color_accent": "*primary_600",
    "input_placeholder_color": "*neutral_600",
    "input_placeholder_color_dark": "*neutral_300",
    "link_text_color": "*secondary_700",
    "link_text_color_visited": "*secondary_700",
    "link_text_color_dark": "*secondary_300",
    "link_text_color_visited_dark": "*secondary_300",
    "link_text_color_active_dark": "*secondary_300",
    "link_text_color_hover_dark": "*secondary_200",
}
THEME = gr.themes.Soft(
    font=["system-ui", "Segoe UI", "Roboto", "sans-serif"], font_mono=["ui-monospace", "monospace"]
).set(**CONTRAST)
