import {authorityPath, makeAuthorityFile} from '../../runtime/platform/authority.ts';
import type {Clock} from '../../runtime/platform/clock.ts';
import {kindOf} from '../../runtime/platform/directories.ts';
import type {ContainerPaths} from './container-paths.ts';
import {domainNames} from './inside.ts';

/**
 * Gives a container that does not run its authority for HTTPS, so that its runtime need not load what makes one. What
 * is there already is the container's own: jobs may have put anything in its place, and only the runtime reads it.
 */
export async function prepareAuthority(
  {store}: Pick<ContainerPaths, 'store'>,
  {domain, clock}: {readonly domain?: string | undefined; readonly clock: Clock},
): Promise<void> {
  if (domain === undefined || (await kindOf(authorityPath(store))) !== null) return;
  await makeAuthorityFile({store, names: domainNames(domain), clock});
}
