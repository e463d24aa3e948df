// One pane: what came so far, and how it is painted. Times are performance.now(), shown as seconds since `since`.

// Reads that follow each other within this many milliseconds are one piece to the eye.
const ONE_PIECE = 20;

export const seconds = (milliseconds) => (milliseconds / 1000).toFixed(2) + " s";

export class Pane {
  constructor(id, title, { timed }) {
    this.root = document.getElementById(id);
    this.root.append(document.getElementById("pane").content.cloneNode(true));
    this.title = title;
    const heading = this.part("h3");
    heading.id = `${id}-title`;
    heading.textContent = title;
    if (!timed) {
      this.part(".course").remove();
      this.part(".figures").remove();
    }
    this.timed = timed;
    this.part("details").addEventListener("toggle", () => this.showMark());
    this.reset();
  }

  part(selector) {
    return this.root.querySelector(selector);
  }

  reset() {
    this.text = [];
    this.pieces = [];
    this.first = null;
    this.end = null;
    this.since = null;
    this.part(".outcome").hidden = true;
    this.part(".marks")?.replaceChildren();
    this.say("idle", "");
    this.paint(0, 1);
  }

  start(at) {
    this.reset();
    this.since = at;
    this.say("waiting", "waiting");
  }

  token(text, at) {
    if (this.first === null) {
      this.first = at;
      this.say("reading", "reading");
    }
    if (!this.pieces.length || at - this.pieces.at(-1) > ONE_PIECE) this.pieces.push(at);
    this.text.push(text);
  }

  finish(at, state, word) {
    this.end = at;
    this.say(state, word);
  }

  // The word on the pane's tag; the look goes by the state.
  say(state, word) {
    this.root.dataset.state = state;
    const tag = this.part(".tag");
    tag.textContent = word;
  }

  heading(title, route) {
    this.part("h3").textContent = title;
    this.part(".path").textContent = route.title;
    const details = this.part("details");
    details.hidden = !route.file;
    this.part("summary").textContent = route.file;
    const code = this.part("code");
    this.part("pre").ariaLabel = `Configuration ${route.file}`;
    code.replaceChildren(...route.lines.map((line, index) => this.line(line, route.marked.includes(index))));
    this.showMark();
  }

  // Bring the first marked line into the window of a long configuration.
  showMark() {
    const mark = this.part("mark");
    if (mark) this.part("pre").scrollTop = mark.offsetTop - 60;
  }

  line(text, marked) {
    const row = document.createElement(marked ? "mark" : "span");
    row.textContent = text + "\n";
    return row;
  }

  // Where the model is done, on a bar of that length: the same place in every pane.
  goal(length, scale) {
    this.part(".goal").style.left = this.part(".done").style.left = `${(100 * length) / scale}%`;
  }

  // Draw what is known at `now`; `scale` is the length of the bar in milliseconds.
  paint(now, scale) {
    this.part(".words").textContent = this.text.join(" ");
    if (!this.timed) return;
    const until = this.end ?? now;
    const share = (at) => `${this.since === null ? 0 : (100 * (at - this.since)) / scale}%`;
    this.part(".waiting").style.width = share(this.first ?? until);
    const reading = this.part(".reading");
    reading.style.left = share(this.first ?? until);
    reading.style.width = this.first === null ? "0" : `${(100 * (until - this.first)) / scale}%`;
    const marks = this.part(".marks");
    while (marks.childElementCount < this.pieces.length) marks.append(document.createElement("b"));
    this.pieces.forEach((at, index) => { marks.children[index].style.left = share(at); });
    this.part(".first-token").textContent = this.shown(this.first, "not yet");
    this.part(".total").textContent = this.shown(this.end, "running");
    const count = this.pieces.length;
    this.part(".came").textContent = count ? `${count} ${count === 1 ? "piece" : "pieces"}` : "–";
  }

  shown(at, missing) {
    if (at !== null && this.since !== null) return seconds(at - this.since);
    return this.since === null || this.end !== null ? "–" : missing;
  }

  // How the tokens came, in a word.
  get delivery() {
    if (this.pieces.length <= 1) return "all at once";
    return this.pieces.length >= 0.75 * this.text.length ? "token by token" : "in bursts";
  }
}
