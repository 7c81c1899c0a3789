import { spawn } from "node:child_process";
/** A page of a headless browser, spoken to by the browser's own protocol over a pipe: JSON, each with
 *  a NUL behind it. `heard` gets what comes by itself. */
export const browse = async (folder, heard, ...more) => {
  const chrome = spawn("chromium", ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
    "--user-data-dir=" + folder + "/profile", ...more, "about:blank"],
    { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
  chrome.on("error", error => { console.log("BAD", error); process.exit(1); });
  let n = 0, session, rest = "";
  const waiting = new Map();
  chrome.stdio[4].setEncoding("utf8").on("data", text => {
    const parts = (rest + text).split("\0");
    rest = parts.pop();
    for (const part of parts) {
      const said = JSON.parse(part);
      if (said.id) waiting.get(said.id)(said);
      else heard(said);
    }
  });
  const cdp = (method, params = {}) => new Promise(done => {
    const id = ++n;
    waiting.set(id, done);
    chrome.stdio[3].write(JSON.stringify({ id, method, params, sessionId: session }) + "\0");
  });
  const js = async expression => {
    const { result } = await cdp("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    if (result.exceptionDetails) throw new Error(JSON.stringify(result.exceptionDetails));
    return result.result.value;
  };
  const { targetId } = (await cdp("Target.createTarget", { url: "about:blank" })).result;
  session = (await cdp("Target.attachToTarget", { targetId, flatten: true })).result.sessionId;
  await cdp("Runtime.enable");
  await cdp("Page.enable");
  return { chrome, cdp, js };
};
