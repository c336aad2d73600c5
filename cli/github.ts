import type {Forge} from '../reconciler/forge.ts';
import {createGitHubForge} from '../reconciler/sources/github/github-forge.ts';
import type {Clock} from '../runtime/platform/clock.ts';
import type {Log} from '../runtime/platform/log.ts';
import type {GitHubConfig} from '../schemas/forge-config.ts';
import {readSecret} from './secret.ts';
import type {Environment} from './settings.ts';
import {version} from './version.ts';

/** GitHub as the configuration names it. Nothing is read or asked before its first use. */
export function openGitHub(
  {host, api_url, token, app, write_interval}: GitHubConfig,
  {environment, clock, log}: {environment: Environment; clock: Clock; log: Log},
): Forge {
  return createGitHubForge({
    host,
    apiUrl: gitHubApiUrl({host, ...(api_url === undefined ? {} : {api_url})}),
    writesChecks: app !== undefined,
    writeIntervalMs: write_interval,
    async credentials() {
      if (token !== undefined) return {kind: 'token', token: await readSecret(token, environment)};
      if (app === undefined) throw new Error('the schema asks for a token or an App');
      return {
        kind: 'app',
        appId: String(app.id),
        privateKey: await readSecret(app.private_key, environment),
        installationId: app.installation ?? null,
      };
    },
    version,
    clock,
    log,
  });
}

/** Without a final slash. */
export function gitHubApiUrl({host, api_url}: Pick<GitHubConfig, 'host' | 'api_url'>): string {
  const defaultUrl = host === 'github.com' ? 'https://api.github.com' : `https://${host}/api/v3`;
  return (api_url ?? defaultUrl).replace(/\/+$/, '');
}
