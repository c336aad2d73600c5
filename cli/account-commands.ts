import type {Command} from 'commander';
import type {CommandContext} from './command-context.ts';

/** The words that tell what happened and why, and take it back. */
export function addAccountCommands(
  program: Command,
  {client, environment, terminal, finish}: CommandContext,
): void {
  client(
    program
      .command('history')
      .description('commits and what was done for them, newest first; also of a branch that is gone')
      .argument('<branch>', 'name or key'),
  )
    .option('--limit <n>', 'at most this many', '20')
    .action(async (branch, flags) =>
      finish(await (await import('./commands/accounts.ts')).history(branch, flags, environment, terminal)),
    );
  client(
    program
      .command('rollback')
      .description('run an older commit until one newer than the bad one arrives')
      .argument('<branch>', 'name or key'),
  )
    .option('--to <commit>', 'this one, of the history of the branch (default: what ran before)')
    .option('--reason <text>', 'shown wherever the rollback is')
    .option('--undo', 'run the newest commit again')
    .action(async (branch, flags) =>
      finish(await (await import('./commands/rollback.ts')).rollback(branch, flags, environment, terminal)),
    );
  client(
    program
      .command('keep')
      .description('leave what is changed by hand (lines of crontabs, scripts) for a while, then put it back')
      .argument('<branch>', 'name or key'),
  )
    .option('--for <duration>', 'for example 8h')
    .option('--reason <text>', 'shown wherever it is kept')
    .option('--end', 'put it back now')
    .action(async (branch, flags) =>
      finish(await (await import('./commands/hand-changes.ts')).keep(branch, flags, environment, terminal)),
    );
  client(
    program
      .command('promote')
      .description('print the patch for the branch by which git says what runs: crontabs and scripts')
      .argument('<branch>', 'name or key'),
  )
    .option('--pull-request', 'open a pull request on GitHub in its place, or bring the open one up to date')
    .action(async (branch, flags) =>
      finish(
        await (await import('./commands/hand-changes.ts')).promote(branch, flags, environment, terminal),
      ),
    );
  client(
    program
      .command('explain')
      .description(
        'what was seen in git, matched, fetched, planned, applied and verified, and why it ended there',
      )
      .argument(
        '<branch or delivery>',
        'name or key; a branch that is not served too; id of a webhook delivery',
      ),
  ).action(async (branch, flags) =>
    finish(await (await import('./commands/accounts.ts')).explain(branch, flags, environment, terminal)),
  );
}
