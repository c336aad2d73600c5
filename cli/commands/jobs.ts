import type {ControllerClient} from '../../api/controller-client.ts';
import {type CronClient, createCronClient} from '../../api/cron-client.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import type {Branch} from '../../schemas/branch.ts';
import {durationSchema} from '../../schemas/duration.ts';
import {AppError} from '../../schemas/errors.ts';
import type {Run} from '../../schemas/run.ts';
import {type ConnectionFlags, connect} from '../connection.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import type {Environment} from '../settings.ts';
import {printable, type Terminal} from '../terminal.ts';

/** Events of a branch among which the one that put a line in force is looked for. */
const lookedThrough = 200;
/** Between what two processes of one host note of the same moment. */
const clockSlackMs = 1000;
const minuteMs = 60_000;

export interface JobFlags extends ConnectionFlags {
  readonly user: string;
  readonly json?: boolean;
}

/** `branchtab run`: a job as cron would run it, now, with its output as it comes. Exit code 1 where it does not succeed. */
export async function runJob(
  branch: string,
  job: string,
  flags: JobFlags,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const {cron} = await cronOf(branch, flags, environment);
  return await followRun(cron, await cron.find(job), flags, terminal);
}

/** Runs an entry now and shows its output as it comes. Exit code 1 where it does not succeed. */
export async function followRun(
  cron: CronClient,
  entryId: string,
  flags: {json?: boolean},
  terminal: Terminal,
): Promise<ExitCode> {
  const started = await cron.run(entryId);
  for await (const event of cron.follow(started.id, {signal: new AbortController().signal})) {
    if (event.type === 'output' && !flags.json)
      (event.stream === 'stdout' ? terminal.out : terminal.err)(printable(event.text));
    if (event.type === 'gap') terminal.err(`\n[... ${event.characters} characters left out ...]\n`);
    if (event.type !== 'end') continue;
    const {run} = event;
    if (flags.json) terminal.out(`${JSON.stringify(run)}\n`);
    // `manual` only says who started it.
    else if (run.status !== 'succeeded') {
      const reason = run.reason === null || run.reason === 'manual' ? '' : ` (${printable(run.reason)})`;
      terminal.err(`${run.status}${reason}, ${endOf(run)}\n`);
    }
    return run.status === 'succeeded' ? exitCodes.ok : exitCodes.failed;
  }
  throw new AppError('CONTAINER_UNAVAILABLE', 'The connection ended before the run did; see: branchtab runs');
}

function endOf({exit_code, signal}: {exit_code: number | null; signal: string | null}): string {
  return exit_code === null ? `signal ${signal ?? 'none'}` : `exit code ${exit_code}`;
}

/** `branchtab why`: whether and why a job ran in a minute, and what the branch was doing. */
export async function whyJob(
  branch: string,
  job: string,
  flags: JobFlags & {at?: string},
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const client = await connect(flags, environment);
  const asked = await knownBranch(client, branch);
  const url = cronUrlOf(asked);
  if (asked === null || url === null)
    return whyArchived({branch, asked, job, at: instantOf(flags.at)}, flags, client, terminal);
  const why = await createCronClient({url, user: flags.user}).why(job, instantOf(flags.at));
  const commit = await commitOfLine(client, asked, why.in_force_since);
  if (flags.json) {
    terminal.out(`${JSON.stringify({branch: asked, why, commit})}\n`);
    return exitCodes.ok;
  }
  const {paint} = terminal;
  const lines = [
    paint.bold(`${printable(asked.branch)} ${printable(why.entry_name ?? why.entry_id)} at ${why.at}`),
    printable(why.explanation),
    ...(why.in_force_since === null
      ? []
      : [
          `The line was in force from ${why.in_force_since} until ${why.in_force_until ?? 'now'}${commit === null ? '' : `, put there for commit ${commit.slice(0, 8)}`}.`,
        ]),
    ...why.runs.map(runLine),
    ...(why.next_due === null ? [] : [`Next due: ${why.next_due}`]),
    ...nowLine(asked),
  ];
  terminal.out(`${lines.join('\n')}\n`);
  return exitCodes.ok;
}

function nowLine({conditions}: Branch): string[] {
  const ready = conditions.find(({type}) => type === 'Ready');
  return ready === undefined ? [] : [`The branch now: ${printable(ready.message)}`];
}

/** For which commit the controller put the crontab that came into force then; null where it is not known, or a person did. */
async function commitOfLine(
  client: ControllerClient,
  {key}: Branch,
  since: string | null,
): Promise<string | null> {
  if (since === null) return null;
  const sinceMs = Date.parse(since);
  const events = await client.history(key, {limit: String(lookedThrough)});
  const pass = events.find((event) => {
    if (event.kind !== 'worked' || !event.steps.some(({kind}) => kind === 'put_crontab')) return false;
    const endMs = Date.parse(event.at);
    return endMs - event.duration_ms - clockSlackMs <= sinceMs && sinceMs <= endMs + clockSlackMs;
  });
  return pass?.kind === 'worked' ? pass.revision : null;
}

