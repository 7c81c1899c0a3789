import { writeFileSync } from "node:fs";
import { browse } from "./browser.mjs";
// Drives the operator's page in a headless browser: node page.mjs BASE TOKEN FOLDER
const [base, token, folder] = process.argv.slice(2);
const wait = ms => new Promise(done => setTimeout(done, ms));

const problems = [];
const { chrome, cdp, js } = await browse(folder, said => {
  if (said.method === "Runtime.exceptionThrown") problems.push(JSON.stringify(said.params.exceptionDetails).slice(0, 400));
  else if (said.method === "Log.entryAdded") problems.push(said.params.entry.text + " " + (said.params.entry.url || ""));
}, "--window-size=1200,760");
const ok = (what, right, ...more) => { console.log((right ? "ok  " : "BAD ") + what, ...(right ? [] : more)); if (!right) process.exitCode = 1; };
const until = async (what, e) => { for (let i = 0; i < 100; i++) { if (await js(e)) return ok(what, true); await wait(100); } ok(what, false, await js("document.body.innerText.slice(0, 800)")); };
const post = (path, body, method = "POST") => fetch(base + path, { method, headers: { authorization: "Bearer " + token, "content-type": "application/json" }, body: body && JSON.stringify(body) }).then(r => r.json());
const key = async (k, code) => { await cdp("Input.dispatchKeyEvent", { type: "keyDown", key: k, text: k.length === 1 ? k : k === "Enter" ? "\r" : undefined, windowsVirtualKeyCode: code || 0 }); await cdp("Input.dispatchKeyEvent", { type: "keyUp", key: k }); };
const shot = async f => { const r = await cdp("Page.captureScreenshot", { format: "png" }); writeFileSync(f, Buffer.from(r.result.data, "base64")); };
const row = id => `[...document.querySelectorAll('#rows tr')].find(r => r.dataset.id === '${id}')`;
await cdp("Log.enable"); await cdp("Page.navigate", { url: base + "/" });
await until("token entry", "document.readyState === 'complete' && !document.getElementById('door').hidden");
await js("document.getElementById('token').value='wrong wrong wrong'; document.querySelector('#door button').click()");
await until("a wrong token is refused", "document.getElementById('refused').textContent.includes('does not fit')");
await js(`document.getElementById('token').value='${token}'; document.querySelector('#door button').click()`);
await until("the table", "!document.getElementById('main').hidden");
ok("the token is in no address", !(await js("location.href + performance.getEntries().map(e => e.name).join()")).includes(token));

