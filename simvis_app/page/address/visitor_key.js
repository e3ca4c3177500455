// One key for each browser tab, which survives a reload; it opens the tab's own pictures and stands in no address.
function visitorKey() {
  const fresh = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  try {
    if (!sessionStorage.getItem("simvis")) sessionStorage.setItem("simvis", fresh());
    return sessionStorage.getItem("simvis");
  } catch { // a frame without storage: the key lasts as long as the page
    return (window.simvisKey = window.simvisKey || fresh());
  }
}
