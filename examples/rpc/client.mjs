#!/usr/bin/env node
// A client of `otr rpc` for Node.js, without packages: import { Otr }, or run it as an echo:
//
//     node client.mjs SESSION
//
// A failed call throws an Error with `code`, `name`, `hint` and `taken` of its data.

import { spawn } from "node:child_process";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

function failed({ message, data = {} }) {
  return Object.assign(new Error(message), data);
}

/** What is told of a subscription, in order, for one reader. */
class Told {
  #waiting = [];
  #here = [];

  put(told) {
    const next = this.#waiting.shift();
    if (next) next(told);
    else this.#here.push(told);
  }

  get() {
    return this.#here.length > 0
      ? Promise.resolve(this.#here.shift())
      : new Promise((resolve) => this.#waiting.push(resolve));
  }
}

export class Otr {
  #last = 0;
  #calls = new Map();
  #subscriptions = new Map();
  #out;

  /** Starts `otr rpc`, or calls the one that listens at `socket`. */
  constructor({ options = [], socket, program = "otr" } = {}) {
    let input;
    if (socket === undefined) {
      const child = spawn(program, ["rpc", ...options], { stdio: ["pipe", "pipe", "inherit"] });
      [this.#out, input] = [child.stdin, child.stdout];
    } else {
      this.#out = input = connect(socket);
    }
    createInterface({ input })
      .on("line", (line) => this.#take(JSON.parse(line)))
      .on("close", () => this.#end());
  }

  #told(number) {
    if (!this.#subscriptions.has(number)) this.#subscriptions.set(number, new Told());
    return this.#subscriptions.get(number);
  }

  #take(line) {
    if (line.method !== undefined) return this.#told(line.params.subscription).put(line);
    const { resolve, reject } = this.#calls.get(line.id);
    this.#calls.delete(line.id);
    return line.error === undefined ? resolve(line.result) : reject(failed(line.error));
  }

  #end() {
    for (const { reject } of this.#calls.values()) reject(new Error("otr rpc has ended"));
    for (const told of this.#subscriptions.values()) told.put(undefined);
  }

  /** Calls a method; its result. */
  call(method, params = {}) {
    const id = ++this.#last;
    const line = `${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`;
    if (line.length > 4 << 20) return Promise.reject(new Error("a call of more than 4 MiB"));
    return new Promise((resolve, reject) => {
      this.#calls.set(id, { resolve, reject });
      this.#out.write(line);
    });
  }

  /** The messages of a session; acknowledge each with `ack`. */
  async *messages(session, options = {}) {
    const { subscription } = await this.call("subscribe", { session, ...options });
    for (;;) {
      const told = await this.#told(subscription).get();
      if (told === undefined) return;
      const { method, params } = told;
      if (method === "message") {
        const { message, offset, text, base64 } = params;
        const bytes = text === undefined ? Buffer.from(base64, "base64") : Buffer.from(text);
        yield { ...params, bytes, ack: () => this.call("ack", { subscription, message, offset }) };
      } else if (method === "ended") {
        if (params.error !== undefined) throw failed(params.error);
        return;
      }
    }
  }

  close() {
    this.#out.end();
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const [session] = process.argv.slice(2);
  const otr = new Otr();
  try {
    for await (const message of otr.messages(session)) {
      // As bytes: quoting can make a text six times as long.
      const base64 = Buffer.concat([Buffer.from("echo: "), message.bytes]).toString("base64");
      await otr.call("send", { session, base64 });
      await message.ack();
    }
  } catch (error) {
    console.error(`client: ${error.message}`);
    process.exitCode = error.code ?? 1;
  }
  otr.close();
}
