import {createHash} from 'node:crypto';
import {homedir} from 'node:os';
import {join, resolve} from 'node:path';
import {openLocalSource} from '../reconciler/sources/git-local.ts';
import {parseRepository} from '../reconciler/sources/repository-address.ts';
import {systemClock} from '../runtime/platform/clock.ts';
import {readTextIfPresent} from '../runtime/platform/durable-file.ts';
import {silentLog} from '../runtime/platform/log.ts';
import {type Config, configSchema, parseConfig} from '../schemas/config.ts';
import {AppError} from '../schemas/errors.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Flags as the command line gives them; they win over `branchtab.yaml`. */
export interface SettingsFlags {
  readonly repo?: readonly string[];
  readonly branches?: string;
  readonly listen?: string;
  readonly state?: string;
  readonly provider?: string;
  readonly level?: string;
  readonly config?: string;
  readonly undoWindow?: string;
  readonly trustBranches?: boolean;
}

/** The configuration with flags, file and defaults brought together. */
export interface Settings {
  readonly config: Config;
  readonly stateDirectory: string;
}

const configFile = 'branchtab.yaml';

/**
 * Reads `branchtab.yaml` of the working directory (or `--config`) under the flags. Without a repository in
 * either, the one around the working directory is watched. Throws AppError CONFIG_INVALID with every issue.
 */
export async function readSettings(flags: SettingsFlags, environment: Environment): Promise<Settings> {
  const file = await readConfig(flags.config);
  const overrides = {
    ...(flags.repo === undefined ? {} : {repositories: [...flags.repo]}),
    ...(flags.branches === undefined ? {} : {branches: flags.branches.split(',').map((glob) => glob.trim())}),
    ...(flags.listen === undefined ? {} : {listen: flags.listen}),
    ...(flags.state === undefined ? {} : {state: flags.state}),
    ...(flags.provider === undefined ? {} : {provider: flags.provider}),
    ...(flags.level === undefined ? {} : {level: flags.level}),
    ...(flags.undoWindow === undefined ? {} : {undo_window: flags.undoWindow}),
    ...(flags.trustBranches === undefined ? {} : {trust_branches: flags.trustBranches}),
  };
  const parsed = configSchema.safeParse(overrides);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new AppError(
      'CONFIG_INVALID',
      `--${String(issue?.path[0] ?? '').replaceAll('_', '-')}: ${issue?.message ?? 'is not valid'}`,
    );
  }
  const given = Object.keys(overrides) as (keyof Config)[];
  const fromFlags = Object.fromEntries(given.map((name) => [name, parsed.data[name]]));
  const config: Config = {...file, ...fromFlags};
  const withRepository =
    config.repositories.length > 0
      ? config
      : {...config, repositories: [{repository: '.', environments: []}]};
  return {config: withRepository, stateDirectory: await stateDirectoryOf(withRepository, environment)};
}

/** `branchtab.yaml` of the working directory, or the file at `path`; the defaults where there is none. Throws CONFIG_INVALID. */
export async function readConfig(path: string | undefined): Promise<Config> {
  const text = await readTextIfPresent(path ?? configFile);
  if (text === null) {
    if (path !== undefined) throw new AppError('CONFIG_INVALID', `There is no file ${path}`);
    return configSchema.parse({});
  }
  const {config, issues} = parseConfig(text, path ?? configFile);
  if (config !== null) return config;
  const lines = issues.map((issue) => `${issue.file}:${issue.line}:${issue.column} ${issue.message}`);
  throw new AppError('CONFIG_INVALID', lines.join('\n'), {details: {issues}});
}

/** One directory for one set of repositories, whatever directory the command is called in. */
async function stateDirectoryOf(config: Config, environment: Environment): Promise<string> {
  if (config.state !== undefined) return resolve(config.state);
  const names = await Promise.all(
    config.repositories.map(({repository}) => canonicalName(repository, environment)),
  );
  const hash = createHash('sha256')
    .update([...new Set(names)].sort().join('\n'))
    .digest('hex')
    .slice(0, 12);
  return join(stateHome(environment), hash);
}

/** Where the state directories of this user are, and who has claimed which repository. */
export function stateHome(environment: Environment): string {
  return join(environment.XDG_STATE_HOME || join(homedir(), '.local', 'state'), 'branchtab');
}

async function canonicalName(repository: string, environment: Environment): Promise<string> {
  const address = parseRepository(repository);
  if (address.kind === 'remote') return address.display;
  const source = await openLocalSource({path: address.path, environment, clock: systemClock, log: silentLog});
  await source.close();
  return source.repository;
}
