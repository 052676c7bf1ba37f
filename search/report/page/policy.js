// The chosen point: its figures, the command that exports it, and what it does to each layer.
(() => {
  const { data, element } = paretune;
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const at = (id) => document.getElementById(id);
  const bits = (format) => ({ FP32: 32, fp32: 32, fp16: 16 })[format] ?? Number(/\d+/.exec(format)?.[0] ?? 16);

  function settings(run, position) {
    const { codes, width } = run;
    return codes.map((code) => {
      const digits = code.slice(position * width, (position + 1) * width);
      return run.settings[[...digits].reduce((number, digit) => number * 64 + alphabet.indexOf(digit), 0)];
    });
  }

  function showLayers(run, position) {
    const chosen = settings(run, position);
    const columns = [0, 1, 2].filter((column) => column === 0 || chosen.some((setting) => setting[column] !== ""));
    const head = document.createElement("tr");
    ["Layer", ...columns.map((column) => ["Format", "Sparsity", "Rank"][column])].forEach((name) => {
      const cell = element("th", name);
      cell.scope = "col";
      head.append(cell);
    });
    const rows = chosen.map((setting, layer) => {
      const row = document.createElement("tr");
      const name = element("th", run.layers[layer]);
      name.scope = "row";
      row.append(name);
      columns.forEach((column) => {
        const format = column === 0 ? `bits-${bits(setting[0])}` : "";
        row.append(element("td", setting[column] || "–", format));
      });
      return row;
    });
    at("policy-table").tHead.replaceChildren(head);
    at("policy-table").tBodies[0].replaceChildren(...rows);
  }

  function showExport(run, position) {
    const isConfirmed = run.confirmed[position] === 1;
    const digest = run.digest[position];
    const words = ["paretune", "export", run.folder, "--point", digest, "--out", `bundle-${digest.slice(0, 8)}`];
    const hasCommand = isConfirmed && run.folder !== null;
    at("policy-command-box").hidden = !hasCommand;
    at("policy-command").replaceChildren(...(hasCommand ? paretune.command(words) : []));
    at("policy-copied").textContent = "";
    at("policy-export-note").textContent = isConfirmed
      ? "Confirmed. Export it with:"
      : "Not confirmed, so it cannot be exported: these are the search's own values. " +
        "The points of the front are confirmed at the end of each search.";
  }

  function show() {
    const [index, position] = paretune.state.chosen;
    const run = data.runs[index];
    at("policy-title").textContent =
      data.runs.length > 1 ? `${run.title[position]} on ${run.target}` : `Point ${run.title[position]}`;
    at("policy-lines").replaceChildren(...run.lines[position].map((line) => element("li", line)));
    showExport(run, position);
    showLayers(run, position);
    at("policy").classList.add("shown");
  }

  // Pages from a disk are not trusted with the clipboard everywhere: then the old way, by selecting.
  async function copy() {
    const command = at("policy-command");
    try {
      await navigator.clipboard.writeText(command.textContent);
      return true;
    } catch {
      getSelection().selectAllChildren(command);
      return document.execCommand("copy");
    }
  }

  at("policy-copy").addEventListener("click", async () => {
    at("policy-copied").textContent = (await copy()) ? "Copied." : "Select the command and copy it by hand.";
  });
  paretune.onChange((what) => {
    if (what === "chosen") {
      show();
      at("policy-title").scrollIntoView({ block: "nearest" });
    }
  });
  if (data.knee !== null) {
    paretune.state.chosen = [0, data.knee];
    show();
  }
})();
