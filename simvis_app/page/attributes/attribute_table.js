// All attributes of a pair, best first: a radio button each, so that a click, arrow keys and a finger choose alike.
const root = element.querySelector(".ranked"), body = element.querySelector("tbody"), caption = element.querySelector(".said"), scroller = element.querySelector(".scroller");
window.simvisTables = (window.simvisTables || 0) + 1;
const GROUP = `attribute-${window.simvisTables}`;
let drawn = "";

function made(tag, parent, text, name) {
  const node = parent.appendChild(document.createElement(tag));
  if (text !== undefined) node.textContent = text;
  if (name) node.className = name;
  return node;
}

function load() {
  const value = props.value || { rows: [] }, now = JSON.stringify([value.rows, value.threshold, value.said]);
  root.dataset.ready = value.rows.length ? "1" : "0";
  if (now !== drawn) { draw(value); drawn = now; }
  mark(value.chosen);
  reveal();
}

function draw(value) {
  const held = body.contains(document.activeElement);
  caption.textContent = value.said;
  body.replaceChildren();
  let above = true;
  value.rows.forEach((row, at) => {
    const [name, score] = row;
    if (score < value.threshold && above) { made("td", made("tr", body, undefined, "line"), value.line).colSpan = 6; above = false; }
    line(row, at + 1, value.named.includes(name));
  });
  if (held) requestAnimationFrame(() => body.querySelector("input:checked")?.focus({ preventScroll: true }));
}

function line([name, score, ...terms], place, named) {
  const row = made("tr", body, undefined, named ? "named" : "");
  row.dataset.name = name;
  made("td", row, String(place));
  const head = made("th", row), label = made("label", head), input = made("input", label);
  head.scope = "row";
  Object.assign(input, { type: "radio", name: GROUP, value: name });
  made("span", label, name);
  if (named) made("small", label, "named");
  const cell = made("td", row), bar = made("span", cell, undefined, "bar");
  bar.style.setProperty("--share", score);
  cell.append(score.toFixed(3));
  for (const term of terms) made("td", row, term.toFixed(2));
}

function mark(name) {
  for (const row of body.querySelectorAll("tr[data-name]")) {
    const chosen = row.dataset.name === name;
    row.classList.toggle("chosen", chosen);
    row.querySelector("input").checked = chosen;
  }
}

// The chosen row comes into sight inside the list; the page stays where it is.
function reveal() {
  const row = body.querySelector("tr.chosen"), top = 30;
  if (!row || !scroller.clientHeight) return;
  const above = row.offsetTop - top, below = row.offsetTop + row.offsetHeight - scroller.clientHeight;
  if (scroller.scrollTop > above) scroller.scrollTop = Math.max(0, above);
  else if (scroller.scrollTop < below) scroller.scrollTop = below + top;
}

body.addEventListener("change", (event) => {
  const name = event.target.value;
  mark(name);
  reveal();
  props.value = { ...props.value, chosen: name };
  trigger("choose", {});
});
body.addEventListener("click", (event) => {
  const row = event.target.closest("tr[data-name]");
  if (!row || event.target.closest("label")) return;
  row.querySelector("input").focus({ preventScroll: true });
  row.querySelector("input").click();
});
watch("value", load);
load();
