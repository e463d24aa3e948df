// Reads one reply as a browser does: with fetch, piece by piece. Knows nothing of the page.

const STAMP = /\s*⟨[^⟩]*⟩\s*/gu;

// The words of a text without the lab's stamps, which say which token it is and when it left.
export const words = (text) => text.replace(STAMP, " ").trim().replace(/\s+/gu, " ");

// Ask for one reply. `onToken(text, at)` for each token of a stream; `at` is performance.now() of the read that
// brought it, so tokens of one read have one time. Resolves once the reply is over, never rejects:
//   {tokens, clean, whole, detail}
// `clean` says whether the browser saw a proper end, `whole` whether finish reason and terminal marker came.
export async function read(kind, ask, onToken) {
  const seen = { tokens: 0, clean: false, whole: false, detail: "" };
  try {
    const reply = await fetch(`/race/${kind}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(ask),
      cache: "no-store",
    });
    if (!reply.ok) {
      seen.detail = await problem(reply);
    } else if (kind === "batch") {
      await readBatch(reply, seen, onToken);
    } else {
      await readStream(reply, seen, onToken);
    }
  } catch (error) {
    seen.detail = `${error.name}: ${error.message}`;
  }
  return seen;
}

async function problem(reply) {
  const text = await reply.text();
  try {
    return JSON.parse(text).problem ?? text;
  } catch {
    return `HTTP ${reply.status}`;
  }
}

async function readBatch(reply, seen, onToken) {
  const document = await reply.json();
  const choice = document.choices[0];
  seen.clean = true;
  seen.whole = Boolean(choice.finish_reason);
  const at = performance.now();
  for (const word of words(choice.message.content).split(" ")) {
    seen.tokens += 1;
    onToken(word, at);
  }
}

async function readStream(reply, seen, onToken) {
  const decoder = new TextDecoder();
  const reader = reply.body.getReader();
  let rest = "";
  let finish = false;
  for (;;) {
    const { done, value } = await reader.read();
    const at = performance.now();
    if (done) break;
    const events = (rest + decoder.decode(value, { stream: true })).split("\n\n");
    rest = events.pop();
    for (const event of events.filter((one) => one.startsWith("data:"))) {
      const data = event.replace(/^data: ?/u, "");
      if (data === "[DONE]") {
        seen.whole = finish;
        continue;
      }
      const choice = JSON.parse(data).choices?.[0];
      finish ||= Boolean(choice?.finish_reason);
      const text = words(choice?.delta?.content ?? "");
      if (text) {
        seen.tokens += 1;
        onToken(text, at);
      }
    }
  }
  seen.clean = true;
}
