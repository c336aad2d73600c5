import type {CrontabFile} from '../reconciler/observation.ts';
import {jobChanges} from '../reconciler/schedule-change.ts';
import {parseCrontab, rawText} from '../schemas/crontab.ts';
import {AppError} from '../schemas/errors.ts';
import {namedJobs} from '../schemas/named-jobs.ts';
import type {ScheduleChange} from '../schemas/schedule-change.ts';
import {type ConnectionFlags, connect} from './connection.ts';
import type {Environment} from './settings.ts';

const timeoutMs = 5000;

/** Without `--controller` it is nothing to speak of that none answers. */
const nobodyThere: ReadonlySet<string> = new Set([
  'CONTROLLER_UNREACHABLE',
  'UNAUTHENTICATED',
  'CONFIG_INVALID',
  'REPOSITORY_UNREADABLE',
]);

/** What really runs of a branch, and how it differs from its crontabs; null where no controller answers that serves it. */
export async function runningJobs(
  flags: ConnectionFlags,
  environment: Environment,
  wanted: {
    repository: string;
    branch: string;
    path: string;
    crontabs: readonly CrontabFile[];
    timeZone: string;
  },
): Promise<ScheduleChange['running']> {
  try {
    return await ask(flags, environment, wanted);
  } catch (error) {
    if (flags.controller === undefined && error instanceof AppError && nobodyThere.has(error.code))
      return null;
    throw error;
  }
}

async function ask(
  flags: ConnectionFlags,
  environment: Environment,
  {repository, branch: name, path, crontabs, timeZone}: Parameters<typeof runningJobs>[2],
): Promise<ScheduleChange['running']> {
  const client = await connect(flags, environment);
  const branch = (await client.branches()).find(
    (each) => each.repository === repository && each.branch === name && each.path === path,
  );
  if (branch === undefined) return null;
  const condition = branch.conditions.find(({type}) => type === 'Ready')?.message ?? '';
  const facts = {branch: branch.branch, revision: branch.observed_revision, condition};
  if (branch.container === null) return {...facts, entries: 0, differs: []};
  const running = [];
  let entries = 0;
  for (const crontab of crontabs) {
    const parsed = parseCrontab(await readCrontab(branch.container.urls.cron, crontab.user), {
      file: crontab.file,
      managedAllowed: true,
    });
    entries += parsed.jobs.filter(({managed}) => managed !== null).length;
    running.push({...crontab, text: rawText(parsed)});
  }
  const {added, changed, removed} = jobChanges(
    namedJobs(crontabs, timeZone),
    namedJobs(running, timeZone),
    [],
  );
  const line = ({schedule, commandText}: {schedule: {text: string}; commandText: string}) =>
    `${schedule.text} ${commandText}`;
  return {
    ...facts,
    entries,
    differs: [
      ...added.map(({job}) => ({what: 'added' as const, job: line(job)})),
      ...changed.map(({now}) => ({what: 'changed' as const, job: line(now.job)})),
      ...removed.map(({job}) => ({what: 'removed' as const, job: line(job)})),
    ],
  };
}

async function readCrontab(cronUrl: string, user: string): Promise<string> {
  const refused = (reason: string, cause?: unknown) =>
    new AppError('CONTROLLER_UNREACHABLE', `The crontab of ${user} could not be read: ${reason}`, {cause});
  let response: Response;
  try {
    response = await fetch(`${cronUrl}/users/${encodeURIComponent(user)}/crontab`, {
      headers: {Accept: 'text/plain'},
      signal: AbortSignal.timeout(timeoutMs),
    });
  } catch (error) {
    throw refused(error instanceof Error ? error.message : String(error), error);
  }
  if (!response.ok) throw refused(`${response.status}`);
  return response.text();
}
