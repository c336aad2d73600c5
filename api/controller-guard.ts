import type {IncomingMessage, ServerResponse} from 'node:http';
import type {Kit} from '../schemas/control.ts';
import {AppError} from '../schemas/errors.ts';
import {refuseForeign, refuseMisdirected} from './host-guard.ts';
import {kitAddress} from './kit-address.ts';

/** Kits that are made to be called by pages of other sites; their own rules decide there. */
const openKits: ReadonlySet<Kit> = new Set(['exec', 'pipe']);

/**
 * The first check of every request to the controller. True where it was refused and answered. Of `kitDomains` only
 * the hosts of kits are ours, and those only for kits.
 */
export function createControllerGuard({
  allowedHosts,
  kitDomains,
}: {
  allowedHosts: readonly string[];
  kitDomains: readonly string[];
}) {
  return (incoming: IncomingMessage, outgoing: ServerResponse): boolean => {
    const headers = new Headers();
    for (const name of ['host', 'origin', 'sec-fetch-site'] as const) {
      const value = incoming.headers[name];
      if (typeof value === 'string') headers.set(name, value);
    }
    try {
      const host = headers.get('host') ?? '';
      const address = kitAddress({host, target: incoming.url ?? ''}, kitDomains);
      if (address?.byHost !== true) refuseMisdirected(headers.get('host'), allowedHosts);
      if (address === null || !openKits.has(address.kit)) refuseForeign(headers);
      return false;
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      outgoing.writeHead(error.status, {'Content-Type': 'application/json', Connection: 'close'});
      outgoing.end(JSON.stringify(error.toBody()));
      return true;
    }
  };
}
