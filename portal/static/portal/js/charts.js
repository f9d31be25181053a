// Draws each [data-chart] from the table inside of it. Columns with data-series are drawn, their cells' data-value is
// the figure and their text the words; a cell without a figure is a gap. Nothing here asks anybody for anything: where
// this file does not run, the table is what there is.
(() => {
  const figures = [...document.querySelectorAll("[data-chart]")];
  const { Chart } = window;
  const dark = matchMedia("(prefers-color-scheme: dark)");

  const read = (figure) => {
    const heads = [...figure.querySelectorAll("thead th")];
    const rows = [...figure.querySelectorAll("tbody tr:not(.sum)")];
    const cells = (at) => rows.map((row) => row.children[at]);
    return {
      days: cells(0).map((cell) => cell.textContent.trim()),
      series: heads.flatMap((head, at) => !head.dataset.series ? [] : [{
        look: head.dataset.series,
        name: head.textContent.trim(),
        figures: cells(at).map((cell) => cell.dataset.value ? Number(cell.dataset.value) : null),
        words: cells(at).map((cell) => cell.textContent.trim()),
      }]).filter(({ figures: drawn }) => drawn.some((each) => each !== null)),
    };
  };

  // A role such as --money is light-dark(oklch(...)): a painted pixel says what that is now, as any canvas knows it.
  const pixel = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const colours = (probe) => (role, alpha = 1) => {
    probe.style.color = `var(${role})`;
    pixel.clearRect(0, 0, 1, 1);
    pixel.fillStyle = getComputedStyle(probe).color;
    pixel.fillRect(0, 0, 1, 1);
    const [red, green, blue] = pixel.getImageData(0, 0, 1, 1).data;
    return `rgba(${red}, ${green}, ${blue}, ${alpha})`;
  };

  const LOOKS = {
    line: (role) => ({ borderColor: role("--money"), backgroundColor: role("--money", 0.09), borderWidth: 2.25, fill: "origin" }),
    bar: (role) => ({ type: "bar", backgroundColor: role("--money"), borderColor: role("--money"), maxBarThickness: 40, categoryPercentage: 0.9, barPercentage: 0.85 }),
    forecast: (role) => ({ borderColor: role("--warn-mark"), borderWidth: 2.25, borderDash: [5, 4] }),
    even: (role) => ({ borderColor: role("--line-control"), borderWidth: 1.25, borderDash: [1, 3] }),
  };

  const { lang } = document.documentElement; // German has 1.234,50 $
  const dollars = (value) => {
    const digits = value % 1 ? 2 : 0;
    const figure = value.toLocaleString(lang === "de" ? "de-DE" : "en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
    return lang === "de" ? `${figure}\u00a0$` : `$${figure}`;
  };

  const paint = (chart, table, box) => {
    const role = colours(box);
    const { options } = chart;
    chart.data.datasets = table.series.map(({ look, name, figures: data }) => ({
      label: name, data, spanGaps: false, pointRadius: 0, pointHoverRadius: 4, pointHitRadius: 12, ...LOOKS[look](role),
      ...(look === "bar" ? {} : { pointHoverBackgroundColor: LOOKS[look](role).borderColor }),
    }));
    for (const axis of Object.values(options.scales)) {
      axis.ticks.color = role("--text-quiet");
      axis.grid.color = role("--line");
      axis.border.color = role("--line-control");
    }
    Object.assign(options.plugins.tooltip, {
      backgroundColor: role("--surface"), borderColor: role("--line-control"),
      titleColor: role("--text"), bodyColor: role("--text"),
    });
    box.style.color = "";
    chart.update("none");
  };

  const draw = (figure) => {
    const table = read(figure);
    const box = figure.querySelector(".chart-box");
    const canvas = box.appendChild(document.createElement("canvas"));
    const font = { family: getComputedStyle(figure).fontFamily, size: 12 };
    const ticks = { font, maxRotation: 0, autoSkipPadding: 24 };
    const said = (at) => table.series.filter(({ words }) => words[at]).map(({ name, words }) => `${name} ${words[at]}`);
    const chart = new Chart(canvas, {
      type: figure.dataset.chart,
      data: { labels: table.days, datasets: [] },
      options: {
        animation: false, responsive: true, maintainAspectRatio: false, normalized: true,
        interaction: { mode: "index", intersect: false },
        layout: { padding: { top: 4 } },
        scales: {
          x: { ticks, grid: { display: false }, border: {} },
          y: { beginAtZero: true, ticks: { font, maxTicksLimit: 5, callback: dollars }, grid: {}, border: { display: false } },
        },
        plugins: {
          legend: { display: false },
          tooltip: {
            animation: false, borderWidth: 1, padding: 10, cornerRadius: 4, titleFont: font, bodyFont: font,
            boxWidth: 8, boxHeight: 8, boxPadding: 4,
            filter: ({ datasetIndex, dataIndex }) => Boolean(table.series[datasetIndex].words[dataIndex]),
            callbacks: { label: ({ datasetIndex, dataIndex }) => ` ${table.series[datasetIndex].name} ${table.series[datasetIndex].words[dataIndex]}` },
          },
        },
      },
    });
    paint(chart, table, box);
    walk(figure, box, chart, table, said);
    return () => paint(chart, table, box);
  };

  // Arrow keys move over the points; what stands there is said as well as shown.
  const walk = (figure, box, chart, table, said) => {
    const live = figure.appendChild(document.createElement("p"));
    live.className = "visually-hidden";
    live.setAttribute("role", "status");
    Object.entries({
      tabindex: "0", role: "application", "aria-roledescription": "chart",
      "aria-label": `${figure.dataset.chartLabel}. ${document.getElementById("said").dataset.walk}`,
    }).forEach(([name, value]) => box.setAttribute(name, value));
    const last = table.days.length - 1;
    let at = -1;
    const show = (to) => {
      at = to;
      const points = at < 0 ? [] : table.series.flatMap(({ figures: drawn }, datasetIndex) => (drawn[at] === null ? [] : [{ datasetIndex, index: at }]));
      chart.setActiveElements(points);
      chart.tooltip.setActiveElements(points, { x: 0, y: 0 });
      chart.update("none");
      live.textContent = at < 0 ? "" : `${table.days[at]}: ${said(at).join(", ")}`;
    };
    const keys = {
      ArrowRight: () => Math.min(at + 1, last), ArrowLeft: () => (at < 0 ? last : Math.max(at - 1, 0)),
      Home: () => 0, End: () => last, Escape: () => -1,
    };
    box.addEventListener("keydown", (event) => {
      const to = keys[event.key];
      if (!to || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      show(to());
    });
    box.addEventListener("blur", () => show(-1));
  };

  const repaint = figures.flatMap((figure) => {
    let again = [];
    if (Chart) again = [draw(figure)];
    else figure.querySelector(".chart-box").hidden = true;
    if (Chart) figure.querySelector("details").open = false;
    figure.dataset.drawn = "";
    return again;
  });
  const all = () => { for (const paintOne of repaint) paintOne(); };
  dark.addEventListener("change", all);
  matchMedia("print").addEventListener("change", all); // paper is light
  new MutationObserver(all).observe(document.documentElement, { attributeFilter: ["data-theme"] });
})();
