import {findSandbox} from '../../reconciler/containers/process/sandbox.ts';

/**
 * Null where sandboxes can be tested, the reason otherwise, which is also printed. Throws instead when
 * REQUIRE_LEVELS names `sandbox`.
 */
export async function sandboxSkipReason(): Promise<string | null> {
  const found = await findSandbox('/nowhere');
  if ('sandbox' in found) return null;
  if ((process.env.REQUIRE_LEVELS ?? '').split(',').includes('sandbox')) {
    throw new Error(`level sandbox is required and does not work: ${found.reason}`);
  }
  console.log(`SKIP provider=process level=sandbox reason=${found.reason}`);
  return found.reason;
}
