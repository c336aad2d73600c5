import {createHash, randomBytes, timingSafeEqual} from 'node:crypto';
import * as z from 'zod';
import {readTextIfPresent, writeFileDurably} from '../runtime/platform/durable-file.ts';
import {createSerialLock} from '../runtime/platform/serial-lock.ts';
import {AppError} from '../schemas/errors.ts';
import type {CreatedToken, TokenView} from '../schemas/token.ts';

/** Tokens that open the crontabs of one user in every container, and nothing else. Their hashes alone are kept. */
export interface UserTokens {
  list(): TokenView[];
  /** Throws USER_NOT_FOUND for a user that the configuration does not name. */
  create(user: string): Promise<CreatedToken>;
  /** From here on it opens nothing. Throws TOKEN_NOT_FOUND. */
  revoke(id: string): Promise<void>;
  /** The user of a token with this SHA-256; null also where the configuration does not name that user any more. */
  userOf(digest: Buffer): string | null;
}

const storedSchema = z.array(
  z.object({
    id: z.string(),
    user: z.string(),
    created_at: z.string(),
    sha256: z.string().regex(/^[0-9a-f]{64}$/),
  }),
);
type Stored = z.infer<typeof storedSchema>;

/** Throws STATE_UNREADABLE for a damaged file: no token would work, and nobody would know why. */
export async function openUserTokens({
  path,
  users,
  nowMs,
}: {
  path: string;
  users: readonly string[];
  nowMs: () => number;
}): Promise<UserTokens> {
  let tokens = await readTokens(path);
  const inTurn = createSerialLock();
  const save = async (next: Stored) => {
    await writeFileDurably(path, `${JSON.stringify(next)}\n`, {mode: 0o600});
    tokens = next;
  };
  const view = ({id, user, created_at}: Stored[number]): TokenView => ({id, user, created_at});

  return {
    list: () => tokens.map(view),
    create: (user) =>
      inTurn(async () => {
        if (!users.includes(user)) {
          throw new AppError(
            'USER_NOT_FOUND',
            `\`users\` of branchtab.yaml does not name ${JSON.stringify(user)}; add it there and start the controller again.`,
          );
        }
        const token = randomBytes(32).toString('base64url');
        const made = {
          id: `tok_${randomBytes(4).toString('hex')}`,
          user,
          created_at: new Date(nowMs()).toISOString(),
          sha256: createHash('sha256').update(token).digest('hex'),
        };
        await save([...tokens, made]);
        return {...view(made), token};
      }),
    revoke: (id) =>
      inTurn(async () => {
        const rest = tokens.filter((token) => token.id !== id);
        if (rest.length === tokens.length) {
          throw new AppError(
            'TOKEN_NOT_FOUND',
            `There is no token ${JSON.stringify(id.slice(0, 60))}; \`branchtab tokens list\` shows them.`,
          );
        }
        await save(rest);
      }),
    userOf(digest) {
      let user: string | null = null;
      // All are compared, so that the time says nothing of which one it was.
      for (const token of tokens)
        if (timingSafeEqual(Buffer.from(token.sha256, 'hex'), digest)) user = token.user;
      return user !== null && users.includes(user) ? user : null;
    },
  };
}

async function readTokens(path: string): Promise<Stored> {
  const text = await readTextIfPresent(path);
  if (text === null) return [];
  try {
    return storedSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new AppError(
      'STATE_UNREADABLE',
      `${path} is damaged. Restore it, or remove it and make the tokens anew.`,
      {
        cause,
      },
    );
  }
}
