// A training's steps: all of their numbers come as one file, so that moving the slider asks for nothing.
const $ = (selector, root = element) => root.querySelector(selector);
const root = $(".steps"), slider = $("input[type=range]"), now = $(".now"), play = $(".play"), said = $(".said"), lanes = $(".tracks");
const PACE = 1200; // milliseconds of a step while it plays
let data = null, at = 0, timer = 0, generation = 0, frame = 0, shown = "";
window.simvisSteps = 0; // steps that were drawn, for whoever measures

function made(tag, parent, kind) {
  const node = parent.appendChild(document.createElement(tag));
  if (kind) node.className = kind;
  return node;
}
function text(node, words) { if (node.textContent !== words) node.textContent = words; }

function values(code) {
  const bytes = Uint8Array.from(atob(code), (c) => c.charCodeAt(0)), view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length / 2 }, (_, i) => view.getInt16(2 * i, true) / 32767);
}

async function load() {
  const value = props.value && props.value.numbers ? props.value : null, mine = ++generation;
  stop();
  if (!value) { data = null; shown = ""; root.dataset.ready = "0"; root.classList.add("empty"); return; }
  if (value.key === shown && data) { move(closest(value.step)); return; }
  root.dataset.ready = "0";
  const numbers = await (await fetch(value.numbers.url)).json();
  if (mine !== generation) return; // a newer answer arrived meanwhile
  const address = (path) => value.sample.url.replace(value.sample_path, () => path);
  const images = await Promise.all(numbers.images.map(([path, aspect]) => fetched(address(path), aspect)));
  if (mine !== generation) return;
  for (const track of numbers.tracks) for (const step of track.steps) for (const hit of step.hits) for (const side of ["query", "hit"]) if (hit[side]) hit[side].cells = values(hit[side].code);
  data = { ...numbers, images };
  shown = value.key;
  build();
  text($(".asked"), numbers.asked);
  slider.max = data.steps.length - 1;
  root.classList.remove("empty");
  move(closest(value.step));
  root.dataset.ready = "1";
}

// Each picture is there before its step is: none flickers in while the slider moves. It is held: a browser asks again
// for one that nothing on the page uses.
async function fetched(url, aspect) {
  const held = new Image();
  held.src = url;
  await held.decode().catch(() => null); // a picture that cannot be shown leaves its place empty
  return { url, aspect, held };
}

const closest = (step) => {
  if (step === null || step === undefined) return data.steps.length - 1;
  let best = 0;
  data.steps.forEach((one, i) => { if (Math.abs(one - step) < Math.abs(data.steps[best] - step)) best = i; });
  return best;
};

function build() {
  lanes.replaceChildren();
  for (const track of data.tracks) {
    const lane = made("section", lanes, "track");
    text(made("h2", lane), track.title);
    text(made("p", lane, "about"), track.about);
    const list = made("ol", lane, "hits"), bar = made("div", lane, "bar");
    for (const kind of ["low", "canvas", "high", "unit"]) made(kind === "canvas" ? "canvas" : "span", bar, kind);
    const count = Math.max(...track.steps.map((step) => step.hits.length));
    track.nodes = Array.from({ length: count }, () => blank(list));
    Object.assign(track, { lane, bar });
  }
}

function blank(list) {
  const node = made("li", list), both = made("div", node, "both");
  for (const side of ["query", "hit"]) {
    const box = made("div", both, `frame ${side}`);
    made("img", box); made("canvas", box);
  }
  const line = made("p", node, "line");
  for (const kind of ["rank", "score", "title", "mark"]) { made(kind === "score" ? "b" : "span", line, kind); line.append(" "); }
  made("p", node, "gone");
  return node;
}

function picture(node, side, image, map, name, scale) {
  const box = $(`.${side}`, node), img = $("img", box), canvas = $("canvas", box);
  box.hidden = !image;
  if (!image) return;
  box.style.aspectRatio = image.aspect;
  box.style.setProperty("--aspect", image.aspect);
  if (img.getAttribute("src") !== image.url) img.src = image.url;
  img.alt = name;
  if (map) paint(canvas, map.grid[0], map.grid[1], (i) => map.cells[i], 1); else clear(canvas);
  canvas.dataset.scale = map ? scale : "";
}

