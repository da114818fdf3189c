// The token is in the fragment of the address. It is kept for this tab and this port, and removed from the address.
"use strict";

const KEPT = "tui-lab-token";

function say(text, again) {
  document.getElementById("why").textContent = text;
  document.getElementById("again").hidden = !again;
}

async function open() {
  const given = window.location.hash.slice(1);
  if (given) {
    sessionStorage.setItem(KEPT, given);
    history.replaceState(null, "", "/");
  }
  const token = sessionStorage.getItem(KEPT);
  if (!token) {
    say("Open the whole address that tui-lab serve has printed, with what stands behind the #.");
    return;
  }
  document.getElementById("again").addEventListener("click", () => window.location.reload());
  new MutationObserver(() => {
    if (document.body.classList.contains("-closed")) {
      const shown = document.body.classList.contains("-first-byte");
      say(shown ? "The screen was left, or the connection has ended. Runs go on." :
        "Could not connect: the token is of another server, or too many tabs are open.", true);
    }
  }).observe(document.body, { attributes: true, attributeFilter: ["class"] });
  // The cells are measured once, so the font must be there.
  await Promise.all(["", "bold ", "italic "].map((style) => document.fonts.load(style + "15px 'Roboto Mono'")));
  document.getElementById("terminal").dataset.sessionWebsocketUrl = `ws://${window.location.host}/ws/${token}`;
  const script = document.createElement("script");
  script.src = "/static/js/textual.js";
  script.addEventListener("load", () => {
    window.onload(new Event("load"));  // what it has set up to begin with
    document.querySelector(".xterm-helper-textarea").focus();
  });
  document.head.append(script);
}

window.addEventListener("load", open);
