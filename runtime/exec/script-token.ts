import {createHash, timingSafeEqual} from 'node:crypto';

/** A caller's token: the first found of bearer, basic password, `X-Token` and `?token=`; null for none. */
export function presentedToken(header: (name: string) => string | null, target: string): string | null {
  const authorization = header('authorization') ?? '';
  const bearer = /^bearer\s+(\S+)\s*$/i.exec(authorization)?.[1];
  if (bearer !== undefined) return bearer;
  const basic = /^basic\s+(\S+)\s*$/i.exec(authorization)?.[1];
  if (basic !== undefined) {
    const text = Buffer.from(basic, 'base64').toString('utf8');
    return text.slice(text.indexOf(':') + 1);
  }
  const query = target.includes('?') ? target.slice(target.indexOf('?') + 1) : '';
  return header('x-token') ?? new URLSearchParams(query).get('token');
}

/** Compares in a time that says nothing about the tokens. */
export function isAllowedToken(token: string | null, allowed: readonly string[]): boolean {
  if (token === null) return false;
  const presented = digest(token);
  return allowed.filter((each) => timingSafeEqual(digest(each), presented)).length > 0;
}

/** The target as it may be recorded. */
export function maskToken(target: string): string {
  return target.replace(/([?&]token=)[^&#]*/g, '$1[REDACTED]');
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
