// The grid of hits: pages are drawn and then dropped from the value, so that what goes back to Python stays small.
const $ = (selector, root = element) => root.querySelector(selector);
const root = $(".grid"), list = $(".cards"), blank = $("template").content.firstElementChild, found = $(".found"), marked = $(".marked");
const scroller = $(".scroller").closest(".scrolls") && $(".scroller"); // a long list that leaves what is below in reach
const bar = $(".bar"), further = $("button.more"), end = $(".end");
const NAMES = ["1st", "2nd"], LATE = 8000, PAUSE = 250, CHUNK = 60, COLUMNS = [1, 2, 3, 4, 5, 6, 10, 12];
let pending = -1, answered = 0; // the maps that were asked for, those that came
const maps = atRest(lacking, PAUSE);
let page = null, cards = new Map(), order = []; // id -> {node, hit, scales, rank}; ids as they stand
let why = [], chosen = "", asked = -1, timer = 0, hovered = null, focused = null, shown = null, pointer = "mouse";

function load() {
  const value = props.value;
  if (!value || !value.hits) return; // our own small value, after a remount
  if (isOver(value)) settle();
  else show(value, true);
}

const isOther = (value) => !page || value.key !== page.key;
const isOver = (value) => isOther(value) && (value.skip > 0 || value.late); // a late page, or late maps, of another search

function show(value, told) {
  const other = isOther(value);
  const update = !other && (value.skip > 0 || value.hits.every((hit) => cards.has(hit.id)));
  page = { ...value, hits: null };
  if (other) { chosen = ""; why = []; }
  if (update) append(value); else replace(value);
  frame(value);
  if (told) settle();
  if (other) { pending = -1; answered = 0; }
  else if (value.skip === pending) { pending = -1; answered = value.skip + value.hits.length; }
  maps.ask();
}

// While a mark moves its hits come past Gradio, without an address; what the browser holds is left alone.
function live(value) {
  if (page) show({ ...value, sample: page.sample || { url: "" }, sample_image: page.sample ? page.sample_image : value.sample_image }, false);
}

// Once the visitor pauses, Python is asked for the maps that are still missing, from the first such card on.
function lacking() {
  const from = order.findIndex((id, i) => i >= answered && !cards.get(id).hit.hit_map);
  if (from < 0 || !page) return;
  pending = from;
  props.value = { key: page.key, wanted: from, chosen, why: [...why] };
  trigger("settle", {});
}

// What the browser holds and sends: no hits. `watch` does not fire for it.
function settle() {
  props.value = { key: page ? page.key : "", wanted: order.length, chosen, why: [...why] };
}

function tell(name) { settle(); trigger(name, {}); }

// Cards

function append(value) {
  const fresh = [];
  value.hits.forEach((hit, i) => {
    const card = cards.get(hit.id);
    if (card) fill(card, hit.hit_map ? hit : { ...hit, ...looked_into(card.hit, hit) }, value, card.rank); else fresh.push(added(hit, value, value.skip + i + 1).node);
  });
  put(fresh);
}

// What a card of the same search was told as its picture was looked into: maps, and what is wrong with the file.
function looked_into({ query_grid, query_map, hit_grid, hit_map, stale }, hit) {
  return { stale: hit.stale || stale, ...(hit_map ? { query_grid, query_map, hit_grid, hit_map } : {}) };
}

// Cards stand in chunks that the browser skips as a whole: ten thousand of them scroll like sixty.
function put(nodes) {
  let chunk = list.lastElementChild;
  for (const node of nodes) {
    if (!chunk || chunk.childElementCount >= CHUNK) {
      chunk = list.appendChild(document.createElement("div"));
      chunk.className = "chunk";
      chunk.setAttribute("role", "none");
    }
    chunk.append(node);
  }
  arrange();
}

let columns = 4; // a divisor of the chunk, so that no row is left open
let width = 0; // asked for when it has changed only: the answer lays the page out, in the middle of a change
function arrange() {
  if (width) columns = COLUMNS.findLast((count) => count <= Math.max(width < 290 ? 1 : 2, Math.floor((width + 12) / 202)));
  list.style.setProperty("--columns", columns);
  for (const chunk of list.children) chunk.style.setProperty("--rows", Math.ceil(chunk.childElementCount / columns));
}

// Another search: who is found again keeps its node, so that no picture flickers while a region is being dragged.
function replace(value) {
  const old = cards, active = document.activeElement, held = active && list.contains(active) ? active : null;
  hovered = null;
  asked = -1;
  cards = new Map(); order = [];
  const nodes = new Set(value.hits.map((hit, i) => added(hit, value, i + 1, cards.get(hit.id) || old.get(hit.id)).node));
  list.replaceChildren();
  put(nodes);
  for (const [id, card] of old) if (cards.get(id) !== card) watcher.unobserve(card.node);
  if (held && list.contains(held)) held.focus({ preventScroll: true }); else focused = null;
  if (shown && !cards.has(shown)) shown = null;
  why = why.filter((id) => cards.has(id));
  look_at(true);
}

