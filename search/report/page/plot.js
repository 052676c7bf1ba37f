// The plot: traces painted by role, what breaks a budget greyed out, rings around what is chosen and pointed at.
paretune.plot = (() => {
  const { data, color, state } = paretune;
  const described = data.plot;
  const plot = document.getElementById("plot");
  // Roles that are drawn hollow, and whose colour they take.
  const hollow = { draft: "front", dominated: "dominated" };
  const narrow = matchMedia("(max-width: 40rem)");
  const places = new Map(); // where points stand; what was confirmed comes last and wins
  const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

  function hover([run, position]) {
    const shown = data.runs[run];
    const title = data.runs.length > 1 ? `${shown.title[position]} on ${shown.target}` : shown.title[position];
    return [`<b>${escaped(title)}</b>`, ...shown.lines[position].map(escaped)].join("<br>");
  }

  described.data.forEach((trace) => {
    if (trace.customdata) {
      trace.hovertext = trace.customdata.map(hover);
      trace.customdata.forEach((point, at) => places.set(String(point), [trace.x[at], trace.y[at]]));
    }
  });

  function part(trace, indices) {
    const pick = (values) => values && indices.map((at) => values[at]);
    const bars = (error) => error && { ...error, array: pick(error.array), arrayminus: pick(error.arrayminus) };
    const { customdata, hovertext, x, y, error_x: across, error_y: along } = trace;
    return {
      ...trace,
      x: pick(x),
      y: pick(y),
      customdata: pick(customdata),
      hovertext: pick(hovertext),
      error_x: bars(across),
      error_y: bars(along),
    };
  }

  // A trace as what keeps the budgets, and what breaks them.
  function split(trace) {
    if (!trace.customdata || !paretune.hasLimits()) {
      return [trace];
    }
    const kept = [];
    const lost = [];
    trace.customdata.forEach((point, at) => (paretune.broken(point).length ? lost : kept).push(at));
    const grey = { ...part(trace, lost), meta: { role: "broken" }, showlegend: kept.length === 0 && trace.showlegend };
    return [...(lost.length ? [grey] : []), ...(kept.length ? [part(trace, kept)] : [])];
  }

  function painted(trace) {
    const role = trace.meta.role;
    const paint = color(role === "line" ? "front" : hollow[role] ?? role);
    const marker = { ...trace.marker, color: role in hollow ? color("page") : paint };
    if (role !== "searched") {
      marker.line = { width: 1.6, ...(trace.marker ?? {}).line, color: paint };
    }
    const bars = (error) => error && { ...error, color: paint };
    return {
      ...trace,
      type: "scatter",
      legendgroup: trace.name,
      marker,
      line: { ...trace.line, color: paint },
      error_x: bars(trace.error_x),
      error_y: bars(trace.error_y),
    };
  }

  function ring(point, role, size) {
    const [x, y] = (point && places.get(String(point))) ?? [null, null];
    const marker = { symbol: "circle-open", size, line: { width: 2.5 } };
    return { x: [x], y: [y], mode: "markers", hoverinfo: "skip", showlegend: false, marker, meta: { role } };
  }

  function layout() {
    const ink = color("ink");
    const axis = { gridcolor: color("rule"), linecolor: color("rule"), tickcolor: color("rule"), color: ink };
    const base = described.layout;
    return {
      ...base,
      paper_bgcolor: color("page"),
      plot_bgcolor: color("page"),
      font: { family: getComputedStyle(document.body).fontFamily, size: narrow.matches ? 11 : 13, color: ink },
      hoverlabel: { ...base.hoverlabel, bgcolor: color("panel"), bordercolor: color("rule"), font: { color: ink } },
      xaxis: { ...base.xaxis, ...axis },
      yaxis: { ...base.yaxis, ...axis },
      shapes: base.shapes.map((shape) => ({ ...shape, line: { ...shape.line, color: color("quiet") } })),
      // Captions were placed for a plot that is wide enough for them; the legend says what most of them say.
      annotations: (narrow.matches ? [] : base.annotations).map((note) => ({
        ...note,
        font: { color: color(note.name), size: note.name === "front" ? 11 : 13 },
        arrowcolor: color(note.name),
      })),
      ...(narrow.matches ? { margin: { l: 50, r: 8, t: 45, b: 50 }, legend: { ...base.legend, y: -0.32 } } : {}),
      uirevision: "kept", // what the reader zoomed to stays when a budget moves
    };
  }

  const config = {
    displaylogo: false,
    responsive: true,
    modeBarButtons: [["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "autoScale2d", "resetScale2d", "toImage"]],
  };

  // Round costs whose reciprocals are spread over the axis, the roundest first.
  function roundCosts(low, high, count) {
    const lowest = described.fp32_cost / high;
    const highest = described.fp32_cost / Math.max(low, high * 1e-3);
    const apart = (1 / lowest - 1 / highest) / count;
    const chosen = [];
    for (const mantissa of [10, 20, 50, 40, 30, 60, 80, 15, 25, 70, 12, 90, 35, 45, 14, 16]) {
      for (let power = Math.floor(Math.log10(lowest)); power <= Math.ceil(Math.log10(highest)); power += 1) {
        const cost = Number(`${mantissa}e${power - 1}`);
        const free = chosen.every((other) => Math.abs(1 / cost - 1 / other) >= apart);
        if (cost >= lowest && cost <= highest && free) {
          chosen.push(cost);
        }
      }
    }
    return chosen;
  }

  // The top axis shows the cost at the places of the gains below, whatever was zoomed to.
  function topAxis(range) {
    const [low, high] = range.map(Number);
    const costs = roundCosts(low, high, Math.max(2, plot.clientWidth / 90));
    return {
      range: [low, high],
      tickvals: costs.map((cost) => described.fp32_cost / cost),
      ticktext: costs.map(String),
    };
  }

  function draw() {
    const shown = layout();
    if (described.fp32_cost !== null) {
      const range = plot.layout?.xaxis?.range ?? described.layout.xaxis.range;
      shown.xaxis2 = { ...shown.xaxis2, ...topAxis(range), color: color("ink"), tickcolor: color("rule") };
    }
    const traces = described.data.flatMap(split);
    const rings = [ring(state.pointed, "focus", 34), ring(state.chosen, "chosen", 28)];
    return Plotly.react(plot, [...traces, ...rings].map(painted), shown, config);
  }

  function followZoom() {
    if (described.fp32_cost === null) {
      return;
    }
    const range = plot.layout.xaxis.range;
    const current = plot.layout.xaxis2.range;
    if (range.some((end, position) => Number(end) !== Number(current[position]))) {
      const axis = topAxis(range);
      Plotly.relayout(plot, {
        "xaxis2.range": axis.range,
        "xaxis2.tickvals": axis.tickvals,
        "xaxis2.ticktext": axis.ticktext,
      });
    }
  }

  // A slider moves faster than a plot is drawn: the latest state is what counts.
  let waiting = false;
  function drawSoon() {
    if (!waiting) {
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        draw();
      });
    }
  }

  async function begin() {
    await draw();
    plot.on("plotly_relayout", followZoom);
    plot.on("plotly_click", ({ points }) => {
      const point = points.map((one) => one.customdata).find(Boolean);
      if (point) {
        paretune.choose(point);
      }
    });
    paretune.onChange(drawSoon);
    narrow.addEventListener("change", drawSoon);
  }

  return { begin };
})();
