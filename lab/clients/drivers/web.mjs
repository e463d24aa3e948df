// What runs in Node and in a page alike: fetch, EventSource, the user's timeout, and the line that a cell becomes.
// It imports nothing, since the harness hands it to a page as one text.

export const headers = (cell) => ({ "X-Lab-Plan": cell.plan, "X-Lab-Request": cell.request });
export const question = [{ role: "user", content: "Count." }];

const failure = (code, message, cause) => Object.assign(new Error(message, { cause }), { code });

// The clients have no timeout for silence inside a stream, so the user's code aborts by one of its own, and knows that
// it did: some clients end in peace when they are aborted. `work` winds it up with every part of the answer. It counts
// ticks, between which what has come is read, so that a busy machine's standstill is not taken for silence.
const TICK = 0.05;

export function silence(seconds, over) {
  let left, ticker;
  const stop = () => clearInterval(ticker);
  const wind = () => {
    stop();
    left = Math.ceil(seconds / TICK);
    ticker = setInterval(() => { left -= 1; if (left === 0) { stop(); over(); } }, TICK * 1000);
  };
  return { wind, stop };
}

// It does not wait until the client heeds the abort: Node 18's fetch loses the signal to the garbage collector
// (nodejs/undici#3644), and the read then goes on until undici's own 300 s of silence.
export async function withTimeout(cell, work) {
  const stop = new AbortController();
  const aborted = new Promise((_, reject) => {
    stop.signal.addEventListener("abort", () => reject(failure("USER_TIMEOUT", "the user's timeout ended it")));
  });
  const timeout = silence(cell.timeout, () => stop.abort());
  try { await Promise.race([work(stop.signal, timeout.wind), aborted]); } finally { timeout.stop(); }
}

export async function fetchChat(cell, seen) {
  await withTimeout(cell, async (signal, wind) => {
    wind();
    const reply = await fetch(`${cell.base}/v1/chat/completions`, {
      method: "POST", signal,
      headers: { "content-type": "application/json", ...headers(cell) },
      body: JSON.stringify({ model: "lab", stream: true, messages: question }),
    });
    if (!reply.ok) throw new Error(`HTTP ${reply.status}`);
    let rest = "";
    const decoder = new TextDecoder();
    for await (const data of reply.body) {
      wind();
      const lines = (rest + decoder.decode(data, { stream: true })).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        if (line === "data: [DONE]") return;
        if (!line.startsWith("data: ")) continue;
        for (const choice of JSON.parse(line.slice(6)).choices) {
          seen.text += choice.delta.content ?? "";
          seen.finish = choice.finish_reason ?? seen.finish;
        }
      }
    }
  });
}

const openSource = (cell, seen) => {
  const source = new EventSource(`${cell.base}/v1/sse?${cell.plan}`);
  source.addEventListener("message", (event) => {
    const part = JSON.parse(event.data);
    seen.text += part.text ?? "";
    seen.finish = part.finish_reason ?? seen.finish;
  });
  return source;
};

// A page that knows that EventSource asks again after every end: it closes at the marker, and on the first error.
export async function eventSource(cell, seen) {
  const source = openSource(cell, seen);
  try {
    await withTimeout(cell, (signal, wind) => new Promise((resolve, reject) => {
      wind();
      source.addEventListener("message", wind);
      source.addEventListener("done", resolve);
      // The model's own error event bears the same name as the browser's, and is the one that has data.
      source.addEventListener("error", (event) => {
        const state = source.readyState === EventSource.CLOSED ? "ERROR_CLOSED" : "ERROR_CONNECTING";
        reject(event.data === undefined ? failure(state, "EventSource's error") : failure("ERROR_EVENT", event.data));
      });
      signal.addEventListener("abort", reject);
    }));
  } finally { source.close(); }
}

// A page that only listens. It never ends by itself; the harness leaves when the second attempt has ended too, when
// the browser has given up, or after `timeout` seconds of silence in an open stream. The page learns of none of it.
export async function eventSourceNaive(cell, seen) {
  const source = openSource(cell, seen);
  await new Promise((leave) => {
    let ended = 0;
    const timeout = silence(cell.timeout, leave);
    source.addEventListener("open", timeout.wind);
    source.addEventListener("message", timeout.wind);
    source.addEventListener("error", (event) => {
      if (event.data !== undefined) return;
      // The browser's pause before it asks again is no silence of the stream's.
      timeout.stop();
      ended += 1;
      if (ended === 2 || source.readyState === EventSource.CLOSED) leave();
    });
  });
  source.close();
  seen.unending = true;
}

const nameOf = (error) => {
  if (typeof error.code === "string") return error.code;
  return error instanceof DOMException ? error.name : error.constructor.name;
};

// One line of the harness, see _cells.py. What is thrown once `seen.ended` is set comes only to code that asks further,
// but for the user's own timeout.
export async function measure(cell, ask) {
  const seen = { text: "", finish: null, ended: false, unending: false };
  const chain = [];
  let message = "", late = false;
  try { await ask(cell, seen); } catch (error) {
    late = seen.ended && error?.code !== "USER_TIMEOUT";
    message = String(error?.message ?? error).slice(0, 200);
    for (let one = error; one && chain.length < 8; one = one.cause) chain.push(nameOf(one));
  }
  return {
    id: cell.id, text: seen.text, finish: seen.finish, answer: "", unending: seen.unending, message,
    error: late ? [] : chain, late: late ? chain : [],
  };
}
