// The region picker: marks are drawn here at once; the value carries them to Python, which the event "mark" tells.
const $ = (selector, root = element) => root.querySelector(selector), all = (selector) => element.querySelectorAll(selector);
const root = $(".picker"), stage = $(".stage"), picture = $("img", stage), canvas = $("canvas", stage), marks = $("svg", stage);
const bar = $(".bar"), status = $('[role="status"]');
const MOST = 32, POINTS = 500, THINNEST = 0.002, REST = 250, SLIP = 4, MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
let data = null, shown = null, map = null, hovered = null;
let regions = [], past = [], drag = null, tool = "whole", sign = 1, adding = false, radius = 0.04;
let turn = 0, check = 0, checked = "";
let asking = null, newest = null; // the regions that hits are being fetched for, and those that come next
// Who pauses is shown maps, for which the browser must hold the marks; Python hears of them once they are made.
const rest = atRest(() => { if (drag && data.ticket) hold(props.value); else mark(); }, REST);

const fine = (v) => Math.round(v * 1e4) / 1e4, held = (v, low, high) => Math.min(high, Math.max(low, v));
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

// A map travels as base64 of little-endian int16 steps of its scale.
function unpacked(text, scale) {
  if (!text) return null;
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0)), view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length / 2 }, (_, i) => (view.getInt16(2 * i, true) * scale) / 32767);
}

async function load() {
  const value = props.value && props.value.picture ? props.value : null, other = !value || value.key !== shown;
  shown = value ? value.key : null;
  data = value;
  root.classList.toggle("empty", !value);
  clearTimeout(check);
  if (other) {
    rest.stop();
    asking = newest = null;
    drag = hovered = null; past = []; checked = "";
    regions = value ? value.regions : [];
    status.textContent = "";
    if (tool === "whole" && regions.length) tool = regions.at(-1).kind;
    root.dataset.ready = "0";
  } else if (!same(value.regions, regions)) { // what the visitor has marked meanwhile counts
    hold(value);
    check = setTimeout(again, 600);
  }
  map = value && unpacked(value.map, value.scale);
  paintMap(); draw(); show();
  if (!value) { root.dataset.ready = "0"; picture.removeAttribute("src"); return; }
  stage.style.setProperty("--aspect", value.aspect);
  if (picture.src !== value.picture.url) await new Promise((done) => { picture.onload = picture.onerror = done; picture.src = value.picture.url; });
  if (shown !== value.key) return;
  draw();
  root.dataset.ready = "1";
}

// The last answer was for older marks. If no other follows, the newer ones were lost on their way: once more, but once.
function again() {
  if (drag || checked === JSON.stringify(regions)) return;
  checked = JSON.stringify(regions);
  mark();
}

// The turn, which Python does not send back, makes every answer differ from what is here, so that `watch` tells of it.
function hold(value) { data = props.value = { ...value, regions, turn: ++turn }; }

// A mark is made: Python hears of it, and what is still being fetched is of older ones.
function mark() {
  rest.stop();
  clearTimeout(check);
  asking = newest = null;
  hold(props.value);
  trigger("mark", {});
}

// While a mark moves its hits are fetched past Gradio, one call at a time, the newest place next.
async function moved() {
  rest.ask();
  if (!data.ticket) return; // no search that they move in: Python is asked once they rest
  if (asking) { newest = regions; return; }
  const own = asking = regions;
  const found = await server.hits({ ticket: data.ticket, regions: own }).catch(() => null);
  if (asking !== own) return; // meanwhile the mark was made, or another picture has come
  const more = newest;
  asking = newest = null;
  if (!found) { mark(); return; } // Python says why
  document.dispatchEvent(new CustomEvent("simvis-live", { detail: found }));
  if (more) moved();
}

function change(next, final = true) {
  regions = next;
  draw();
  if (final) mark(); else moved();
  if (final) say();
}

const keep = () => { past.push(regions); if (past.length > 100) past.shift(); };
function become(next) { if (!same(next, regions)) { keep(); change(next); } }

// Drawing

