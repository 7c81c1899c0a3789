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
const until = async (what, e) => { for (let i = 0; i < 100; i++) { if (await js(e)) { console.log("ok  " + what); return; } await wait(100); } process.exitCode = 1; console.log("BAD " + what, await js("document.body.innerText.slice(0, 800)")); };
const post = (path, body, method = "POST") => fetch(base + path, { method, headers: { authorization: "Bearer " + token, "content-type": "application/json" }, body: body && JSON.stringify(body) }).then(r => r.json());
const key = async (k, code) => { await cdp("Input.dispatchKeyEvent", { type: "keyDown", key: k, text: k.length === 1 ? k : k === "Enter" ? "\r" : undefined, windowsVirtualKeyCode: code || 0 }); await cdp("Input.dispatchKeyEvent", { type: "keyUp", key: k }); };
const shot = async f => { const r = await cdp("Page.captureScreenshot", { format: "png" }); writeFileSync(f, Buffer.from(r.result.data, "base64")); };
await cdp("Log.enable"); await cdp("Page.navigate", { url: base + "/" });
await until("token entry", "document.readyState === 'complete' && !document.getElementById('door').hidden");
await js("document.getElementById('token').value='wrong wrong wrong'; document.querySelector('#door button').click()");
await until("a wrong token is refused", "document.getElementById('refused').textContent.includes('does not fit')");
await js(`document.getElementById('token').value='${token}'; document.querySelector('#door button').click()`);
await until("the table", "!document.getElementById('main').hidden");
const sh = (name, script, more = {}) => post("/v1/tasks", { name, cwd: "/tmp", argv: ["sh", "-c", script], ...more });
await sh("unit tests", "echo ok 1; echo ok 2; exit 0"); await sh("lint", "echo 'no such file' >&2; exit 3");
const one = await sh("port the parser", "echo '<b onclick=1>bold</b><script>document.title=1</script>'; printf '\\033[31mred\\033[0m\\n'; i=0; while :; do i=$((i+1)); echo line $i; sleep 0.3; done");
await sh("fix the build", "sleep 1000", { key: "forge:acme/shop:12" });
await until("live tasks appear by events", "document.querySelectorAll('#rows tr').length === 2");
await key("a"); await until("ended ones too", "document.querySelectorAll('#rows tr').length >= 4");
await js(`[...document.querySelectorAll('#rows tr')].find(r => r.dataset.id === '${one.id}').click()`);
await until("logs follow", "document.getElementById('out').textContent.includes('line 4')");
await until("output is text", "document.title === 'agent-supervisor' && document.getElementById('out').children.length === 0 && document.getElementById('out').textContent.includes('<b onclick=1>') && document.querySelectorAll('img').length === 0");
await until("why", "document.querySelectorAll('#why li').length >= 2");
await shot(folder + "/page.png");
await key("s"); await until("s goes to the note", "document.activeElement.id === 'note'");
await cdp("Input.insertText", { text: "enough <img src=x>" }); await key("Enter", 13);
await until("stopped with the note", "document.getElementById('why').textContent.includes('enough')");
await key("Escape"); await until("closed", "document.getElementById('one').hidden");
await post("/v1/drain", { deadline: "1h", no_wait: true });
await until("drain banner", "!document.getElementById('banner').hidden && document.getElementById('banner').textContent.includes('hub_shutdown')");
await shot(folder + "/drain.png");
await post("/v1/drain", null, "DELETE"); await until("banner goes", "document.getElementById('banner').hidden");
await cdp("Emulation.setDeviceMetricsOverride", { width: 390, height: 800, deviceScaleFactor: 2, mobile: true });
await until("fits a phone", "document.documentElement.scrollWidth <= 390"); await shot(folder + "/phone.png");
const strange = problems.filter(p => !p.includes("401") && !p.includes("Password forms"));
if (strange.length) { process.exitCode = 1; console.log("BAD problems", strange); }
 await Promise.race([cdp("Browser.close"), wait(2000)]);
chrome.kill();
process.exit();
