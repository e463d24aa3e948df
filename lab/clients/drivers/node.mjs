// The npm clients: Node's fetch, the openai SDK and the Vercel AI SDK. Cells and lines as in _cells.py.
// ES modules are found beside the importing file, so the harness copies these into the npm folder.
// The clients are imported first of all: it takes long enough for a cell's timeout to strike meanwhile.
import { readFileSync } from "node:fs";
import { createOpenAI } from "@ai-sdk/openai";
import { streamText } from "ai";
import OpenAI from "openai";
import { fetchChat, headers, measure, question, withTimeout } from "./web.mjs";

// The longest that a whole cell may take, retries included, before the harness calls it unending.
const LONGEST = 30_000;

async function openaiNode(cell, seen) {
  const client = new OpenAI({
    baseURL: `${cell.base}/v1`, apiKey: "none", timeout: cell.timeout * 1000, defaultHeaders: headers(cell),
  });
  await withTimeout(cell, async (signal, wind) => {
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

function ask(cell, signal, onError) {
  const provider = createOpenAI({ baseURL: `${cell.base}/v1`, apiKey: "none", headers: headers(cell) });
  // The retries before the first part are the SDK's own affair, with their own pauses.
  const abortSignal = AbortSignal.any([signal, AbortSignal.timeout(LONGEST)]);
  return streamText({ model: provider.chat("lab"), messages: question, abortSignal, onError });
}

// The loop over textStream, and what awaiting finishReason adds. An error becomes a part of the full stream, which
// this loop leaves out; unless told otherwise, the SDK prints it.
async function vercelAi(cell, seen) {
  await withTimeout(cell, async (signal, wind) => {
    const result = ask(cell, signal, () => {});
    for await (const text of result.textStream) { wind(); seen.text += text; }
    seen.ended = true;
    seen.finish = await result.finishReason;
  });
}

// The same loop, with code that takes what onError brings for the answer's end.
async function vercelAiOnError(cell, seen) {
  let told;
  await withTimeout(cell, async (signal, wind) => {
    const result = ask(cell, signal, ({ error }) => { told = error; });
    for await (const text of result.textStream) { wind(); seen.text += text; }
    if (told) throw told;
    seen.ended = true;
    seen.finish = await result.finishReason;
  });
}

async function vercelAiFull(cell, seen) {
  await withTimeout(cell, async (signal, wind) => {
    const result = ask(cell, signal, () => {});
    for await (const part of result.fullStream) {
      if (part.type === "error") throw part.error;
      if (part.type === "finish") seen.finish = part.finishReason;
      if (part.type === "text-delta") { wind(); seen.text += part.text; }
    }
  });
}

const clients = {
  "node-fetch": fetchChat,
  "openai-node": openaiNode,
  "vercel-ai": vercelAi,
  "vercel-ai-onerror": vercelAiOnError,
  "vercel-ai-full": vercelAiFull,
};

// Node 18's fetch throws this where no code can catch it, when a client has left a stream a part of which is on its way:
// that ends a user's process. The cell it comes from has its outcome by then, and the others are to have theirs.
process.on("uncaughtException", (error) => {
  console.error(error);
  if (error.code !== "ERR_INVALID_STATE") process.exit(1);
});

const cells = JSON.parse(readFileSync(0, "utf8"));
const work = async () => {
  for (let cell = cells.shift(); cell; cell = cells.shift()) {
    console.log(JSON.stringify(await measure(cell, clients[cell.client])));
  }
};
await Promise.all(Array.from({ length: 12 }, work));
process.exit(0);
