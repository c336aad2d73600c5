import {resolve} from 'node:path';
import {ownCommand} from '../../runtime/platform/child-process.ts';
import {AppError} from '../../schemas/errors.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import {type HookName, type HookType, openServerHooks} from '../server-hooks.ts';
import {type Environment, readSettings} from '../settings.ts';
import {printable, type Terminal} from '../terminal.ts';

export interface HookFlags {
  readonly repo?: readonly string[];
  readonly json?: boolean;
}

export interface InstallHookFlags extends HookFlags {
  readonly type: HookType;
  readonly state?: string;
  readonly config?: string;
  readonly controller?: string;
  readonly tokenFile?: string;
  readonly as?: string;
}

/** `branchtab hook install`: pushes to a repository on this host reach the controller at once, and may wait for it. */
export async function installHook(
  flags: InstallHookFlags,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const hooks = await openServerHooks(repositoryOf(flags), environment);
  const where = await controllerWords(flags, environment);
  const command = (name: HookName) => [
    ...ownCommand(Bun.main),
    'hook',
    'run',
    name,
    '--as',
    flags.as ?? hooks.repository,
    ...where,
  ];
  const installed = await hooks.install(flags.type, command);
  if (flags.json) terminal.out(`${JSON.stringify({repository: hooks.repository, installed})}\n`);
  else {
    for (const path of installed) terminal.out(`wrote ${printable(path)}\n`);
    terminal.err(
      flags.type === 'post-receive'
        ? 'Whoever pushes may say: git push -o branchtab.wait, git push -o branchtab.skip\n'
        : 'Git gives no push options to this hook; post-receive has them.\n',
    );
  }
  return exitCodes.ok;
}

/** `branchtab hook uninstall`: removes what `install` wrote, and nothing else. */
export async function uninstallHook(
  flags: HookFlags,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const hooks = await openServerHooks(repositoryOf(flags), environment);
  const removed = await hooks.uninstall();
  if (flags.json) terminal.out(`${JSON.stringify({repository: hooks.repository, removed})}\n`);
  else if (removed.length === 0) terminal.err(`No hook in ${printable(hooks.directory)} is ours.\n`);
  else for (const path of removed) terminal.out(`removed ${printable(path)}\n`);
  return exitCodes.ok;
}

function repositoryOf({repo}: HookFlags): string {
  const [path = '.', ...more] = repo ?? [];
  if (more.length > 0)
    throw new AppError('CONFIG_INVALID', '--repo: hooks are set up in one repository at a time.');
  return path;
}

/** How the hook finds the controller and proves who it is; it runs in another directory, and as another user perhaps. */
async function controllerWords(flags: InstallHookFlags, environment: Environment): Promise<string[]> {
  if (flags.controller === undefined) {
    if (flags.tokenFile !== undefined)
      throw new AppError('CONFIG_INVALID', '--token-file: name the controller too, with --controller.');
    return ['--state', (await readSettings(flags, environment)).stateDirectory];
  }
  if (flags.tokenFile === undefined)
    throw new AppError(
      'CONFIG_INVALID',
      '--controller: name a file with a token of `deployers` of its branchtab.yaml too, with --token-file.',
    );
  return ['--controller', flags.controller.replace(/\/+$/, ''), '--token-file', resolve(flags.tokenFile)];
}
