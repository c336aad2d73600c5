import {findNetwork} from '../../reconciler/containers/process/network.ts';
import {findSandbox} from '../../reconciler/containers/process/sandbox.ts';
import {systemClock} from '../../runtime/platform/clock.ts';

/**
 * Null where a level of the process provider can be tested, the reason otherwise, which is also printed. Throws
 * instead when REQUIRE_LEVELS (names with commas between) holds the level.
 */
export async function levelSkipReason(level: 'network' | 'sandbox' | 'plain'): Promise<string | null> {
  const reason = await reasonAgainst(level);
  if (reason === null) return null;
  if ((process.env.REQUIRE_LEVELS ?? '').split(',').includes(level)) {
    throw new Error(`level ${level} is required and does not work: ${reason}`);
  }
  console.log(`SKIP provider=process level=${level} reason=${reason}`);
  return reason;
}

async function reasonAgainst(level: 'network' | 'sandbox' | 'plain'): Promise<string | null> {
  if (process.platform !== 'linux') return `not on ${process.platform}`;
  if (level === 'plain') return null;
  const found = await findSandbox('/nowhere');
  if (!('sandbox' in found)) return found.reason;
  if (level === 'sandbox') return null;
  const connected = await findNetwork(found.sandbox, systemClock);
  return 'sandbox' in connected ? null : connected.reason;
}

/** The best level at which jobs reach what a test serves on this host's loopback. */
export async function levelWithHostNetwork(): Promise<'sandbox' | 'plain'> {
  return (await reasonAgainst('sandbox')) === null ? 'sandbox' : 'plain';
}
