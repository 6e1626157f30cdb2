// The page: fills in what the tables leave room for.

function build(data) {
  const { runs } = data;
  const charts = [];
  for (const host of document.querySelectorAll("[data-curves]")) {
    const main = host.dataset.curves === "main";
    for (const panel of data.curves.filter((p) => p.main === main)) charts.push([host, lineChart(panel, runs)]);
  }
  for (const host of document.querySelectorAll("[data-histograms]")) {
    const spikes = host.dataset.histograms === "spikes";
    const xlabel = spikes ? "spikes a sample" : "value";
    for (const panel of data[host.dataset.histograms]) charts.push([host, histogram(panel, runs, xlabel)]);
  }
  for (const [host, made] of charts) {
    host.append(made.figure);
    made.again();
  }
  const viewers = [...document.querySelectorAll("[data-viewer]")].map((host) => {
    const run = Number(host.dataset.viewer);
    return new Viewer(host, run, data.samples[run], runs, data.units[run]);
  });
  if (data.linked) link(viewers);
  return viewers;
}

// Two runs that show the same samples go through them together.
function link(viewers) {
  for (const viewer of viewers) {
    viewer.follow = (moved) => {
      for (const other of viewers) {
        if (other === moved) continue;
        if (other.sample.voltages.some((panel) => panel.name === moved.voltages)) other.voltages = moved.voltages;
        if (other.chosen !== moved.chosen) other.show(moved.chosen, true);
        other.select.value = other.voltages;
        other.look(moved.from, moved.to, true);
      }
    };
  }
}

const THEMES = { "": "as the system", light: "light", dark: "dark" };

function theme(viewers) {
  const button = document.getElementById("theme");
  const set = (name) => {
    document.documentElement.dataset.theme = name;
    button.textContent = `Theme: ${THEMES[name]}`;
    viewers.forEach((viewer) => viewer.draw());
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    const names = Object.keys(THEMES);
    set(names[(names.indexOf(document.documentElement.dataset.theme || "") + 1) % names.length]);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => viewers.forEach((v) => v.draw()));
  return set;
}

// What an address asks for: page.html#sample=1&from=10&to=20&voltages=hidden&theme=dark
function heed(address, viewers, setTheme) {
  const asked = new URLSearchParams(address.slice(1));
  if (Object.keys(THEMES).includes(asked.get("theme"))) setTheme(asked.get("theme"));
  for (const viewer of viewers) {
    const k = Number(asked.get("sample"));
    if (asked.has("sample") && k in viewer.samples) viewer.show(k, true);
    const panels = viewer.sample.voltages.map((panel) => panel.name);
    if (panels.includes(asked.get("voltages"))) {
      viewer.voltages = asked.get("voltages");
      viewer.select.value = viewer.voltages;
    }
    const [from, to] = [Number(asked.get("from")), Number(asked.get("to") || viewer.sample.end)];
    if (asked.has("from") || asked.has("to")) viewer.look(from, to, true);
    else viewer.draw();
  }
}

const root = document.documentElement;
try {
  const viewers = build(JSON.parse(document.getElementById("data").textContent));
  const setTheme = theme(viewers);
  heed(location.hash, viewers, setTheme);
  window.addEventListener("hashchange", () => heed(location.hash, viewers, setTheme));
  root.dataset.ready = "true";
} catch (error) {
  root.dataset.error = String(error);
  document.querySelector("main").prepend(node("p", { class: "missing" }, `The pictures could not be drawn: ${error}`));
}
