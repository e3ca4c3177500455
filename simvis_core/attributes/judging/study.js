const study = JSON.parse(document.getElementById("study").textContent);
const at = (id) => document.getElementById(id);
const answers = [];
let form = 0, order = [], place = 0, shown = 0, reader = "";

function show(name) {
  for (const part of ["begin", "trial", "end"]) at(part).hidden = part !== name;
}

function begin(event) {
  event.preventDefault();
  const number = Number(at("reader").value);
  if (!Number.isInteger(number) || number < 1 || number > 999999) {
    at("wrong").textContent = "Please enter the whole number that you were given, 1 or more.";
    at("reader").focus();
    return;
  }
  reader = String(number);
  form = (number - 1) % study.forms.length;
  order = study.forms[form].order;
  show("trial");
  next();
}

function fill(side, picture, word, mapped) {
  const figure = at(side);
  figure.querySelector("img").src = mapped ? picture.map : picture.plain;
  figure.querySelector(".word").textContent = word ? "“" + word + "”" : "";
  figure.querySelector(".word").hidden = !word;
}

function next() {
  const number = order[place], trial = study.trials[number];
  const condition = study.forms[form].conditions[number];
  const mapped = study.conditions[condition].map, words = trial.words[condition];
  at("count").textContent = `${place + 1} of ${order.length}`;
  at("done").style.width = `${(100 * place) / order.length}%`;
  at("query").querySelector("img").src = trial.query;
  fill("left", trial.left, words[0], mapped);
  fill("right", trial.right, words[1], mapped);
  at("legend").hidden = !mapped;
  at("said").hidden = !words[0];
  Promise.all([...at("trial").querySelectorAll("img")].map((image) => image.decode().catch(() => {}))).then(() => {
    shown = performance.now();
    at("trial").dataset.ready = String(place);
  });
}

function answer(side) {
  if (at("trial").hidden || at("trial").dataset.ready !== String(place)) return;
  const number = order[place];
  answers.push([study.study, reader, form, number, place, study.forms[form].conditions[number], side,
    Math.round(performance.now() - shown)]);
  place += 1;
  if (place < order.length) next();
  else finish();
}

function finish() {
  show("end");
  const head = ["study", "reader", "form", "trial", "place", "condition", "side", "milliseconds"];
  const text = [head, ...answers].map((row) => row.join(",")).join("\n") + "\n";
  const link = at("download");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = `answers-${reader}.csv`;
  at("plain").textContent = text;
  link.focus();
}

at("start").addEventListener("submit", begin);
at("left").addEventListener("click", () => answer("left"));
at("right").addEventListener("click", () => answer("right"));
document.addEventListener("keydown", (event) => {
  if (event.repeat || event.altKey || event.ctrlKey || event.metaKey) return;
  const side = { ArrowLeft: "left", "1": "left", ArrowRight: "right", "2": "right" }[event.key];
  if (side && !at("trial").hidden) {
    event.preventDefault();
    answer(side);
  }
});
show("begin");
