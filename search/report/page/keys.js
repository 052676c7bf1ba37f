// The front by keyboard: arrow keys move along it, Enter shows a point's layers.
(() => {
  const { data, state, same, element } = paretune;
  const box = document.getElementById("keys");
  const points = data.runs.flatMap((run, index) => run.front.map((position) => [index, position]));
  let current = Math.max(0, points.findIndex((point) => same(point, state.chosen)));

  const options = points.map(([index, position], at) => {
    const run = data.runs[index];
    const where = data.runs.length > 1 ? ` on ${run.target}` : "";
    const option = element("div", `${run.title[position]}${where}: ${run.lines[position].join(", ")}`);
    option.id = `front-${at}`;
    option.setAttribute("role", "option");
    return option;
  });
  box.append(...options);

  function mark() {
    options.forEach((option, at) => option.setAttribute("aria-selected", String(same(points[at], state.chosen))));
  }

  function move(to) {
    current = Math.min(points.length - 1, Math.max(0, to));
    box.setAttribute("aria-activedescendant", options[current].id);
    paretune.point(points[current]);
  }

  const moves = {
    ArrowRight: () => current + 1,
    ArrowDown: () => current + 1,
    ArrowLeft: () => current - 1,
    ArrowUp: () => current - 1,
    Home: () => 0,
    End: () => points.length - 1,
  };
  if (points.length === 0) {
    box.hidden = true;
    return;
  }
  mark();
  box.addEventListener("focus", () => move(current));
  box.addEventListener("blur", () => paretune.point(null));
  box.addEventListener("keydown", (event) => {
    if (event.key in moves) {
      move(moves[event.key]());
    } else if (event.key === "Enter" || event.key === " ") {
      paretune.choose(points[current]);
    } else {
      return;
    }
    event.preventDefault();
  });
  paretune.onChange((what) => {
    if (what === "chosen") {
      mark();
      const at = points.findIndex((point) => same(point, state.chosen));
      current = at < 0 ? current : at;
    }
  });
})();
