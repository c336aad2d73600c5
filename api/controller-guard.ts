import type {IncomingMessage} from 'node:http';
import type {Kit} from '../schemas/control.ts';
import {AppError} from '../schemas/errors.ts';
import {refuseForeign, refuseMisdirected} from './host-guard.ts';
import {type KitHosts, kitAddress} from './kit-address.ts';
import {createRequestGuard, type RequestGuard} from './request-guard.ts';

/** Kits that are made to be called by pages of other sites; their own rules decide there. */
const openKits: ReadonlySet<Kit> = new Set(['exec', 'pipe']);

/**
 * The first check of every request to the controller. Below the domains of `kitHosts` only the hosts of kits are ours,
 * and those only for kits.
 */
export function createControllerGuard({
  allowedHosts,
  kitHosts,
}: {
  allowedHosts: readonly string[];
  kitHosts: KitHosts;
}): RequestGuard {
  function refusal(incoming: IncomingMessage): AppError | null {
    const headers = new Headers();
    for (const name of ['host', 'origin', 'sec-fetch-site'] as const) {
      const value = incoming.headers[name];
      if (typeof value === 'string') headers.set(name, value);
    }
    try {
      const host = headers.get('host') ?? '';
      const address = kitAddress({host, target: incoming.url ?? ''}, kitHosts);
      if (address?.byHost !== true) refuseMisdirected(headers.get('host'), allowedHosts);
      if (address === null || !openKits.has(address.kit)) refuseForeign(headers);
      return null;
    } catch (error) {
      if (error instanceof AppError) return error;
      throw error;
    }
  }

  return createRequestGuard(refusal);
}
