// An OpenID provider for the tests of logins. It prints its URL, reads one line of JSON with
// what it should know of its client, and prints "ready". Everybody who comes may log in with
// any password; a name says which groups somebody is in: anna.staff.night is in staff and
// night.

import { createInterface } from 'node:readline';
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

let handle = (_, res) => { res.writeHead(503); res.end('starting'); };
const server = createServer((req, res) => handle(req, res));
await new Promise((listening) => { server.listen(0, 'localhost', listening); });
const issuer = `http://localhost:${server.address().port}`;
process.stdout.write(`${issuer}\n`);

for await (const line of createInterface({ input: process.stdin })) {
  const { client, secret, redirect } = JSON.parse(line);
  const provider = new Provider(issuer, {
    clients: [{ client_id: client, client_secret: secret, redirect_uris: [redirect], response_types: ['code'], grant_types: ['authorization_code'] }],
    scopes: ['openid', 'email', 'profile'],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'groups'] },
    conformIdTokenClaims: false, // the id token has the claims, too
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, name: id, email: `${id.split('.')[0]}@example.com`, email_verified: true, groups: id.split('.').slice(1) }),
    }),
    cookies: { keys: ['of a test'] },
    ttl: { Interaction: 600, Session: 600, Grant: 600, AccessToken: 60, IdToken: 60, AuthorizationCode: 60 },
  });
  handle = provider.callback();
  process.stdout.write('ready\n');
}
server.close();
server.closeAllConnections();
