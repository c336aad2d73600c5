import {AppError} from '../../schemas/errors.ts';
import type {HostLease} from './host-pool.ts';
import type {SharedStateAnswer, SharedStateRequest} from './shared-state.ts';

const withinMs = 5000;

/** Asks a host about its shared object. Throws SCRIPT_HOST_FAILED where a script blocks it, or it ends meanwhile. */
export async function askSharedState(
  lease: HostLease,
  request: SharedStateRequest,
): Promise<SharedStateAnswer> {
  try {
    return await lease.host.askSharedState(request, {signal: AbortSignal.timeout(withinMs)});
  } catch (error) {
    throw new AppError(
      'SCRIPT_HOST_FAILED',
      'The script host does not answer: a script blocks it, or it ended. Try again in a moment.',
      {cause: error},
    );
  } finally {
    lease.release();
  }
}
