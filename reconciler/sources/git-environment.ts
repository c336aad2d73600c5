import type {Admission} from './remote-access.ts';
import {allowedProtocols} from './repository-address.ts';

/** The environment that the operator started us with, for PATH, HOME, proxies and the ssh agent. */
export type InheritedEnvironment = Readonly<Record<string, string | undefined>>;

/** For reading a repository that is not ours: no network, no hooks, no locks, nothing written. */
export function readingEnvironment(
  inherited: InheritedEnvironment,
  {safeDirectory, gitDirectory}: {safeDirectory: string; gitDirectory?: string},
): Record<string, string> {
  return {
    ...withoutGitVariables(inherited),
    ...common,
    ...(gitDirectory === undefined ? {} : {GIT_DIR: gitDirectory}),
    // A partial clone would fetch what it lacks, with commands that its own configuration names.
    GIT_NO_LAZY_FETCH: '1',
    GIT_ALLOW_PROTOCOL: '',
    // Git takes safe.directory only from the environment and from the user's own files.
    ...configuration([
      ['core.hooksPath', '/dev/null'],
      ['core.fsmonitor', 'false'],
      ['protocol.ext.allow', 'never'],
      ['safe.directory', safeDirectory],
    ]),
  };
}

/** For reading and writing the configuration of a repository, and finding where its hooks are. Runs none of them. */
export function settingUpEnvironment(
  inherited: InheritedEnvironment,
  {safeDirectory}: {safeDirectory: string},
): Record<string, string> {
  return {
    ...withoutGitVariables(inherited),
    ...common,
    ...configuration([['safe.directory', safeDirectory]]),
  };
}

/** Under this name our own mirror knows its remote, in the environment of commands that speak to it and nowhere else. */
export const remoteName = 'origin';

/**
 * For commands that speak to a remote repository from inside our own mirror. Only they know that the mirror has few
 * of the files' contents: a reader finds a missing one missing, whatever its git would do about it.
 */
export function fetchingEnvironment(
  inherited: InheritedEnvironment,
  {
    mirrorDirectory,
    address,
    admission,
  }: {mirrorDirectory: string; address: string; admission: Pick<Admission, 'configuration' | 'sshCommand'>},
): Record<string, string> {
  const {configuration: given, sshCommand} = admission;
  return {
    ...withoutPrompts(withoutGitVariables(inherited)),
    ...common,
    GIT_DIR: mirrorDirectory,
    GIT_ALLOW_PROTOCOL: allowedProtocols.join(':'),
    // Bytes a second and seconds: a slower transfer is given up.
    GIT_HTTP_LOW_SPEED_LIMIT: '1000',
    GIT_HTTP_LOW_SPEED_TIME: '60',
    ...(sshCommand === null ? {} : {GIT_SSH_COMMAND: sshCommand}),
    // In the environment secrets are seen by our own user only; arguments are seen by everybody.
    ...configuration([
      ['protocol.version', '2'],
      [`remote.${remoteName}.url`, address],
      [`remote.${remoteName}.promisor`, 'true'],
      [`remote.${remoteName}.partialCloneFilter`, 'blob:none'],
      ...given,
    ]),
  };
}

const common = {
  GIT_TERMINAL_PROMPT: '0',
  GIT_OPTIONAL_LOCKS: '0',
  GIT_NO_REPLACE_OBJECTS: '1',
  // Messages are matched to choose the advice that an error gives.
  LC_ALL: 'C',
};

function configuration(pairs: readonly (readonly [string, string])[]): Record<string, string> {
  return Object.fromEntries([
    ['GIT_CONFIG_COUNT', String(pairs.length)],
    ...pairs.flatMap(([key, value], index) => [
      [`GIT_CONFIG_KEY_${index}`, key],
      [`GIT_CONFIG_VALUE_${index}`, value],
    ]),
  ]);
}

function withoutGitVariables(inherited: InheritedEnvironment): Record<string, string> {
  return Object.fromEntries(
    Object.entries(inherited).filter(
      (pair): pair is [string, string] => pair[1] !== undefined && !pair[0].toUpperCase().startsWith('GIT_'),
    ),
  );
}

/** Programs that git or ssh would start to ask a person; simple-git refuses to run with them too. */
const promptVariables = new Set(['EDITOR', 'VISUAL', 'PAGER', 'SSH_ASKPASS', 'PREFIX']);

function withoutPrompts(environment: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).filter(([name]) => !promptVariables.has(name.toUpperCase())),
  );
}
