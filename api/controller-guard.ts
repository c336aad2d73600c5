import type {RequestHead} from '../runtime/platform/request-head.ts';
import type {Kit} from '../schemas/control.ts';
import {AppError} from '../schemas/errors.ts';
import {refuseForeign, refuseMisdirected} from './host-guard.ts';
import {type KitHosts, kitAddress} from './kit-address.ts';

/** Kits that are made to be called by pages of other sites; their own rules decide there. */
const openKits: ReadonlySet<Kit> = new Set(['exec', 'pipe']);

/**
 * The first check of every request to the controller: why it goes no further; null lets it pass. Below the domains of
 * `kitHosts` only the hosts of kits are ours, and those only for kits.
 */
export function createControllerGuard({
  allowedHosts,
  kitHosts,
}: {
  allowedHosts: readonly string[];
  kitHosts: KitHosts;
}): (head: RequestHead) => AppError | null {
  return ({target, fields}) => {
    try {
      const host = fields.get('host') ?? '';
      const address = kitAddress({host, target}, kitHosts);
      if (address?.byHost !== true) refuseMisdirected(fields.get('host') ?? null, allowedHosts);
      if (address === null || !openKits.has(address.kit)) refuseForeign(fields);
      return null;
    } catch (error) {
      if (error instanceof AppError) return error;
      throw error;
    }
  };
}
