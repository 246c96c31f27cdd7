// An authorization server that somebody else wrote, with one client that proves itself
// by a signature. It writes "ready PORT" and serves until its input ends.
//
//	provider.mjs CERTIFICATE KEY JWKS
import { readFile } from "node:fs/promises";
import { createServer } from "node:https";
import Provider from "oidc-provider";

const [cert, key, jwks] = await Promise.all(process.argv.slice(2).map((path) => readFile(path, "utf8")));
const server = createServer({ cert, key });
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address();
  const { keys } = JSON.parse(jwks);
  const client = (algorithm) => ({
    client_id: algorithm,
    token_endpoint_auth_method: "private_key_jwt",
    token_endpoint_auth_signing_alg: algorithm,
    grant_types: ["client_credentials"],
    response_types: [],
    redirect_uris: [],
    scope: "read",
    jwks: { keys },
  });
  const provider = new Provider(`https://localhost:${port}`, {
    clients: [client("RS256"), client("ES256")],
    scopes: ["read"],
    features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
  });
  server.on("request", provider.callback());
  process.stdout.write(`ready ${port}\n`);
});
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
