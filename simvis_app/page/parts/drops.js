// Files that are dropped anywhere on the page, or chosen for one of its pictures. Listens on the window, before Gradio:
// its picture takes a drop only while it is empty, and throws its own away for one that it does not take.
const PLACES = /*PLACES*/ {};
const chooser = element.querySelector("input");
let over = null, choosing = null;

const placed = (target, own) => {
  if (!(target instanceof Element)) return null;
  for (const [event, places] of Object.entries(PLACES))
    for (const [number, selectors] of places.entries())
      if (target.closest((own ? selectors.slice(0, 1) : selectors).join(","))) return { event, number, places };
  return null;
};
const box = ({ places, number }) => document.querySelector(places[number][0]);
const carries = (event, kind) => !!event.dataTransfer && [...event.dataTransfer.types].includes(kind);
const writable = (target) => target instanceof Element && target.closest("input:not([type=file]), textarea, [contenteditable=true]");
const taken = (target) => target instanceof Element && target.closest("button:has(> input[type=file])"); // Gradio's own uploads

function light(place) {
  const next = place && box(place);
  if (next === over) return;
  if (over) over.classList.remove("drop-here");
  over = next;
  if (over) over.classList.add("drop-here");
}

// What the browser would do with it: "ours", or "let go" where it would leave the page; else it is left to whoever it is for.
function claim(event) {
  const files = carries(event, "Files"), place = files && placed(event.target);
  if (place) return { place };
  if (files ? taken(event.target) : writable(event.target) || !carries(event, "text/uri-list")) return null;
  return { place: null };
}

function hovering(event) {
  const claimed = claim(event);
  light(claimed && claimed.place);
  if (!claimed) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  event.dataTransfer.dropEffect = claimed.place ? "copy" : "none";
}

function dropped(event) {
  const claimed = claim(event);
  light(null);
  if (!claimed) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  if (claimed.place) fill(claimed.place, [...event.dataTransfer.files]);
}

// Several files fill an event's places in their order; one goes where it was dropped.
async function fill({ event, number, places }, files) {
  if (!files.length) return;
  document.dispatchEvent(new CustomEvent("simvis-touched")); // nobody behind this has seen the visitor do it
  const wanted = files.length > 1 && places.length > 1 ? files.slice(0, places.length) : files.slice(0, 1);
  const first = wanted.length > 1 ? 0 : number, sent = places.map(() => null), failed = [];
  const waiting = wanted.map((_, i) => box({ places, number: first + i }));
  for (const one of waiting) { one.classList.add("receiving"); one.setAttribute("aria-busy", "true"); }
  await Promise.all(wanted.map(async (file, i) => {
    try {
      const { path, url } = await upload(file);
      if (!path) throw new Error("no path");
      sent[first + i] = { path, url, orig_name: file.name, size: file.size, mime_type: file.type, meta: { _type: "gradio.FileData" } };
    } catch { failed.push(file.name); }
  }));
  for (const one of waiting) { one.classList.remove("receiving"); one.removeAttribute("aria-busy"); }
  props.value = { files: sent, failed, more: files.length - wanted.length };
  trigger(event, {});
}

// A picture's own file dialog: what is chosen takes the same way, so that a filled place keeps its picture until then.
function chosen(event) {
  const input = event.target, place = input === chooser ? choosing : input.type === "file" && placed(input, true);
  if (!place) return;
  event.stopImmediatePropagation();
  fill(place, [...input.files]);
  input.value = "";
}

// Gradio's upload icon empties a filled picture first.
function pressed(event) {
  const icon = event.target instanceof Element && event.target.closest("[data-testid=source-select] button:first-child");
  const place = icon && placed(icon, true);
  if (!place || !box(place).querySelector(".image-frame img")) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  choosing = place;
  chooser.click();
}

const listeners = { dragenter: hovering, dragover: hovering, drop: dropped, change: chosen, click: pressed };
for (const [name, listener] of Object.entries(listeners)) window.addEventListener(name, listener, true);
window.addEventListener("dragleave", (event) => { if (!event.relatedTarget) light(null); }, true);
window.addEventListener("dragend", () => light(null), true);