function paintMap() {
  const over = hovered && hovered.map && hovered.map.length ? hovered : null, [H, W] = (over && over.grid) || (data ? data.grid : [0, 0]);
  const values = over ? over.map : map, scale = over ? over.scale : data && data.scale;
  const fits = !!data && !!values && H * W > 0 && values.length === H * W;
  bar.classList.toggle("none", !fits);
  root.dataset.map = fits ? (over ? "hit" : "own") : "";
  if (!fits) { clear(canvas); return; }
  paint(canvas, H, W, (i) => values[i], scale);
  paintBar(bar, scale, over ? `here, with ${over.title}` : data.unit);
}

function drawn(parent, tag, kind, attributes) {
  const node = parent.appendChild(document.createElementNS("http://www.w3.org/2000/svg", tag));
  node.setAttribute("class", kind);
  for (const name in attributes) node.setAttribute(name, attributes[name]);
  return node;
}

function badge(group, x, y, w, h, plus) {
  const at = { cx: held(x, 11, w - 11), cy: held(y, 11, h - 11) };
  drawn(group, "circle", "badge", { ...at, r: 9 });
  drawn(group, "text", "", { x: at.cx, y: at.cy + 5 }).textContent = plus ? "+" : "\u2212";
}

const DRAW = {
  box(group, region, w, h) {
    const [x, y, width, height] = region.box, at = { x: x * w, y: y * h, width: width * w, height: height * h };
    for (const kind of ["halo", "line"]) drawn(group, "rect", kind, at);
    return [at.x, at.y];
  },
  brush(group, region, w, h) {
    const places = region.points.map(([x, y]) => `${(x * w).toFixed(1)} ${(y * h).toFixed(1)}`), d = `M${places[0]}L${places.join("L")}`;
    drawn(group, "path", "wide", { d, "stroke-width": 2 * region.radius * w });
    for (const kind of ["halo", "line"]) drawn(group, "path", kind, { d });
    return [region.points[0][0] * w, region.points[0][1] * h];
  },
  point(group, region, w, h) {
    const at = { cx: region.at[0] * w, cy: region.at[1] * h, r: 10 };
    for (const kind of ["halo", "line"]) drawn(group, "circle", kind, at);
    drawn(group, "circle", "grip", { ...at, r: 2.5 });
    return [at.cx + 10, at.cy - 10];
  },
};

function draw() {
  root.dataset.regions = JSON.stringify(regions);
  $(".undo").disabled = !past.length;
  $(".clear").disabled = !regions.length;
  const w = stage.clientWidth, h = stage.clientHeight;
  marks.setAttribute("viewBox", `0 0 ${w || 1} ${h || 1}`);
  marks.replaceChildren();
  for (const region of regions) {
    const group = drawn(marks, "g", region.sign < 0 ? "minus" : "plus", {});
    badge(group, ...DRAW[region.kind](group, region, w, h), w, h, region.sign > 0);
  }
  const last = regions.at(-1);
  if (tool !== "box" || !last || last.kind !== "box") return;
  const [x, y, width, height] = last.box;
  for (const i of [0, 1]) for (const j of [0, 1])
    if (i || j) drawn(marks, "rect", "grip", { x: (x + i * width) * w - 5, y: (y + j * height) * h - 5, width: 10, height: 10 });
}

// Words

const HINTS = {
  whole: "The whole picture counts. To search for a part of it, drag a box over it, or choose Box, Brush or Point.",
  box: "Drag a box around what to search for. Drag inside it to move it, at a corner to resize it.",
  brush: "Paint over what to search for.",
  point: "Click or tap what to search for.",
};
function show() {
  const pressed = (button, on) => button.setAttribute("aria-pressed", on);
  root.dataset.tool = tool;
  for (const button of all("[data-tool]")) if (button !== root) pressed(button, button.dataset.tool === tool);
  for (const button of all("[data-sign]")) pressed(button, +button.dataset.sign === sign);
  pressed($(".add"), adding);
  $(".size").hidden = tool !== "brush";
  const less = sign < 0 ? HINTS[tool].replace("to search for", "to steer away from") : HINTS[tool];
  const adds = adding ? "A new mark is added to the others." : "A new mark replaces the former one; \u201cAdd another\u201d or Shift keeps it.";
  $(".hint").textContent = tool === "whole" ? HINTS.whole : `${less} ${adds}`;
}

