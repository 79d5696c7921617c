"use strict";
// Loads the page again once what it shows has changed; the server answers only then.
const shown = document.currentScript.dataset.version;
const changes = new EventSource("/changes?since=" + encodeURIComponent(shown));
changes.onmessage = () => {
  changes.close();
  location.reload();
};
// A page that waits in the history keeps no connection: a browser has only six for a server.
addEventListener("pagehide", () => changes.close());
