import { createServer, request } from "node:http";
import { browse } from "./browser.mjs";
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

let tell;
const told = [];
const { chrome, cdp, js } = await browse(folder, said => {
  // What the page saw comes by itself: nothing is asked again and again.
  if (said.method === "Runtime.bindingCalled") { told.push(JSON.parse(said.params.payload)); tell?.(); }
});
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

await cdp("Runtime.addBinding", { name: "tell" });
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
