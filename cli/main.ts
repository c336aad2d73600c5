#!/usr/bin/env bun
import {Command, CommanderError, Option} from 'commander';
import {AppError, type ErrorCode} from '../schemas/errors.ts';
import {addAccountCommands} from './account-commands.ts';
import {addContainerCommands} from './container-commands.ts';
import {addDataCommands} from './data-commands.ts';
import {type ExitCode, exitCodes} from './exit-codes.ts';
import {addHookCommands} from './hook-commands.ts';
import {ownCheckout} from './own-checkout.ts';
import {createTerminal, type Terminal} from './terminal.ts';
import {version} from './version.ts';

const exitCodeOf: Partial<Record<ErrorCode, ExitCode>> = {
  CONFIG_INVALID: exitCodes.usage,
  CONTROLLER_UNREACHABLE: exitCodes.unreachable,
  BRANCH_NOT_FOUND: exitCodes.notFound,
  BRANCH_AMBIGUOUS: exitCodes.notFound,
  REPOSITORY_NOT_FOUND: exitCodes.notFound,
  REVISION_NOT_FOUND: exitCodes.notFound,
  CONTAINER_NOT_FOUND: exitCodes.notFound,
  SNAPSHOT_NOT_FOUND: exitCodes.notFound,
  BACKUP_NOT_FOUND: exitCodes.notFound,
  TOKEN_NOT_FOUND: exitCodes.notFound,
  DELIVERY_NOT_FOUND: exitCodes.notFound,
  USER_NOT_FOUND: exitCodes.notFound,
  INVALID_NAME: exitCodes.usage,
  CONFIRMATION_NEEDED: exitCodes.usage,
};

const repeated = (value: string, former: string[] | undefined) => [...(former ?? []), value];

const options = {
  repo: () =>
    new Option('--repo <path or URL>', 'repository to watch; may be given again').argParser(repeated),
  state: () => new Option('--state <dir>', 'state directory of the controller'),
  config: () =>
    new Option('--config <file>', 'configuration file').default(
      undefined,
      'branchtab.yaml, where there is one',
    ),
  controller: () =>
    new Option('--controller <url>', 'address of the controller; also BRANCHTAB_URL, with BRANCHTAB_TOKEN'),
  json: () => new Option('--json', 'machine-readable output'),
};