const percent = (v) => `${Math.round(100 * v)} %`;
const WORDS = {
  box: ({ box: [x, y, w, h] }) => `box ${percent(w)} wide and ${percent(h)} high, ${percent(x)} from the left and ${percent(y)} from the top`,
  brush: ({ points: [[x, y]] }) => `brush stroke from ${percent(x)} from the left and ${percent(y)} from the top`,
  point: ({ at: [x, y] }) => `point ${percent(x)} from the left and ${percent(y)} from the top`,
};
function say() {
  const last = regions.at(-1);
  if (!last) { status.textContent = "The whole picture."; return; }
  const meant = last.sign > 0 ? "More like the" : "Less like the", count = regions.length > 1 ? ` ${regions.length} marks together.` : "";
  status.textContent = `${meant} ${WORDS[last.kind](last)}.${count}`;
}

// Mouse, pen and finger

function at(event) {
  const box = stage.getBoundingClientRect();
  return [held((event.clientX - box.left) / box.width, 0, 1), held((event.clientY - box.top) / box.height, 0, 1)];
}

// Where the last box is held: {fixed: the opposite corner}, {offset: inside}, or null beside it.
function grip(event) {
  const last = regions.at(-1);
  if (tool !== "box" || event.shiftKey || !last || last.kind !== "box") return null;
  const [px, py] = at(event), [x, y, w, h] = last.box, reach = event.pointerType === "touch" ? 22 : 10;
  const near = (a, b, side) => Math.abs(a - b) * side <= reach;
  for (const i of [0, 1]) for (const j of [0, 1])
    if (near(px, x + i * w, stage.clientWidth) && near(py, y + j * h, stage.clientHeight)) return { fixed: [x + (1 - i) * w, y + (1 - j) * h], way: i === j ? "nwse" : "nesw" };
  return px > x && px < x + w && py > y && py < y + h ? { offset: [px - x, py - y], way: "inside" } : null;
}

function between([a, b], [c, d]) {
  const x = fine(Math.min(a, c)), y = fine(Math.min(b, d));
  return [x, y, fine(Math.max(a, c) - x), fine(Math.max(b, d) - y)];
}

function full(base) {
  if (base.length < MOST) return false;
  status.textContent = `At most ${MOST} marks. Undo one, or clear them.`;
  return true;
}

function down(event) {
  if (!data || drag || event.button || !event.isPrimary || tool === "point") return;
  if (tool === "whole" && event.pointerType !== "mouse") return; // a finger scrolls
  const hold = grip(event), last = regions.at(-1), kept = adding || event.shiftKey ? regions : [];
  const base = hold ? regions.slice(0, -1) : kept;
  if (full(base)) return;
  drag = { id: event.pointerId, before: regions, base, hold, last, from: at(event), x: event.clientX, y: event.clientY, moved: false };
  stage.setPointerCapture(event.pointerId);
  if (tool === "brush") move(event);
}

function dragged(to) {
  const { hold, last, from, region } = drag;
  if (tool === "brush") {
    const points = region ? region.points : [], end = points.at(-1), place = to.map(fine);
    if (end && Math.hypot(place[0] - end[0], (place[1] - end[1]) / data.aspect) < Math.max(0.003, radius / 4)) return region;
    const thinned = points.length < POINTS ? points : points.filter((_, i) => i % 2 === 0);
    return { kind: "brush", sign, radius, points: [...thinned, place] };
  }
  if (!hold) return { kind: "box", sign, box: between(from, to) };
  if (hold.fixed) return { ...last, box: between(hold.fixed, to) };
  const [, , w, h] = last.box;
  return { ...last, box: [fine(held(to[0] - hold.offset[0], 0, 1 - w)), fine(held(to[1] - hold.offset[1], 0, 1 - h)), w, h] };
}

function move(event) {
  if (!drag) { const hold = data && event.pointerType === "mouse" ? grip(event) : null; stage.dataset.grip = hold ? hold.way : ""; return; }
  if (event.pointerId !== drag.id) return;
  if (!drag.moved && tool !== "brush" && Math.hypot(event.clientX - drag.x, event.clientY - drag.y) < SLIP) return;
  if (!drag.moved) { keep(); drag.moved = true; }
  if (tool === "whole") choose("box"); // dragging says it
  const region = dragged(at(event));
  if (same(region, drag.region)) return;
  drag.region = region;
  change([...drag.base, region], false);
}