function fill(node, hit, rank, scale) {
  node.hidden = !hit;
  if (!hit) return;
  node.dataset.right = String(hit.right);
  text($(".rank", node), `${rank}.`); text($(".score", node), hit.score); text($(".title", node), hit.title); text($(".mark", node), hit.note);
  text($(".gone", node), hit.gone);
  $(".gone", node).hidden = !hit.gone;
  const images = { query: hit.hit ? data.images[hit.asked] : null, hit: data.images[hit.image] };
  picture(node, "query", images.query, hit.query, hit.left, scale);
  picture(node, "hit", images.hit, hit.hit, `Hit ${rank}: ${hit.title}, score ${hit.score}. ${hit.note}`, scale);
}

function draw() {
  for (const track of data.tracks) {
    const step = track.steps[track.at[at]];
    track.nodes.forEach((node, i) => fill(node, step.hits[i], i + 1, step.scale));
    track.bar.hidden = !step.scale;
    if (step.scale) paintBar(track.bar, step.scale, data.unit);
    track.lane.dataset.step = step.step;
  }
  window.simvisSteps += 1;
}

function move(to) {
  at = Math.max(0, Math.min(data.steps.length - 1, to));
  slider.value = at;
  const step = data.steps[at], last = data.steps[data.steps.length - 1];
  text(now, `${step} of ${last}`);
  slider.setAttribute("aria-valuetext", `step ${step} of ${last}`);
  text(said, data.tracks.map((track) => track.steps[track.at[at]].said).join(" "));
  root.dataset.step = step;
  draw();
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(mark);
}

// The line in the curves follows; a curve that comes later is marked as it comes. Plotly's own way draws each plot anew,
// which takes longer than all maps together: the line is moved, and its layout told, for when the plot is drawn again.
function mark() {
  if (!data) return;
  const step = data.steps[at];
  for (const plot of document.querySelectorAll("#training_curves .js-plotly-plot")) {
    const line = plot.querySelector(".shapelayer path"), shape = plot.layout && plot.layout.shapes && plot.layout.shapes[0];
    const axis = plot._fullLayout && plot._fullLayout.xaxis, drawn = line && /^M[^,]+,([^L]+)L[^,]+,(.+)$/.exec(line.getAttribute("d"));
    if (!shape || !axis || !drawn) continue;
    shape.x0 = shape.x1 = step;
    const x = axis._offset + axis.c2p(step);
    line.setAttribute("d", `M${x},${drawn[1]}L${x},${drawn[2]}`);
    plot.dataset.marked = step;
  }
}

function tell() {
  if (!data) return;
  props.value = { ...props.value, step: data.steps[at] };
  trigger("step", {});
}

// Playing
function stop() { clearInterval(timer); timer = 0; named(); }
function named() { text(play, timer ? "Pause" : STILL.matches ? "Next step" : "Play"); }
function ahead() {
  move(at + 1);
  if (at === data.steps.length - 1) { stop(); tell(); }
}
function press() {
  if (!data) return;
  if (timer) { stop(); tell(); return; }
  const end = at === data.steps.length - 1;
  if (STILL.matches) { move(end ? 0 : at + 1); tell(); return; } // nothing moves by itself
  if (end) move(0);
  timer = setInterval(ahead, PACE);
  named();
}

slider.addEventListener("input", () => { stop(); if (data) move(Number(slider.value)); });
slider.addEventListener("change", tell);
play.addEventListener("click", press);
STILL.addEventListener("change", named);
document.addEventListener("simvis-look", () => { if (data) draw(); });
document.addEventListener("simvis-step", (event) => { if (data && closest(event.detail) !== at) { stop(); move(closest(event.detail)); } });
document.addEventListener("simvis-curves", () => requestAnimationFrame(mark));
document.addEventListener("visibilitychange", () => { if (document.hidden && timer) stop(); });
watch("value", load);
named();
load();
