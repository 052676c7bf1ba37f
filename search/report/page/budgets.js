// Budgets: a slider and a number each, how many points keep them, and which of these `paretune select` would choose.
(() => {
  const { data, element, limits } = paretune;
  const rows = Array.from(document.querySelectorAll("#budgets .budget"));

  function follow(row) {
    const { column, unit, high } = data.budgets.find((budget) => budget.column === row.dataset.column);
    const [slider, number] = row.querySelectorAll("input");
    const limit = limits[column];
    slider.value = limit === null ? high : limit;
    slider.setAttribute("aria-valuetext", limit === null ? "no limit" : `${limit} ${unit}`.trim());
    row.classList.toggle("limited", limit !== null);
    if (document.activeElement !== number) {
      number.value = limit === null ? "" : limit;
    }
  }

  const keeping = (run) => data.runs[run].number.map((_, position) => position).filter(
    (position) => paretune.broken([run, position]).length === 0,
  );

  // Of equals the cheaper, more accurate, smaller one, as in Python's search.choosing.choice.
  function best(run, positions) {
    const shown = data.runs[run];
    const order = limits.drop === null ? ["drop", "cost", "size"] : ["cost", "drop", "size"];
    const before = (one, other) => {
      const column = order.find((name) => shown[name][one] !== shown[name][other]);
      return column !== undefined && shown[column][one] < shown[column][other];
    };
    return positions.reduce((found, position) => (before(position, found) ? position : found));
  }

  function command(run) {
    const given = data.budgets.filter(({ column }) => limits[column] !== null);
    if (data.runs[run].folder === null || given.some(({ option }) => option === "")) {
      return [];
    }
    const words = given.flatMap(({ option, column, scale }) => [option, String(Number((limits[column] * scale).toPrecision(9)))]);
    return paretune.command(["paretune", "select", data.runs[run].folder, ...words]);
  }

  function answer(run) {
    const shown = data.runs[run];
    const confirmed = keeping(run).filter((position) => shown.confirmed[position] === 1);
    const where = data.runs.length > 1 ? ` of ${shown.target}` : "";
    const line = element("p");
    if (!shown.confirmed.includes(1)) {
      line.textContent = `Nothing${where} is confirmed yet, so nothing can be chosen to ship.`;
    } else if (confirmed.length === 0) {
      line.textContent = `No confirmed point${where} keeps these budgets.`;
    } else {
      const rule = limits.drop === null ? "the most accurate" : data.best;
      const position = best(run, confirmed);
      const button = element("button", shown.title[position], "point");
      button.type = "button";
      button.addEventListener("click", () => paretune.choose([run, position]));
      const among = `${rule} of ${confirmed.length} confirmed ${confirmed.length === 1 ? "point" : "points"}${where}`;
      line.append("Best: ", button, `, ${among}: ${shown.lines[position][0]}`);
      const said = command(run);
      if (said.length) {
        const code = element("code");
        code.append(...said);
        line.append(element("br"), code);
      }
    }
    return line;
  }

  function count() {
    if (!paretune.hasLimits()) {
      return "No limits are set.";
    }
    const runs = data.runs.map((run, index) => [run, new Set(keeping(index))]);
    const all = runs.reduce((sum, [run]) => sum + run.number.length, 0);
    const kept = runs.reduce((sum, [, positions]) => sum + positions.size, 0);
    const front = runs.reduce((sum, [run]) => sum + run.front.length, 0);
    const keptFront = runs.reduce((sum, [run, positions]) => sum + run.front.filter((one) => positions.has(one)).length, 0);
    return `${keptFront} of ${front} points of the front and ${kept} of ${all} in all keep the budgets.`;
  }

  function show() {
    rows.forEach(follow);
    document.getElementById("budget-count").textContent = count();
    const answers = paretune.hasLimits() ? data.runs.map((_, run) => answer(run)) : [];
    document.getElementById("budget-answer").replaceChildren(...answers);
  }

  rows.forEach((row) => {
    const { column, high } = data.budgets.find((budget) => budget.column === row.dataset.column);
    const [slider, number] = row.querySelectorAll("input");
    slider.addEventListener("input", () => {
      const value = Number(slider.value);
      paretune.setLimit(column, value >= high ? null : value);
    });
    number.addEventListener("input", () => {
      const value = number.valueAsNumber;
      paretune.setLimit(column, Number.isFinite(value) ? value : null);
    });
    number.addEventListener("blur", () => follow(row));
  });
  document.getElementById("budgets-reset").addEventListener("click", () => {
    data.budgets.forEach(({ column }) => paretune.setLimit(column, null));
  });
  paretune.onChange((what) => {
    if (what === "limits") {
      show();
    }
  });
  show();
})();
