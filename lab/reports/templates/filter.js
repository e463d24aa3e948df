// Narrows the page to a product, a version, a failure and a text. Without a script all of it is there, unfiltered.
const form = document.querySelector("form.filter");
const words = (text) => text.split(" ").filter(Boolean);
const among = (chosen, own) => !chosen || words(chosen).some((one) => own.includes(one));
const heads = new Map();
const bodies = new Map();

function textOf(element, known) {
  if (!known.has(element)) known.set(element, element.textContent.toLowerCase());
  return known.get(element);
}

// Which proxies of a scenario fit; its own story speaks for all of them.
function fitting(scenario, wanted) {
  if (!among(form.failure.value, [scenario.id])) return [];
  const head = scenario.querySelector("h4").textContent.toLowerCase() + textOf(scenario.querySelector(".about"), heads);
  return [...scenario.querySelectorAll("details.proxy")].filter((proxy) => {
    const own = words(proxy.dataset.proxies);
    const text = `${scenario.id} ${head} ${wanted.length ? textOf(proxy, bodies) : ""}`;
    return among(form.product.value, own) && among(form.version.value, own) && wanted.every((one) => text.includes(one));
  });
}

function showOf(elements, names) {
  let any = false;
  for (const element of elements) {
    element.hidden = !words(element.dataset.proxies).some((one) => names.has(one));
    any ||= !element.hidden;
  }
  return any;
}

function narrow() {
  const wanted = words(form.text.value.toLowerCase());
  const everywhere = new Set();
  const scenarios = [...document.querySelectorAll("details.scenario")];
  for (const scenario of scenarios) {
    const names = new Set(fitting(scenario, wanted).map((proxy) => proxy.dataset.proxies));
    showOf(scenario.querySelectorAll("details.proxy"), names);
    scenario.hidden = !names.size;
    const row = document.querySelector(`tr[data-scenario="${CSS.escape(scenario.id)}"]`);
    showOf(row.querySelectorAll(".block"), names);
    row.hidden = !names.size;
    for (const name of names) everywhere.add(name);
  }
  showOf(document.querySelectorAll(".matrix [data-proxies]:not(.block)"), everywhere);
  const columns = document.querySelectorAll(".matrix thead th:not([hidden])").length;
  for (const title of document.querySelectorAll(".matrix .group th")) title.colSpan = columns;
  const deploy = document.querySelector("section.deploy");
  if (deploy) deploy.hidden = !showOf(deploy.querySelectorAll(".card"), everywhere);
  for (const group of document.querySelectorAll(".matrix tbody")) group.hidden = !group.querySelector("tr[data-scenario]:not([hidden])");
  for (const group of document.querySelectorAll("h3.group")) {
    let next = group.nextElementSibling;
    while (next?.matches("details.scenario[hidden]")) next = next.nextElementSibling;
    group.hidden = !next?.matches("details.scenario");
  }
  const shown = scenarios.filter((scenario) => !scenario.hidden).length;
  const filtered = form.product.value || form.version.value || form.failure.value || wanted.length;
  form.querySelector("output").textContent = filtered ? `${shown} of ${scenarios.length} failures shown` : "";
}

form.hidden = false;
form.addEventListener("input", narrow);
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", () => setTimeout(narrow));
// A browser may fill the form again when a page is loaded once more.
addEventListener("pageshow", narrow);

// What a link leads to may be folded, or filtered away.
function uncover() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  if (target.closest("[hidden]")) {
    form.reset();
    narrow();
  }
  unfold(target);
  target.scrollIntoView();
}
addEventListener("hashchange", uncover);
document.addEventListener("click", (event) => {
  const link = event.target.closest?.('a[href^="#"]');
  if (link && link.hash === location.hash) uncover();
});
uncover();
