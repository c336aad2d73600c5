import {Argument, type Command, Option} from 'commander';
import type {CommandContext} from './command-context.ts';

/** The words that set up hooks of git servers. */
export function addHookCommands(
  program: Command,
  {environment, terminal, finish}: Pick<CommandContext, 'environment' | 'terminal' | 'finish'>,
): void {
  const hook = program
    .command('hook')
    .description('hooks of a git server on this host: the controller hears of a push at once');
  const repo = (command: Command) =>
    command
      .option('--repo <path>', 'repository (default: the one around the working directory)', (path) => [path])
      .option('--json', 'machine-readable output');
  repo(
    hook
      .command('install')
      .description('write them; a hook that is not ours is left alone, and nothing is written then'),
  )
    .addOption(
      new Option(
        '--type <name>',
        'post-receive has push options, reference-transaction sees local commits too',
      )
        .choices(['post-receive', 'reference-transaction'])
        .default('post-receive'),
    )
    .option('--state <dir>', 'state directory of the controller, where the hook may read its token')
    .option('--config <file>', 'configuration file')
    .option('--controller <url>', 'address of the controller; needs --token-file')
    .option('--token-file <file>', 'file with a token of `deployers`, readable by the user of the git server')
    .option('--as <address>', 'the repository as the controller knows it (default: its path)')
    .action(async (flags) =>
      finish(await (await import('./commands/hook.ts')).installHook(flags, environment, terminal)),
    );
  repo(hook.command('uninstall').description('remove what `install` wrote')).action(async (flags) =>
    finish(await (await import('./commands/hook.ts')).uninstallHook(flags, environment, terminal)),
  );
  hook
    .command('run')
    .description('what the hooks call, with the input that git gives them')
    .addArgument(new Argument('<name>').choices(['pre-receive', 'post-receive', 'reference-transaction']))
    .requiredOption('--as <address>', 'the repository as the controller knows it')
    .option('--state <dir>', 'state directory of the controller')
    .option('--controller <url>', 'address of the controller')
    .option('--token-file <file>', 'file with a token of `deployers`')
    .allowExcessArguments(true)
    .action(async (name, flags) =>
      finish(await (await import('./commands/hook-run.ts')).runHook(name, flags, environment, terminal)),
    );
}
