import {systemClock} from '../../runtime/platform/clock.ts';
import {branchName} from '../../schemas/branch-name.ts';
import {durationSchema} from '../../schemas/duration.ts';
import {AppError} from '../../schemas/errors.ts';
import {problems} from '../branch-table.ts';
import {type ConnectionFlags, connect} from '../connection.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import type {Environment} from '../settings.ts';
import {printable, type Terminal} from '../terminal.ts';
import {isReady} from './status.ts';

export interface ReconcileFlags extends ConnectionFlags {
  readonly confirmDeletions?: boolean;
  readonly wait: boolean;
  readonly timeout: string;
  readonly json?: boolean;
}

const pollMs = 50;

/** `branchtab reconcile`: looks again now, and waits until that is done. */
export async function reconcile(
  branch: string | undefined,
  flags: ReconcileFlags,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const client = await connect(flags, environment);
  const id =
    branch === undefined
      ? await client.reconcileAll({confirmDeletions: flags.confirmDeletions === true})
      : await client.reconcile(branch);
  const wanted = branch === undefined ? null : (await client.branch(branch)).key;
  if (!flags.wait) {
    terminal.out(flags.json ? `${JSON.stringify({request_id: id})}\n` : `${id}\n`);
    return exitCodes.ok;
  }
  const parsed = durationSchema.safeParse(flags.timeout);
  if (!parsed.success) throw new AppError('CONFIG_INVALID', `--timeout: ${parsed.error.issues[0]?.message}`);
  const deadlineMs = systemClock.now() + parsed.data;
  for (;;) {
    const all = await client.branches();
    const branches = branch === undefined ? all : all.filter((item) => item.key === wanted);
    if (branches.every(({handled_request}) => handled_request === id)) {
      if (flags.json) terminal.out(`${JSON.stringify({request_id: id, items: branches})}\n`);
      else {
        for (const item of branches) {
          terminal.out(
            `${printable(branchName(item))}: ${printable(item.conditions.find(({type}) => type === 'Ready')?.message ?? '')}\n`,
          );
        }
        terminal.err(problems(branches, terminal.paint));
      }
      return branches.every(isReady) ? exitCodes.ok : exitCodes.notReady;
    }
    if (systemClock.now() > deadlineMs) {
      terminal.err(`Not done after ${flags.timeout}; \`branchtab status\` shows what is in the way.\n`);
      return exitCodes.failed;
    }
    await systemClock.sleep(pollMs);
  }
}
