import type {JSONWebKeySet} from 'jose';
import * as z from 'zod';
import type {Clock} from '../runtime/platform/clock.ts';
import type {Log} from '../runtime/platform/log.ts';
import {isTrustedUrl} from '../schemas/deploy-config.ts';
import {AppError} from '../schemas/errors.ts';
import {parseJsonBytes, readBytes} from './json-body.ts';

/** The public keys of an issuer, read at first use. */
export interface IssuerKeys {
  /** Throws FORGE_UNAVAILABLE. */
  read(): Promise<JSONWebKeySet>;
  /** Newer ones than these; null where there are none, or where it is too soon to ask again. Throws FORGE_UNAVAILABLE. */
  newerThan(keys: JSONWebKeySet): Promise<JSONWebKeySet | null>;
}

const lifetimeMs = 10 * 60_000;
/** While the issuer does not answer. */
const longestLifetimeMs = 24 * 3_600_000;
/** Whoever makes up names of keys must not make us ask all the time. */
const renewalDistanceMs = 30_000;
const requestTimeoutMs = 10_000;
const maxAnswerBytes = 256 * 1024;

const keySetSchema = z.object({
  keys: z
    .array(z.looseObject({kty: z.string()}))
    .min(1)
    .max(200),
});
const descriptionSchema = z.looseObject({issuer: z.string(), jwks_uri: z.string()});

export function createIssuerKeys(
  {issuer, jwksUrl}: {issuer: string; jwksUrl: string | null},
  {clock, log}: {clock: Clock; log: Log},
): IssuerKeys {
  let known: {keys: JSONWebKeySet; readAtMs: number} | null = null;
  let triedAtMs = Number.NEGATIVE_INFINITY;
  let reading: Promise<JSONWebKeySet> | null = null;

  const readAnew = async (): Promise<JSONWebKeySet> => {
    triedAtMs = clock.now();
    try {
      const keys = keySetSchema.parse(await answerOf(jwksUrl ?? (await urlOfKeys(issuer))));
      known = {keys, readAtMs: clock.now()};
      return keys;
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      if (known !== null && clock.now() - known.readAtMs < longestLifetimeMs) {
        log.warn('the keys of an issuer cannot be read; the former ones hold', {issuer, reason});
        return known.keys;
      }
      throw new AppError('FORGE_UNAVAILABLE', `The keys of ${issuer} cannot be read: ${reason}`, {cause});
    }
  };

  const readOnce = () => {
    reading ??= readAnew().finally(() => {
      reading = null;
    });
    return reading;
  };
  const isTooSoon = () => clock.now() - triedAtMs < renewalDistanceMs;

  return {
    async read() {
      if (known === null) return readOnce();
      // While the issuer is silent not everybody waits for it.
      const holds = clock.now() - known.readAtMs < lifetimeMs || (isTooSoon() && reading === null);
      return holds ? known.keys : readOnce();
    },
    async newerThan(keys) {
      if (reading === null && known?.keys === keys && isTooSoon()) return null;
      const newest = known !== null && known.keys !== keys ? known.keys : await readOnce();
      return newest === keys ? null : newest;
    },
  };
}

async function urlOfKeys(issuer: string): Promise<string> {
  const url = `${issuer.replace(/\/+$/, '')}/.well-known/openid-configuration`;
  const description = descriptionSchema.parse(await answerOf(url));
  if (description.issuer !== issuer)
    throw new Error(`${url} describes another issuer, ${JSON.stringify(description.issuer)}`);
  if (!isTrustedUrl(description.jwks_uri))
    throw new Error(`${url} leads to keys that are not at an https address`);
  return description.jwks_uri;
}

async function answerOf(url: string): Promise<unknown> {
  const signal = AbortSignal.timeout(requestTimeoutMs);
  const response = await fetch(url, {headers: {Accept: 'application/json'}, redirect: 'error', signal});
  if (!response.ok) throw new Error(`${url} answers ${response.status}`);
  return parseJsonBytes(await readBytes(response, maxAnswerBytes));
}