const sh = (name, script, more = {}) => post("/v1/tasks", { name, cwd: "/tmp", argv: ["sh", "-c", script], ...more });
await sh("unit tests", "echo ok 1; echo ok 2; exit 0"); await sh("lint", "echo 'no such file' >&2; exit 3");
const review = await post("/v1/tasks", { name: "review the docs", provider: "claude", cwd: "/tmp", key: "forge:acme/shop:9", prompt: "say:Reading docs/GATEWAY.md\nforever" });
const one = await sh("port the parser", "echo '<b onclick=1>bold</b><script>document.title=1</script>'; printf '\\033[31mred\\033[0m\\n'; i=0; while :; do i=$((i+1)); echo line $i; sleep 0.3; done");
const build = await sh("fix the build", "sleep 1000", { key: "forge:acme/shop:12" });
await until("live tasks appear by events", "document.querySelectorAll('#rows tr').length === 3");
await until("progress", `${row(review.id)}.innerText.includes('Reading docs/GATEWAY.md')`);
await key("a"); await until("ended ones too", "document.querySelectorAll('#rows tr').length >= 5");
await js(`${row(one.id)}.click()`);
await until("logs follow", "document.getElementById('out').textContent.includes('line 4')");
await until("output is text", "document.title === 'agent-supervisor' && document.getElementById('out').children.length === 0 && document.getElementById('out').textContent.includes('<b onclick=1>')");
await until("why", "document.querySelectorAll('#why li').length >= 2");
await shot(folder + "/page.png");
await cdp("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: "dark" }] });
await shot(folder + "/dark.png");

/** The contrast of a text with what is behind it. */
const contrast = selector => js(`(() => {
  const channels = color => color.match(/[\\d.]+/g).map(Number);
  const light = color => { const [r, g, b] = channels(color).map(c => (c /= 255) <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
  let behind = document.querySelector(${JSON.stringify(selector)}), text = getComputedStyle(behind).color;
  while (channels(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
  const [a, b] = [light(text), light(getComputedStyle(behind).backgroundColor)].sort((x, y) => y - x);
  return (a + .05) / (b + .05); })()`);
const readable = async colours => { for (const what of ["#state", "th", "#facts", "#banner", "td.running", "td.failure", "td.success", "#note", "#leave"]) { const got = await contrast(what); ok(`${what} is readable (${colours})`, got >= 4.5, got); } };

await key("s"); await until("s goes to the note", "document.activeElement.id === 'note'");
await cdp("Input.insertText", { text: "enough <img src=x>" }); await key("Enter", 13);
await until("stopped with the note", "document.getElementById('why').textContent.includes('enough')");
await key("Escape"); await until("closed", "document.getElementById('one').hidden");
await until("the focus is back in the table", "document.activeElement.tagName === 'TR'");
const first = await js("document.activeElement.dataset.id"); await key("j"); await until("j moves on", `document.activeElement.tagName === 'TR' && document.activeElement.dataset.id !== '${first}'`);
const second = await js("document.activeElement.dataset.id"); await key("Enter", 13); await until("enter opens", `!document.getElementById('one').hidden && ${row(second)}.getAttribute('aria-selected') === 'true'`);
await key("Escape");

// Markup in every field that a caller or an agent can fill.
const evil = "<img src=x onerror=document.title='evil'><script>document.title='evil'</script>\"'><svg/onload=document.title='evil'>";
const bad = await post("/v1/tasks", { name: evil, key: "k" + evil.slice(0, 100), repo: evil, model: evil, user: evil, agent: evil, agent_type: evil, provider: "claude", cwd: "/tmp", prompt: `say:${evil}\nforever` });
await until("markup in names and in progress is text", `${row(bad.id)} && ${row(bad.id)}.querySelectorAll('td *').length === 0 && ${row(bad.id)}.innerText.split('<img').length >= 3`);
await js(`${row(bad.id)}.click()`); await until("and in output", "document.getElementById('out').textContent.includes('<img')");
const loud = await sh("loud", `cat >&2 <<'X'\n${evil}\nX\nsleep 1000`); await until("it is there", `!!${row(loud.id)}`);
await js(`${row(loud.id)}.click()`); await until("and in errors", "document.getElementById('err').textContent.includes('<img')");
await post(`/v1/tasks/${loud.id}/stop`, { note: evil }); await until("and in the note of another", "document.getElementById('why').textContent.includes('<img')");
ok("nothing of it is markup", await js("document.querySelectorAll('img, svg, main script').length === 0 && document.title === 'agent-supervisor'"));
// And if it were: the policy runs no script that is not the page's own.
await js(`{ const div = document.createElement('div'); div.id = 'foreign'; div.innerHTML = ${JSON.stringify(evil)}; document.body.append(div); }`);
await until("the policy was asked", "document.querySelector('#foreign img').complete");
ok("the policy runs no foreign script", await js("document.title") === "agent-supervisor", await js("document.title"));
await js("document.getElementById('foreign').remove()");
await post(`/v1/tasks/${bad.id}/stop`, {}); await key("Escape");

await post("/v1/drain", { deadline: "1h", no_wait: true });
await until("drain banner", "!document.getElementById('banner').hidden && document.getElementById('banner').textContent.includes('hub_shutdown') && document.getElementById('banner').textContent.includes('2 tasks')");
await js(`${row(build.id)}.click()`); await until("its stop", "!document.getElementById('stop').hidden");
await readable("dark"); await cdp("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: "light" }] }); await readable("light");
await shot(folder + "/drain.png"); await key("Escape");
const unnamed = await js("[...document.querySelectorAll('input, button, [role=log], [role=grid], section[aria-labelledby]')].filter(e => !(e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.labels?.length || e.textContent.trim())).map(e => e.outerHTML)");
ok("everything has a name", unnamed.length === 0, unnamed);
await post("/v1/drain", null, "DELETE"); await until("banner goes", "document.getElementById('banner').hidden");
for (const width of [375, 320]) {
  await cdp("Emulation.setDeviceMetricsOverride", { width, height: 800, deviceScaleFactor: 2, mobile: true });
  await until("fits a phone", `document.documentElement.scrollWidth <= ${width}`);
}
await cdp("Emulation.setDeviceMetricsOverride", { width: 375, height: 800, deviceScaleFactor: 2, mobile: true });
await until("progress on a phone", `${row(review.id)}.querySelector('.c-progress').getBoundingClientRect().width > 120`); await shot(folder + "/phone.png");
await js(`${row(review.id)}.click()`); await until("one task on a phone", "document.getElementById('out').textContent.includes('Reading')");
await until("a phone shows it from its top", "Math.abs(document.getElementById('one').getBoundingClientRect().top) < 5");
await until("fits a phone, too", "document.documentElement.scrollWidth <= 375"); await shot(folder + "/phone-one.png");
const strange = problems.filter(p => !p.includes("401") && !p.includes("Password forms") && !p.includes("Content Security Policy") && !p.includes("ERR_BLOCKED"));
if (strange.length) ok("problems", false, strange);
await Promise.race([cdp("Browser.close"), wait(2000)]);
chrome.kill();
process.exit();
