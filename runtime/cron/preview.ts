import type {CrontabPreview, SchedulePreview} from '../../schemas/cron-api.ts';
import {parseCrontab} from '../../schemas/crontab.ts';
import {nextRun} from '../../schemas/schedule/next-run.ts';
import {parseSchedule} from '../../schemas/schedule/parse.ts';
import type {Zone} from '../../schemas/schedule/zone.ts';
import {loadScheduleWords} from './schedule-words.ts';

/** The first `count` runs strictly after `afterMs`, without any entry being made. */
export async function previewSchedule(
  text: string,
  zone: Zone,
  afterMs: number,
  count: number,
): Promise<SchedulePreview> {
  const result = parseSchedule(text);
  const asked = {schedule: text, timezone: zone.name};
  if (!result.ok) {
    const {column, message} = result.issue;
    return {
      ...asked,
      valid: false,
      human: null,
      next: [],
      error: {code: 'INVALID_SCHEDULE', message, column},
    };
  }
  const next: string[] = [];
  let atMs = nextRun(result.schedule, zone, afterMs);
  while (atMs !== null && next.length < count) {
    next.push(new Date(atMs).toISOString());
    atMs = nextRun(result.schedule, zone, atMs);
  }
  const describe = await loadScheduleWords();
  return {...asked, valid: true, human: describe(result.schedule), next, error: null};
}

/** What a crontab would mean, without its being stored. */
export function previewCrontab(text: string): CrontabPreview {
  const {jobs, issues, environment} = parseCrontab(text, {file: 'crontab', managedAllowed: true});
  return {
    valid: issues.length === 0,
    env: environment,
    jobs: jobs.map(({line, schedule, command, stdin, environment: env}) => ({
      line,
      schedule: schedule.text,
      command,
      stdin,
      env,
    })),
    issues: issues.map(({line, column, code, message}) => ({line, column, code, message})),
  };
}
