// An authorization server that answers about opaque tokens (RFC 7662), and makes any kind of them when it is told to.
// node introspection.mjs NODE_MODULES: prints its port, and ends with its standard input.
import { createServer } from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

// Nobody reads more than the port.
console.info = console.warn = () => {};

const home = process.argv[2];
const { default: Provider } = await import(pathToFileURL(join(home, 'oidc-provider/lib/index.js')));

const resource = 'https://api.example';
const info = (ttl) => ({ scope: 'api:read api:write', audience: 'api', accessTokenTTL: ttl, accessTokenFormat: 'opaque' });
const machine = (id, secret, method) => ({
  client_id: id,
  client_secret: secret,
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
  token_endpoint_auth_method: method,
});

const provider = new Provider('https://idp.example', {
  clients: [
    machine('gate:house', 's3%cret:+/= &', 'client_secret_basic'),
    machine('gate house', 's3%cret:+/= &', 'client_secret_post'),
    machine('app', 'secret', 'client_secret_post'),
  ],
  scopes: ['openid', 'offline_access', 'api:read', 'api:write'],
  features: {
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => resource,
      getResourceServerInfo: () => info(3600),
    },
  },
});
provider.proxy = true;

let calls = 0;

// A token of any kind: `kind` is AccessToken or RefreshToken.
async function mint({ kind, ttl = '3600', scope = 'api:read', jkt }) {
  const client = await provider.Client.find('app');
  const grant = new provider.Grant({ accountId: 'alice', clientId: 'app' });
  grant.addOIDCScope('openid offline_access');
  grant.addResourceScope(resource, 'api:read api:write');
  const token = new provider[kind]({
    client, accountId: 'alice', grantId: await grant.save(), gty: 'authorization_code', scope, expiresIn: Number(ttl),
    ...(kind === 'AccessToken' ? { aud: 'api', resourceServer: new provider.ResourceServer(resource, info(Number(ttl))) } : {}),
    ...(jkt ? { jkt } : {}),
  });
  return token.save(Number(ttl));
}

const answer = provider.callback();
const server = createServer(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url, 'http://localhost');
  if (pathname === '/test/calls') return response.end(String(calls));
  if (pathname === '/test/mint') {
    try {
      return response.end(await mint(Object.fromEntries(searchParams)));
    } catch (error) {
      response.statusCode = 500;
      return response.end(String(error.stack));
    }
  }
  if (pathname === '/token/introspection') calls += 1;
  request.headers['x-forwarded-proto'] = 'https';
  return answer(request, response);
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.on('end', () => process.exit()).resume();
