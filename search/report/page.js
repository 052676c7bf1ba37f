"use strict";
(() => {
  const described = JSON.parse(document.getElementById("plot-data").textContent);
  const plot = document.getElementById("plot");
  const color = (role) => getComputedStyle(document.documentElement).getPropertyValue(`--${role}`).trim();
  // Roles that are drawn hollow, and whose colour they take.
  const hollow = { draft: "front", dominated: "dominated" };

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
      marker,
      line: { ...trace.line, color: paint },
      error_x: bars(trace.error_x),
      error_y: bars(trace.error_y),
    };
  }

  function layout() {
    const ink = color("ink");
    const axis = { gridcolor: color("rule"), linecolor: color("rule"), tickcolor: color("rule"), color: ink };
    const base = described.layout;
    return {
      ...base,
      paper_bgcolor: color("page"),
      plot_bgcolor: color("page"),
      font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: ink },
      hoverlabel: { ...base.hoverlabel, bgcolor: color("panel"), bordercolor: color("rule"), font: { color: ink } },
      xaxis: { ...base.xaxis, ...axis },
      yaxis: { ...base.yaxis, ...axis },
      shapes: base.shapes.map((shape) => ({ ...shape, line: { ...shape.line, color: color("quiet") } })),
      annotations: base.annotations.map((note) => ({
        ...note,
        font: { color: color(note.name), size: note.name === "front" ? 11 : 13 },
        arrowcolor: color(note.name),
      })),
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

  function draw(range) {
    const shown = layout();
    shown.xaxis2 = {
      ...described.layout.xaxis2,
      ...topAxis(range),
      color: color("ink"),
      tickcolor: color("rule"),
    };
    return Plotly.react(plot, described.data.map(painted), shown, config);
  }

  function followZoom() {
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

  function sortBy(header) {
    const row = header.parentElement;
    const column = Array.from(row.children).indexOf(header);
    const order = header.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    Array.from(row.children).forEach((other) => other.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", order);
    const body = header.closest("table").tBodies[0];
    const value = (line) => line.children[column].dataset.value;
    const numeric = Array.from(body.rows).every((line) => value(line) !== "" && !Number.isNaN(Number(value(line))));
    const compare = numeric
      ? (one, other) => Number(value(one)) - Number(value(other))
      : (one, other) => value(one).localeCompare(value(other));
    const sign = order === "ascending" ? 1 : -1;
    body.append(...Array.from(body.rows).sort((one, other) => sign * compare(one, other)));
  }

  const firstRange = described.layout.xaxis.range;
  draw(firstRange).then(() => {
    plot.on("plotly_relayout", followZoom);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(firstRange));
  });
  document.querySelectorAll("#front thead th").forEach((header) => {
    header.querySelector("button").addEventListener("click", () => sortBy(header));
  });
})();
