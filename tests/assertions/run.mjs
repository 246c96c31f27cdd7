// Judges the golden vectors by the Node program of docs/assertions.md: a JSON object on
// standard output says of every case whether it was accepted.
//
//	run.mjs VECTORS PROGRAM
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const vectors = JSON.parse(await readFile(process.argv[2], "utf8"));

// The vectors' clock and keys: the program takes neither as an argument.
globalThis.Date = class extends Date {
  constructor(...args) {
    super(...(args.length ? args : [vectors.now * 1000]));
  }
};
globalThis.fetch = async () => new Response(JSON.stringify(vectors.jwks), { status: 200 });
const { verify, bound } = await import(pathToFileURL(process.argv[3]));

const accepted = {};
for (const { name, layer, profile, request } of vectors.cases) {
  if (layer === "service" || profile !== "request-bound") continue;
  try {
    const claims = await verify(request.headers[0][1]);
    accepted[name] = layer === "token" || bound(claims, request.method, request.url, request.body);
  } catch {
    accepted[name] = false;
  }
}
process.stdout.write(JSON.stringify(accepted));