function added(hit, value, rank, card = { node: blank.cloneNode(true), marks: null }) {
  card.node.dataset.id = hit.id;
  if (!cards.has(hit.id)) order.push(hit.id);
  cards.set(hit.id, card);
  fill(card, hit, value, rank);
  return card;
}

// Only one image's address is sent: the others stand in its place in it.
const address = (value, image) => value.sample.url.replace(value.sample_image, () => image);

function text(node, words) { if (node.textContent !== words) node.textContent = words; }

function fill(card, hit, value, rank) {
  const { node } = card, image = $("img", node), name = hit.label || hit.title;
  Object.assign(card, { hit, rank, scale: { query: value.scale_query, hit: value.scale_hit } });
  text($(".rank", node), String(rank)); text($(".score", node), hit.score); text($(".label", node), name);
  text($(".note", node), hit.note); text($(".stale", node), hit.stale);
  $(".stale", node).hidden = !hit.stale;
  $(".frame", node).style.setProperty("--aspect", hit.aspect > 0 ? hit.aspect : 1);
  image.alt = hit.title;
  node.title = hit.title;
  node.setAttribute("aria-label", `${rank}. ${name}, score ${hit.score}. ${hit.note} ${hit.stale}`);
  const source = hit.image ? address(value, hit.image) : "";
  if (image.getAttribute("src") !== source) { if (source) image.src = source; else image.removeAttribute("src"); }
  $("button.open", node).setAttribute("aria-label", `Open in Compare: hit ${rank}`);
  watcher.unobserve(node);
  if (value.always) watcher.observe(node); // told anew whether it is near
  if (shown === hit.id) { dress(card); hover(card); } else if (!value.always) undress(card); else if (card.marks) dress(card);
}

function frame(value) {
  const count = order.length;
  root.dataset.key = value.key;
  root.dataset.count = count;
  root.dataset.ready = "1";
  root.classList.toggle("empty", !count);
  const few = count < value.total ? `${count} of ${value.total.toLocaleString("en")} pictures, best first` : `${count} ${count === 1 ? "picture" : "pictures"}, best first`;
  text($(".ranked"), count ? value.ranked : "");
  text(found, count ? few : value.key ? "Nothing was found." : "");
  bar.classList.toggle("none", !(count && value.unit && value.scale_hit > 0));
  if (value.unit) paintBar(bar, value.scale_hit, value.unit);
  const more = value.more && count < value.total; // a page of late maps may end before what is on screen does
  further.hidden = !more || !count;
  if (asked !== count) { clearTimeout(timer); further.textContent = "Show more"; } // else the next page is on its way
  sentinel.unobserve(end);
  if (more && count) sentinel.observe(end); // told anew whether the end is in sight
  if (!cards.has(stop)) stop = order[0];
  turn(stop);
  names();
}

// Maps

function steps(code, scale) {
  if (!code) return null;
  const bytes = Uint8Array.from(atob(code), (c) => c.charCodeAt(0)), view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length / 2 }, (_, i) => (view.getInt16(2 * i, true) * scale) / 32767);
}

function dress(card) {
  const { hit, node } = card, map = steps(hit.hit_map, card.scale.hit), [H, W] = hit.hit_grid;
  if (!map || !map.length || map.length !== H * W) { undress(card); return; }
  if (!card.marks) {
    const canvas = document.createElement("canvas"), best = document.createElement("div");
    best.className = "best";
    card.marks = [canvas, best];
    $(".frame", node).append(canvas, best);
  }
  const [canvas, best] = card.marks, top = map.indexOf(Math.max(...map));
  paint(canvas, H, W, (i) => map[i], card.scale.hit);
  best.hidden = !(map[top] > 0);
  Object.assign(best.style, { left: `${(100 * (top % W)) / W}%`, top: `${(100 * Math.floor(top / W)) / H}%`, width: `${100 / W}%`, height: `${100 / H}%` });
}

function undress(card) {
  for (const node of card.marks || []) node.remove();
  card.marks = null;
}

// Painted for good, a map still only exists near the screen: ten thousand canvases would fill the memory.
const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const card = cards.get(target.dataset.id);
    if (!card || card.node !== target) continue;
    if (isIntersecting) dress(card); else if (shown !== target.dataset.id) undress(card);
  }
}, { rootMargin: "300px" });