/** What is known of a minute of a branch whose container is gone: the records that were kept of it. */
async function whyArchived(
  {branch, asked, job, at}: {branch: string; asked: Branch | null; job: string; at: string},
  flags: JobFlags,
  client: ControllerClient,
  terminal: Terminal,
): Promise<ExitCode> {
  const startMs = Math.floor(Date.parse(at) / minuteMs) * minuteMs;
  if (Number.isNaN(startMs))
    throw new AppError('CONFIG_INVALID', `--at ${at} is no time; write 02:00 or 2026-11-17T02:00:00Z.`);
  const [since, until] = [startMs, startMs + minuteMs].map((ms) => new Date(ms).toISOString());
  const {items} = await client.runs(branch, {
    entry: job,
    user: flags.user,
    since: since ?? '',
    until: until ?? '',
    limit: '50',
  });
  if (flags.json) {
    terminal.out(`${JSON.stringify({branch: asked, why: null, runs: items})}\n`);
    return exitCodes.ok;
  }
  const lines = [
    terminal.paint.bold(`${printable(branch)} ${printable(job)} at ${since}`),
    `The branch ${asked?.container == null ? 'has no container' : 'is in the trash'}; this is from the records that were kept.`,
    ...items.map((run) => `${runLine(run)}, ${run.duration_ms ?? 0} ms`),
    ...(items.length === 0 ? ['No run of that minute is on record.'] : []),
    ...(asked === null ? [] : nowLine(asked)),
  ];
  terminal.out(`${lines.join('\n')}\n`);
  return exitCodes.ok;
}

/** Null where it is gone. */
async function knownBranch(client: ControllerClient, name: string): Promise<Branch | null> {
  try {
    return await client.branch(name);
  } catch (error) {
    if (error instanceof AppError && error.code === 'BRANCH_NOT_FOUND') return null;
    throw error;
  }
}

/** Null where its container is gone, or in the trash. */
function cronUrlOf(branch: Branch | null): string | null {
  const container = branch?.container ?? null;
  return container === null || container.state === 'stopped' ? null : container.urls.cron;
}

function runLine(run: Pick<Run, 'status' | 'reason' | 'revision' | 'exit_code' | 'signal'>): string {
  const reason = run.reason === null ? '' : ` (${printable(run.reason)})`;
  return `${run.status}${reason}, commit ${run.revision?.slice(0, 8) ?? 'unknown'}, ${endOf(run)}`;
}

/** `branchtab pause` and `resume`: a job, or a branch, that does not run for a while, whatever is pushed. */
export async function pause(
  branch: string,
  job: string | undefined,
  flags: JobFlags & {for?: string; reason?: string; owner?: string},
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const duration = flags.for === undefined ? null : durationSchema.safeParse(flags.for);
  if (duration?.success === false)
    throw new AppError('CONFIG_INVALID', `--for ${flags.for} is no duration; write 30m, 8h or 2d.`);
  const owner = flags.owner ?? environment.USER ?? null;
  if (job === undefined)
    return pauseBranch(branch, {duration: duration?.data, owner, flags}, environment, terminal);
  const until = duration === null ? null : new Date(systemClock.now() + duration.data).toISOString();
  const {cron} = await cronOf(branch, flags, environment);
  const id = await cron.find(job);
  await cron.pause(id, {reason: flags.reason ?? null, until, owner});
  if (flags.json) terminal.out(`${JSON.stringify({id, until, owner})}\n`);
  else
    terminal.out(
      `${printable(job)} is paused ${until === null ? 'until it is resumed' : `until ${until}`}.\n`,
    );
  return exitCodes.ok;
}

/** All jobs of a branch: nobody may forget that, so it has an end, an owner and a reason. */
async function pauseBranch(
  branch: string,
  {
    duration,
    owner,
    flags,
  }: {duration: number | undefined; owner: string | null; flags: JobFlags & {reason?: string}},
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  if (duration === undefined || flags.reason === undefined || owner === null)
    throw new AppError(
      'CONFIG_INVALID',
      'A whole branch is paused with --for 8h and --reason "why", and --owner where USER is not set.',
    );
  const client = await connect(flags, environment);
  const paused = await client.suspend(branch, {duration_ms: duration, owner, reason: flags.reason});
  if (flags.json) terminal.out(`${JSON.stringify(paused)}\n`);
  else terminal.out(`${printable(paused.branch)} is paused until ${paused.suspension?.until}.\n`);
  return exitCodes.ok;
}

export async function resume(
  branch: string,
  job: string | undefined,
  flags: JobFlags,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  if (job === undefined) {
    const resumed = await (await connect(flags, environment)).resume(branch);
    if (flags.json) terminal.out(`${JSON.stringify(resumed)}\n`);
    else terminal.out(`${printable(resumed.branch)} runs again.\n`);
    return exitCodes.ok;
  }
  const {cron} = await cronOf(branch, flags, environment);
  const id = await cron.find(job);
  await cron.resume(id);
  if (flags.json) terminal.out(`${JSON.stringify({id})}\n`);
  else terminal.out(`${printable(job)} runs again.\n`);
  return exitCodes.ok;
}

async function cronOf(name: string, flags: JobFlags, environment: Environment): Promise<{cron: CronClient}> {
  const client = await connect(flags, environment);
  const branch = await client.branch(name);
  if (branch.container === null)
    throw new AppError('CONTAINER_NOT_FOUND', `${branch.branch} has no container; see: branchtab status`);
  return {cron: createCronClient({url: branch.container.urls.cron, user: flags.user})};
}

/** `HH:MM` is the last time it was so late, in UTC; else RFC 3339; now without anything. */
function instantOf(text: string | undefined): string {
  const nowMs = systemClock.now();
  if (text === undefined) return new Date(nowMs).toISOString();
  const [, hours, minutes] = /^([01]\d|2[0-3]):([0-5]\d)$/.exec(text) ?? [];
  if (hours === undefined || minutes === undefined) return text;
  const today = new Date(nowMs);
  const atMs = Date.UTC(
    today.getUTCFullYear(),
    today.getUTCMonth(),
    today.getUTCDate(),
    Number(hours),
    Number(minutes),
  );
  return new Date(atMs > nowMs ? atMs - 24 * 60 * 60_000 : atMs).toISOString();
}
