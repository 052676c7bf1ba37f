// Where things stand: an axis as a scale, round values on it, and the cost above the gain that it stands for.
paretune.axes = (() => {
  const described = paretune.data.plot;

  // The values of all traces that the layout gives no range for.
  function reach(letter) {
    const values = described.data.flatMap((trace) => {
      const { array = [], arrayminus = [] } = trace[`error_${letter}`] ?? {};
      return trace[letter].flatMap((value, at) =>
        value === null ? [] : [value - (arrayminus[at] ?? 0), value, value + (array[at] ?? 0)]);
    });
    return [Math.min(...values), Math.max(...values)];
  }

  // The ends of an axis as plotly.js would choose them where the layout leaves them open.
  function ends(letter) {
    const { type, range, rangemode } = described.layout[`${letter}axis`];
    if (range) {
      return range;
    }
    const [low, high] = reach(letter);
    const margin = type === "log" ? (high / low) ** 0.06 : 0.06 * (high - low || 1);
    if (type === "log") {
      return [low / margin, high * margin];
    }
    return [rangemode === "tozero" ? 0 : low - margin, high + margin];
  }

  function scale(letter, from, to) {
    const isLog = described.layout[`${letter}axis`].type === "log";
    const [low, high] = ends(letter);
    const along = isLog ? Math.log : Number;
    const place = (value) => from + ((along(value) - along(low)) / (along(high) - along(low))) * (to - from);
    const most = Math.abs(to - from) / (letter === "x" ? 70 : 40);
    return { low, high, place, ticks: isLog ? roundPowers(low, high) : roundValues(low, high, most) };
  }

  function roundValues(low, high, count) {
    const power = 10 ** Math.floor(Math.log10((high - low) / count));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => (high - low) / one <= count);
    const first = Math.ceil(low / step - 1e-9);
    const last = Math.floor(high / step + 1e-9);
    return Array.from({ length: last - first + 1 }, (_, at) => Number(((first + at) * step).toPrecision(9)));
  }

  function roundPowers(low, high) {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
      found.push(...[1, 2, 5].map((mantissa) => Number(`${mantissa}e${power}`)));
    }
    return found.filter((value) => value >= low && value <= high);
  }

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

  // The top axis shows the cost at the places of the gains below.
  function costAxis([low, high], widthPx) {
    const costs = roundCosts(low, high, Math.max(2, widthPx / 90));
    return {
      range: [low, high],
      tickvals: costs.map((cost) => described.fp32_cost / cost),
      ticktext: costs.map(String),
    };
  }

  return { scale, costAxis };
})();
