// Drawing a signed map over a picture, shared by the page's components. The two constants are filled in by Python.
const COLOUR_STOPS = /*STOPS*/ {}, FADE = /*FADE*/ 1;

function lookupTable(name) {
  const stops = COLOUR_STOPS[name] || Object.values(COLOUR_STOPS)[0], table = new Uint8ClampedArray(768);
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * (stops.length - 1), low = Math.min(stops.length - 2, Math.floor(at)), share = at - low;
    for (let c = 0; c < 3; c++) table[3 * i + c] = Math.round(stops[low][c] * (1 - share) + stops[low + 1][c] * share);
  }
  return table;
}

// The look (colour map, opacity) is one for the page; its widgets announce a change as "simvis-look".
const look = () => window.simvisLook || { colours: Object.keys(COLOUR_STOPS)[0], opacity: 0.85 };

// How maps lie on their pictures, one for the page: a red map over a red picture shows on a grey one, as lines, or by
// coming and going. The style sheet greys and blinks; lines are drawn here.
const ground = () => document.documentElement.dataset.ground || "colours";
const STILL = matchMedia("(prefers-reduced-motion: reduce)"); // nothing blinks then: the choice hides the map instead
const GROUNDS = { colours: () => "colours", grey: () => "grey picture", outline: () => "outline", blink: () => (STILL.matches ? "no map" : "blink") };

// The choice, where a template keeps a place for it. All of them are one: each follows what is chosen in another.
function offerGrounds(place) {
  if (!place) return;
  window.simvisGrounds = (window.simvisGrounds || 0) + 1;
  const options = Object.entries(GROUNDS).map(([name, said]) => {
    const label = place.appendChild(document.createElement("label")), input = document.createElement("input"), words = document.createElement("span");
    Object.assign(input, { type: "radio", name: `ground-${window.simvisGrounds}`, value: name });
    input.addEventListener("change", () => {
      document.documentElement.dataset.ground = name;
      document.dispatchEvent(new CustomEvent("simvis-look"));
    });
    label.append(input, words);
    return { input, words, said };
  });
  const follow = () => { for (const { input, words, said } of options) { input.checked = input.value === ground(); words.textContent = said(); } };
  document.addEventListener("simvis-look", follow);
  STILL.addEventListener("change", follow);
  follow();
}
offerGrounds(element.querySelector(".ground"));
const tables = {};
const table = () => (tables[look().colours] ||= lookupTable(look().colours));

// The two nearest cell centres of every pixel along one side: half-pixel centres, held constant at the edge.
function nearest(cells, pixels) {
  const low = new Int32Array(pixels), high = new Int32Array(pixels), share = new Float32Array(pixels);
  for (let i = 0; i < pixels; i++) {
    const at = Math.min(cells - 1, Math.max(0, ((i + 0.5) * cells) / pixels - 0.5));
    low[i] = Math.floor(at); high[i] = Math.min(cells - 1, low[i] + 1); share[i] = at - low[i];
  }
  return { low, high, share };
}

const shapes = new Map();
function shape(rows, columns) {
  const key = rows + "x" + columns;
  if (!shapes.has(key)) {
    const side = Math.max(4, Math.min(24, Math.floor(288 / Math.max(rows, columns))));
    shapes.set(key, { w: columns * side, h: rows * side, down: nearest(rows, rows * side), across: nearest(columns, columns * side) });
  }
  return shapes.get(key);
}

// Values are enlarged first and coloured after; the colour grows opaque with the value, so zero shows the picture.
function paint(canvas, rows, columns, value, scale, lines = ground() === "outline") {
  const { w, h, down, across } = shape(rows, columns), colours = table(), opacity = 255 * look().opacity;
  if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
  const context = canvas.getContext("2d"), image = context.createImageData(w, h), data = image.data, steps = lines && new Int8Array(w * h);
  for (let y = 0, at = 0; y < h; y++) {
    const top = down.low[y] * columns, bottom = down.high[y] * columns, v = down.share[y];
    for (let x = 0; x < w; x++, at += 4) {
      const l = across.low[x], r = across.high[x], u = across.share[x];
      const upper = value(top + l) * (1 - u) + value(top + r) * u, lower = value(bottom + l) * (1 - u) + value(bottom + r) * u;
      const share = scale > 0 ? Math.max(-1, Math.min(1, (upper * (1 - v) + lower * v) / scale)) : 0;
      if (lines) { steps[at >> 2] = Math.trunc(share * LINES); continue; }
      const colour = 3 * Math.round((share + 1) * 127.5);
      data[at] = colours[colour]; data[at + 1] = colours[colour + 1]; data[at + 2] = colours[colour + 2];
      data[at + 3] = Math.abs(share) ** FADE * opacity;
    }
  }
  if (lines) outline(data, steps, w, h, colours);
  context.putImageData(image, 0, 0);
}

// Lines at a quarter, half and three quarters of the scale in the map's strong colours, rimmed in white and in black: one
// of the three shows on any picture. As `colours.outline` draws them.
const LINES = 4;
function outline(data, steps, w, h, colours) {
  const edges = { up: [], down: [] };
  for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) {
    const own = steps[y * w + x], right = x + 1 < w ? steps[y * w + x + 1] : own, below = y + 1 < h ? steps[(y + 1) * w + x] : own;
    if (own !== right || own !== below) edges[Math.min(own, right, below) + Math.max(own, right, below) < 0 ? "down" : "up"].push([x, y]);
  }
  const draw = (places, rim, colour) => {
    for (const [x, y] of places)
      for (let v = Math.max(0, y - rim); v <= Math.min(h - 1, y + rim + 1); v++)
        for (let u = Math.max(0, x - rim), at = 4 * (v * w + u); u <= Math.min(w - 1, x + rim + 1); u++, at += 4) { data[at] = colour[0]; data[at + 1] = colour[1]; data[at + 2] = colour[2]; data[at + 3] = 255; }
  };
  for (const [rim, colour] of [[2, [0, 0, 0]], [1, [255, 255, 255]]]) for (const places of Object.values(edges)) draw(places, rim, colour);
  for (const [places, strong] of [[edges.up, 215], [edges.down, 40]]) draw(places, 0, colours.subarray(3 * strong, 3 * strong + 3));
}

const clear = (canvas) => canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);

function paintBar(bar, scale, unit) {
  const canvas = bar.querySelector("canvas");
  paint(canvas, 1, 65, (i) => (i - 32) / 32, 1, false);
  bar.querySelector(".low").textContent = number(-scale);
  bar.querySelector(".high").textContent = number(scale);
  bar.querySelector(".unit").textContent = unit;
}

function number(v) {
  if (v === 0) return "0";
  return Math.abs(v) >= 0.0095 ? v.toFixed(3) : Math.abs(v) >= 1e-5 ? v.toPrecision(2) : v.toExponential(1);
}