function up(event) {
  if (!drag || event.pointerId !== drag.id) return;
  if (drag.moved) move(event);
  const { moved, region } = drag, thin = moved && region.kind === "box" && Math.min(region.box[2], region.box[3]) < THINNEST;
  if (thin) { cancel(); return; }
  drag = null;
  if (moved) change(regions);
}

function cancel() {
  if (!drag) return;
  const { moved, before } = drag;
  drag = null;
  if (moved) { past.pop(); change(before); }
}

function click(event) {
  if (!data || tool !== "point") return;
  const base = adding || event.shiftKey ? regions : [];
  if (!full(base)) become([...base, { kind: "point", sign, at: at(event).map(fine) }]);
}

// Keyboard

function placed() {
  const [H, W] = data.grid, base = adding ? regions : [];
  if (full(base)) return;
  const middle = (cells) => Math.floor(cells / 2) / cells, wide = (cells) => Math.min(cells, 2) / cells;
  const box = [middle(W), middle(H), wide(W), wide(H)].map((v, i) => fine(i < 2 ? Math.min(v, 1 - (i ? wide(H) : wide(W))) : v));
  become([...base, tool === "box" ? { kind: "box", sign, box } : { kind: "point", sign, at: [fine(middle(W) + 0.5 / W), fine(middle(H) + 0.5 / H)] }]);
}

function nudged(last, [downward, right], resize) {
  const [H, W] = data.grid, dx = right / W, dy = downward / H;
  if (last.kind === "point") return { ...last, at: [fine(held(last.at[0] + dx, 0, 1)), fine(held(last.at[1] + dy, 0, 1))] };
  const [x, y, w, h] = last.box;
  const box = resize
    ? [x, y, held(w + dx, Math.min(w, 1 / W), 1 - x), held(h + dy, Math.min(h, 1 / H), 1 - y)]
    : [held(x + dx, 0, 1 - w), held(y + dy, 0, 1 - h), w, h];
  return { ...last, box: box.map(fine) };
}

function key(event) {
  if (!data || event.altKey) return;
  const last = regions.at(-1), movable = last && last.kind !== "brush", marking = tool === "box" || tool === "point";
  if (event.ctrlKey || event.metaKey) { if (event.key !== "z") return; undo(); }
  else if (event.key === "Escape") { if (drag) cancel(); else become([]); }
  else if (drag) return;
  else if (event.key in MOVES && movable) {
    keep();
    change([...regions.slice(0, -1), nudged(last, MOVES[event.key], event.shiftKey)], false);
    say();
  } else if (event.key in MOVES && marking) placed();
  else if (event.key === "Enter" && !regions.length && marking) placed();
  else if (event.key === "Enter") change(regions);
  else return;
  event.preventDefault();
}

// Buttons

function choose(name) { tool = name; show(); draw(); }
function undo() {
  if (!past.length || drag) return;
  change(past.pop());
  if (tool === "whole" && regions.length) choose(regions.at(-1).kind);
}

for (const button of all("button[data-tool]"))
  button.addEventListener("click", () => { if (!data) return; choose(button.dataset.tool); if (tool === "whole") become([]); });
for (const button of all("button[data-sign]"))
  button.addEventListener("click", () => {
    sign = +button.dataset.sign;
    if (sign < 0 && regions.length) adding = true; // less of one thing goes with more of another
    if (tool === "whole") tool = "box";
    show(); draw();
  });
$(".add").addEventListener("click", () => { adding = !adding; if (tool === "whole") tool = "box"; show(); draw(); });
$(".undo").addEventListener("click", undo);
$(".clear").addEventListener("click", () => become([]));
$(".size input").addEventListener("input", (event) => { radius = event.target.value / 100; });
stage.addEventListener("pointerdown", down);
stage.addEventListener("pointermove", move);
stage.addEventListener("pointerup", up);
stage.addEventListener("pointercancel", cancel);
stage.addEventListener("click", click);
stage.addEventListener("keydown", key);
new ResizeObserver(draw).observe(stage);
document.addEventListener("simvis-hover", (event) => { hovered = event.detail && event.detail.map ? event.detail : null; paintMap(); });
document.addEventListener("simvis-look", paintMap);
watch("value", load);
load();
