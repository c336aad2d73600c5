import {createHash} from 'node:crypto';
import {join} from 'node:path';
import type {Clock} from '../runtime/platform/clock.ts';
import {readTextIfPresent, writeFileDurably} from '../runtime/platform/durable-file.ts';
import {type ExclusiveLock, takeExclusiveLock} from '../runtime/platform/exclusive-lock.ts';
import {mkdir, readdir, rm} from '../runtime/platform/files.ts';
import {parseClaim} from '../schemas/claim.ts';
import {AppError} from '../schemas/errors.ts';
import type {ClaimPlace, FoundClaim} from './sources/source.ts';

const lockPollMs = 20;
/** Whoever holds the lock reads and writes one small file. */
const longestWaitMs = 10_000;

/**
 * The claim of a repository among all controllers of one user on one machine: `<directory>/<hash>.json`. `identity`
 * is the same for every name under which the repository can be watched here.
 */
export function createClaimFile({
  directory,
  identity,
  clock,
}: {
  directory: string;
  identity: string;
  clock: Clock;
}): ClaimPlace {
  const name = createHash('sha256').update(identity).digest('hex').slice(0, 32);
  const path = join(directory, `${name}.json`);
  return {
    where: path,
    intervalMs: 0,
    read: () => readClaim(path),
    async replace(before, claim) {
      await mkdir(directory, {recursive: true, mode: 0o700});
      const lock = await lockOf(directory, clock);
      try {
        const now = await readClaim(path);
        if (now?.text !== before?.text) return false;
        if (claim === null) await rm(path, {force: true});
        else await writeFileDurably(path, `${JSON.stringify(claim)}\n`);
        return true;
      } finally {
        lock.release();
      }
    },
  };
}

/** Takes back every claim that this owner has in the directory. */
export async function releaseClaims(directory: string, owner: string, clock: Clock): Promise<void> {
  const names = await readdir(directory).catch(() => []);
  if (names.length === 0) return;
  const lock = await lockOf(directory, clock);
  try {
    for (const name of names) {
      if (!name.endsWith('.json')) continue;
      const path = join(directory, name);
      if ((await readClaim(path))?.claim?.owner === owner) await rm(path, {force: true});
    }
  } finally {
    lock.release();
  }
}

async function readClaim(path: string): Promise<FoundClaim | null> {
  const text = await readTextIfPresent(path);
  return text === null ? null : {text, claim: parseClaim(text)};
}

async function lockOf(directory: string, clock: Clock): Promise<ExclusiveLock> {
  for (let waitedMs = 0; waitedMs < longestWaitMs; waitedMs += lockPollMs) {
    const lock = takeExclusiveLock(join(directory, 'lock'));
    if (lock !== null) return lock;
    await clock.sleep(lockPollMs);
  }
  throw new AppError('STATE_LOCKED', `${directory} is locked by another process for too long; try again`);
}
