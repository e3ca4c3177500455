// The address follows the page, and the page an address that the visitor goes back or forward to.
const OURS = /*OURS*/ [], QUIET = /*QUIET*/ [], PAUSE = 400;
let turn = 0, leaving = null;
const following = atRest(() => ask("follow", "", written), PAUSE);
let touched = false, fresh = false; // whether the visitor has done something since the page was restored, since the last writing

function parts(query, without = []) {
  const found = new URLSearchParams(query);
  for (const name of [...found.keys()]) if (!OURS.includes(name) || without.includes(name)) found.delete(name);
  return found.toString();
}
let written = parts(location.search); // the address of what is on screen

function ask(event, query, before) {
  turn += 1;
  props.value = { query, before, key: visitorKey(), turn, answered: false };
  trigger(event, {});
}

function changed() {
  if (!touched) return; // what a restored page still fills in is no news
  following.ask();
}

function write(query) {
  const now = parts(query);
  if (now === written) return;
  const entry = fresh && parts(query, QUIET) !== parts(written, QUIET), others = new URLSearchParams(location.search);
  for (const name of OURS) others.delete(name);
  const whole = [others.toString(), query].filter(Boolean).join("&"), address = location.pathname + (whole ? `?${whole}` : "") + location.hash;
  history[entry ? "pushState" : "replaceState"](history.state, "", address);
  written = now;
  fresh = false;
}

function back() {
  const now = parts(location.search);
  if (now === written) return; // another part of the same page
  if (!leaving) leaving = { before: following.waiting ? null : written }; // a change that was not written yet is undone with the rest
  following.stop();
  clearTimeout(leaving.timer);
  touched = fresh = false;
  written = now;
  turn += 1; // what was asked before is no answer any more
  leaving.timer = setTimeout(() => { // several steps at once are one
    const { before } = leaving;
    leaving = null;
    ask("restore", location.search.slice(1), before);
  }, PAUSE / 4);
}

const touch = () => { touched = fresh = true; };
for (const kind of ["pointerdown", "keydown", "drop", "paste", "input", "change", "simvis-touched"]) document.addEventListener(kind, touch, true);
document.addEventListener("simvis-changed", changed);
window.addEventListener("popstate", back);
watch("value", () => { const value = props.value; if (value && value.answered && value.turn === turn) write(value.query); });
