// First what can be used at once; then, when the browser and the reader have time, plotly.js: to read its script and to
// draw holds the page up for a second or more.
(() => {
  const root = document.documentElement;
  const now = () => String(Math.round(performance.now()));
  const painted = () => new Promise((done) => {
    requestAnimationFrame(() => setTimeout(done));
  });
  const idle = () => new Promise((done) => {
    if (window.requestIdleCallback) {
      requestIdleCallback(done, { timeout: 2000 });
    } else {
      setTimeout(done, 200);
    }
  });

  // A hand that moves is not stopped in the middle.
  const restMs = 500;
  let touchedAt = -restMs;
  ["pointermove", "pointerdown", "keydown", "wheel", "scroll"].forEach((kind) => {
    addEventListener(kind, () => { touchedAt = performance.now(); }, { capture: true, passive: true });
  });
  async function quiet() {
    await idle();
    while (performance.now() < touchedAt + restMs) {
      await new Promise((done) => setTimeout(done, 100));
    }
  }

  // It travels compressed: unpacked here, and run because the page's policy knows its hash.
  async function loadPlotly() {
    const text = atob(document.getElementById("plotly-packed").textContent);
    const packed = Uint8Array.from(text, (character) => character.charCodeAt(0));
    const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(unpacked).text();
    await quiet();
    document.head.append(script);
  }

  function tell(reason) {
    document.getElementById("plot").replaceChildren();
    document.getElementById("plot-note").append(` Zooming does not work in this browser: ${reason}.`);
  }

  async function begin() {
    paretune.sketch.begin();
    await painted();
    root.dataset.readyMs = now();
    await quiet();
    if (!window.DecompressionStream) {
      tell("it cannot unpack what is compressed");
      return;
    }
    try {
      await loadPlotly();
      await quiet();
      await paretune.plot.begin();
    } catch (error) {
      tell(error.message);
      throw error;
    }
    paretune.sketch.end();
    await painted();
    root.dataset.drawnMs = now();
  }

  begin();
})();
