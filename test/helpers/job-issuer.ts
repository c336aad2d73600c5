import {once} from 'node:events';
import {createServer} from 'node:http';
import type {AddressInfo} from 'node:net';
import {exportJWK, generateKeyPair, type JWK, SignJWT} from 'jose';
import type {Teardown} from './git-world.ts';

const jobBearer = 'the bearer of this job';

type PrivateKey = Awaited<ReturnType<typeof generateKeyPair>>['privateKey'];

/** `undefined` leaves one out. */
export type Claims = Readonly<Record<string, unknown>>;

/** An issuer of tokens for CI jobs, on this host, with keys of its own. */
export interface JobIssuerStandIn {
  readonly url: string;
  readonly audience: string;
  /** What it publishes; the test may change it. */
  keys: JWK[];
  /** What the tokens say that jobs ask for, in places. */
  claims: Claims;
  /** By which a job asks for a token, as GitHub sets it. */
  readonly jobEnvironment: Readonly<Record<string, string>>;
  /** Answers this in the place of everything. */
  broken: {status: number; body: string} | null;
  /** Paths that were asked for. */
  readonly requests: string[];
  /** Makes a key and publishes it beside the others; the newest signs from then on. */
  rotate(algorithm?: string): Promise<void>;
  /** A good token of a job of acme/shop, with other claims in places. */
  token(claims?: Claims, options?: {header?: Record<string, unknown>; nowMs?: number}): Promise<string>;
  readonly newest: {readonly privateKey: PrivateKey; readonly kid: string; readonly algorithm: string};
}

export async function createJobIssuer(t: Teardown): Promise<JobIssuerStandIn> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(request.url ?? '');
    const {broken, keys, url, claims} = standIn;
    const asked = new URL(request.url ?? '', url);
    if (asked.pathname === '/job') {
      const isOwn = request.headers.authorization === `Bearer ${jobBearer}`;
      const audience = asked.searchParams.get('audience');
      response.statusCode = isOwn ? 200 : 401;
      void standIn.token({aud: audience, ...claims}).then((value) => response.end(JSON.stringify({value})));
      return;
    }
    const found: Record<string, object> = {
      '/.well-known/openid-configuration': {issuer: url, jwks_uri: `${url}/keys`},
      '/keys': {keys},
    };
    response.statusCode = broken?.status ?? 200;
    response.setHeader('Content-Type', 'application/json');
    response.end(broken?.body ?? JSON.stringify(found[request.url ?? ''] ?? {}));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const standIn: JobIssuerStandIn & {newest: JobIssuerStandIn['newest'] | null} = {
    url,
    audience: 'https://branchtab.example.org',
    keys: [],
    claims: {},
    jobEnvironment: {
      ACTIONS_ID_TOKEN_REQUEST_URL: `${url}/job?api-version=2.0`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: jobBearer,
    },
    broken: null,
    requests,
    newest: await newKey('RS256', 0),
    async rotate(algorithm = 'RS256') {
      const key = await newKey(algorithm, standIn.keys.length);
      standIn.keys.push(key.published);
      standIn.newest = key;
    },
    async token(claims = {}, {header = {}, nowMs = Date.now()} = {}) {
      const {privateKey, kid, algorithm} = standIn.newest;
      const payload: Claims = {
        iss: url,
        aud: standIn.audience,
        sub: 'repo:acme/shop:ref:refs/heads/main',
        repository: 'acme/shop',
        repository_owner_id: '42',
        iat: Math.floor(nowMs / 1000),
        exp: Math.floor(nowMs / 1000) + 300,
        ...claims,
      };
      const given = Object.fromEntries(Object.entries(payload).filter(([, value]) => value !== undefined));
      return new SignJWT(given)
        .setProtectedHeader({alg: algorithm, kid, typ: 'JWT', ...header})
        .sign(privateKey);
    },
  };
  await standIn.rotate();
  return standIn;
}

async function newKey(algorithm: string, index: number) {
  const {privateKey, publicKey} = await generateKeyPair(algorithm, {extractable: true});
  const kid = `key-${index}`;
  const published: JWK = {...(await exportJWK(publicKey)), kid, alg: algorithm, use: 'sig'};
  return {privateKey, kid, algorithm, published};
}
