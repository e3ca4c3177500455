// Rows of the pair's two pictures under several maps, on one scale. Texts are set as text, never as markup.
const root = element.querySelector(".maps"), rows = element.querySelector(".rows"), bar = element.querySelector(".bar");

function made(tag, parent, text) {
  const node = parent.appendChild(document.createElement(tag));
  if (text) node.textContent = text;
  return node;
}

function load() {
  const value = props.value;
  root.dataset.ready = value ? "1" : "0";
  rows.replaceChildren();
  for (const row of value ? value.rows : []) {
    const section = made("section", rows);
    made("h3", section, row.title);
    made("p", section, row.note);
    const both = made("div", section);
    both.className = "both";
    for (const side of "ab") drawn(both, value, row, side);
  }
  if (value) paintBar(bar, value.scale, value.unit);
}

function drawn(both, value, row, side) {
  const box = made("div", both), image = made("img", box), canvas = made("canvas", box), [H, W] = value["grid_" + side];
  box.style.aspectRatio = value["aspect_" + side];
  box.style.setProperty("--aspect", value["aspect_" + side]);
  image.src = value[side].url;
  image.alt = `Picture ${side.toUpperCase()}, ${row.title}`;
  paint(canvas, H, W, (i) => row[side][i], value.scale);
  for (const [down, right, words] of row.boxes[side] || []) {
    const frame = made("span", box);
    frame.className = "framed";
    Object.assign(frame.style, { left: `${(100 * right) / W}%`, top: `${(100 * down) / H}%`, width: `${100 / W}%`, height: `${100 / H}%` });
    made("b", frame, words);
  }
}

document.addEventListener("simvis-look", load);
watch("value", load);
load();
