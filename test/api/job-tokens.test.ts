import {createHmac} from 'node:crypto';
import test, {type ExecutionContext} from 'ava';
import {base64url, exportSPKI, importJWK, type JWTPayload, UnsecuredJWT} from 'jose';
import {createJobTokens, type JobIssuer} from '../../api/job-tokens.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import {AppError} from '../../schemas/errors.ts';
import {FakeClock} from '../helpers/fake-clock.ts';
import {type Claims, createJobIssuer, type JobIssuerStandIn} from '../helpers/job-issuer.ts';

async function setup(t: ExecutionContext, changes: Partial<JobIssuer> = {}) {
  const issuer = await createJobIssuer(t);
  const clock = new FakeClock();
  const own: JobIssuer = {
    issuer: issuer.url,
    audience: issuer.audience,
    host: 'github.com',
    repositoryClaim: 'repository',
    jwksUrl: null,
    claims: {},
    ...changes,
  };
  const read = createJobTokens([own], {clock, log: silentLog});
  const token: JobIssuerStandIn['token'] = (claims, options) =>
    issuer.token(claims, {nowMs: clock.now(), ...options});
  const refusal = async (text: string): Promise<string> => {
    const error = await t.throwsAsync(read(text), {instanceOf: AppError});
    t.is(error?.code, 'UNAUTHENTICATED', error?.message);
    return error?.message ?? '';
  };
  return {issuer, clock, read, token, refusal};
}

test('a good token speaks for its repository and for no other, and skips nothing', async (t) => {
  const {read, token, issuer} = await setup(t);
  t.deepEqual(issuer.requests, []);
  const deployer = await read(await token({repository: 'Acme/Shop'}));
  for (const [repository, may] of [
    ['github.com/acme/shop', true],
    ['github.com/acme/shop2', false],
    ['github.com/acme', false],
    ['gitlab.com/acme/shop', false],
    ['/srv/git/shop.git', false],
  ] as const)
    t.is(deployer.mayDeploy(repository), may, repository);
  t.false(deployer.maySkip);
  await read(await token());
  t.deepEqual(issuer.requests, ['/.well-known/openid-configuration', '/keys']);
});

for (const algorithm of ['ES256', 'EdDSA', 'PS384']) {
  test(`a token signed with ${algorithm} is good too`, async (t) => {
    const {issuer, read, token} = await setup(t);
    await issuer.rotate(algorithm);
    t.true((await read(await token())).mayDeploy('github.com/acme/shop'));
  });
}

const seconds = (clock: FakeClock) => Math.floor(clock.now() / 1000);
const wrongClaims: readonly {
  title: string;
  claims: (nowSeconds: number) => Claims;
  says: RegExp | null;
}[] = [
  {
    title: 'of another issuer',
    claims: () => ({iss: 'https://evil.example'}),
    says: /issued by "https:\/\/evil\.example", which/,
  },
  {title: 'without an issuer', claims: () => ({iss: undefined}), says: /issued by not there/},
  {
    title: 'for another audience',
    claims: () => ({aud: 'sts.amazonaws.com'}),
    says: /for the audience "sts\.amazonaws\.com", and this/,
  },
  {
    title: 'without an audience',
    claims: () => ({aud: undefined}),
    says: /for the audience not there/,
  },
  {title: 'that ran out', claims: (now) => ({exp: now - 61}), says: /ran out at \d{4}-/},
  {title: 'that ran out within the tolerance', claims: (now) => ({exp: now - 30}), says: null},
  {
    title: 'that never runs out',
    claims: () => ({exp: undefined}),
    says: /claim exp is missing/,
  },
  {title: 'of the day before yesterday', claims: (now) => ({iat: now - 90_000}), says: /more than a day ago/},
  {
    title: 'without a time of issue',
    claims: () => ({iat: undefined}),
    says: /claim iat is missing/,
  },
  {title: 'from the future', claims: (now) => ({iat: now + 120}), says: /still to come; compare the clock/},
  {title: 'from the near future', claims: (now) => ({iat: now + 30, nbf: now + 30}), says: null},
  {title: 'that does not hold yet', claims: (now) => ({nbf: now + 120}), says: /holds from \d{4}-.* on/},
  {
    title: 'without a repository',
    claims: () => ({repository: undefined}),
    says: /claim repository is missing/,
  },
  {title: 'whose repository is no name', claims: () => ({repository: '../shop'}), says: null},
  {
    title: 'whose repository has a blank',
    claims: () => ({repository: 'acme/shop x'}),
    says: /no owner\/name/,
  },
  {title: 'whose repository is a list', claims: () => ({repository: ['acme/shop']}), says: /no owner\/name/},
];

for (const {title, claims, says} of wrongClaims) {
  test(`a token ${title} is ${says === null ? 'taken as what it says' : 'refused'}`, async (t) => {
    const {clock, read, token, refusal} = await setup(t);
    const text = await token(claims(seconds(clock)));
    if (says !== null) t.regex(await refusal(text), says);
    else t.false((await read(text)).mayDeploy('github.com/acme/other'));
  });
}

test('other claims can be asked for, and only own ones count', async (t) => {
  const {read, token, refusal} = await setup(t, {
    claims: {repository_owner_id: '42', ref: 'refs/heads/main'},
  });
  t.regex(
    await refusal(await token()),
    /claim ref is not there, and `deployers` asks for "refs\/heads\/main"/,
  );
  t.regex(
    await refusal(await token({ref: 'refs/heads/main', repository_owner_id: '43'})),
    /repository_owner_id is "43"/,
  );
  t.true((await read(await token({ref: 'refs/heads/main'}))).mayDeploy('github.com/acme/shop'));
  const inherited = await setup(t, {claims: {constructor: 'x'}});
  t.regex(await inherited.refusal(await inherited.token()), /claim constructor is not there/);
});

