import {findSandbox} from '../../reconciler/containers/process/sandbox.ts';

/**
 * Null where a level of the process provider can be tested, the reason otherwise, which is also printed. Throws
 * instead when REQUIRE_LEVELS (names with commas between) holds the level.
 */
export async function levelSkipReason(level: 'sandbox' | 'plain'): Promise<string | null> {
  const reason = await reasonAgainst(level);
  if (reason === null) return null;
  if ((process.env.REQUIRE_LEVELS ?? '').split(',').includes(level)) {
    throw new Error(`level ${level} is required and does not work: ${reason}`);
  }
  console.log(`SKIP provider=process level=${level} reason=${reason}`);
  return reason;
}

async function reasonAgainst(level: 'sandbox' | 'plain'): Promise<string | null> {
  if (process.platform !== 'linux') return `not on ${process.platform}`;
  if (level === 'plain') return null;
  const found = await findSandbox('/nowhere');
  return 'sandbox' in found ? null : found.reason;
}
