// The pair viewer: hovering, pinning and drawing need no request; a pin is stored in the value and told to Python.
const $ = (selector, root = element) => root.querySelector(selector);
const root = $(".pair"), status = $('[role="status"]'), bar = $(".bar");
const stage = { a: $('[data-side="a"]'), b: $('[data-side="b"]') }, other = { a: "b", b: "a" };
let fine = null; // the maps at a chosen depth, with the pinned point's map there once it has come
let data = null, pinned = null, current = null, frame = 0, generation = 0, wanted = (props.value && props.value.mode) || "share", mode = wanted, shown = "";

async function load() {
  const value = props.value && props.value.numbers ? props.value : null, mine = ++generation;
  root.dataset.ready = "0";
  fine = null; // of the pair before; the dial sends another
  delete root.dataset.fine; delete root.dataset.finePoint;
  root.classList.toggle("empty", !value);
  // For the pair already on screen the browser knows best: a pin may have come while the answer was on its way.
  if (!value || value.key !== shown) pinned = (value && value.pin) || null;
  shown = value ? value.key : "";
  current = null;
  if (!value) { data = null; for (const s of "ab") { clear($("canvas", stage[s])); mark(s, null, []); } say(); return; }
  const [buffer] = await Promise.all([fetch(value.numbers.url).then((r) => r.arrayBuffer()), picture("a", value), picture("b", value)]);
  if (mine !== generation) return; // a newer pair arrived meanwhile
  if (value.method === "none") { // a black box's map is still to be drawn: pictures and score only
    data = null;
    root.classList.add("undrawn");
    if (fine) { draw(null); root.dataset.ready = "1"; return; } // it came while the pictures were on their way
    for (const s of "ab") { clear($("canvas", stage[s])); mark(s, null, []); }
    status.textContent = "This network's score cannot be split into places. Its map is drawn by hiding parts of the pictures.";
    root.dataset.ready = "1";
    return;
  }
  root.classList.remove("undrawn");
  data = unpack(value, buffer);
  const additive = value.method === "decomposition" || value.method === "last-block values";
  turnTo(wanted);
  $(".mode").hidden = !data.cosine;
  $(".switch .share").textContent = additive ? "share of the score" : "change of the score";
  const here = { pin: pinned, mode: wanted, ground: ground() };
  if (Object.keys(here).some((name) => here[name] !== (value[name] || null))) props.value = { ...value, ...here };
  draw(pinned); say();
  root.dataset.ready = "1";
}

function picture(side, value) {
  const image = $("img", stage[side]), file = value[side];
  stage[side].style.aspectRatio = value["aspect_" + side];
  stage[side].closest("figure").style.setProperty("--aspect", value["aspect_" + side]);
  if (image.src === file.url) return null;
  return new Promise((done) => { image.onload = image.onerror = done; image.src = file.url; });
}

function unpack(value, buffer) {
  const [H, W] = value.grid_a, [R, C] = value.grid_b, n = H * W, m = R * C;
  return {
    score: value.score, method: value.method, unit: value.unit, grid: { a: [H, W], b: [R, C] }, n, m,
    scale: { map: value.scale_map, share: value.scale_share, cosine: value.scale_cosine },
    map: { a: new Float32Array(buffer, 0, n), b: new Float32Array(buffer, 4 * n, m) },
    share: new Int16Array(buffer, 4 * (n + m), n * m),
    cosine: value.scale_cosine ? new Int16Array(buffer, 4 * (n + m) + 2 * n * m, n * m) : null,
  };
}

// One cell's row or column of the table of all pairs, in score units or as a cosine; a region's is the weighted sum
// of its cells' (of cosines: the mean).
function row(point) {
  if (point.weights) return regionRow(point);
  const step = data.scale[mode] / 32767, values = data[mode], cell = coarse(point);
  return point.side === "a" ? (j) => values[cell * data.m + j] * step : (i) => values[i * data.m + cell] * step;
}

