import type {CrontabReport} from '../../schemas/cron-api.ts';
import {fileWarnings} from '../../schemas/crontab/file-warnings.ts';
import {jobWarnings} from '../../schemas/crontab/job-warnings.ts';
import type {CrontabWarning} from '../../schemas/crontab/warning.ts';
import {loadSecondOpinion} from '../../schemas/schedule/second-opinion.ts';
import {nextTurn} from '../platform/clock.ts';
import type {Log} from '../platform/log.ts';
import {diffEntries} from './crontab-diff.ts';
import type {StoredCrontab} from './crontab-store.ts';
import type {Entry} from './entry.ts';
import {describeEntry, loadScheduleWords} from './schedule-words.ts';
import {upcomingRuns} from './upcoming.ts';
import type {Zones} from './zones.ts';

const shownRuns = 3;
/** A report of ten thousand jobs must not make one of them late. */
const jobsPerTurn = 200;

/** What the change from `before` to `after` means to people. Only whoever asks for it pays for it. */
export async function reportPut({
  before,
  after,
  activeMs,
  nowMs,
  zones,
  mailDelivered,
  log,
}: {
  before: StoredCrontab;
  after: StoredCrontab;
  /** Epoch ms; null after a dry run. */
  activeMs: number | null;
  nowMs: number;
  zones: Zones;
  mailDelivered: boolean;
  log: Log;
}): Promise<CrontabReport> {
  const [describe, askOther] = await Promise.all([loadScheduleWords(), loadSecondOpinion()]);
  const {user, crontab, entries, text} = after;

  const refused = new Set<string>();

  function otherOpinion({job}: Entry): CrontabWarning[] {
    const opinion = askOther(job.schedule);
    if (opinion === null) return [];
    refused.add(job.schedule.text);
    const message = `It runs here as crontab(5) says, but other parsers refuse it: ${opinion}`;
    return [{code: 'other_parsers_refuse', message, line: job.line, column: 1}];
  }

  function reportJob(entry: Entry): CrontabReport['jobs'][number] {
    const {id, name, job} = entry;
    const zone = zones.of(job.timeZone);
    const line = crontab.lines[job.line - 1]?.text ?? '';
    return {
      line: job.line,
      id,
      name,
      schedule: job.schedule.text,
      schedule_human: describeEntry(entry, describe),
      timezone: zone.name,
      next: upcomingRuns(entry, zone, nowMs, shownRuns).map((atMs) => new Date(atMs).toISOString()),
      // What runs once does not follow its schedule.
      warnings:
        entry.runAtMs === null ? [...jobWarnings(job, line, zone, nowMs), ...otherOpinion(entry)] : [],
    };
  }

  const jobs: CrontabReport['jobs'] = [];
  for (const entry of entries) {
    jobs.push(reportJob(entry));
    if (jobs.length % jobsPerTurn === 0) await nextTurn();
  }
  if (refused.size > 0)
    log.info('another parser refuses schedules', {user, schedules: [...refused].slice(0, 10)});
  return {
    jobs,
    warnings: fileWarnings(crontab, {
      nowMs,
      mailDelivered,
      timeZoneOf: ({timeZone}) => zones.of(timeZone).name,
    }),
    ...diffEntries(before.entries, entries),
    unchanged: before.text === text,
    active_at: activeMs === null ? null : new Date(activeMs).toISOString(),
  };
}
