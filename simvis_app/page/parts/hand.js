// What can wait until the visitor's hand rests, so that it does not compete with what a movement asks for.
const HELD = 900; // milliseconds without a movement, while a finger or a button is down: it goes on moving, as a rule
let handDown = false;

// `ask` calls after a pause without another `ask`; while something is held, after a longer one without a movement.
function atRest(call, pause) {
  let timer = 0;
  const rest = {
    get waiting() { return timer !== 0; },
    stop() { clearTimeout(timer); timer = 0; },
    ask() { rest.stop(); timer = setTimeout(() => { timer = 0; call(); }, handDown ? HELD : pause); },
  };
  const hands = { pointerdown: true, pointermove: null, pointerup: false, pointercancel: false };
  for (const [kind, down] of Object.entries(hands))
    document.addEventListener(kind, () => {
      if (down !== null) handDown = down;
      if (timer && (handDown || down === false)) rest.ask();
    }, true);
  return rest;
}
