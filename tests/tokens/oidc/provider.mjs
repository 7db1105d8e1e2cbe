// A certified OpenID provider (npm's oidc-provider) for tests, with one client and keys that rotate.
//
//   node provider.mjs PORT FOLDER NAME:ALGORITHM...
//
// The keys are made when they are first named and kept in FOLDER, so that another start has the same.
// The first one signs. A line on standard input names another list; every line, and the start, is
// answered by one line on standard output. Documents asked for are counted: `count` prints how often.
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

import Provider from 'oidc-provider';

console.info = console.error; // standard output is for answers
const [port, folder, ...first] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const kinds = {
  RS256: ['rsa', { modulusLength: 2048 }],
  PS256: ['rsa', { modulusLength: 2048 }],
  ES256: ['ec', { namedCurve: 'P-256' }],
  ES384: ['ec', { namedCurve: 'P-384' }],
  EdDSA: ['ed25519', {}],
};

function key(named) {
  const [name, alg] = named.split(':');
  const file = `${folder}/${name}.json`;
  if (!existsSync(file)) {
    const { privateKey } = generateKeyPairSync(...kinds[alg]);
    const jwk = { ...privateKey.export({ format: 'jwk' }), kid: name, use: 'sig', alg };
    writeFileSync(file, JSON.stringify(jwk), { mode: 0o600 });
  }
  return JSON.parse(readFileSync(file, 'utf8'));
}

function provider(names) {
  const keys = names.map(key);
  const { alg } = keys[0];
  const algorithms = [...new Set(keys.map((it) => it.alg))];
  return new Provider(issuer, {
    jwks: { keys },
    enabledJWA: {
      idTokenSigningAlgValues: algorithms,
      userinfoSigningAlgValues: algorithms,
      introspectionSigningAlgValues: algorithms,
      authorizationSigningAlgValues: algorithms,
    },
    ttl: { ClientCredentials: 300 },
    scopes: ['orders:read', 'orders:write'],
    clients: [{
      client_id: 'orders-app',
      client_secret: 'secret-of-a-test',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
      id_token_signed_response_alg: alg,
    }],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, resource) => ({
          scope: 'orders:read orders:write',
          audience: resource,
          accessTokenTTL: 300,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg } },
        }),
      },
    },
  }).callback();
}

const counts = { discovery: 0, keys: 0 };
let answer = provider(first);
createServer((request, response) => {
  if (request.url === '/.well-known/openid-configuration') counts.discovery += 1;
  if (request.url === '/jwks') counts.keys += 1;
  answer(request, response);
}).listen(Number(port), '127.0.0.1', () => console.log('ready'));

createInterface({ input: process.stdin }).on('line', (line) => {
  if (line === 'count') return console.log(JSON.stringify(counts));
  answer = provider(line.split(' '));
  return console.log('done');
}).on('close', () => process.exit(0));
