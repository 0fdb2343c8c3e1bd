// A certified OpenID provider that signs browsers in, and turns refresh tokens over.
// node login.mjs NODE_MODULES REDIRECT_URI GOODBYE_URI TTL: prints its port, and ends with its standard input.
import { createServer } from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [home, redirectUri, goodbyeUri, ttl] = process.argv.slice(2);
const { default: Provider } = await import(pathToFileURL(join(home, 'oidc-provider/lib/index.js')));

const seconds = Number(ttl);
const configuration = {
  clients: [
    {
      client_id: 'web',
      client_secret: 'secret',
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: [redirectUri],
      post_logout_redirect_uris: [goodbyeUri],
    },
  ],
  claims: { openid: ['sub'], email: ['email'] },
  conformIdTokenClaims: false,
  pkce: { required: () => true },
  rotateRefreshToken: true,
  ttl: { AccessToken: seconds, IdToken: seconds, RefreshToken: 3600, Grant: 3600, Interaction: 3600, Session: 3600 },
  features: { revocation: { enabled: true } },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, email: `${id}@example.com` }) }),
};

let answer;
let reuses = 0;
const server = createServer((request, response) => {
  if (request.url === '/test/reuses') return response.end(String(reuses));
  return answer(request, response);
});
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const provider = new Provider(`http://localhost:${port}`, configuration);
  provider.on('grant.error', () => { reuses += 1; });
  answer = provider.callback();
  console.log(port);
});
process.stdin.on('end', () => process.exit()).resume();
