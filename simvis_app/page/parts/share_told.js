// What came of a click on a row's button: a link is copied, a file downloaded, and a sentence says so.
const told = element.querySelector(".told"), byHand = element.querySelector(".by-hand"), text = byHand.querySelector("input");
let seen = (props.value && props.value.stamp) || "";

async function tell() {
  const value = props.value || {};
  if (value.stamp && value.stamp === seen) return;
  seen = value.stamp || "";
  byHand.hidden = true;
  if (value.query != null) await copy(location.origin + location.pathname + "?" + value.query, value.said);
  else if (value.file) download(value.file.url, value.name);
  else told.textContent = value.said || "";
}

async function copy(link, said) {
  told.textContent = "";
  try {
    await navigator.clipboard.writeText(link); // missing without https, refused in some frames
    told.textContent = said;
  } catch {
    told.textContent = "The browser keeps the clipboard to itself; copy the link by hand:";
    text.value = link;
    byHand.hidden = false;
    text.focus();
    text.select();
  }
}

function download(url, name) {
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  told.textContent = `Saved as ${name}`;
}

watch("value", tell);
