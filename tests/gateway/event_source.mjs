import { spawn } from "node:child_process";
import { createServer, request } from "node:http";
// A native EventSource of a headless browser: node event_source.mjs BASE TOKEN FOLDER
//
// EventSource can send no header of its own, so a proxy of a hub's kind stands before the gateway:
// it adds the token and passes the stream through. Its connections are cut by /cut.
const [base, token, folder] = process.argv.slice(2);
const gateway = new URL(base);
const open = new Set(), asked = [];
const proxy = createServer((incoming, answer) => {
  if (incoming.url === "/") return answer.setHeader("content-type", "text/html").end("<title>hub</title>");
  if (incoming.url === "/favicon.ico") return answer.writeHead(204).end();
  asked.push(incoming.headers["last-event-id"] ?? null);
  const onward = request({ host: gateway.hostname, port: gateway.port, path: incoming.url,
    headers: { ...incoming.headers, host: gateway.host, authorization: "Bearer " + token } }, from => {
    answer.writeHead(from.statusCode, from.headers);
    from.pipe(answer);
  });
  open.add(incoming.socket);
  onward.on("error", () => answer.destroy()).end();
  answer.on("close", () => { open.delete(incoming.socket); onward.destroy(); });
}).listen(0, "127.0.0.1");
await new Promise(done => proxy.on("listening", done));
const hub = "http://127.0.0.1:" + proxy.address().port;

const chrome = spawn("chromium", ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
  "--user-data-dir=" + folder + "/profile", "about:blank"], { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
chrome.on("error", error => { console.log("BAD", error); process.exit(1); });
// The browser's own protocol over a pipe: JSON, each with a NUL behind it.
let n = 0, session, rest = "", tell;
const waiting = new Map(), told = [];
chrome.stdio[4].setEncoding("utf8").on("data", text => {
  const parts = (rest + text).split("\0");
  rest = parts.pop();
  for (const part of parts) {
    const said = JSON.parse(part);
    if (said.id) waiting.get(said.id)(said);
    // What the page saw comes by itself: nothing is asked again and again.
    else if (said.method === "Runtime.bindingCalled") { told.push(JSON.parse(said.params.payload)); tell?.(); }
  }
});
const cdp = (method, params = {}) => new Promise(done => {
  const id = ++n;
  waiting.set(id, done);
  chrome.stdio[3].write(JSON.stringify({ id, method, params, sessionId: session }) + "\0");
});
const js = async expression => {
  const { result } = await cdp("Runtime.evaluate", { expression, awaitPromise: true });
  if (result.exceptionDetails) throw new Error(JSON.stringify(result.exceptionDetails));
};
/** The first event that fits, and everything before it is over. */
const next = async fits => {
  for (;;) {
    const at = told.findIndex(fits);
    if (at >= 0) return told.splice(0, at + 1).at(-1);
    await new Promise(done => { tell = done; });
  }
};
const ok = (what, right, ...more) => { console.log((right ? "ok  " : "BAD ") + what, ...more); if (!right) process.exitCode = 1; };
const run = id => fetch(base + "/v1/tasks", { method: "POST", headers: { authorization: "Bearer " + token, "content-type": "application/json" },
  body: JSON.stringify({ id, cwd: "/tmp", argv: ["true"] }) });

const { targetId } = (await cdp("Target.createTarget", { url: "about:blank" })).result;
session = (await cdp("Target.attachToTarget", { targetId, flatten: true })).result.sessionId;
await cdp("Runtime.enable");
await cdp("Runtime.addBinding", { name: "tell" });
await cdp("Page.enable");
await cdp("Page.navigate", { url: hub + "/" });
await js("new Promise(done => document.readyState === 'complete' ? done() : addEventListener('load', done))");
await js(`
  window.source = new EventSource("/v1/events?type=task.ended");
  for (const type of ["hello", "task.ended", "service_shutdown"])
    source.addEventListener(type, e => tell(JSON.stringify({ type, id: e.lastEventId, data: JSON.parse(e.data) })));
  source.onerror = () => tell(JSON.stringify({ type: "error", state: source.readyState }));`);
const first = await next(e => e.type === "hello");
ok("hello", first.data.resume === "ok" && asked[0] === null, first);
await run("one");
const one = await next(e => e.type === "task.ended");
ok("an event has its id", one.data.task_id === "one" && one.id === String(one.data.seq), one);
open.forEach(socket => socket.destroy());
await next(e => e.type === "error");
// It ends while the browser is away.
await run("two");
const again = await next(e => e.type === "hello");
ok("it came back by itself, with its last id", again.data.resume === "ok" && asked.at(-1) === one.id, asked);
const two = await next(e => e.type === "task.ended");
ok("nothing is missed, nothing comes twice", two.data.task_id === "two" && two.data.seq > one.data.seq, two);
await js("source.close()");
console.log("done");
chrome.kill();
process.exit();
