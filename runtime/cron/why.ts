import type {Verdict, Why} from '../../schemas/cron-run-api.ts';
import {formatDuration} from '../../schemas/duration.ts';
import {AppError} from '../../schemas/errors.ts';
import type {Run} from '../../schemas/run.ts';
import type {CrontabHistory, CrontabVersion} from './crontab-history.ts';
import type {CrontabStore} from './crontab-store.ts';
import {newestDue, nextDue} from './due.ts';
import type {Entry} from './entry.ts';
import {limitSentences} from './run-limits.ts';
import type {RunStore} from './run-store.ts';
import type {Zones} from './zones.ts';

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;
/** Versions looked through on either side for an entry that the minute's own text does not have. */
const lookedThrough = 20;
/** Beyond so many characters no further version is read: a question must not keep jobs waiting. */
const mostReadLength = 512 * 1024;
/** How far back the last due instant is looked for. */
const previousDays = 400;

/** Words for the reasons of records; others stand as they are. */
const reasons: Readonly<Record<string, string>> = {
  held: 'the container waited for its first apply',
  paused: 'the schedule of the container was paused',
  lease_expired: 'the lease of the preview had run out, which no controller had renewed',
  entry_paused: 'this job was paused',
  overlap: 'the run before still went on and the job forbids overlap',
  missed: 'the machine slept or its clock was set, and the minute went by unseen',
  runtime_down: 'the runtime was not running',
  storage_full: 'the disk was full, so that the run could not be recorded',
  superseded: 'a run of the schedule took its place',
  expired: 'the entry had expired',
  removed: 'the entry was removed before the try',
  disabled: 'the entry was switched off before the try',
  timeout: 'it was over its time',
  ...limitSentences,
  killed_from_outside:
    'it was killed from outside, most likely because the container took more memory than limits.memory of branchtab.yaml allows',
  replaced: 'a newer run replaced it',
  shutdown: 'the runtime was stopped',
  branch_deleted: 'the branch was deleted',
  runtime_died: 'the runtime died during the run',
  runtime_died_before_start: 'the runtime died before the job was started',
};