function regionRow(point) {
  const far = other[point.side] === "a" ? data.n : data.m, sum = new Float64Array(far);
  let heavy = 0;
  point.weights.forEach((weight, cell) => {
    if (!weight) return;
    heavy += Math.abs(weight);
    const value = row({ side: point.side, row: Math.floor(cell / data.grid[point.side][1]), col: cell % data.grid[point.side][1] });
    for (let i = 0; i < far; i++) sum[i] += weight * value(i);
  });
  if (mode === "cosine") for (let i = 0; i < far; i++) sum[i] /= heavy;
  return (i) => sum[i];
}

// A point's cell in the coarse table, whatever grid it was pointed at in.
function coarse(point) {
  const [H, W] = data.grid[point.side], { row, col } = fitted(point, [H, W]);
  return row * W + col;
}

// The cell of another grid in which a point's middle lies.
function fitted(point, [H, W]) {
  const [R, C] = point.of || data.grid[point.side];
  return { row: Math.floor(((point.row + 0.5) / R) * H), col: Math.floor(((point.col + 0.5) / C) * W) };
}

// A point as a cell of the grid that is on screen; a finer one's is named beside it, so that links know it.
const cells = (side) => (fine || data).grid[side];
function onto(point) {
  if (!point || point.weights || !(fine || data) || !(point.of || data)) return point;
  const found = { side: point.side, ...fitted(point, cells(point.side)) };
  return fine ? { ...found, of: cells(point.side) } : found;
}

// The map that Python drew of the pinned point at the chosen depth, where it is the one to be shown.
function drawnAt(point) {
  const held = fine && fine.point;
  return held && !point.weights && mode === "share" && held.side === point.side && held.row === point.row && held.col === point.col ? held : null;
}

function steps(text, scale) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return Float32Array.from(new Int16Array(bytes.buffer), (step) => (step * scale) / 32767);
}

document.addEventListener("simvis-fine", ({ detail }) => {
  const told = detail ? JSON.parse(detail) : {};
  fine = told.map_a ? { grid: { a: told.grid_a, b: told.grid_b }, map: { a: steps(told.map_a, told.scale), b: steps(told.map_b, told.scale) }, scale: told.scale, score: told.score, unit: told.unit, point: null } : null;
  delete root.dataset.finePoint;
  if (fine) root.dataset.fine = `${fine.grid.a}`; else delete root.dataset.fine;
  if (root.dataset.ready === "0" || !(data || fine)) return; // the pictures are still on their way; `load` draws
  if (fine) root.classList.remove("undrawn");
  pinned = onto(pinned);
  draw(pinned); say();
  if (pinned || props.value.pin) { props.value = { ...props.value, pin: pinned }; trigger("pin", {}); if (fine && pinned) trigger("deepen", {}); }
});

document.addEventListener("simvis-fine-point", ({ detail }) => {
  const told = detail ? JSON.parse(detail) : {};
  if (!fine || !pinned || told.side !== pinned.side || told.row !== pinned.row || told.col !== pinned.col) return; // of a pin before
  if (told.refused) { status.textContent = `No map of this point at this depth: ${told.refused}`; return; }
  fine.point = { ...told, map: steps(told.map, told.scale) };
  root.dataset.finePoint = root.dataset.point;
  draw(pinned); say();
});

// The smallest box of cells that holds everything of a region.
function extent(weights, columns) {
  const cells = weights.flatMap((weight, i) => (weight ? [[Math.floor(i / columns), i % columns]] : []));
  const rows = cells.map(([r]) => r), cols = cells.map(([, c]) => c);
  const row = Math.min(...rows), col = Math.min(...cols);
  return { row, col, down: Math.max(...rows) - row + 1, across: Math.max(...cols) - col + 1 };
}

// A point's own largest value sets its scale, but never less than a quarter of the whole table's: a point that carries
// little must not look as if it carried much. Cosines keep one scale.
function scaleOf(value, count) {
  if (mode === "cosine") return data.scale.cosine;
  let largest = data.scale.share / 4;
  for (let i = 0; i < count; i++) largest = Math.max(largest, Math.abs(value(i)));
  return largest;
}

