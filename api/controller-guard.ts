import type {IncomingMessage, ServerResponse} from 'node:http';
import {AppError} from '../schemas/errors.ts';
import {refuseForeign, refuseMisdirected} from './host-guard.ts';

/** Kits that are made to be called by pages of other sites; their own rules decide there. */
const openKits = /^\/c\/[0-9a-f]{24}\/(?:exec|pipe)(?:[/?]|$)/;

/** The first check of every request to the controller. True where it was refused and answered. */
export function createControllerGuard({allowedHosts}: {allowedHosts: readonly string[]}) {
  return (incoming: IncomingMessage, outgoing: ServerResponse): boolean => {
    const headers = new Headers();
    for (const name of ['host', 'origin', 'sec-fetch-site'] as const) {
      const value = incoming.headers[name];
      if (typeof value === 'string') headers.set(name, value);
    }
    try {
      refuseMisdirected(headers, allowedHosts);
      if (!openKits.test(incoming.url ?? '')) refuseForeign(headers);
      return false;
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      outgoing.writeHead(error.status, {'Content-Type': 'application/json', Connection: 'close'});
      outgoing.end(JSON.stringify(error.toBody()));
      return true;
    }
  };
}
