import type {Forge} from '../../reconciler/forge.ts';
import {createGitHubForge, type GitHubForgeOptions} from '../../reconciler/sources/github/github-forge.ts';
import {systemClock} from '../../runtime/platform/clock.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import type {GitHubStandIn} from './github-stand-in.ts';

/** The forge as a controller opens it, with the stand-in for GitHub behind it; by its token where nothing else is said. */
export function openStandInForge(
  gitHub: GitHubStandIn,
  options: Partial<Pick<GitHubForgeOptions, 'credentials' | 'writesChecks'>> = {},
): Forge {
  return createGitHubForge({
    host: 'github.com',
    apiUrl: gitHub.apiUrl,
    credentials: async () => ({kind: 'token', token: gitHub.token}),
    writesChecks: false,
    writeIntervalMs: 0,
    version: '0.0.0',
    clock: systemClock,
    log: silentLog,
    ...options,
  });
}
