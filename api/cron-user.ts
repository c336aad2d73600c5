import type {Context} from 'hono';

/** `me` in a path is the container's default user. */
export const defaultUser = 'root';

/** The user that the path names. */
export function userOf(c: Context): string {
  const user = c.req.param('user') ?? '';
  return user === 'me' ? defaultUser : user;
}
