import test from 'ava';
import fc from 'fast-check';
import {createJobTokens} from '../../api/job-tokens.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import {AppError} from '../../schemas/errors.ts';
import {fuzz} from '../helpers/fuzz.ts';
import {createJobIssuer} from '../helpers/job-issuer.ts';

const hostile = fc.oneof(
  fc.constantFrom(null, true, -1, 1e308, '', '__proto__', [], {}, 'none', 'HS256', ['a'], '\0', '../..'),
  fc.string({unit: 'binary', maxLength: 20}),
);
const headers = fc.dictionary(
  fc.constantFrom('alg', 'kid', 'typ', 'crit', 'b64', 'jwk', 'jku', 'zip'),
  hostile,
);
const claims = fc.dictionary(
  fc.constantFrom('iss', 'aud', 'exp', 'iat', 'nbf', 'repository', '__proto__'),
  hostile,
);

test('no token that was changed opens anything, and each is refused in words', async (t) => {
  const issuer = await createJobIssuer(t);
  const own = {
    issuer: issuer.url,
    audience: issuer.audience,
    host: 'github.com',
    repositoryClaim: 'repository',
    jwksUrl: null,
    claims: {},
  };
  const read = createJobTokens([own], {clock: systemClock, log: silentLog});
  const good = await issuer.token();
  const [head = '', payload = '', signature = ''] = good.split('.');
  const decoded = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString()) as object;
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const forged = fc.oneof(
    fc
      .tuple(headers, claims)
      .map(([header, claim]) =>
        [part({...decoded(head), ...header}), part({...decoded(payload), ...claim}), signature].join('.'),
      ),
    fc
      .tuple(fc.nat(good.length - 1), fc.string({unit: 'binary', maxLength: 3}))
      .map(([at, text]) => good.slice(0, at) + text + good.slice(at + 1)),
    fc.string({unit: 'binary', maxLength: 60}).map((text) => `${text}.${payload}.${signature}`),
  );
  const isSame = (token: string) => {
    const parts = token.split('.').map((text) => Buffer.from(text, 'base64url').toString('hex'));
    return (
      parts.join() ===
      good
        .split('.')
        .map((text) => Buffer.from(text, 'base64url').toString('hex'))
        .join()
    );
  };
  await fuzz(
    t,
    fc.asyncProperty(forged, async (token) => {
      if (isSame(token)) return true;
      try {
        await read(token);
        return false;
      } catch (error) {
        return error instanceof AppError && error.code === 'UNAUTHENTICATED' && error.message.length < 1000;
      }
    }),
    {runs: 300},
  );
});
