import type {Context} from 'hono';
import {USER_HEADER} from '../schemas/control.ts';
import {AppError} from '../schemas/errors.ts';

/** `me` in a path is the container's default user where nobody else is known to ask. */
export const defaultUser = 'root';

/** The user that the path names. A caller with a token of its own is `me` and nobody else. Throws FORBIDDEN. */
export function userOf(c: Context): string {
  const user = c.req.param('user') ?? '';
  const caller = callerOf(c);
  if (caller === null) return user === 'me' ? defaultUser : user;
  if (user === 'me' || user === caller) return caller;
  throw new AppError(
    'FORBIDDEN',
    `This token is for the crontab of \`${caller}\`. Use /users/me or /users/${caller}, or the token of that user.`,
  );
}

/** Throws FORBIDDEN for a caller who may see the part of one user only. */
export function refuseOneUser(c: Context): void {
  const caller = callerOf(c);
  if (caller === null) return;
  throw new AppError(
    'FORBIDDEN',
    `This token is for the crontab of \`${caller}\`, and this shows those of all users. Use /users/me/crontab.`,
  );
}

/** Only the controller's own socket lets the header through; see `runtime-app.ts`. */
function callerOf(c: Context): string | null {
  return c.req.header(USER_HEADER) ?? null;
}
