// The table of the front: sorted by any column, its points opened from it, what breaks a budget greyed out.
(() => {
  const table = document.getElementById("front");
  const body = table.tBodies[0];
  const pointOf = (row) => [Number(row.dataset.run), Number(row.dataset.position)];

  function sortBy(header) {
    const row = header.parentElement;
    const column = Array.from(row.children).indexOf(header);
    const order = header.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    Array.from(row.children).forEach((other) => other.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", order);
    const value = (line) => line.children[column].dataset.value;
    const numeric = Array.from(body.rows).every((line) => value(line) !== "" && !Number.isNaN(Number(value(line))));
    const compare = numeric
      ? (one, other) => Number(value(one)) - Number(value(other))
      : (one, other) => value(one).localeCompare(value(other));
    const sign = order === "ascending" ? 1 : -1;
    body.append(...Array.from(body.rows).sort((one, other) => sign * compare(one, other)));
  }

  function mark() {
    Array.from(body.rows).forEach((row) => {
      const breaks = paretune.broken(pointOf(row)).map(({ column }) => column);
      row.classList.toggle("broken", breaks.length > 0);
      row.classList.toggle("chosen", paretune.same(pointOf(row), paretune.state.chosen));
      row.querySelector(".breaks").textContent = breaks.length ? ` breaks ${breaks.join(", ")}` : "";
    });
  }

  table.querySelectorAll("thead th").forEach((header) => {
    header.querySelector("button").addEventListener("click", () => sortBy(header));
  });
  Array.from(body.rows).forEach((row) => {
    row.querySelector("button.point").addEventListener("click", () => paretune.choose(pointOf(row)));
  });
  paretune.onChange(mark);
  mark();
})();