test('a token without a signature, or with one that anybody can make, is refused', async (t) => {
  const {issuer, clock, token, refusal} = await setup(t);
  const good = await token();
  const [head = '', payload = '', signature = ''] = good.split('.');
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as JWTPayload;
  t.regex(await refusal(new UnsecuredJWT(claims).encode()), /not signed in a way|no JSON web token/);

  // The published key, taken for the secret of an HMAC.
  const [published = {}] = issuer.keys;
  const pem = await exportSPKI((await importJWK(published, 'RS256')) as CryptoKey);
  for (const secret of [pem, JSON.stringify(published)]) {
    const ownHead = base64url.encode(JSON.stringify({alg: 'HS256', kid: published.kid}));
    const mac = createHmac('sha256', secret).update(`${ownHead}.${payload}`).digest('base64url');
    t.regex(await refusal(`${ownHead}.${payload}.${mac}`), /not signed in a way that proves/);
  }
  const other = base64url.encode(
    JSON.stringify({...claims, repository: 'acme/other', exp: seconds(clock) + 100}),
  );
  t.regex(await refusal(`${head}.${other}.${signature}`), /signature is not one of http/);
  t.regex(await refusal(`${head}.${payload}.`), /signature is not one of|no JSON web token/);
  t.regex(await refusal(`${head}.${payload}.${signature.slice(0, -8)}`), /signature is not one of/);
  t.regex(await refusal('a.b.c'), /no JSON web token/);
});

test('keys that a token brings along prove nothing', async (t) => {
  const {issuer, token, refusal} = await setup(t);
  const stranger = await createJobIssuer(t);
  const [jwk] = stranger.keys;
  const header = {jwk, jku: `${stranger.url}/keys`, x5u: `${stranger.url}/keys`};
  const forged = await stranger.token({iss: issuer.url}, {header});
  t.regex(await refusal(forged), /signature is not one of|does not publish/);
  t.deepEqual(stranger.requests, []);
  t.regex(
    await refusal(await token({}, {header: {crit: ['exp'], exp: 1}}).catch(() => 'a.b.c')),
    /no JSON web token/,
  );
});

test('a new key is found once, and made up names of keys do not make us ask again', async (t) => {
  const {issuer, clock, read, token, refusal} = await setup(t);
  const old = await token();
  await read(old);
  const asked = () => issuer.requests.filter((path) => path === '/keys').length;
  t.is(asked(), 1);
  await issuer.rotate();
  const rotated = await token();
  t.regex(await refusal(rotated), /a key that http.* does not publish/);
  t.is(asked(), 1);
  await clock.advance(30_000);
  await Promise.all([read(rotated), read(old), read(rotated)]);
  t.is(asked(), 2);
  for (const kid of ['a', 'b', '../x'])
    t.regex(await refusal(await token({}, {header: {kid}})), /does not publish/);
  t.is(asked(), 2);
  // A key that is taken back opens nothing once what is known is old.
  issuer.keys.shift();
  await clock.advance(10 * 60_000);
  const [, payload = ''] = old.split('.');
  t.truthy(payload);
  t.regex(await refusal(old), /does not publish|ran out/);
  t.true((await read(await token())).mayDeploy('github.com/acme/shop'));
});

test('without a name of a key two keys leave it open who signed', async (t) => {
  const {issuer, token, refusal} = await setup(t);
  await issuer.rotate();
  t.regex(await refusal(await token({}, {header: {kid: undefined}})), /does not say which key/);
});

test('while the issuer is away known keys hold for a day, and without any it is said', async (t) => {
  const {issuer, clock, read, token} = await setup(t);
  const failures = [
    {status: 500, body: '{}'},
    {status: 200, body: '<html>proxy</html>'},
    {status: 200, body: '{"keys": []}'},
    {
      status: 200,
      body: JSON.stringify({issuer: 'https://evil.example', jwks_uri: 'https://evil.example/keys'}),
    },
    {status: 200, body: `{"keys": [${'"x",'.repeat(100_000)}"x"]}`},
    {status: 200, body: JSON.stringify({issuer: issuer.url, jwks_uri: 'http://evil.example/keys'})},
  ];
  for (const broken of failures) {
    issuer.broken = broken;
    await t.throwsAsync(read(await token()), {
      code: 'FORGE_UNAVAILABLE',
      message: /keys of http.* cannot be read/,
    });
  }
  issuer.broken = null;
  await read(await token());
  issuer.broken = {status: 503, body: ''};
  await clock.advance(23 * 3_600_000);
  t.true((await read(await token())).mayDeploy('github.com/acme/shop'));
  await clock.advance(2 * 3_600_000);
  await t.throwsAsync(read(await token()), {code: 'FORGE_UNAVAILABLE'});
});

test("a forge's own claim and address of keys are taken", async (t) => {
  const {issuer, clock} = await setup(t);
  const gitLab = createJobTokens(
    [
      {
        issuer: issuer.url,
        audience: 'other',
        host: 'gitlab.com',
        repositoryClaim: 'project_path',
        jwksUrl: `${issuer.url}/keys`,
        claims: {},
      },
      {
        issuer: issuer.url,
        audience: issuer.audience,
        host: 'gitlab.com',
        repositoryClaim: 'project_path',
        jwksUrl: `${issuer.url}/keys`,
        claims: {},
      },
    ],
    {clock, log: silentLog},
  );
  const text = await issuer.token({project_path: 'group/sub/shop'}, {nowMs: clock.now()});
  t.true((await gitLab(text)).mayDeploy('gitlab.com/group/sub/shop'));
  t.false(issuer.requests.includes('/.well-known/openid-configuration'));
});
