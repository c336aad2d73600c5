import {systemClock} from '../../runtime/platform/clock.ts';
import type {Branch} from '../../schemas/branch.ts';
import {branchTable, hostNotices, problems} from '../branch-table.ts';
import {type ConnectionFlags, connect} from '../connection.ts';
import {eventsUntilInterrupt} from '../events.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import {queueNotices} from '../queue-notices.ts';
import {repositoryNotices} from '../repository-notices.ts';
import type {Environment} from '../settings.ts';
import type {Terminal} from '../terminal.ts';

/** `branchtab status`: what every branch runs. Exit code 5 while one is not ready. */
export async function status(
  branch: string | undefined,
  flags: ConnectionFlags & {watch?: boolean; json?: boolean},
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const client = await connect(flags, environment);
  const read = async () => (branch === undefined ? client.branches() : [await client.branch(branch)]);
  const show = async (branches: readonly Branch[]) => {
    if (flags.json) terminal.out(`${JSON.stringify({items: branches, queue: await client.queue()})}\n`);
    else if (branches.length === 0)
      terminal.err('No branch has a .hoody directory yet; `branchtab init` makes one.\n');
    else {
      terminal.out(
        branchTable(branches, {paint: terminal.paint, nowMs: systemClock.now(), columns: terminal.columns}),
      );
    }
    if (flags.json) return;
    const text =
      repositoryNotices(await client.repositories(), terminal.paint) +
      queueNotices(await client.queue(), terminal.paint) +
      problems(branches, terminal.paint) +
      hostNotices(branches, terminal.paint);
    if (text !== '') terminal.out(`\n${text}`);
  };
  let branches = await read();
  await show(branches);
  if (flags.watch) {
    for await (const _change of eventsUntilInterrupt(client)) {
      branches = await read();
      if (terminal.isTty && !flags.json) terminal.out('\u001b[H\u001b[2J');
      await show(branches);
    }
  }
  return branches.every(isReady) ? exitCodes.ok : exitCodes.notReady;
}

/** A branch in the trash, or one that is merged or waits for somebody who wants it, is where it should be. */
export function isReady(branch: Branch): boolean {
  const ready = branch.conditions.find(({type}) => type === 'Ready');
  return ready?.status === 'True' || settledReasons.has(ready?.reason ?? '');
}

const settledReasons: ReadonlySet<string> = new Set([
  'trashed',
  'merged',
  'first_contact',
  'skipped',
  'idle',
  'idle_removed',
  'suspended',
]);
