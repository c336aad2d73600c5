import {createHash} from 'node:crypto';
import {derivedName} from '../../schemas/crontab/command.ts';
import {parseTimestamp} from '../../schemas/crontab/managed.ts';
import type {Crontab, CrontabJob} from '../../schemas/crontab.ts';
import {writtenOut} from '../../schemas/schedule/parse.ts';

/** A job of a user's crontab with the identity that its history hangs on. */
export interface Entry {
  readonly id: string;
  readonly user: string;
  readonly name: string | null;
  readonly job: CrontabJob;
  /** Epoch ms from which on the entry no longer runs; null for never. */
  readonly expiresAtMs: number | null;
  /** Epoch ms of the only run, whatever the schedule says; null for a repeating entry. */
  readonly runAtMs: number | null;
  /** By how much each run comes after its minute: the share of its jitter that this entry has in this container. */
  readonly delayMs: number;
}

/** Names of this kind of id are `<user> LF <kind> LF <text> [LF <occurrence>]`. */
const namespace = Buffer.from('0f1c5a1e3b7d4c6a9e2f8d7b6a5c4e3d', 'hex');

/**
 * The entries of a parsed crontab in file order. A managed entry has its own id. A raw line is known by its given
 * name; without one by its rule with all white space normalised, macros written out, and by how many equal rules stand above it, so that
 * neither variables, options nor position change who it is. `jitterSeed` tells containers apart.
 */
export function entriesOf(user: string, {jobs}: Crontab, jitterSeed: string): Entry[] {
  const occurrences = new Map<string, number>();
  return jobs.map((job): Entry => {
    const entry = (
      id: string,
      name: string | null,
      expiresAt: string | null,
      runAt: string | null,
    ): Entry => ({
      id,
      user,
      name,
      job,
      expiresAtMs: expiresAt === null ? null : parseTimestamp(expiresAt),
      runAtMs: runAt === null ? null : parseTimestamp(runAt),
      delayMs: shareOf(job.options.jitterMs, `${jitterSeed}\n${id}`),
    });
    if (job.managed !== null) {
      const {id, name, expiresAt, runAt} = job.managed;
      return entry(id, name, expiresAt, runAt);
    }
    if (job.givenName !== null)
      return entry(uuidV5(`${user}\nname\n${job.givenName}`), job.givenName, null, null);
    const rule = `${writtenOut(job.schedule)} ${job.commandText}`.replace(/[ \t]+/g, ' ').trim();
    const occurrence = occurrences.get(rule) ?? 0;
    occurrences.set(rule, occurrence + 1);
    return entry(uuidV5(`${user}\nrule\n${rule}\n${occurrence}`), derivedName(job.command), null, null);
  });
}

/** At the very instant of its expiry an entry is past it. */
export function isExpired({expiresAtMs}: Entry, nowMs: number): boolean {
  return expiresAtMs !== null && expiresAtMs <= nowMs;
}

/** The same entry and scheduled instant always give the same run, so that claiming twice is seen. */
export function runId(entryId: string, scheduledMs: number): string {
  return uuidV5(`${entryId}\nrun\n${scheduledMs}`);
}

/** The try after the run `id`. */
export function retryRunId(id: string): string {
  return uuidV5(`${id}\nretry`);
}

/** A part of `rangeMs` in whole seconds, always the same for the same `key`. */
function shareOf(rangeMs: number, key: string): number {
  if (rangeMs < 1000) return 0;
  const hash = createHash('sha256').update(key).digest().readUInt32BE(0);
  return (hash % Math.floor(rangeMs / 1000)) * 1000;
}

function uuidV5(name: string): string {
  const hash = createHash('sha1').update(namespace).update(name).digest().subarray(0, 16);
  hash.writeUInt8((hash.readUInt8(6) & 0x0f) | 0x50, 6);
  hash.writeUInt8((hash.readUInt8(8) & 0x3f) | 0x80, 8);
  return hash.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
