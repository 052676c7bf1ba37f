// The plot: traces painted by role, rings around what is chosen and pointed at, what breaks a budget greyed out.
paretune.plot = (() => {
  const { data, color, hollow, narrow } = paretune;
  const described = data.plot;
  const plot = document.getElementById("plot");
  const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

  function hover([run, position]) {
    const shown = data.runs[run];
    const title = data.runs.length > 1 ? `${shown.title[position]} on ${shown.target}` : shown.title[position];
    return [`<b>${escaped(title)}</b>`, ...shown.lines[position].map(escaped)].join("<br>");
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

  function draw() {
    const shown = layout();
    if (described.fp32_cost !== null) {
      const range = plot.layout?.xaxis?.range ?? described.layout.xaxis.range;
      const axis = paretune.axes.costAxis(range.map(Number), plot.clientWidth);
      shown.xaxis2 = { ...shown.xaxis2, ...axis, color: color("ink"), tickcolor: color("rule") };
    }
    return Plotly.react(plot, described.data.map(painted), shown, config);
  }

  function followZoom() {
    if (described.fp32_cost === null) {
      return;
    }
    const range = plot.layout.xaxis.range;
    const current = plot.layout.xaxis2.range;
    if (range.some((end, position) => Number(end) !== Number(current[position]))) {
      const axis = paretune.axes.costAxis(range.map(Number), plot.clientWidth);
      Plotly.relayout(plot, {
        "xaxis2.range": axis.range,
        "xaxis2.tickvals": axis.tickvals,
        "xaxis2.ticktext": axis.ticktext,
      });
    }
  }

  // A slider moves faster than a plot is drawn, so what breaks the budgets is a class of its marks; plotly.js binds to
  // each trace's element its points, and to each mark the point's place among them.
  function grey() {
    plot.querySelectorAll(".scatterlayer .trace").forEach((drawn) => {
      const { customdata, meta, marker } = drawn.__data__[0].trace;
      if (customdata) {
        drawn.classList.toggle("hollow", meta.role in hollow || marker.symbol.endsWith("-open"));
        const isBroken = customdata.map((point) => paretune.broken(point).length > 0);
        drawn.querySelectorAll(".point, .errorbar").forEach((mark) => {
          mark.classList.toggle("broken", isBroken[mark.__data__.i]);
        });
      }
    });
  }

  // Among the marks, so that they move with these while the reader drags.
  function ring() {
    const { xaxis, yaxis } = plot._fullLayout;
    plot.querySelector(".scatterlayer").parentElement.append(...paretune.rings.circles);
    paretune.rings.move(([x, y]) => [xaxis.d2p(x), yaxis.d2p(y)]);
  }

  const soon = (act) => {
    let isWaiting = false;
    return () => {
      if (!isWaiting) {
        isWaiting = true;
        requestAnimationFrame(() => {
          isWaiting = false;
          act();
        });
      }
    };
  };

  async function begin() {
    described.data.filter((trace) => trace.customdata).forEach((trace) => {
      trace.hovertext = trace.customdata.map(hover);
    });
    await draw();
    grey();
    ring();
    const drawSoon = soon(draw);
    const greySoon = soon(grey);
    plot.on("plotly_afterplot", () => {
      grey();
      ring();
    });
    plot.on("plotly_relayout", followZoom);
    plot.on("plotly_click", ({ points }) => {
      const point = points.map((one) => one.customdata).find(Boolean);
      if (point) {
        paretune.choose(point);
      }
    });
    const follow = { limits: greySoon, chosen: ring, pointed: ring, theme: drawSoon };
    paretune.onChange((what) => follow[what]());
    narrow.addEventListener("change", drawSoon);
  }

  return { begin };
})();
