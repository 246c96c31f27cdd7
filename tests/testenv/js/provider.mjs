// A real OpenID provider, npm's oidc-provider, with its own pages for people: whatever
// name is typed in is who signs in. PKCE is demanded, refresh tokens are good once, and
// every authorization response names its issuer (RFC 9207).
//
//	provider.mjs MODULES KEY CERTIFICATE CLIENTS
//
// It prints its origin, then "ready".
import { readFile } from "node:fs/promises";
import { createServer } from "node:https";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [modules, key, cert, clients] = process.argv.slice(2);
const found = createRequire(modules + "/x.js").resolve("oidc-provider");
const { default: Provider } = await import(pathToFileURL(found));

const server = createServer({ key: await readFile(key), cert: await readFile(cert) });
await new Promise((done) => server.listen(0, "127.0.0.1", done));
const origin = `https://localhost:${server.address().port}`;

const provider = new Provider(origin, {
  clients: JSON.parse(clients),
  scopes: ["openid", "offline_access", "contacts.read", "contacts.write"],
  pkce: { required: () => true },
  rotateRefreshToken: true,
  issueRefreshToken: async (ctx, client, code) => client.grantTypeAllowed("refresh_token") && code.scopes.has("offline_access"),
  findAccount: async (ctx, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
  cookies: { keys: ["of one run"] },
  features: { devInteractions: { enabled: true } },
  ttl: { AccessToken: 3600, AuthorizationCode: 60, IdToken: 300, RefreshToken: 3600, Interaction: 600, Session: 3600, Grant: 3600 },
});
server.on("request", provider.callback());
process.stdout.write(`${origin}\nready\n`);
