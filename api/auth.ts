import {createHash, randomBytes, timingSafeEqual} from 'node:crypto';

export const sessionCookie = 'branchtab_session';

/** Who may use the controller's API: the bearer of the admin token, or a browser that opened a login link. */
export interface Auth {
  /** True where the headers carry the token or a session. */
  accepts(headers: Headers): boolean;
  acceptsAuthorization(header: string): boolean;
  /** The user whose token the header carries; null for any other header. */
  userOf(header: string): string | null;
  /** A code for one login within 15 minutes. The token itself never stands in an address. */
  createLoginCode(): string;
  /** The value of a new session cookie, or null for a code that is unknown, used or too old. */
  redeem(code: string): string | null;
}

const codeLifetimeMs = 15 * 60_000;
const sessionLifetimeMs = 12 * 3_600_000;
const mostCodes = 1000;

export function createAuth({
  token,
  userOfToken,
  now,
}: {
  token: string;
  /** The user of a token that was made for one, by its SHA-256; null for others. */
  userOfToken: (digest: Buffer) => string | null;
  now: () => number;
}): Auth {
  const expected = digest(token);
  const codes = new Map<string, number>();
  const sessions = new Map<string, number>();

  const take = (values: Map<string, number>, value: string): boolean => {
    const untilMs = values.get(digest(value).toString('hex'));
    return untilMs !== undefined && untilMs > now();
  };

  /** Kept by digest, so that a memory dump of the table opens nothing. */
  const issue = (values: Map<string, number>, lifetimeMs: number): string => {
    for (const [known, untilMs] of values)
      if (untilMs <= now() || values.size >= mostCodes) values.delete(known);
    const value = randomBytes(32).toString('base64url');
    values.set(digest(value).toString('hex'), now() + lifetimeMs);
    return value;
  };

  const acceptsAuthorization = (header: string): boolean => {
    const presented = presentedToken(header);
    return presented !== undefined && timingSafeEqual(digest(presented), expected);
  };

  return {
    userOf(header) {
      const presented = presentedToken(header);
      return presented === undefined ? null : userOfToken(digest(presented));
    },
    acceptsAuthorization,
    accepts(headers) {
      const session = cookieValue(headers.get('cookie') ?? '');
      return (
        acceptsAuthorization(headers.get('authorization') ?? '') ||
        (session !== null && take(sessions, session))
      );
    },
    createLoginCode: () => issue(codes, codeLifetimeMs),
    redeem(code) {
      if (!take(codes, code)) return null;
      codes.delete(digest(code).toString('hex'));
      return issue(sessions, sessionLifetimeMs);
    },
  };
}

function presentedToken(header: string): string | undefined {
  return /^Bearer +(\S+)$/i.exec(header)?.[1];
}

function cookieValue(header: string): string | null {
  const found = header.split(/;\s*/).find((cookie) => cookie.startsWith(`${sessionCookie}=`));
  return found === undefined ? null : found.slice(sessionCookie.length + 1);
}

/** Equal lengths for the comparison, whatever was sent. */
function digest(value: string): Buffer {
  return createHash('sha256').update(value).digest();
}
