// Judges requests as they come by the Node program of docs/assertions.md. A line of
// standard input is a request and how far to judge it; a line of standard output says
// whether it was accepted, and if not what refused it.
//
//	live.mjs PROGRAM
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

// The clock, ahead by what the request says: the program takes none as an argument.
// Date.now, by which jose tells how old the keys are, stays right.
let ahead = 0;
globalThis.Date = class extends Date {
  constructor(...args) {
    super(...(args.length ? args : [Date.now() + ahead * 1000]));
  }
};
const { verify, bound, first } = await import(pathToFileURL(process.argv[2]));

async function refusal({ token, method, url, body, part }) {
  let claims;
  try {
    claims = await verify(token);
  } catch (refused) {
    return refused.code ?? refused.name;
  }
  if (part === "token") return "";
  if (!bound(claims, method, url, body)) return "bound";
  return part === "once" && !first(claims) ? "first" : "";
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  ahead = request.ahead;
  const why = await refusal(request);
  process.stdout.write(JSON.stringify({ accepted: why === "", why }) + "\n");
}
