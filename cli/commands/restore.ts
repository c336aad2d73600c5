import {type ConnectionFlags, connect} from '../connection.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import type {Environment} from '../settings.ts';
import {printable, type Terminal} from '../terminal.ts';

/** `branchtab restore`: takes a branch's container out of the trash. */
export async function restore(
  branch: string,
  flags: ConnectionFlags & {json?: boolean},
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const client = await connect(flags, environment);
  const restored = await client.restore(branch);
  if (flags.json) terminal.out(`${JSON.stringify(restored)}\n`);
  else {
    terminal.out(
      `${printable(restored.branch)}: ${restored.container?.id ?? 'no container'} is back with its files.\n`,
    );
    const ready = restored.conditions.find(({type}) => type === 'Ready');
    if (ready !== undefined) terminal.err(`${printable(ready.message)}\n`);
  }
  return exitCodes.ok;
}
