// The npm clients: Node's fetch, the openai SDK and the Vercel AI SDK. Cells and lines as in _cells.py.
// ES modules are found beside the importing file, so the harness copies this one into the npm folder.
import { readFileSync } from "node:fs";

const headers = (cell) => ({ "X-Lab-Plan": cell.plan, "X-Lab-Request": cell.request });
const question = [{ role: "user", content: "Count." }];

// The clients have no clock for silence inside a stream, so the user's code aborts by one of its own, and knows that
// it did: some clients end in peace when they are aborted. It runs from the first part of the answer on.
async function withClock(cell, work) {
  const stop = new AbortController();
  let clock, over = false;
  const wind = () => {
    clearTimeout(clock);
    clock = setTimeout(() => { over = true; stop.abort(); }, cell.timeout * 1000);
  };
  try { await work(stop.signal, wind); } finally { clearTimeout(clock); }
  if (over) throw Object.assign(new Error("the user's clock ended it"), { code: "USER_TIMEOUT" });
}

// The longest that a whole cell may take, retries included, before the harness calls it unending.
const LONGEST = 30_000;

async function nodeFetch(cell, seen) {
  await withClock(cell, async (signal, wind) => {
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

async function openaiNode(cell, seen) {
  const { default: OpenAI } = await import("openai");
  const client = new OpenAI({
    baseURL: `${cell.base}/v1`, apiKey: "none", timeout: cell.timeout * 1000, defaultHeaders: headers(cell),
  });
  await withClock(cell, async (signal, wind) => {
    const stream = await client.chat.completions.create({ model: "lab", messages: question, stream: true }, { signal });
    wind();
    for await (const chunk of stream) {
      wind();
      for (const choice of chunk.choices) {
        seen.text += choice.delta.content ?? "";
        seen.finish = choice.finish_reason ?? seen.finish;
      }
    }
  });
}

async function vercelAi(cell, seen) {
  const { streamText } = await import("ai");
  const { createOpenAI } = await import("@ai-sdk/openai");
  const provider = createOpenAI({ baseURL: `${cell.base}/v1`, apiKey: "none", headers: headers(cell) });
  await withClock(cell, async (signal, wind) => {
    // The retries before the first part are the SDK's own affair, with their own pauses.
    const bound = AbortSignal.any([signal, AbortSignal.timeout(LONGEST)]);
    // An error becomes a part of the full stream, which the loop over textStream leaves out.
    const result = streamText({
      model: provider.chat("lab"), messages: question, abortSignal: bound, onError: () => {},
    });
    for await (const text of result.textStream) { wind(); seen.text += text; }
    seen.finish = await result.finishReason;
  });
}

const clients = { "node-fetch": nodeFetch, "openai-node": openaiNode, "vercel-ai": vercelAi };

async function measure(cell) {
  const seen = { text: "", finish: null };
  let error = [], message = "";
  try { await clients[cell.client](cell, seen); } catch (failure) {
    message = String(failure?.message ?? failure).slice(0, 200);
    for (let one = failure; one && error.length < 8; one = one.cause) error.push(one.code ?? one.constructor.name);
    error = error.map(String);
  }
  console.log(JSON.stringify({ id: cell.id, text: seen.text, finish: seen.finish, answer: "", error, message }));
}

const cells = JSON.parse(readFileSync(0, "utf8"));
const workers = Array.from({ length: 12 }, async () => { while (cells.length) await measure(cells.shift()); });
await Promise.all(workers);
process.exit(0);
