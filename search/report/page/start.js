// plotly.js travels compressed: unpacked here, and run because the page's policy knows its hash.
(async () => {
  const root = document.documentElement;
  try {
    const text = atob(document.getElementById("plotly-packed").textContent);
    const packed = new Uint8Array(text.length);
    for (let at = 0; at < text.length; at += 1) {
      packed[at] = text.charCodeAt(at);
    }
    const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(unpacked).text();
    document.head.append(script);
    await paretune.plot.begin();
  } catch (error) {
    document.getElementById("plot").textContent =
      `This browser cannot draw the plot (${error.message}); the table below holds its figures.`;
  }
  root.dataset.readyMs = String(Math.round(performance.now()));
})();
