import type {ControllerClient} from '../../api/controller-client.ts';
import {type CronClient, createCronClient} from '../../api/cron-client.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import type {Branch} from '../../schemas/branch.ts';
import {durationSchema} from '../../schemas/duration.ts';
import {AppError} from '../../schemas/errors.ts';
import {type ConnectionFlags, connect} from '../connection.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import type {Environment} from '../settings.ts';
import {printable, type Terminal} from '../terminal.ts';

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
  const started = await cron.run(await cron.find(job));
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
  const {cron, branch: asked} = await cronOf(branch, flags, environment);
  const why = await cron.why(job, instantOf(flags.at));
  if (flags.json) {
    terminal.out(`${JSON.stringify({branch: asked, why})}\n`);
    return exitCodes.ok;
  }
  const ready = asked.conditions.find(({type}) => type === 'Ready');
  const {paint} = terminal;
  const lines = [
    paint.bold(`${printable(asked.branch)} ${printable(why.entry_name ?? why.entry_id)} at ${why.at}`),
    printable(why.explanation),
    ...(why.in_force_since === null
      ? []
      : [`The line was in force from ${why.in_force_since} until ${why.in_force_until ?? 'now'}.`]),
    ...why.runs.map(
      (run) =>
        `${run.status}${run.reason === null ? '' : ` (${printable(run.reason)})`}, commit ${run.revision?.slice(0, 8) ?? 'unknown'}, ${endOf(run)}`,
    ),
    ...(why.next_due === null ? [] : [`Next due: ${why.next_due}`]),
    ...(ready === undefined ? [] : [`The branch now: ${printable(ready.message)}`]),
  ];
  terminal.out(`${lines.join('\n')}\n`);
  return exitCodes.ok;
}

/** `branchtab pause` and `resume`: a job that does not run for a while, whatever is pushed. */
export async function pauseJob(
  branch: string,
  job: string,
  flags: JobFlags & {for?: string; reason?: string},
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const duration = flags.for === undefined ? null : durationSchema.safeParse(flags.for);
  if (duration?.success === false)
    throw new AppError('CONFIG_INVALID', `--for ${flags.for} is no duration; write 30m, 8h or 2d.`);
  const until = duration === null ? null : new Date(systemClock.now() + duration.data).toISOString();
  const {cron} = await cronOf(branch, flags, environment);
  const id = await cron.find(job);
  await cron.pause(id, {reason: flags.reason ?? null, until});
  if (flags.json) terminal.out(`${JSON.stringify({id, until})}\n`);
  else
    terminal.out(
      `${printable(job)} is paused ${until === null ? 'until it is resumed' : `until ${until}`}.\n`,
    );
  return exitCodes.ok;
}

export async function resumeJob(
  branch: string,
  job: string,
  flags: JobFlags,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const {cron} = await cronOf(branch, flags, environment);
  const id = await cron.find(job);
  await cron.resume(id);
  if (flags.json) terminal.out(`${JSON.stringify({id})}\n`);
  else terminal.out(`${printable(job)} runs again.\n`);
  return exitCodes.ok;
}

async function cronOf(
  name: string,
  flags: JobFlags,
  environment: Environment,
): Promise<{client: ControllerClient; branch: Branch; cron: CronClient}> {
  const client = await connect(flags, environment);
  const branch = await client.branch(name);
  if (branch.container === null)
    throw new AppError('CONTAINER_NOT_FOUND', `${branch.branch} has no container; see: branchtab status`);
  return {client, branch, cron: createCronClient({url: branch.container.urls.cron, user: flags.user})};
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
