import {createHash} from 'node:crypto';
import {parseTimestamp} from '../../schemas/crontab/managed.ts';
import type {Crontab, CrontabJob} from '../../schemas/crontab.ts';

/** A job of a user's crontab with the identity that its history hangs on. */
export interface Entry {
  readonly id: string;
  readonly user: string;
  readonly name: string | null;
  readonly job: CrontabJob;
  /** Epoch ms from which on the entry no longer runs; null for never. */
  readonly expiresAtMs: number | null;
}

/** Names of this kind of id are `<user> LF <kind> LF <text> [LF <occurrence>]`. */
const namespace = Buffer.from('0f1c5a1e3b7d4c6a9e2f8d7b6a5c4e3d', 'hex');

/**
 * The entries of a parsed crontab in file order. A managed entry has its own id. A raw line is known by its given
 * name; without one by its rule with all white space normalised and by how many equal rules stand above it, so that
 * neither variables nor position change who it is.
 */
export function entriesOf(user: string, {jobs}: Crontab): Entry[] {
  const occurrences = new Map<string, number>();
  return jobs.map((job) => {
    if (job.managed !== null) {
      const {id, name, expiresAt} = job.managed;
      return {id, user, name, job, expiresAtMs: expiresAt === null ? null : parseTimestamp(expiresAt)};
    }
    if (job.givenName !== null) {
      const id = uuidV5(`${user}\nname\n${job.givenName}`);
      return {id, user, name: job.givenName, job, expiresAtMs: null};
    }
    const rule = job.rule.replace(/[ \t]+/g, ' ').trim();
    const occurrence = occurrences.get(rule) ?? 0;
    occurrences.set(rule, occurrence + 1);
    const id = uuidV5(`${user}\nrule\n${rule}\n${occurrence}`);
    return {id, user, name: derivedName(job.command), job, expiresAtMs: null};
  });
}

/** The same entry and scheduled instant always give the same run, so that claiming twice is seen. */
export function runId(entryId: string, scheduledMs: number): string {
  return uuidV5(`${entryId}\nrun\n${scheduledMs}`);
}

/** The program's base name without its extension: `/srv/jobs/sync-stripe.py --all` gives `sync-stripe`. */
function derivedName(command: string): string | null {
  const program = command.split(/[ \t;|&()]+/).find((word) => word !== '' && !/^[A-Za-z_]\w*=/.test(word));
  const name = program
    ?.split('/')
    .at(-1)
    ?.replace(/(?<=.)\.[A-Za-z0-9]+$/, '');
  return name === undefined || !/^[\w.-]{1,64}$/.test(name) ? null : name;
}

function uuidV5(name: string): string {
  const hash = createHash('sha1').update(namespace).update(name).digest().subarray(0, 16);
  hash.writeUInt8((hash.readUInt8(6) & 0x0f) | 0x50, 6);
  hash.writeUInt8((hash.readUInt8(8) & 0x3f) | 0x80, 8);
  return hash.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
