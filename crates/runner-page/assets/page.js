// The operator's page: what of it is alive. Without this file every page still tells all, and every form works.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);

  // What is shown of a control or bidirectional character: as the server shows it.
  const HIDDEN = /[\0-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;
  const printable = (text) => text.replace(HIDDEN, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);

  const setText = (element, text) => {
    if (element && element.textContent !== text) element.textContent = text;
  };

  // --- The parts that the server is asked for again and again.

  const last = new Map();

  const lost = (text) => {
    const banner = byId("lost");
    banner.hidden = text === "";
    setText(banner, text);
  };

  const selects = () => {
    const selection = document.getSelection();
    return selection && !selection.isCollapsed && !byId("log")?.contains(selection.anchorNode);
  };

  // Nobody looks: nobody asks.
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (document.hidden && event.detail.elt.matches("[data-live]")) event.preventDefault();
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) refresh();
  });

  const refresh = () => {
    for (const part of document.querySelectorAll("[data-live][hx-get]")) window.htmx.trigger(part, "refresh");
  };

  // The same again is not swapped in, nor anything while text is being selected: neither focus nor selection is lost. A
  // selection that somebody left behind does not keep the page old for ever.
  const MOST_SKIPPED = 10;
  let skipped = 0;
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { target, xhr, shouldSwap } = event.detail;
    if (!shouldSwap || !target.matches("[data-live]")) return;
    if (last.get(target.id) === xhr.responseText) {
      event.detail.shouldSwap = false;
    } else if (selects() && skipped < MOST_SKIPPED) {
      skipped += 1;
      event.detail.shouldSwap = false;
    } else {
      skipped = 0;
      last.set(target.id, xhr.responseText);
    }
  });

  document.addEventListener("htmx:afterSettle", () => {
    setText(byId("say"), document.querySelector("[data-live]")?.dataset.say ?? "");
  });

  document.addEventListener("htmx:afterRequest", (event) => {
    const { successful, xhr } = event.detail;
    if (successful) lost("");
    else if (xhr.status === 401) lost("You are signed out. Load the page again to sign in.");
    else if (xhr.status > 0) lost(`The server answered with ${xhr.status}. What you see may be old; it is asked again.`);
    else lost("The server does not answer. What you see may be old; it is asked again.");
  });

  // --- The log of a job, as it is written.

  const log = byId("log");
  if (!log || !window.EventSource) return;

  // The most characters of one stream that stay in the page, and of one piece of text in it.
  const MOST = 400000;
  const PIECE = 8192;
  // How long a server that refused is left alone.
  const AGAIN_MS = 3000;

  let follow = true;
  const button = byId("log-follow");
  const setFollow = (on) => {
    follow = on;
    button.setAttribute("aria-pressed", String(on));
    if (on) panes.forEach((pane) => pane.toEnd());
  };

  class Pane {
    constructor(element) {
      this.element = element;
      // Who scrolls up reads: the log no longer moves below them. A window that changes its size moves it too.
      element.addEventListener("scroll", () => {
        if (follow && !this.due && this.isAsItWas() && !this.atEnd()) setFollow(false);
      });
      new ResizeObserver(() => {
        if (follow) this.toEnd();
      }).observe(element);
    }

    isAsItWas() {
      const { scrollHeight, clientHeight } = this.element;
      const same = this.scrollHeight === scrollHeight && this.clientHeight === clientHeight;
      Object.assign(this, { scrollHeight, clientHeight });
      return same;
    }

    begin() {
      this.end = 0;
      this.length = 0;
      this.dropped = 0;
      this.tail = null;
      this.top = null;
      this.element.textContent = "";
    }

    atEnd() {
      const { scrollHeight, scrollTop, clientHeight } = this.element;
      return scrollHeight - scrollTop - clientHeight < 24;
    }

    toEnd() {
      if (this.due) return;
      this.due = true;
      requestAnimationFrame(() => {
        this.element.scrollTop = this.element.scrollHeight;
        this.isAsItWas();
        this.due = false;
      });
    }

    gap(text, before = null) {
      const gap = document.createElement("span");
      gap.className = "gap";
      gap.textContent = text;
      this.element.insertBefore(gap, before);
      this.tail = null;
      return gap;
    }

    add({ offset, end, text }) {
      // It was here before the connection was lost.
      if (end <= this.end) return;
      if (offset > this.end) this.gap(`${offset - this.end} bytes are left out here; the whole log is among the artifacts`);
      this.end = end;
      const shown = printable(text);
      if (this.tail && this.tail.length + shown.length <= PIECE) this.tail.appendData(shown);
      else this.tail = this.element.appendChild(document.createTextNode(shown));
      this.length += shown.length;
      this.trim();
      if (follow) this.toEnd();
    }

    // Takes whole pieces away at the top, and says so there.
    trim() {
      while (this.length > MOST) {
        const first = this.top ? this.top.nextSibling : this.element.firstChild;
        if (first === this.tail) break;
        if (first.nodeType === Node.TEXT_NODE) {
          this.length -= first.length;
          this.dropped += first.length;
        }
        first.remove();
      }
      if (this.dropped === 0) return;
      const text = `${this.dropped} earlier characters are not kept in this page; the whole log is among the artifacts`;
      if (this.top) this.top.textContent = text;
      else {
        const tail = this.tail;
        this.top = this.gap(text, this.element.firstChild);
        this.tail = tail;
      }
    }
  }

  const panes = new Map(["stdout", "stderr"].map((name) => [name, new Pane(byId(name))]));
  panes.forEach((pane) => pane.toEnd());
  button.hidden = false;
  button.addEventListener("click", () => setFollow(!follow));

  const say = (text, kind) => {
    const state = byId("log-state");
    state.className = `log-state ${kind}`;
    setText(state, text);
  };

  // Of the worker's turn that wrote what is shown; none while that is what the server put into the page.
  let epoch = null;

  const listen = () => {
    // A source of its own begins at the beginning, in pieces that may be cut elsewhere: so do the panes.
    epoch = null;
    const source = new EventSource(log.dataset.stream);
    say("connecting", "");
    source.addEventListener("open", () => say("live", "live"));
    source.addEventListener("log", (event) => {
      const piece = JSON.parse(event.data);
      if (piece.epoch !== epoch) {
        epoch = piece.epoch;
        panes.forEach((pane) => pane.begin());
      }
      panes.get(piece.stream)?.add(piece);
    });
    source.addEventListener("attempt", () => {
      epoch = null;
      panes.forEach((pane) => pane.begin());
      say("live: a new attempt, whose log begins anew", "live");
      refresh();
    });
    source.addEventListener("end", () => {
      source.close();
      say("complete", "");
      refresh();
    });
    source.addEventListener("error", () => {
      say("the connection is lost; it is tried again", "lost");
      // The browser tries again by itself, unless the server refused.
      if (source.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN_MS);
    });
  };
  listen();
})();