function draw(point) {
  if (!data && !(fine && !point)) return;
  current = point;
  if (!point) {
    const scale = fine ? fine.scale : data.scale.map;
    for (const s of "ab") { paint($("canvas", stage[s]), ...cells(s), (i) => (fine || data).map[s][i], scale); mark(s, null, []); }
    paintBar(bar, scale, (fine || data).unit);
  } else {
    const held = drawnAt(point), far = other[point.side], grid = held ? held.grid : data.grid[far], value = held ? (i) => held.map[i] : row(point);
    const scale = held ? held.scale : scaleOf(value, far === "a" ? data.n : data.m);
    clear($("canvas", stage[point.side]));
    paint($("canvas", stage[far]), ...grid, value, scale);
    mark(point.side, point, [], point.of || data.grid[point.side]); mark(far, null, best(value, grid), grid);
    const name = `the ${point.weights ? "region" : "cell"} of ${point.side.toUpperCase()}`;
    if (point.weights) paint($("canvas", stage[point.side]), ...data.grid[point.side], (i) => point.weights[i] * data.map[point.side][i], data.scale.map);
    paintBar(bar, scale, mode === "share" ? `${WITH_POINT[data.method]} ${name}` : `cosine with ${name}`);
  }
  root.dataset.point = !point ? "" : point.weights ? `${point.side}:region` : `${point.side}:${point.row},${point.col}`;
  $(".readout").textContent = point && point !== pinned ? `Here: ${sentence(point)}` : "";
  window.simvisDraws = (window.simvisDraws || 0) + 1;
}

function best(value, [H, W], count = 3) {
  const ranked = Array.from({ length: H * W }, (_, i) => i).sort((p, q) => value(q) - value(p));
  return ranked.slice(0, count).filter((i) => value(i) > 0).map((i) => ({ row: Math.floor(i / W), col: i % W, value: value(i) }));
}

// The first box outlines the point itself, the other three its best matches.
function mark(side, point, matches, [H, W] = [1, 1]) {
  stage[side].querySelectorAll(".cell").forEach((box, i) => place(box, i ? matches[i - 1] : point, H, W));
}

function place(box, cell, H, W) {
  box.hidden = !cell;
  if (cell && cell.weights) cell = extent(cell.weights, W);
  if (cell) Object.assign(box.style, { left: `${(100 * cell.col) / W}%`, top: `${(100 * cell.row) / H}%`, width: `${(100 * (cell.across || 1)) / W}%`, height: `${(100 * (cell.down || 1)) / H}%` });
}

// What the table of all pairs of cells holds under each method, and what a cell's own number says.
const WITH_POINT = {
  "decomposition": "share of the score, with", "last-block values": "share of the score, with",
  "sliding window": "change of the score, both hidden: here and", "RISE": "change of the score, both shown: here and",
};
const OWN = {
  "decomposition": (cell, share, score) => `${cell} carries ${share} of ${score}`,
  "last-block values": (cell, share, score) => `${cell} carries ${share} of ${score}`,
  "sliding window": (cell, share, score) => `hiding ${cell} lowers the score of ${score} by ${share}`,
  "RISE": (cell, share, score) => `showing ${cell} raises the score of ${score} by ${share}`,
};

function sentence(point) {
  const map = (point.of && fine ? fine : data).map[point.side], held = drawnAt(point);
  const carried = point.weights ? point.weights.reduce((sum, weight, i) => sum + weight * data.map[point.side][i], 0) : point.of && !fine ? map[coarse(point)] : map[point.row * (point.of || data.grid[point.side])[1] + point.col];
  const percent = data.score ? `, ${((100 * carried) / data.score).toFixed(1)} %` : "";
  const far = other[point.side], found = held ? best((i) => held.map[i], held.grid) : best(row(point), data.grid[far]);
  const matches = found.map((m) => `${m.row},${m.col} (${number(m.value)})`);
  const unit = mode === "cosine" ? "by cosine" : data.method in { "sliding window": 1, RISE: 1 } ? "by joint change" : "by share";
  const among = point.of && !held ? " among the coarse cells" : held ? " with gates held" : "";
  const list = matches.length ? `Best matches in ${far.toUpperCase()}${among}, ${unit}: ${matches.join(", ")}.` : `No cell of ${far.toUpperCase()} matches.`;
  const cell = `${point.weights ? "the marked region" : `cell ${point.row},${point.col}`} of ${point.side.toUpperCase()}`;
  return `${OWN[data.method](cell, number(carried), number(data.score))}${percent}. ${list}`;
}