/** Answers whether and why `wanted`, an id, its beginning or a name, ran in the minute of `atMs`. Throws ENTRY_NOT_FOUND. */
export function explain(
  {user, wanted, atMs, nowMs}: {user: string; wanted: string; atMs: number; nowMs: number},
  {store, history, runs, zones}: {store: CrontabStore; history: CrontabHistory; runs: RunStore; zones: Zones},
): Why {
  const minute = Math.floor(atMs / minuteMs) * minuteMs;
  const known = new Map<CrontabVersion['fromMs'], Entry | null>();
  let readLength = 0;
  const find = (version: CrontabVersion | null): Entry | null => {
    if (version === null) return null;
    const {text, fromMs} = version;
    const before = known.get(fromMs);
    if (before !== undefined || readLength > mostReadLength) return before ?? null;
    readLength += text.length;
    const {entries} = store.read(user, text, fromMs);
    const start = wanted.toLowerCase();
    const entry =
      entries.find(({id, name}) => id === start || name === wanted) ??
      entries.find(({id}) => start.length >= 4 && id.startsWith(start)) ??
      null;
    known.set(fromMs, entry);
    return entry;
  };
  const records = (id: string): Run[] => {
    const since = {sinceMs: minute, untilMs: minute + minuteMs};
    return runs.list({user, entry: id, status: null, ...since, after: null, limit: 50});
  };

  // Of several texts in one minute, the one that was asked about counts first, then the newest.
  const version =
    [
      history.at(user, atMs),
      history.at(user, minute + minuteMs - 1),
      ...history
        .before(user, minute + minuteMs, lookedThrough)
        .filter(({untilMs}) => (untilMs ?? nowMs) > minute),
    ].find((candidate) => find(candidate) !== null) ?? null;
  const entry = find(version);
  if (entry === null || version === null) return whyAbsent();

  const zone = zones.of(entry.job.timeZone);
  const dueMs = nextDue({...entry, expiresAtMs: null}, zone, Math.max(minute, version.fromMs) - 1);
  const isDue = dueMs !== null && dueMs < minute + minuteMs;
  const found = records(entry.id);
  const [verdict, explanation] = judge();
  return {
    ...identity(entry),
    verdict,
    explanation,
    in_force: true,
    in_force_since: iso(version.fromMs),
    in_force_until: iso(version.untilMs),
    line: entry.job.line,
    schedule: entry.job.schedule.text,
    command: entry.job.command,
    timezone: zone.name,
    due: isDue,
    previous_due: iso(
      newestDue(entry, zone, {fromMs: minute - previousDays * dayMs, untilMs: minute, most: 1})[0] ?? null,
    ),
    next_due: iso(nextDue(entry, zone, minute + minuteMs - 1)),
    runs: found,
  };

  function judge(): [Verdict, string] {
    const [last] = found;
    if (last !== undefined) return judgeRun(last, found.length);
    const {job, expiresAtMs} = entry as Entry;
    if (!job.enabled) return ['disabled', 'The entry was switched off.'];
    if (!isDue) return ['not_due', `\`${job.schedule.text}\` (${zone.name}) does not name this minute.`];
    if (expiresAtMs !== null && dueMs !== null && dueMs >= expiresAtMs)
      return ['expired', `It was due, but had expired at ${iso(expiresAtMs)}.`];
    if (dueMs !== null && dueMs > nowMs) return ['not_yet', `It is due at ${iso(dueMs)}.`];
    return ['no_record', 'It was due, but no record is left; records are kept for a limited time.'];
  }

  function whyAbsent(): Why {
    const gone = history.before(user, minute + minuteMs, lookedThrough).find((each) => find(each) !== null);
    const coming = history.after(user, minute, lookedThrough).find((each) => find(each) !== null);
    const neighbour = find(coming ?? null) ?? find(gone ?? null);
    const [record] = runs.list({
      user,
      entry: wanted,
      status: null,
      sinceMs: null,
      untilMs: null,
      after: null,
      limit: 1,
    });
    if (neighbour === null && record === undefined) {
      throw new AppError(
        'ENTRY_NOT_FOUND',
        `No entry \`${wanted.slice(0, 64)}\` is or was in the crontab of ${user}.`,
      );
    }
    const id = neighbour?.id ?? record?.entry_id ?? wanted;
    const expiresAtMs = find(gone ?? null)?.expiresAtMs ?? null;
    const hasExpired = expiresAtMs !== null && expiresAtMs < minute + minuteMs;
    const parts = [
      gone === undefined ? '' : ` It was removed at ${iso(gone.untilMs)}.`,
      coming === undefined ? '' : ` It was added at ${iso(coming.fromMs)}.`,
    ];
    return {
      user,
      entry_id: id,
      entry_name: neighbour?.name ?? record?.entry_name ?? null,
      at: new Date(minute).toISOString(),
      verdict: hasExpired ? 'expired' : 'not_in_force',
      explanation: hasExpired
        ? `The entry had expired at ${iso(expiresAtMs)} and was gone.`
        : `The crontab of that minute did not have the entry.${parts.join('')}`,
      in_force: false,
      in_force_since: iso(coming?.fromMs ?? null),
      in_force_until: iso(gone?.untilMs ?? null),
      line: null,
      schedule: null,
      command: null,
      timezone: null,
      due: false,
      previous_due: null,
      next_due: null,
      runs: records(id),
    };
  }

  function identity({id, name}: Entry): Pick<Why, 'user' | 'entry_id' | 'entry_name' | 'at'> {
    return {user, entry_id: id, entry_name: name, at: new Date(minute).toISOString()};
  }
}

function judgeRun(run: Run, count: number): [Verdict, string] {
  const {status, reason, exit_code, signal, lateness_ms, duration_ms} = run;
  const why = reason === null ? null : (reasons[reason] ?? reason);
  if (status === 'skipped') return ['skipped', `It was due and did not run: ${why ?? 'no reason is known'}.`];
  const late = lateness_ms !== null && lateness_ms >= 1000 ? `, ${formatDuration(lateness_ms)} late` : '';
  const tries = count > 1 ? ` The newest of ${count} records is described.` : '';
  if (status === 'running') return ['running', `It started${late} and goes on.${tries}`];
  const took = duration_ms === null ? '' : ` after ${formatDuration(duration_ms)}`;
  const how =
    signal !== null ? `ended by ${signal}` : exit_code !== null ? `exit code ${exit_code}` : 'no exit code';
  const because = why === null ? '' : `; ${why}`;
  return ['ran', `It ran${late}: ${status.replace('_', ' ')}${took}, ${how}${because}.${tries}`];
}

function iso(epochMs: number | null): string | null {
  return epochMs === null ? null : new Date(epochMs).toISOString();
}
