import type {errors as JoseErrors, JSONWebKeySet, JWTPayload, JWTVerifyOptions} from 'jose';
import type {Clock} from '../runtime/platform/clock.ts';
import type {Log} from '../runtime/platform/log.ts';
import {AppError} from '../schemas/errors.ts';
import type {Deployer} from './deployers.ts';
import {createIssuerKeys, type IssuerKeys} from './issuer-keys.ts';

/** Who signs tokens of CI jobs, and what they must say. */
export interface JobIssuer {
  readonly issuer: string;
  readonly audience: string;
  /** Host of the repositories. */
  readonly host: string;
  /** Claim with `owner/name`. */
  readonly repositoryClaim: string;
  /** Null where the issuer's own description says it. */
  readonly jwksUrl: string | null;
  readonly claims: Readonly<Record<string, string>>;
}

/** With keys that are published only these prove anything. */
const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'];
/** Between the clocks of the issuer and ours. */
const toleranceSeconds = 60;
/** Jobs may run for hours, and no token of one lives longer than a day. */
const longestAgeSeconds = 86_400;
const repositoryName = /^[\w.-]+(?:\/[\w.-]+)+$/;

/**
 * Reads tokens of CI jobs: who holds one may deploy the repository that it names. Throws UNAUTHENTICATED with what is
 * wrong, FORGE_UNAVAILABLE where the keys of the issuer cannot be had. Nothing is loaded or asked before the first token.
 */
export function createJobTokens(
  issuers: readonly JobIssuer[],
  {clock, log}: {clock: Clock; log: Log},
): (token: string) => Promise<Deployer> {
  const keysOf = new Map<JobIssuer, IssuerKeys>(
    issuers.map((issuer) => [issuer, createIssuerKeys(issuer, {clock, log})]),
  );

  return async (token) => {
    const jose = await import('jose');
    const unverified = decoded(() => jose.decodeJwt(token));
    const candidates = issuers.filter(({issuer}) => issuer === unverified.iss);
    if (candidates.length === 0)
      throw refused(
        `it was issued by ${shown(unverified.iss)}, which \`deployers\` of branchtab.yaml does not name`,
      );
    // The same issuer may stand there twice, for two audiences or with other claims.
    let refusal: unknown = null;
    for (const issuer of candidates) {
      try {
        return await verified(token, issuer);
      } catch (error) {
        refusal ??= error;
      }
    }
    throw refusal;

    async function verified(token: string, issuer: JobIssuer): Promise<Deployer> {
      const options: JWTVerifyOptions = {
        issuer: issuer.issuer,
        audience: issuer.audience,
        algorithms,
        clockTolerance: toleranceSeconds,
        maxTokenAge: longestAgeSeconds,
        requiredClaims: ['exp', 'iat', issuer.repositoryClaim],
        currentDate: new Date(clock.now()),
      };
      const keys = keysOf.get(issuer);
      if (keys === undefined) throw new Error('every issuer has its keys');
      const verify = (known: JSONWebKeySet) => jose.jwtVerify(token, jose.createLocalJWKSet(known), options);
      try {
        const known = await keys.read();
        const {payload} = await verify(known).catch(async (error: unknown) => {
          // The issuer may have another key since.
          const newer = error instanceof jose.errors.JWKSNoMatchingKey ? await keys.newerThan(known) : null;
          if (newer === null) throw error;
          return verify(newer);
        });
        return deployerOf(payload, issuer);
      } catch (error) {
        throw error instanceof jose.errors.JOSEError ? translated(error, issuer) : error;
      }
    }
  };
}

function deployerOf(payload: JWTPayload, {host, repositoryClaim, claims}: JobIssuer): Deployer {
  const name = payload[repositoryClaim];
  if (typeof name !== 'string' || name.length > 512 || !repositoryName.test(name))
    throw refused(`its claim ${repositoryClaim} is ${shown(name)} and no owner/name`);
  for (const [claim, wanted] of Object.entries(claims)) {
    const value = Object.hasOwn(payload, claim) ? payload[claim] : undefined;
    if (String(value) !== wanted)
      throw refused(`its claim ${claim} is ${shown(value)}, and \`deployers\` asks for ${shown(wanted)}`);
  }
  const path = `${host}/${name}`.toLowerCase();
  return {mayDeploy: (repository) => repository === path, maySkip: false};
}

function decoded(decode: () => JWTPayload): JWTPayload {
  try {
    return decode();
  } catch (cause) {
    throw refused('it is no JSON web token', cause);
  }
}

/** In words; what the library says of it is for programmers. */
function translated(error: JoseErrors.JOSEError, {issuer, audience}: JobIssuer): AppError {
  const payload = 'payload' in error ? (error.payload as JWTPayload) : {};
  const claim = 'claim' in error ? String(error.claim) : '';
  switch (error.code) {
    case 'ERR_JWT_EXPIRED':
      return claim === 'exp'
        ? refused(`it ran out at ${timeOf(payload.exp)}; the job must ask for a new one`, error)
        : refused(`it was issued at ${timeOf(payload.iat)}, more than a day ago`, error);
    case 'ERR_JWT_CLAIM_VALIDATION_FAILED':
      return refused(claimWords(claim, payload, audience), error);
    case 'ERR_JOSE_ALG_NOT_ALLOWED':
      return refused('it is not signed in a way that proves who signed it', error);
    case 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED':
      return refused(`its signature is not one of ${issuer}`, error);
    case 'ERR_JWKS_NO_MATCHING_KEY':
      return refused(`it is signed with a key that ${issuer} does not publish`, error);
    case 'ERR_JWKS_MULTIPLE_MATCHING_KEYS':
      return refused('it does not say which key signed it (kid)', error);
    default:
      return refused('it is no JSON web token', error);
  }
}

function claimWords(claim: string, payload: JWTPayload, audience: string): string {
  if (claim === 'aud')
    return `it is for the audience ${shown(payload.aud)}, and this controller is ${shown(audience)}`;
  if (claim === 'nbf') return `it holds from ${timeOf(payload.nbf)} on; compare the clock of this host`;
  if (claim === 'iat' && typeof payload.iat === 'number')
    return `it was issued at ${timeOf(payload.iat)}, which is still to come; compare the clock of this host`;
  return `its claim ${claim} is missing or wrong`;
}

function refused(why: string, cause?: unknown): AppError {
  return new AppError('UNAUTHENTICATED', `The token of the CI job is refused: ${why}.`, {cause});
}

/** What comes from a token that proved nothing yet. */
function shown(value: unknown): string {
  return (JSON.stringify(value) ?? 'not there').slice(0, 200);
}

function timeOf(seconds: number | undefined): string {
  const date = new Date((seconds ?? Number.NaN) * 1000);
  return Number.isNaN(date.getTime()) ? shown(seconds) : date.toISOString();
}
