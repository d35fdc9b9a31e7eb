// Shows proposed CAs to whoever has a token, and lets them be confirmed or
// declined. The token lives in a variable, and nowhere else. Whatever comes from
// a certificate is put in as text.
"use strict";
(() => {
  const at = (id) => document.getElementById(id);
  const labels = JSON.parse(document.body.dataset.labels);
  const fingerprint = /^[0-9a-f]{64}$/;
  let token = "";
  let round = 0; // of loading: an answer to an earlier one is too late

  // Control and invisible characters could turn a line round, or hide in it.
  const clean = (value) => String(value).replace(/[\p{Cc}\u2028\u2029]/gu, " ").replace(/\p{Cf}/gu, "").trim();
  const put = (element, value) => {
    element.textContent = clean(value);
    return element;
  };
  const add = (parent, name, value) => put(parent.appendChild(document.createElement(name)), value);
  const sentence = (value) => {
    const text = clean(value);
    return text && text[0].toUpperCase() + text.slice(1).replace(/\.$/, "") + ".";
  };
  const stamp = (value) => new Date(value).toISOString().slice(0, 16).replace("T", " ") + " UTC";
  const days = (value) => {
    const left = Math.floor((new Date(value) - Date.now()) / 86400000);
    return left === 1 ? "in 1 day" : left > 1 ? "in " + left + " days" : left === 0 ? "in less than a day" : "in the past";
  };
  const said = (kind, title, ...lines) => {
    const box = document.createElement("section");
    box.className = "notice " + kind;
    add(box, "h2", title);
    for (const line of lines.filter(Boolean)) {
      add(box, "p", sentence(line));
    }
    at("said").replaceChildren(box);
    at("said").focus();
  };

  // ask returns what the daemon answers, and throws {lines} of what is wrong. The
  // client's certificate goes along where the listener asks for one; cookies
  // there are none.
  const ask = async (path, body) => {
    let answer, content;
    try {
      answer = await fetch(path, {
        method: body ? "POST" : "GET",
        headers: { Authorization: "Bearer " + token, ...(body && { "Content-Type": "application/json" }) },
        body: body && JSON.stringify(body),
        cache: "no-store", redirect: "error",
      });
      content = await answer.json();
    } catch {
      throw { lines: ["the daemon does not answer, or not as expected", "check the connection, then look again: what you asked for may have been done"] };
    }
    if (!answer.ok) {
      throw { status: answer.status, lines: [content.detail || "status " + answer.status, content.hint, content.request_id && "request ID " + content.request_id] };
    }
    return content;
  };

  const forget = () => {
    token = "";
    round++;
    at("token").value = "";
    at("waiting").replaceChildren();
    at("leave").hidden = true;
    at("entry").hidden = false;
  };
  const failed = (title, wrong) => {
    if (wrong.status === 401 || wrong.status === 403 || wrong.status === 429) {
      forget();
    }
    said("bad", title, ...(wrong.lines || ["the page cannot show this answer"]));
  };

  const by = (actor) => {
    const [, kind, id] = /^([^:]*):?(.*)$/s.exec(actor);
    const words = { link: "whoever had the link in a message about the item", token: "the token", client: "the client", local: "the local user" };
    return (words[kind] || kind) + " " + id;
  };
  const differences = (section, list) => {
    const losses = list.filter((d) => d.loss);
    const box = section.querySelector(".losses");
    box.hidden = losses.length === 0;
    put(box.querySelector("h3"), losses.length === 1 ? "1 thing to check first" : losses.length + " things to check first");
    const label = (field) => (Object.hasOwn(labels, field) ? labels[field] : field.replaceAll("_", " "));
    for (const d of losses) {
      const line = add(box.querySelector("ul"), "li", "");
      add(line, "strong", label(d.field) + ".");
      line.append(" " + sentence(d.warning || ""));
    }
    for (const d of list) {
      const row = section.querySelector("tbody").insertRow();
      row.className = d.loss ? "changed lost" : "changed";
      add(row, "th", label(d.field)).scope = "row";
      add(row, "td", d.before || "none").dataset.when = "old:";
      add(row, "td", d.after || "none").dataset.when = "new:";
    }
  };

  const decide = async (section, p, what) => {
    const buttons = [...section.querySelectorAll("button")].map((b) => [b, b.disabled]);
    buttons.forEach(([b]) => (b.disabled = true));
    try {
      const done = await ask("../proposals/" + encodeURIComponent(p.id) + "/" + what, { fingerprint: p.fingerprint });
      section.remove();
      if (what === "decline") {
        said("good", "Declined", "it is gone, and was trusted nowhere; the alerts for the old CA go on");
      } else if (done.status === "pending") {
        said("good", "Confirmed: stored", "it is not valid yet, and takes the old one's place when it is");
      } else {
        said("good", "Confirmed: it is trusted now", "in " + p.bundle + ", beside the old one until that ends; the alerts for the old one end");
      }
    } catch (wrong) {
      buttons.forEach(([b, before]) => (b.disabled = before));
      failed(what === "decline" ? "It was not declined" : "It was not confirmed", wrong);
    }
  };

  const show = (p, number) => {
    const section = at("proposal").content.cloneNode(true).firstElementChild;
    const heading = put(section.querySelector("h2"), p.subject);
    heading.id = "proposal-" + number;
    section.setAttribute("aria-labelledby", heading.id);
    const of = (name, value) => put(section.querySelector("[data-of=" + name + "]"), value);
    of("place", "the CA in " + p.bundle + ", item " + p.item_id);
    of("ends", stamp(p.not_after) + " (" + days(p.not_after) + ")");
    of("by", by(p.proposed_by));
    of("since", stamp(p.created_at));
    of("until", stamp(p.expires_at) + " (" + days(p.expires_at) + ")");
    differences(section, p.difference);

    const input = section.querySelector("input");
    const hint = section.querySelector(".hint");
    const confirm = section.querySelector(".confirm");
    const decline = section.querySelector(".decline");
    const first = hint.textContent;
    input.id = "fingerprint-" + number;
    section.querySelector("label").htmlFor = input.id;
    hint.id = "hint-" + number;
    input.setAttribute("aria-describedby", hint.id);
    const typed = () => input.value.replace(/[\s:]/g, "").toLowerCase();
    const matches = () => fingerprint.test(typed()) && typed() === p.fingerprint;
    const judge = () => {
      confirm.disabled = !matches();
      hint.classList.toggle("wrong", typed().length >= 64 && !matches());
      put(hint, matches() ? "This is its fingerprint." :
        typed().length === 0 ? first :
        !/^[0-9a-f]*$/.test(typed()) || typed().length > 64 ? "This is no SHA-256 fingerprint: it has 64 of the digits 0 to 9 and a to f." :
        typed().length < 64 ? "This is " + typed().length + " of 64 digits. Give the whole fingerprint." :
        "This is not the fingerprint of the proposed CA. Unless it was mistyped, somebody else made this one: decline it.");
    };
    input.addEventListener("input", judge);
    section.querySelector("form").addEventListener("submit", (e) => {
      e.preventDefault();
      if (matches() && !confirm.disabled) {
        decide(section, p, "confirm");
      }
    });
    decline.addEventListener("click", () => {
      if (decline.dataset.sure) {
        decide(section, p, "decline");
        return;
      }
      decline.dataset.sure = "yes";
      put(decline, "Press again to decline");
    });
    decline.addEventListener("blur", () => {
      delete decline.dataset.sure;
      put(decline, "Decline");
    });
    return section;
  };

  const load = async () => {
    const mine = ++round;
    at("waiting").replaceChildren();
    try {
      const list = await ask("../proposals");
      if (mine !== round) {
        return;
      }
      at("token").value = "";
      at("entry").hidden = true;
      at("leave").hidden = false;
      at("waiting").replaceChildren(...list.map(show));
      if (list.length === 0) {
        said("good", "Nothing waits", "no CA is proposed");
      } else {
        said("", list.length === 1 ? "1 CA waits" : list.length + " CAs wait", "compare what differs, ask the owner for the fingerprint, then decide");
      }
    } catch (wrong) {
      if (mine === round) {
        failed("Nothing can be shown", wrong);
      }
    }
  };

  at("open").addEventListener("submit", (e) => {
    e.preventDefault();
    token = at("token").value.trim();
    if (!/^[\x21-\x7e]+$/.test(token)) {
      token = "";
      said("bad", "This is no token", "paste the whole token: it has no spaces");
      return;
    }
    load();
  });
  at("again").addEventListener("click", load);
  at("forget").addEventListener("click", () => {
    forget();
    said("", "The token is forgotten");
  });
  window.addEventListener("pagehide", forget); // also from a page kept for the button "back"
  at("entry").hidden = false;
})();