/** The whole command line. Commands load when they are called: `--help` and the runtime start without the rest. */
function createProgram(
  {terminal, json}: {terminal: Terminal; json: boolean},
  /** Of what was run; `ExitCode` but for `shell`, which passes on that of its program. */
  finish: (code: number) => void,
): Command {
  const environment = process.env;
  const program = new Command('branchtab')
    .description('Push a branch; its jobs run in its own box; delete the branch, they are gone.')
    .version(version, '-V, --version')
    .showHelpAfterError('(run with --help for usage)')
    .exitOverride()
    .configureOutput({writeOut: terminal.out, writeErr: json ? () => {} : terminal.err});

  const client = (command: Command) =>
    command
      .addOption(options.repo())
      .addOption(options.state())
      .addOption(options.config())
      .addOption(options.controller())
      .addOption(options.json());

  program
    .command('up')
    .description('watch repositories and run their branches; stays in the foreground')
    .addOption(options.repo())
    .option('--branches <globs>', "branches to serve, separated by commas: 'main,feature/*,!wip/*'")
    .option('--listen <host:port>', 'address of the API (default: 127.0.0.1:7070)')
    .addOption(options.state())
    .addOption(
      new Option('--provider <name>', 'what runs containers').choices(['process', 'docker', 'incus']),
    )
    .addOption(
      new Option('--level <level>', 'how the process provider keeps containers apart').choices([
        'auto',
        'network',
        'sandbox',
        'plain',
      ]),
    )
    .option(
      '--undo-window <duration>',
      'how long removed branches stay in the trash, 0 for not at all (default: 24h)',
    )
    .option(
      '--trust-branches',
      'run remote repositories without a sandbox: whoever can push can run commands as you',
    )
    .option('--yes', 'run all branches of a repository that is new here, however many they are')
    .option(
      '--take-over',
      'take repositories that belong to another controller, which changes nothing from then on',
    )
    .addOption(options.config())
    .addOption(options.json())
    .action(async (flags) =>
      finish(await (await import('./commands/up.ts')).up(flags, environment, terminal)),
    );

  program
    .command('down')
    .description('stop the controller and every container of its state directory')
    .addOption(options.repo())
    .addOption(options.state())
    .addOption(options.config())
    .option('--purge', 'also remove the containers, their data and the state directory')
    .option('--yes', 'do not ask before --purge')
    .addOption(options.json())
    .action(async (flags) =>
      finish(await (await import('./commands/down.ts')).down(flags, environment, terminal)),
    );

  program
    .command('init')
    .description('write a first .hoody/crontab, script and branchtab.yaml; commits nothing')
    .addOption(options.repo())
    .option('--github', 'write a workflow for GitHub too, and print the webhook; with GITHUB_TOKEN, make it')
    .option('--action <owner/name[@ref]>', 'where on GitHub your copy of Branchtab is, for --github')
    .option(
      '--controller <url>',
      'where GitHub reaches the controller (default: public_url of branchtab.yaml)',
    )
    .addOption(options.config())
    .addOption(options.json())
    .action(async (flags) =>
      finish(await (await import('./commands/init.ts')).init(flags, environment, terminal)),
    );

  program
    .command('plan')
    .description(
      'what a change does to the schedule: jobs that come, change and go, in words; needs no controller',
    )
    .option('--path <directory>', 'in a monorepo: the directory with the .hoody that is meant')
    .option('--base <commit>', 'what runs today: branch, tag or commit (default: the default branch)')
    .option('--head <commit>', 'what shall run', 'HEAD')
    .addOption(options.repo())
    .addOption(options.state())
    .addOption(options.config())
    .addOption(options.controller())
    .option('--tz <zone>', 'time zone of lines without one (default: timezone of branchtab.yaml, or UTC)')
    .option('--markdown', 'for a comment on a pull request')
    .addOption(options.json())
    .action(async (flags) =>
      finish(await (await import('./commands/plan.ts')).plan(flags, environment, terminal)),
    );

  program
    .command('simulate')
    .description('what the crontabs of a commit would run, and when; needs no controller')
    .option('--from <time>', 'RFC 3339, or a day in the zone (default: now)')
    .option('--to <time>', 'the same, or a duration such as 7d (default: a day later)')
    .option('--tz <zone>', 'time zone of lines without one (default: timezone of branchtab.yaml, or UTC)')
    .option('--head <commit>', 'branch, tag or commit', 'HEAD')
    .addOption(options.repo())
    .option('--path <directory>', 'in a monorepo: the directory with the .hoody that is meant')
    .option('--job <name>', 'only this job')
    .option('--limit <n>', 'show at most this many runs', '100')
    .addOption(options.json())
    .action(async (flags) =>
      finish(await (await import('./commands/simulate.ts')).simulateRuns(flags, environment, terminal)),
    );

  client(
    program
      .command('status')
      .description('what every branch runs; exit code 5 while one is not ready')
      .argument('[branch]', 'name or key'),
  )
    .option('--watch', 'show every change until Ctrl-C')
    .action(async (branch, flags) =>
      finish(await (await import('./commands/status.ts')).status(branch, flags, environment, terminal)),
    );

  client(
    program
      .command('reconcile')
      .description('look again now, and wait until that is done')
      .argument('[branch]', 'name or key; all without it'),
  )
    .option(
      '--confirm-deletions',
      'let deletions through that were held because most branches vanished at once',
    )
    .option('--no-wait', 'return as soon as the request is queued')
    .option('--timeout <duration>', 'how long to wait', '60s')
    .action(async (branch, flags) =>
      finish(await (await import('./commands/reconcile.ts')).reconcile(branch, flags, environment, terminal)),
    );

  client(
    program
      .command('runs')
      .description('runs of a branch, newest first; also of one that is gone, for 90 days')
      .argument('<branch>', 'name or key'),
  )
    .option('--job <id or name>', 'only this job')
    .option('--user <name>', 'user whose jobs are shown', undefined)
    .addOption(
      new Option('--status <status>', 'only these').choices([
        'running',
        'succeeded',
        'failed',
        'timed_out',
        'skipped',
        'interrupted',
      ]),
    )
    .option('--on <day>', 'only those of a day in UTC: 2026-11-17, yesterday, or tuesday for the last one')
    .option('--since <time>', 'only those from this time on, RFC 3339 or a day')
    .option('--until <time>', 'only those before this time')
    .option('--limit <n>', 'at most this many', '20')
    .action(async (branch, flags) =>
      finish(await (await import('./commands/runs.ts')).runs(branch, flags, environment, terminal)),
    );

  client(
    program
      .command('logs')
      .description('output of runs, oldest first')
      .argument('<branch>', 'name or key')
      .argument('[job]', 'id or name of one job'),
  )
    .option('-f, --follow', 'go on with each run that ends')
    .option('--limit <n>', 'start with this many runs', '20')
    .action(async (branch, job, flags) =>
      finish(await (await import('./commands/logs.ts')).logs(branch, job, flags, environment, terminal)),
    );

  const job = (command: Command) =>
    client(
      command.argument('<branch>', 'name or key').argument('<job>', 'name or beginning of the id'),
    ).option('--user <name>', 'user whose job it is', 'root');
  job(
    program
      .command('run')
      .description(
        'run a job now, as cron would, and show its output; exit code 1 where it does not succeed',
      ),
  ).action(async (branch, name, flags) =>
    finish(await (await import('./commands/jobs.ts')).runJob(branch, name, flags, environment, terminal)),
  );
  job(program.command('why').description('whether and why a job ran in a minute'))
    .option('--at <time>', 'RFC 3339, or HH:MM for the last time it was so late in UTC (default: now)')
    .action(async (branch, name, flags) =>
      finish(await (await import('./commands/jobs.ts')).whyJob(branch, name, flags, environment, terminal)),
    );
  const jobOrBranch = (command: Command) =>
    client(
      command
        .argument('<branch>', 'name or key')
        .argument('[job]', 'name or beginning of the id; all jobs without it'),
    ).option('--user <name>', 'user whose job it is', 'root');
  jobOrBranch(
    program
      .command('pause')
      .description('keep a job, or a branch, from running for a while; pushes do not end it'),
  )
    .option('--for <duration>', 'it ends by itself then, for example 8h; a branch needs it')
    .option('--reason <text>', 'shown wherever the pause is; a branch needs it')
    .option('--owner <name>', 'who answers for it (default: USER)')
    .action(async (branch, name, flags) =>
      finish(await (await import('./commands/jobs.ts')).pause(branch, name, flags, environment, terminal)),
    );
  jobOrBranch(program.command('resume').description('end the pause of a job, or of a branch')).action(
    async (branch, name, flags) =>
      finish(await (await import('./commands/jobs.ts')).resume(branch, name, flags, environment, terminal)),
  );

  client(
    program
      .command('shell')
      .description(
        "a shell, or a program, in a branch's container, with the environment of its jobs; its exit code",
      )
      .argument('<branch>', 'name or key')
      .argument('[command...]', 'after --: program and arguments instead of a shell'),
  )
    .option('--user <name>', 'as the jobs in the crontab of this user run', 'root')
    .action(async (branch, command, flags) =>
      finish(await (await import('./commands/shell.ts')).shell(branch, command, flags, environment, process)),
    );

  addAccountCommands(program, {client, environment, terminal, finish});

  client(
    program
      .command('restore')
      .description("take a branch's container out of the trash")
      .argument('<branch>', 'name or key'),
  ).action(async (branch, flags) =>
    finish(await (await import('./commands/restore.ts')).restore(branch, flags, environment, terminal)),
  );

  client(
    program
      .command('release')
      .description('let a preview run that is paused, or jobs that previews.run holds: one, or all of them')
      .argument('<branch>', 'name or key')
      .argument('[job]', 'name of one job, or its whole line'),
  ).action(async (branch, job, flags) =>
    finish(await (await import('./commands/release.ts')).release(branch, job, flags, environment, terminal)),
  );

  client(
    program
      .command('adopt')
      .description('take over containers whose records are lost; nothing is changed before'),
  ).action(async (flags) =>
    finish(await (await import('./commands/adopt.ts')).adopt(flags, environment, terminal)),
  );

  client(
    program
      .command('forget')
      .description(
        'remove a branch that git has lost, its container and all its data; the only way for a live one',
      )
      .argument('<branch>', 'name or key'),
  )
    .option('--yes', 'do not ask')
    .action(async (branch, flags) =>
      finish(await (await import('./commands/forget.ts')).forget(branch, flags, environment, terminal)),
    );

  client(
    program
      .command('env')
      .description(
        'variables and secrets that the configuration gives to a branch: names and sources, no values',
      )
      .argument('<branch>', 'name or key'),
  ).action(async (branch, flags) =>
    finish(await (await import('./commands/env.ts')).showEnvironment(branch, flags, environment, terminal)),
  );

  client(
    program.command('deliveries').description('the last webhooks, or what became of one').argument('[id]'),
  ).action(async (id, flags) =>
    finish(await (await import('./commands/deliveries.ts')).deliveries(id, flags, environment, terminal)),
  );
  addHookCommands(program, {environment, terminal, finish});
  addContainerCommands(program, {client, environment, terminal, finish});
  addDataCommands(program, {client, environment, terminal, finish});

  const transfer = (command: Command) =>
    command
      .addOption(options.repo())
      .addOption(options.state())
      .addOption(options.config())
      .addOption(options.json());
  transfer(
    program
      .command('export')
      .description('write what the controller knows of branches, without secrets, to a file or stdout')
      .argument('[file]'),
  ).action(async (file, flags) =>
    finish(await (await import('./commands/transfer.ts')).exportToFile(file, flags, environment, terminal)),
  );
  transfer(
    program
      .command('import')
      .description(
        'put an export into a state directory that has no branches, while no controller runs there',
      )
      .argument('<file>', 'an export; - for stdin'),
  ).action(async (file, flags) =>
    finish(await (await import('./commands/transfer.ts')).importFromFile(file, flags, environment, terminal)),
  );

  const tokens = program
    .command('tokens')
    .description('tokens that open the crontabs of one user and nothing else');
  client(
    tokens
      .command('create')
      .description('make one for a user of branchtab.yaml and print it, once')
      .argument('<user>', 'name'),
  ).action(async (user, flags) =>
    finish(await (await import('./commands/tokens.ts')).createToken(user, flags, environment, terminal)),
  );
  client(tokens.command('list').description('whose there are; the tokens themselves are not kept')).action(
    async (flags) =>
      finish(await (await import('./commands/tokens.ts')).listTokens(flags, environment, terminal)),
  );
  client(tokens.command('revoke').description('void one').argument('<token>', 'its id')).action(
    async (id, flags) =>
      finish(await (await import('./commands/tokens.ts')).revokeToken(id, flags, environment, terminal)),
  );

  client(
    program
      .command('login')
      .description('print a link that opens the pages of the controller in one browser'),
  ).action(async (flags) =>
    finish(await (await import('./commands/login.ts')).login(flags, environment, terminal)),
  );

  program
    .command('alias')
    .description('this program under another name: prints a function for eval "$(...)", and changes nothing')
    .argument('<name>', 'for example hoody')
    .option('--directory <dir>', 'write a script of that name into this directory of PATH instead')
    .action(async (name, flags) =>
      finish(await (await import('./commands/alias.ts')).makeAlias(name, flags, terminal)),
    );

  program
    .command('version')
    .description('version, commit and checksum of this program')
    .addOption(options.json())
    .action(async (flags) =>
      finish(await (await import('./commands/version.ts')).showVersion(flags, terminal)),
    );

  const pipe = program.command('pipe').description('stream bytes from one sender to up to 256 receivers');
  const pipeCommand = (command: Command) =>
    client(command.argument('<path>', 'the same for all sides'))
      .option('--pipe-url <url>', 'address of the pipe service; also HOODY_PIPE_URL')
      .option('--branch <name>', "use the pipe of this branch's container")
      .option('-n, --n <count>', 'receivers, the same for all sides: 8, or 2-8')
      .option('--wait <seconds>', 'how long to wait for the others')
      .option('--key <text>', 'refuse who does not have it');
  pipeCommand(pipe.command('send').description('send stdin, or a file; exit code 1 unless it was complete'))
    .argument('[file]', 'file; stdin without it')
    .option('--type <type>', 'content type')
    .option('--rate <bytes>', 'bytes a second, as 50k')
    .option('--slow <policy>', 'wait or drop: what becomes of a receiver that takes nothing')
    .option('--idle <duration>', 'end when nothing moves for so long, up to 4h')
    .option('--heartbeat <seconds>', 'say so often that it still waits')
    .option('--sha256', 'say the SHA-256')
    .option('--receipts', 'say what each receiver got')
    .option('--live', 'wait for nobody; viewers come and go')
    .action(async (path, file, flags) =>
      finish(await (await import('./commands/pipe.ts')).pipeSend(path, file, flags, environment, terminal)),
    );
  pipeCommand(pipe.command('receive').description('receive to stdout; exit code 1 unless it was complete'))
    .option('-o, --output <file>', 'write to this file')
    .option('--as <name>', 'how you are called in the progress')
    .option('--live', 'join a live stream')
    .action(async (path, flags) =>
      finish(await (await import('./commands/pipe.ts')).pipeReceive(path, flags, environment, terminal)),
    );
  pipeCommand(pipe.command('progress').description('watch a transfer; takes no place')).action(
    async (path, flags) =>
      finish(await (await import('./commands/pipe.ts')).pipeProgress(path, flags, environment, terminal)),
  );
  pipeCommand(pipe.command('url').description('print the address for curl and browsers')).action(
    async (path, flags) =>
      finish(await (await import('./commands/pipe.ts')).pipeUrl(path, flags, environment, terminal)),
  );

  // Only for --help: `main` hands the words over before this program is made.
  program
    .command('runtime')
    .description(
      'run the runtime of one container: cron, exec and pipe over HTTP; see `branchtab runtime --help`',
    )
    .helpOption(false);
  return program;
}

