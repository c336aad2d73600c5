import {chmod, lstat, mkdir, readFile, rm} from 'node:fs/promises';
import {join, resolve} from 'node:path';
import {settingUpEnvironment} from '../reconciler/sources/git-environment.ts';
import {openLocalSource} from '../reconciler/sources/git-local.ts';
import {systemClock} from '../runtime/platform/clock.ts';
import {isErrno, writeFileDurably} from '../runtime/platform/durable-file.ts';
import {createGit} from '../runtime/platform/git-process.ts';
import {silentLog} from '../runtime/platform/log.ts';
import {AppError} from '../schemas/errors.ts';
import type {Environment} from './settings.ts';

/** `post-receive` brings a `pre-receive` along: what is to be skipped must be known before the branch moves. */
export type HookType = 'post-receive' | 'reference-transaction';

const hookNames = ['pre-receive', 'post-receive', 'reference-transaction'] as const;
export type HookName = (typeof hookNames)[number];

const namesOf: Readonly<Record<HookType, readonly HookName[]>> = {
  'post-receive': ['pre-receive', 'post-receive'],
  'reference-transaction': ['reference-transaction'],
};

/** By this line a hook is known to be ours. */
const mark =
  '# Made by `branchtab hook install`, which also replaces it; `branchtab hook uninstall` removes it.';
/** In a hook whose installation let the server take push options. */
const optionsMark = '# The installation set receive.advertisePushOptions.';
const optionsKey = 'receive.advertisePushOptions';

/** The hooks of one repository on this host. */
export interface ServerHooks {
  /** The repository as the controller names it. */
  readonly repository: string;
  readonly directory: string;
  /** Throws HOOK_FOREIGN, and writes nothing, where one of them is not ours. Answers their paths. */
  install(type: HookType, command: (name: HookName) => readonly string[]): Promise<string[]>;
  /** Answers the paths of those that were there and are ours. */
  uninstall(): Promise<string[]>;
}

/** Throws REPOSITORY_UNREADABLE where there is no repository at `path`, HOOK_FOREIGN where its hooks are shared with others. */
export async function openServerHooks(path: string, environment: Environment): Promise<ServerHooks> {
  const source = await openLocalSource({
    path: resolve(path),
    environment,
    clock: systemClock,
    log: silentLog,
  });
  await source.close();
  const {repository} = source;
  const git = createGit({environment: settingUpEnvironment(environment, {safeDirectory: repository})});
  const {signal} = new AbortController();
  const ask = async (...args: string[]) => {
    const {exitCode, stdout, stderr} = await git.run(['-C', repository, ...args], {signal});
    return {exitCode, text: Buffer.from(stdout).toString('utf8').trim(), stderr};
  };
  const mustAsk = async (...args: string[]) => {
    const {exitCode, text, stderr} = await ask(...args);
    if (exitCode === 0) return text;
    throw new AppError('REPOSITORY_UNREADABLE', `git ${args.join(' ')} in ${repository} failed: ${stderr}`);
  };
  const common = resolve(repository, await mustAsk('rev-parse', '--git-common-dir'));
  const directory = resolve(repository, await mustAsk('rev-parse', '--git-path', 'hooks'));
  if (directory !== join(common, 'hooks'))
    throw new AppError(
      'HOOK_FOREIGN',
      `core.hooksPath leads the hooks of ${repository} to ${directory}, which other repositories may share. Unset it for this repository, or call \`branchtab hook run\` from a hook there.`,
    );
  const pathOf = (name: HookName) => join(directory, name);
  const textsOf = async () => {
    const texts = new Map<HookName, string | null>();
    for (const name of hookNames) texts.set(name, await hookText(pathOf(name)));
    return texts;
  };

  return {
    repository,
    directory,
    async install(type, command) {
      const texts = await textsOf();
      const names = namesOf[type];
      for (const name of names) {
        const text = texts.get(name) ?? null;
        if (text === null || isOurs(text)) continue;
        const line = command(name).map(quoted).join(' ');
        throw new AppError(
          'HOOK_FOREIGN',
          `${pathOf(name)} is there and not ours, so nothing was changed. Call ours from it, with the same arguments and input: ${line}`,
        );
      }
      const withOptions =
        type === 'post-receive' && (await ask('config', '--get', '--bool', optionsKey)).text !== 'true';
      const setByUs = withOptions || [...texts.values()].some((text) => text?.includes(optionsMark));
      await mkdir(directory, {recursive: true});
      for (const name of names) {
        const lines = [
          '#!/bin/sh',
          mark,
          ...(setByUs ? [optionsMark] : []),
          ...scriptOf(name, command(name)),
        ];
        await writeFileDurably(pathOf(name), `${lines.join('\n')}\n`);
        await chmod(pathOf(name), 0o755);
      }
      // Of the other type none may stay: each push would be told twice.
      for (const name of hookNames)
        if (!names.includes(name) && isOurs(texts.get(name) ?? '')) await rm(pathOf(name));
      if (withOptions) await mustAsk('config', optionsKey, 'true');
      return names.map(pathOf);
    },
    async uninstall() {
      const ours = [...(await textsOf())].filter(([, text]) => text !== null && isOurs(text));
      for (const [name] of ours) await rm(pathOf(name));
      if (ours.some(([, text]) => text?.includes(optionsMark))) await ask('config', '--unset', optionsKey);
      return ours.map(([name]) => pathOf(name));
    },
  };
}

function isOurs(text: string): boolean {
  return text.split('\n')[1] === mark;
}

/** Null where there is none; the empty text for what is no file of its own, such as a link. */
async function hookText(path: string): Promise<string | null> {
  try {
    return (await lstat(path)).isFile() ? await readFile(path, 'utf8') : '';
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return null;
    throw error;
  }
}

/** Nothing of ours is started where it has nothing to do: the hooks run at every push, or at every commit. */
function scriptOf(name: HookName, command: readonly string[]): string[] {
  const call = command.map(quoted).join(' ');
  switch (name) {
    case 'pre-receive':
      return ["env | grep -q '^GIT_PUSH_OPTION_[0-9]*=branchtab\\.skip$' || exit 0", `exec ${call}`];
    case 'post-receive':
      return [`${call} || true`];
    case 'reference-transaction':
      return [
        '[ "$1" = committed ] || exit 0',
        "moved=$(grep ' refs/heads/') || exit 0",
        // Whoever commits does not wait.
        `printf '%s\\n' "$moved" | ${call} >/dev/null 2>&1 &`,
      ];
    default:
      return name satisfies never;
  }
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
