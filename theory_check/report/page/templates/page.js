"use strict";
(() => {
  const all = (query, within = document) => [...within.querySelectorAll(query)];
  // Only one page is shown at a time, and it begins at the top of the window.
  document.documentElement.classList.add("js");
  const pages = all("section.page");
  const views = [];

  // Data lie by column, so that the file is small; charts want rows.
  const rowsOf = (columns) => {
    const names = Object.keys(columns);
    const whole = names.map((name) => columns[name].words ? columns[name].at.map((at) => columns[name].words[at]) : columns[name]);
    return whole[0].map((_, at) => Object.fromEntries(names.map((name, place) => [name, whole[place][at]])));
  };

  const draw = async (figure) => {
    const box = figure.querySelector(".chart");
    if (!box || box.dataset.state) return;
    box.dataset.state = "drawing";
    const spec = JSON.parse(figure.querySelector(".spec").textContent);
    const points = JSON.parse(figure.querySelector(".points").textContent);
    spec.datasets = {...spec.datasets};
    for (const [name, columns] of Object.entries(points)) spec.datasets[name] = rowsOf(columns);
    const options = {renderer: "svg", actions: false};
    if (figure.closest("#comparison")) {
      // A choice may leave nothing to draw, which is no fault.
      options.logLevel = 1;
      spec.datasets.costs ??= costs;
      for (const param of spec.params ?? []) if (param.name in shown()) param.value = shown()[param.name];
    }
    const {view} = await vegaEmbed(box, spec, options);
    if (figure.closest("#comparison")) views.push(view);
    box.dataset.state = "drawn";
  };

  const show = (focus) => {
    const wanted = decodeURIComponent(location.hash.slice(1));
    const page = document.getElementById(wanted)?.closest("section.page") ?? pages[0];
    for (const each of pages) each.hidden = each !== page;
    for (const link of all("nav a")) {
      if (link.hash === `#${page.id}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    const title = page.querySelector("h1");
    document.title = `${title.textContent} – theory-check report`;
    if (focus) title.focus({preventScroll: true});
    // A chart takes its width from the page, so that only one that is shown can be drawn.
    all("figure", page).reduce((before, figure) => before.then(() => draw(figure)), Promise.resolve());
  };

  const filters = document.getElementById("filters");
  const filter = () => {
    const {words, status, theme, problem} = Object.fromEntries(new FormData(filters));
    const parts = words.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = all("#table tbody tr");
    for (const row of rows) {
      const data = row.dataset;
      const fits = parts.every((part) => data.words.includes(part))
        && (!status || (status === "fails" ? data.outcome === "fails" : data.status === status))
        && (!theme || data.theme === theme)
        && (!problem || JSON.parse(data.problems).includes(problem));
      row.hidden = !fits;
    }
    const left = rows.filter((row) => !row.hidden).length;
    document.getElementById("shown").textContent = left === rows.length ? `${left} claims` : `${left} of ${rows.length} claims`;
  };
  // A page of a comparison alone has no claims to filter.
  if (filters) {
    for (const happened of ["input", "change"]) filters.addEventListener(happened, filter);
    filters.addEventListener("submit", (event) => event.preventDefault());
    filters.addEventListener("reset", () => setTimeout(filter));
  }
  for (const button of all("button.count")) {
    button.addEventListener("click", () => { filters.elements.status.value = button.dataset.status; filter(); });
  }

  const choice = document.getElementById("choice");
  const costs = choice && rowsOf(JSON.parse(document.getElementById("costs").textContent));
  const chosen = () => ({
    by: choice.elements.by.value,
    problem: choice.elements.problem.value,
    target: Number(choice.elements.target.value),
    methods: all("input[name=method]:checked", choice).map((box) => box.value),
  });
  const shown = () => {
    const {by, problem, target, methods} = chosen();
    return {by_shown: by, problem_shown: problem, target_shown: target, methods_shown: methods};
  };
  const follow = (view) => { for (const [name, value] of Object.entries(shown())) view.signal(name, value); };
  const short = (value) => {
    if (value === null) return "none";
    if (value < 1e4 && value > 1e-3) return String(Number(value.toPrecision(3)));
    return value.toExponential(2).replace("e+", "e");
  };
  const rank = () => {
    const {by, problem, target, methods} = chosen();
    const rows = costs.filter((row) => row.by === by && row.problem === problem && row.target === target && methods.includes(row.method));
    rows.sort((one, other) => (one.median ?? Infinity) - (other.median ?? Infinity));
    const body = document.querySelector("#ranking tbody");
    body.replaceChildren(...rows.map((row) => {
      const line = document.createElement("tr");
      const cost = row.median === null ? (row.spent === null ? "not reached" : `more than ${short(row.spent)}`) : short(row.median);
      const interval = row.median === null ? "" : `[${short(row.low)}, ${row.high === null ? "no end" : short(row.high)}]`;
      for (const [at, text] of [row.title, cost, interval, `${row.reached} of ${row.seeds}`, row.counted].entries()) {
        const cell = document.createElement(at === 0 ? "th" : "td");
        if (at === 0) cell.scope = "row";
        cell.textContent = text;
        line.append(cell);
      }
      return line;
    }));
    const ranked = rows.filter((row) => row.counted === "samples" && row.median !== null);
    const best = ranked[0];
    const near = ranked.slice(1).filter((row) => best.tied && row.tied).map((row) => row.title);
    const names = near.slice(0, 4).join(", ") + (near.length > 4 ? ` and ${near.length - 4} more` : "");
    document.getElementById("answer").textContent = best
      ? `${best.title} needs the fewest samples of the methods chosen: ${short(best.median)} `
        + `[${short(best.low)}, ${best.high === null ? "no end" : short(best.high)}] in the median of ${best.seeds} seeds, of which ${best.reached} reach it`
        + (near.length ? `; not told apart from ${names} by their intervals.` : ".")
      : rows.length ? "No chosen method whose samples can be compared reaches this accuracy in most seeds."
      : "Nothing was run for this accuracy on this problem.";
  };
  // Problems differ from measure to measure, accuracies from problem to problem: only what was tried can be chosen.
  const restrict = (select, tried) => {
    for (const option of select.options) option.disabled = option.hidden = !tried(option.value);
    if (select.selectedOptions[0]?.disabled ?? true) select.value = [...select.options].find((option) => !option.disabled)?.value;
  };
  const offer = () => {
    const by = costs.filter((row) => row.by === chosen().by);
    restrict(choice.elements.problem, (value) => by.some((row) => row.problem === value));
    const here = by.filter((row) => row.problem === chosen().problem);
    restrict(choice.elements.target, (value) => here.some((row) => row.target === Number(value)));
  };
  const choose = () => { offer(); rank(); for (const view of views) { follow(view); view.runAsync(); } };
  if (choice) { for (const happened of ["input", "change"]) choice.addEventListener(happened, choose); choose(); }

  const button = document.getElementById("theme");
  const dark = () => document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const name = () => { button.textContent = dark() ? "Light" : "Dark"; };
  button.hidden = false;
  button.addEventListener("click", () => { document.documentElement.dataset.theme = dark() ? "light" : "dark"; name(); });
  name();

  window.addEventListener("hashchange", () => show(true));
  show(false);
})();