/** Words that start a runtime or what it starts itself; all are the same program in the single file. */
const runtimeWords = new Set([
  'runtime',
  'script-host',
  'script-inspector',
  'storage-sqlite',
  'move-helper',
  'connect',
]);

async function main(argv: readonly string[]): Promise<void> {
  const terminal = createTerminal({
    stdout: process.stdout,
    stderr: process.stderr,
    noColor: (process.env.NO_COLOR ?? '') !== '',
  });
  if (runtimeWords.has(argv[0] ?? '')) {
    const {startProgram} = await import('../runtime/start.ts');
    await startProgram(argv);
    return;
  }
  enterCallersDirectory();
  const json = argv.includes('--json');
  try {
    await createProgram({terminal, json}, (code) => {
      process.exitCode = code;
    }).parseAsync([...argv], {from: 'user'});
  } catch (error) {
    process.exitCode = report(error, {json, terminal});
  }
  await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
  // A closed event stream must not keep a finished command alive.
  process.exit();
}

/** What was written to a pipe may still be in this process. A reader that went away ends the wait too. */
function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    if (stream.destroyed) resolve();
    stream.once('error', () => resolve());
    stream.end(() => resolve());
  });
}

/** `npm start` and `npm run branchtab` change into the checkout; paths mean what they mean to the caller. */
function enterCallersDirectory(): void {
  const checkout = ownCheckout();
  const caller = process.env.INIT_CWD;
  if (caller !== undefined && process.env.npm_lifecycle_event !== undefined && process.cwd() === checkout)
    process.chdir(caller);
}

function report(error: unknown, {json, terminal}: {json: boolean; terminal: Terminal}): ExitCode {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return exitCodes.ok;
    // Otherwise Commander has written its own message.
    if (json) terminal.err(`${JSON.stringify(usageError(error).toBody())}\n`);
    return exitCodes.usage;
  }
  const known = error instanceof AppError ? error : unexpected(error);
  terminal.err(json ? `${JSON.stringify(known.toBody())}\n` : `branchtab: ${known.message}\n`);
  return exitCodeOf[known.code] ?? exitCodes.failed;
}

function usageError({code, message}: CommanderError): AppError {
  const problem = code === 'commander.help' ? 'a command is missing' : message.replace(/^error: /, '');
  return new AppError('CONFIG_INVALID', `${problem.trimEnd()}. Run with --help for usage.`);
}

/** The stack is for whoever reports it. */
function unexpected(error: unknown): AppError {
  const parts = error instanceof AggregateError ? [error, ...error.errors] : [error];
  const text = parts
    .map((part) => (part instanceof Error ? (part.stack ?? part.message) : String(part)))
    .join('\n');
  return new AppError('INTERNAL_ERROR', text, {cause: error});
}

void main(process.argv.slice(2));
