"use strict";
// What the parts of the page share: its data, what the reader has set, and who wants to know when that changes.
const paretune = (() => {
  const data = JSON.parse(document.getElementById("page-data").textContent);
  const limits = Object.fromEntries(data.budgets.map((budget) => [budget.column, null]));
  const state = { chosen: null, pointed: null };
  const listeners = [];
  const places = new Map(); // where points stand; what was confirmed comes last and wins
  data.plot.data.forEach((trace) => {
    trace.customdata?.forEach((point, at) => places.set(String(point), [trace.x[at], trace.y[at], point]));
  });

  const color = (role) => getComputedStyle(document.documentElement).getPropertyValue(`--${role}`).trim();
  const same = (one, other) => one !== null && other !== null && one[0] === other[0] && one[1] === other[1];

  // The budgets that a point breaks; what was never taken keeps none.
  function broken([run, position]) {
    return data.budgets.filter(({ column }) => {
      const value = data.runs[run][column][position];
      return limits[column] !== null && (value === null || value > limits[column]);
    });
  }

  function notify(what) {
    listeners.forEach((listener) => listener(what));
  }

  return {
    data,
    limits,
    state,
    places,
    // Roles that are drawn hollow, and whose colour they take.
    hollow: {
      draft: "front", dominated: "dominated", "recovered-draft": "recovered", "recovered-behind": "recovered",
    },
    narrow: matchMedia("(max-width: 40rem)"),
    color,
    same,
    broken,
    onChange: (listener) => listeners.push(listener),
    hasLimits: () => Object.values(limits).some((limit) => limit !== null),
    setLimit(column, limit) {
      limits[column] = limit;
      notify("limits");
    },
    choose(point) {
      state.chosen = point;
      notify("chosen");
    },
    point(point) {
      state.pointed = point;
      notify("pointed");
    },
    repaint: () => notify("theme"),
    // As a POSIX shell wants it: Python's shlex.quote.
    quoted: (word) => (/^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`),
    // A command's words, for a <code>: each is kept whole where a line ends.
    command: (words) => words.flatMap((word, at) => {
      const shown = document.createElement("span");
      shown.textContent = paretune.quoted(word);
      return at === 0 ? [shown] : [" ", shown];
    }),
    drawing(name, attributes, text) {
      const made = document.createElementNS("http://www.w3.org/2000/svg", name);
      Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
      made.textContent = text ?? "";
      return made;
    },
    element(name, text, className) {
      const made = document.createElement(name);
      made.textContent = text ?? "";
      if (className) {
        made.className = className;
      }
      return made;
    },
  };
})();
