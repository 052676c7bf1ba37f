// The first drawing: plain SVG that can be clicked, there long before plotly.js is, which then takes its place.
paretune.sketch = (() => {
  const { data, axes, places, hollow, drawing: made } = paretune;
  const { layout, data: traces, fp32_cost: fp32Cost } = data.plot;
  const svg = document.getElementById("sketch");
  const nearPx = 14;
  const shapes = {
    circle: (r) => `M${r},0A${r},${r} 0 1,1 ${-r},0A${r},${r} 0 1,1 ${r},0Z`,
    square: (r) => `M${-r},${-r}H${r}V${r}H${-r}Z`,
    diamond: (r) => `M0,${-1.3 * r}L${1.3 * r},0L0,${1.3 * r}L${-1.3 * r},0Z`,
    "triangle-up": (r) => `M0,${-1.15 * r}L${r},${0.6 * r}H${-r}Z`,
    cross: (r) => {
      const n = r / 3;
      return `M${r},${-n}V${n}H${n}V${r}H${-n}V${n}H${-r}V${-n}H${-n}V${-r}H${n}V${-n}Z`;
    },
    x: (r) => `M${-r},${-r}L${r},${r}M${r},${-r}L${-r},${r}`,
  };
  let x;
  let y;
  let marks = []; // of each point that stands for itself: its run and position, and its group
  let clouds = []; // of each trace that is drawn as one: the paths of what breaks the budgets and what keeps them

  // What was escaped for plotly's markup.
  const plain = (text) => text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
  const paint = (role) => `--paint: var(--${role === "line" ? "front" : hollow[role] ?? role})`;
  const at = (trace, index) => [x.place(trace.x[index]), y.place(trace.y[index])].map((px) => px.toFixed(1));

  function line(trace) {
    const steps = { vh: ([a, b]) => `V${b}H${a}`, hv: ([a, b]) => `H${a}V${b}` }[trace.line.shape];
    const path = trace.x.map((_, index) => (index ? steps(at(trace, index)) : `M${at(trace, 0)}`)).join("");
    const dash = trace.line.dash === "solid" ? "none" : "6 4";
    return made("path", { class: "line", d: path, style: paint(trace.meta.role), "stroke-dasharray": dash });
  }

  function bars(trace, index) {
    const ends = (letter, { place }) => {
      const [value, error] = [trace[letter][index], trace[`error_${letter}`]];
      return [value - error.arrayminus[index], value + error.array[index]].map((end) => place(end).toFixed(1));
    };
    const [a, b] = at(trace, index);
    const [left, right] = trace.error_x ? ends("x", x) : [a, a];
    const [low, high] = trace.error_y ? ends("y", y) : [b, b];
    return trace.error_x || trace.error_y ? `M${left},${b}H${right}M${a},${low}V${high}` : "";
  }

  function mark(trace, index) {
    const symbol = trace.marker.symbol ?? "circle";
    const kind = trace.meta.role in hollow ? " hollow" : symbol.endsWith("-open") ? " open" : "";
    const group = made("g", { class: `mark${kind}`, style: paint(trace.meta.role) });
    const [a, b] = at(trace, index);
    const interval = bars(trace, index);
    if (interval) {
      group.append(made("path", { class: "line", d: interval }));
    }
    group.append(made("path", {
      d: shapes[symbol.replace("-open", "")](trace.marker.size / 2),
      transform: `translate(${a} ${b})`,
      "stroke-width": trace.marker.line?.width ?? 1.6,
    }));
    const point = trace.customdata?.[index];
    if (point) {
      marks.push({ point, group });
    }
    if (point && trace.hoverinfo !== "skip") {
      const { title, lines } = data.runs[point[0]];
      group.append(made("title", {}, [title[point[1]], ...lines[point[1]]].join("\n")));
    }
    return group;
  }

  function cloud(trace) {
    const [broken, kept] = ["broken", "searched"].map(
      (role) => made("path", { class: `cloud ${role}`, style: paint(role) }),
    );
    clouds.push({ trace, broken, kept });
    return [broken, kept];
  }

  function drawn(trace) {
    if (trace.visible === "legendonly" || trace.xaxis === "x2") {
      return [];
    }
    if (trace.mode === "lines") {
      return [line(trace)];
    }
    return trace.meta.role === "searched" ? cloud(trace) : trace.x.map((_, index) => mark(trace, index));
  }

  // What breaks the budgets: grey, as one class per mark and one path per cloud.
  function grey() {
    marks.forEach(({ point, group }) => group.classList.toggle("broken", paretune.broken(point).length > 0));
    clouds.forEach(({ trace, broken, kept }) => {
      const dots = { broken: "", kept: "" };
      trace.customdata.forEach((point, index) => {
        dots[paretune.broken(point).length ? "broken" : "kept"] += `M${at(trace, index)}h0`;
      });
      broken.setAttribute("d", dots.broken);
      kept.setAttribute("d", dots.kept);
    });
  }

  const ring = () => paretune.rings.move(([a, b]) => [x.place(a), y.place(b)]);

  function caption(note) {
    const [a, b] = [x.place(note.x), y.place(note.y)];
    const [right, down] = note.showarrow ? [note.ax, note.ay] : [note.xshift, -note.yshift];
    const isBold = note.text.startsWith("<b>");
    const text = plain(note.text.replace(/^<b>|<\/b>$/g, ""));
    const style = paint(note.name);
    const place = { x: a + right, y: b + down + 4 };
    const label = made("text", { ...place, class: isBold ? "caption bold" : "caption", style }, text);
    const lead = `M${a},${b}L${a + right},${b + down - 8 * Math.sign(down)}`;
    return note.showarrow ? [made("path", { class: "lead-line", d: lead, style }), label] : [label];
  }

  function frame({ left, right, top, bottom, isNarrow }) {
    const { xaxis, xaxis2, yaxis, annotations, shapes: lines } = layout;
    const text = (kind, a, b, words) => made("text", { class: kind, transform: `translate(${a} ${b})` }, plain(words));
    const [middle, suffix] = [(left + right) / 2, xaxis.ticksuffix ?? ""];
    const side = text("title", isNarrow ? 11 : 22, (top + bottom) / 2, yaxis.title.text);
    side.setAttribute("transform", `${side.getAttribute("transform")} rotate(-90)`);
    const texts = [
      side,
      text("title", middle, bottom + (isNarrow ? 48 : 56), xaxis.title.text),
      ...x.ticks.map((tick) => text("middle", x.place(tick), bottom + 18, `${tick}${suffix}`)),
      ...y.ticks.map((tick) => text("end", left - 6, y.place(tick) + 4, String(tick))),
    ];
    if (fp32Cost !== null) {
      const { tickvals, ticktext } = axes.costAxis([x.low, x.high], right - left);
      texts.push(text("title", middle, top - (isNarrow ? 33 : 34), xaxis2.title.text));
      texts.push(...tickvals.map((value, index) => text("middle", x.place(value), top - 9, ticktext[index])));
    }
    const grid = x.ticks.map((tick) => `M${x.place(tick)},${top}V${bottom}`).join("")
      + y.ticks.map((tick) => `M${left},${y.place(tick)}H${right}`).join("");
    const rules = lines.map((one) => made("path", { class: "fp32", d: `M${left},${y.place(one.y0)}H${right}` }));
    const captions = isNarrow ? [] : annotations.flatMap(caption);
    return [made("path", { class: "grid", d: grid }), ...rules, ...texts, ...captions];
  }

  // The legend of plotly.js will come below, at the share of the plot's height that the layout says.
  function heightInside(width, height, isNarrow) {
    const named = traces.filter((trace) => trace.name && trace.showlegend !== false);
    const rows = Math.ceil(named.reduce((sum, { name }) => sum + 55 + 6.5 * name.length, 0) / width);
    return Math.max(100, (height - 14 - 29 * rows) / (1 + (isNarrow ? 0.32 : -layout.legend.y)));
  }

  function draw() {
    const { width, height } = svg.getBoundingClientRect();
    const isNarrow = paretune.narrow.matches;
    const { l, r, t } = isNarrow ? { l: 50, r: 8, t: 45 } : layout.margin;
    const bottom = t + heightInside(width - l - r, height - t, isNarrow);
    const box = { left: l, right: width - r, top: t, bottom, isNarrow };
    x = axes.scale("x", box.left, box.right);
    y = axes.scale("y", box.bottom, box.top);
    marks = [];
    clouds = [];
    const clip = made("clipPath", { id: "sketch-inside" });
    clip.append(made("rect", { x: l, y: t, width: Math.max(0, box.right - l), height: box.bottom - t }));
    const inside = made("g", { "clip-path": "url(#sketch-inside)" });
    inside.append(...traces.flatMap(drawn));
    inside.append(...paretune.rings.circles);
    svg.replaceChildren(clip, ...frame(box), inside);
    grey();
    ring();
  }

  function choose({ clientX, clientY }) {
    const { left, top } = svg.getBoundingClientRect();
    const away = ([a, b]) => Math.hypot(x.place(a) - (clientX - left), y.place(b) - (clientY - top));
    const nearer = (one, other) => (one && away(one) <= away(other) ? one : other);
    const near = Array.from(places.values()).reduce(nearer, null);
    if (near && away(near) <= nearPx) {
      paretune.choose(near[2]);
    }
  }

  const resized = new ResizeObserver(draw);
  const follow = (what) => (what === "limits" ? grey() : what !== "theme" && ring());

  return {
    begin() {
      draw();
      svg.addEventListener("click", choose);
      resized.observe(svg);
      paretune.onChange((what) => svg.isConnected && follow(what));
    },
    end() {
      resized.disconnect();
      svg.remove();
    },
  };
})();
