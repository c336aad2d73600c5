import type {Clock} from '../../../runtime/platform/clock.ts';
import type {Log} from '../../../runtime/platform/log.ts';
import {AppError} from '../../../schemas/errors.ts';
import {findNetwork} from './network.ts';
import {findSandbox, type Sandbox} from './sandbox.ts';

/** `auto` is the best that works here. */
export type WantedLevel = 'auto' | 'network' | 'sandbox' | 'plain';

/**
 * Null for none. Throws SANDBOX_REQUIRED where the level that is asked for does not work here; `stateDirectory` is what
 * no container is to see.
 */
export async function chooseSandbox({
  level,
  log,
  clock,
  stateDirectory,
}: {
  readonly level: WantedLevel;
  readonly log: Log;
  readonly clock: Clock;
  readonly stateDirectory: string;
}): Promise<Sandbox | null> {
  if (level === 'plain') return null;
  const found = await findSandbox(stateDirectory);
  if (!('sandbox' in found)) {
    const advice =
      'Install bubblewrap (apt-get install bubblewrap, dnf install bubblewrap) and allow user namespaces, or use level plain.';
    if (level !== 'auto')
      throw new AppError('SANDBOX_REQUIRED', `No sandbox works here: ${found.reason}. ${advice}`);
    log.warn(`no sandbox works here, containers are kept apart by directory only. ${advice}`, {
      reason: found.reason,
    });
    return null;
  }
  if (level === 'sandbox') return found.sandbox;
  const connected = await findNetwork(found.sandbox, clock);
  if ('sandbox' in connected) return connected.sandbox;
  const advice =
    'Install slirp4netns (apt-get install slirp4netns, dnf install slirp4netns) and let its user open /dev/net/tun, or use level sandbox.';
  if (level === 'network')
    throw new AppError(
      'SANDBOX_REQUIRED',
      `Containers cannot have networks of their own here: ${connected.reason}. ${advice}`,
    );
  log.info(`containers share this host's network. ${advice}`, {reason: connected.reason});
  return found.sandbox;
}
