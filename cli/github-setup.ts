import {resolve} from 'node:path';
import {settingUpEnvironment} from '../reconciler/sources/git-environment.ts';
import {putWebhook} from '../reconciler/sources/github/webhook-setup.ts';
import {systemClock} from '../runtime/platform/clock.ts';
import {createGit} from '../runtime/platform/git-process.ts';
import {silentLog} from '../runtime/platform/log.ts';
import type {Config} from '../schemas/config.ts';
import {AppError} from '../schemas/errors.ts';
import {forgePath} from '../schemas/forge-path.ts';
import type {SecretSource} from '../schemas/secret-source.ts';
import {gitHubApiUrl} from './github.ts';
import {readSecret} from './secret.ts';
import {type Environment, readConfig} from './settings.ts';
import {version} from './version.ts';

export interface GitHubSetupFlags {
  readonly action?: string;
  readonly controller?: string;
  readonly config?: string;
}

/** What is known before anything is written. */
export interface GitHubSetup {
  /** `owner/name@ref` of Branchtab's own repository. */
  readonly action: string;
  /** Address of the controller, without a final slash. */
  readonly controller: string;
  readonly host: string;
  /** `owner/name`; null where the repository has no origin on that host. */
  readonly repository: string | null;
  readonly secret: SecretSource | null;
  /** Null where no token was given: then it is left to a person. */
  readonly webhook: (() => Promise<'created' | 'updated'>) | null;
}

const events = ['push', 'create', 'delete', 'pull_request'];

/** Throws CONFIG_INVALID for what is missing, with where it belongs. */
export async function readGitHubSetup(
  repository: string,
  flags: GitHubSetupFlags,
  environment: Environment,
): Promise<GitHubSetup> {
  const config = await readConfig(flags.config);
  const controller = addressOf(flags.controller ?? config.public_url);
  const named = /^([a-z\d][a-z\d-]*\/[\w-][\w.-]*)(?:@(\w[\w./-]*))?$/i.exec(flags.action ?? '');
  if (named === null)
    throw new AppError(
      'CONFIG_INVALID',
      '--github: say where on GitHub your copy of Branchtab is, from which the workflow takes the Action: --action owner/name, or owner/name@<branch, tag or commit>.',
    );
  const host = config.github?.host ?? 'github.com';
  const known = await repositoryOn(host, repository, environment);
  const secret = config.webhooks.github?.secrets.at(-1) ?? null;
  return {
    action: `${named[1]}@${named[2] ?? 'v1'}`,
    controller,
    host,
    repository: known,
    secret,
    webhook: webhookBy(environment.GITHUB_TOKEN, {
      config,
      controller,
      repository: known,
      host,
      secret,
      environment,
    }),
  };
}

/** Without a final slash. */
function addressOf(text: string | undefined): string {
  if (text !== undefined && URL.canParse(text) && /^https?:/.test(text))
    return new URL(text).href.replace(/\/+$/, '');
  throw new AppError(
    'CONFIG_INVALID',
    '--github: say where GitHub reaches the controller, with --controller https://... or as public_url in branchtab.yaml.',
  );
}

function webhookBy(
  token: string | undefined,
  {
    config,
    controller,
    repository,
    host,
    secret,
    environment,
  }: Pick<GitHubSetup, 'controller' | 'host' | 'repository' | 'secret'> & {
    config: Config;
    environment: Environment;
  },
): GitHubSetup['webhook'] {
  if (token === undefined || token === '') return null;
  if (repository === null)
    throw new AppError(
      'CONFIG_INVALID',
      `--github: GITHUB_TOKEN is set, and the remote origin is no repository on ${host}, so that no webhook can be made. Set origin, or github.host in branchtab.yaml.`,
    );
  if (secret === null)
    throw new AppError(
      'CONFIG_INVALID',
      '--github: GITHUB_TOKEN is set, and branchtab.yaml has no webhooks.github.secrets to give the webhook. See docs/github.md#webhooks.',
    );
  return async () =>
    putWebhook(
      {
        apiUrl: gitHubApiUrl(config.github ?? {host}),
        token,
        repository,
        url: `${controller}/hooks/github`,
        secret: await readSecret(secret, environment),
        events,
      },
      {version, clock: systemClock, log: silentLog},
    );
}

async function repositoryOn(
  host: string,
  repository: string,
  environment: Environment,
): Promise<string | null> {
  const git = createGit({environment: settingUpEnvironment(environment, {safeDirectory: repository})});
  const {signal} = new AbortController();
  const {exitCode, stdout} = await git.run(['-C', resolve(repository), 'remote', 'get-url', 'origin'], {
    signal,
  });
  const [ownHost, owner, name, ...rest] =
    (exitCode === 0 ? forgePath(Buffer.from(stdout).toString('utf8').trim()) : null)?.split('/') ?? [];
  return ownHost === host && name !== undefined && rest.length === 0 ? `${owner}/${name}` : null;
}

/** What is left to do, for people. */
export function gitHubSteps(
  {controller, host, repository, secret, webhook}: GitHubSetup,
  made: string | null,
): string {
  const page =
    repository === null
      ? 'Settings > Webhooks of the repository'
      : `https://${host}/${repository}/settings/hooks/new`;
  const secretWords =
    secret === null
      ? 'one that you make, and name in webhooks.github.secrets of branchtab.yaml'
      : `the one of ${sourceWords(secret)}`;
  const hook =
    webhook === null
      ? [
          `Add the webhook at ${page} (or run this again with GITHUB_TOKEN set):`,
          `  Payload URL   ${controller}/hooks/github`,
          '  Content type  application/json',
          `  Secret        ${secretWords}`,
          '  Events        pushes, branch or tag creation, branch or tag deletion, pull requests',
        ]
      : [`The webhook of ${repository} was ${made}.`];
  return [
    ...hook,
    'Let the jobs of the workflow in, in branchtab.yaml of the controller:',
    '  deployers:',
    `    - issuer: ${issuerOf(host)}`,
    `      audience: ${controller}`,
    'Nothing was committed. To begin: git add .hoody .github && git commit, and push.',
    '',
  ].join('\n');
}

function issuerOf(host: string): string {
  return host === 'github.com'
    ? 'https://token.actions.githubusercontent.com'
    : `https://${host}/_services/token`;
}

function sourceWords(source: SecretSource): string {
  if ('from_file' in source) return source.from_file;
  return 'from_env' in source ? `the variable ${source.from_env}` : 'the command in webhooks.github.secrets';
}
