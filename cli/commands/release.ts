import {type ConnectionFlags, connect} from '../connection.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import type {Environment} from '../settings.ts';
import {printable, type Terminal} from '../terminal.ts';

const pauses: ReadonlySet<string> = new Set(['first_contact', 'skipped', 'idle', 'idle_removed']);

/** `branchtab release`: lets a paused preview run, or jobs of it that its policy holds. */
export async function release(
  branch: string,
  job: string | undefined,
  flags: ConnectionFlags & {json?: boolean},
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const client = await connect(flags, environment);
  const before = await client.branch(branch);
  const released = await client.release(branch, job ?? null);
  if (flags.json) terminal.out(`${JSON.stringify(released)}\n`);
  else {
    const paused = before.conditions.some(({reason}) => pauses.has(reason));
    const ready = released.conditions.find(({type}) => type === 'Ready');
    if (paused) {
      terminal.out(`${printable(released.branch)} is released. ${printable(ready?.message ?? '')}\n`);
      return exitCodes.ok;
    }
    const what = job === undefined ? 'all its jobs' : printable(job);
    terminal.out(`${printable(released.branch)}: ${what} may run.\n`);
  }
  return exitCodes.ok;
}
