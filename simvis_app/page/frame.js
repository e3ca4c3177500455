// What keyboards, screen readers and fingers need beyond what Gradio gives them; for the whole page.
(() => {
  // ---- names and roles that Gradio leaves wrong, mended whenever it draws
  const put = (node, name, value) => { if (node.getAttribute(name) !== value) node.setAttribute(name, value); };
  const MENDS = {
    ".thumbnail-item": (node) => { // its name is what stands under it, not "Thumbnail 3 of 14"
      const caption = node.querySelector(".caption-label"), image = node.querySelector("img");
      if (!caption || !image) return;
      put(node, "aria-label", caption.textContent.trim());
      put(image, "alt", "");
    },
    ".upload-container button": (node) => { // an empty place is called what stands in it
      const said = node.textContent.replace(/\s+/g, " ").trim();
      if (said) put(node, "aria-label", said);
    },
    '[aria-label="Empty value"]:not([role])': (node) => put(node, "role", "img"),
    "footer img": (node) => put(node, "alt", ""), // the words beside it say the same
  };
  function mend() { for (const [selector, how] of Object.entries(MENDS)) document.querySelectorAll(selector).forEach(how); }

  // ---- focus never falls to the page's body: when what had it goes, its nearest neighbour takes it
  const FOCUSABLE = "button:not(:disabled), a[href], input:not(:disabled), select, textarea, [tabindex='0']";
  let last = null, around = [];
  const seen = (node) => node.isConnected && node.getClientRects().length > 0;
  document.addEventListener("focusin", (event) => {
    last = event.target;
    around = [];
    for (let node = last.parentElement; node && node !== document.body; node = node.parentElement) around.push(node);
  });
  document.addEventListener("pointerdown", (event) => { // a press on what cannot take focus lets it go, as it should
    if (!event.target.closest(FOCUSABLE)) { last = null; around = []; }
  });
  function keep() {
    if (document.activeElement !== document.body || !last || seen(last)) return;
    const places = around.filter((node) => seen(node) && !node.contains(document.querySelector("[role=tablist]")));
    last = null;
    for (const place of places) {
      const next = [...place.querySelectorAll(FOCUSABLE)].find(seen);
      if (next) { next.focus({ preventScroll: true }); return; }
    }
    document.querySelector("[role=tab][aria-selected=true]")?.focus({ preventScroll: true }); // all that was around it is gone
  }
  let due = false;
  const later = () => { if (due) return; due = true; requestAnimationFrame(() => { due = false; mend(); keep(); }); };

  // ---- arrow keys between the tabs
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !tip.hidden) hide();
    const tab = event.target.closest && event.target.closest("[role=tab]");
    if (tab && !event.altKey && !event.ctrlKey && !event.metaKey) {
      const all = [...tab.closest("[role=tablist]").querySelectorAll("[role=tab]")].filter(seen), at = all.indexOf(tab);
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1 + all.length, Home: 0, End: all.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      const next = all[to % all.length];
      next.focus();
      next.click();
    }
  });

  // ---- words that explain themselves: on hover, on tap and on focus
  const tip = Object.assign(document.createElement("div"), { id: "term-tip", hidden: true });
  tip.setAttribute("aria-hidden", "true"); // a screen reader has it as the word's description
  let told = null;
  const hide = () => { tip.hidden = true; told = null; };
  function tell(node) {
    told = node;
    tip.textContent = node.getAttribute("aria-description");
    tip.hidden = false;
    const at = node.getBoundingClientRect(), own = tip.getBoundingClientRect(), room = document.documentElement.clientWidth;
    tip.style.left = `${Math.max(12, Math.min(at.left, room - own.width - 12))}px`;
    tip.style.top = `${at.bottom + own.height + 12 < innerHeight ? at.bottom + 6 : Math.max(6, at.top - own.height - 6)}px`;
  }
  const termOf = (event) => event.target.closest && event.target.closest("button.term");
  document.addEventListener("pointerover", (event) => { const node = termOf(event); if (node) tell(node); else if (told && told !== document.activeElement && !event.target.closest("#term-tip")) hide(); });
  document.addEventListener("focusin", (event) => { const node = termOf(event); if (node && node.matches(":focus-visible")) tell(node); else if (!node) hide(); });
  document.addEventListener("click", (event) => { const node = termOf(event); if (node) { event.preventDefault(); tell(node); } else hide(); });
  addEventListener("scroll", hide, { passive: true, capture: true });

  // ---- past the tabs, straight to what the open one shows
  const skip = Object.assign(document.createElement("a"), { className: "skip", href: "#tabs", textContent: "Skip to the content" });
  skip.addEventListener("click", (event) => {
    event.preventDefault();
    const panel = [...document.querySelectorAll("[role=tabpanel]")].find(seen);
    if (!panel) return;
    panel.tabIndex = -1;
    panel.focus();
    panel.scrollIntoView();
  });

  function start() {
    document.body.prepend(skip);
    document.body.append(tip);
    new MutationObserver(later).observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ["hidden", "class", "aria-label", "disabled"] });
    later();
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start); else start(); // Gradio adds it late
})();