function say(moving) {
  root.classList.toggle("pinned", !!pinned);
  if (moving) status.textContent = sentence(moving);
  else if (pinned) status.textContent = `Pinned: ${sentence(pinned)}`;
  else status.textContent = data ? "No point is pinned. Point at a place in either picture; click, tap or press Enter to pin it." : "";
}

// What a point shows: as it is wanted, and as far as the pair has it.
function turnTo(name) {
  wanted = name;
  mode = name === "cosine" && data.cosine ? "cosine" : "share";
  for (const input of element.querySelectorAll('[name="pair-mode"]')) input.checked = input.value === mode;
}

function switchTo(name) {
  props.value = { ...props.value, mode: name };
  if (!data) { wanted = name; return; }
  turnTo(name); draw(pinned); say();
}

function pin(point) {
  cancelAnimationFrame(frame); // a preview still waiting to be drawn is older than the pin
  pinned = point;
  draw(point); say();
  if (point) status.scrollIntoView({ block: "nearest" }); // the answer to a tap on a small screen
  props.value = { ...props.value, pin: point, mode: wanted };
  trigger("pin", {});
  if (fine && point) trigger("deepen", {}); // the coarse table needs no answer
}

function at(side, event) {
  const box = stage[side].getBoundingClientRect(), [H, W] = cells(side), of = fine ? { of: [H, W] } : {};
  const inside = (share, cells) => Math.min(cells - 1, Math.max(0, Math.floor(share * cells)));
  return { side, row: inside((event.clientY - box.top) / box.height, H), col: inside((event.clientX - box.left) / box.width, W), ...of };
}

function later(point) { cancelAnimationFrame(frame); frame = requestAnimationFrame(() => draw(point)); }

const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
function moved(point, [down, right]) {
  point = onto(point.weights ? middle(point) : point);
  const [H, W] = cells(point.side), held = (at, cells) => Math.min(cells - 1, Math.max(0, at));
  return { ...point, row: held(point.row + down, H), col: held(point.col + right, W) };
}

// The cell in the middle of a region: where arrow keys go on from.
function middle({ side, weights }) {
  const { row, col, down, across } = extent(weights, data.grid[side][1]);
  return { side, row: row + (down >> 1), col: col + (across >> 1) };
}

function key(side, event) {
  if (!data) return;
  const start = onto(current && current.side === side ? (current.weights ? middle(current) : current) : { side, row: data.grid[side][0] >> 1, col: data.grid[side][1] >> 1 });
  if (event.key in MOVES) { const point = moved(start, MOVES[event.key]); draw(point); say(point); }
  else if (event.key === "Enter" || event.key === " ") pin(start);
  else if (event.key === "Escape") pin(null);
  else return;
  event.preventDefault();
}

for (const side of "ab") {
  stage[side].addEventListener("pointermove", (event) => { if (data && event.pointerType === "mouse") later(at(side, event)); });
  stage[side].addEventListener("pointerleave", (event) => { if (data && event.pointerType === "mouse") later(pinned); });
  stage[side].addEventListener("click", (event) => { if (data) pin(at(side, event)); });
  stage[side].addEventListener("keydown", (event) => key(side, event));
}
for (const button of element.querySelectorAll("button[data-move]"))
  button.addEventListener("click", () => { if (data && pinned) pin(moved(pinned, MOVES[button.dataset.move])); });
$("button.clear").addEventListener("click", () => { if (data) pin(null); });
for (const input of element.querySelectorAll('[name="pair-mode"]'))
  input.addEventListener("change", () => { switchTo(input.value); trigger("switched", {}); });
document.addEventListener("simvis-mode", ({ detail }) => { if (detail !== wanted) switchTo(detail); });
document.addEventListener("simvis-look", () => { draw(current); if (data && props.value.ground !== ground()) props.value = { ...props.value, ground: ground() }; });
watch("value", load);
load();
