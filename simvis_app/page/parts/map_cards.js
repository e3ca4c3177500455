// One picture under several maps. Cards keep their nodes from one answer to the next, so that no picture flickers.
const root = element.querySelector(".mapcards"), list = element.querySelector(".cards"), bar = element.querySelector(".bar");
let nodes = new Map();

function made(tag, parent, kind) {
  const node = parent.appendChild(document.createElement(tag));
  if (kind) node.className = kind;
  return node;
}

function text(node, words) { if (node.textContent !== words) node.textContent = words; node.hidden = !words; }

function blank() {
  const node = document.createElement("div"), box = made("div", node, "frame");
  node.setAttribute("role", "listitem");
  made("img", box); made("canvas", box);
  for (const kind of ["title", "paper", "state", "verdict"]) made(kind === "title" ? "h3" : "p", node, kind);
  made("ul", node, "facts");
  return node;
}

function cells(code) {
  const bytes = Uint8Array.from(atob(code), (c) => c.charCodeAt(0)), view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length / 2 }, (_, i) => view.getInt16(2 * i, true) / 32767);
}

function fill(node, card, value) {
  const image = node.querySelector("img"), canvas = node.querySelector("canvas"), frame = node.querySelector(".frame");
  frame.style.aspectRatio = value.aspect;
  if (image.getAttribute("src") !== value.image.url) image.src = value.image.url;
  image.alt = card.title;
  for (const kind of ["title", "paper", "state", "verdict"]) text(node.querySelector("." + kind), card[kind]);
  node.querySelector(".verdict").dataset.better = String(card.better);
  node.querySelector(".facts").replaceChildren(...card.facts.map((fact) => { const item = document.createElement("li"); item.textContent = fact; return item; }));
  node.dataset.name = card.name;
  node.dataset.drawn = card.cells ? "1" : "0";
  if (!card.cells) { clear(canvas); return; }
  const map = cells(card.cells), [H, W] = card.grid;
  paint(canvas, H, W, (i) => map[i], 1);
}

function load() {
  const value = props.value, cards = (value && value.cards) || [], old = nodes;
  nodes = new Map(cards.map((card) => [card.name, old.get(card.name) || blank()]));
  for (const card of cards) fill(nodes.get(card.name), card, value);
  const wanted = [...nodes.values()];
  if (wanted.length !== list.children.length || wanted.some((node, i) => node !== list.children[i])) list.replaceChildren(...wanted);
  root.dataset.ready = cards.length ? "1" : "0";
  root.dataset.done = cards.length && cards.every((card) => !card.state || !card.cells) ? "1" : "0";
  if (cards.length) paintBar(bar, 1, value.unit);
}

document.addEventListener("simvis-look", load);
watch("value", load);
load();