function hover(card) {
  const detail = card ? { map: steps(card.hit.query_map, card.scale.query), scale: card.scale.query, title: card.hit.title, grid: card.hit.query_grid } : { map: null, scale: 0, title: "" };
  document.dispatchEvent(new CustomEvent("simvis-hover", { detail }));
}

// The card under the mouse shows its maps, else the one in focus.
function look_at(anew) {
  const id = hovered || focused;
  if (id === shown && !anew) return;
  const before = cards.get(shown), card = cards.get(id);
  if (before && before !== card) { before.node.classList.remove("shown"); if (!page.always) undress(before); }
  const silent = !card && !shown && !before;
  shown = card ? id : null;
  if (card) { card.node.classList.add("shown"); dress(card); }
  for (const node of list.querySelectorAll(".hit.shown")) if (!card || node !== card.node) node.classList.remove("shown");
  if (!silent) hover(card);
}

// Asking why, opening, asking for more

function names() {
  for (const node of list.querySelectorAll(".marked-why")) if (!why.includes(node.dataset.id)) name(node, -1);
  why.forEach((id, i) => name(cards.get(id).node, i));
  const [first, second] = why.map((id) => cards.get(id)), called = (card) => `${card.rank} (${card.hit.title})`;
  text(marked, second ? `1st: hit ${called(first)}. 2nd: hit ${called(second)}.` : first ? `1st: hit ${called(first)}. Mark another one to compare the two.` : "");
}

function name(node, place) {
  const button = $("button.why", node);
  node.classList.toggle("marked-why", place >= 0);
  button.setAttribute("aria-pressed", place >= 0);
  button.textContent = place >= 0 ? NAMES[place] : "Why this?";
}

function mark(id) {
  why = why.includes(id) ? why.filter((other) => other !== id) : [...why, id].slice(-2);
  names();
  tell("why");
}

function open(id) { chosen = id; tell("open"); }

function more(again) {
  if (!page || !page.more || (asked === order.length && !again)) return;
  asked = order.length;
  further.textContent = "Loading\u2026";
  clearTimeout(timer);
  timer = setTimeout(() => { further.textContent = "Show more"; }, LATE); // no answer: it can be asked again
  tell("more");
}

const sentinel = new IntersectionObserver((entries) => { if (entries.some((entry) => entry.isIntersecting)) more(false); }, { root: scroller, rootMargin: "500px" });

// Mouse, finger and keyboard: one listener each for all cards

let stop = null; // the one card that Tab stops at; arrows lead on
function turn(id) {
  const before = cards.get(stop), card = cards.get(id), reach = (node, to) => { for (const one of [node, ...node.querySelectorAll("button")]) one.tabIndex = to; };
  if (before) reach(before.node, -1);
  if (card) { stop = id; reach(card.node, 0); }
}

const cardAt = (target) => { const node = target.closest(".hit"); return node ? node.dataset.id : null; };

function moved(event, id) {
  const at = order.indexOf(id);
  const to = { ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - columns, ArrowDown: at + columns, Home: 0, End: order.length - 1 }[event.key];
  if (to === undefined || !order[to]) return false;
  cards.get(order[to]).node.focus();
  return true;
}

list.addEventListener("pointerover", (event) => { if (event.pointerType === "mouse") { hovered = cardAt(event.target); look_at(); } });
list.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") { hovered = null; look_at(); } });
list.addEventListener("pointerdown", (event) => { pointer = event.pointerType; });
list.addEventListener("focusin", (event) => { focused = cardAt(event.target); turn(focused); look_at(); });
list.addEventListener("focusout", (event) => { if (!event.relatedTarget || !list.contains(event.relatedTarget)) { focused = null; look_at(); } });
list.addEventListener("click", (event) => {
  const id = cardAt(event.target), button = event.target.closest("button");
  if (!id) return;
  if (button) { if (button.classList.contains("open")) open(id); else mark(id); return; }
  if (pointer === "mouse" && event.target.closest(".thumb")) { open(id); return; }
  focused = id;
  look_at();
});
list.addEventListener("keydown", (event) => {
  const id = cardAt(event.target);
  if (!id || event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.target.classList.contains("hit") && event.key === "Enter") open(id);
  else if (!moved(event, id)) return;
  event.preventDefault();
});
if (root.closest(".live")) document.addEventListener("simvis-live", (event) => live(event.detail));
new ResizeObserver(() => { width = list.clientWidth; arrange(); }).observe(list);
further.addEventListener("click", () => more(true));
document.addEventListener("simvis-look", () => { for (const card of cards.values()) if (card.marks) dress(card); if (page && page.unit) paintBar(bar, page.scale_hit, page.unit); });
watch("value", load);
load();
