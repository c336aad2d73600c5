import {randomBytes} from 'node:crypto';
import {refuseMisdirected} from '../api/host-guard.ts';
import {createPipeHandler} from '../api/pipe-handler.ts';
import type {Health} from '../api/runtime-app.ts';
import {openPipe} from './pipe/service.ts';
import {printJson, printText} from './pipe/transfer-log.ts';
import type {Duct} from './platform/byte-duct.ts';
import {Frame} from './platform/byte-flow.ts';
import type {Clock} from './platform/clock.ts';
import {type Exchange, serveExchanges} from './platform/http-exchange.ts';
import type {ListenAddress} from './platform/http-server.ts';
import type {Log} from './platform/log.ts';

export interface PipeKit {
  /** Of the address of its own; null where it has none. */
  readonly url: string | null;
  /** Ends who waits, lets transfers run for the grace, then ends all. */
  stop(options: {graceMs: number}): Promise<void>;
}

/**
 * Serves the pipe kit on a socket for the listeners of all kits, and where `address` is given there too, for clients
 * that want the shortest way.
 */
export async function startPipeKit({
  socketPath,
  address,
  allowedHosts,
  health,
  onUnused,
  clock,
  log,
}: {
  socketPath: string;
  address: ListenAddress | null;
  allowedHosts: readonly string[];
  health: () => Promise<Health>;
  /** Called each time that nobody uses a pipe any more. */
  onUnused: () => void;
  clock: Clock;
  log: Log;
}): Promise<PipeKit> {
  const pipe = openPipe({
    clock,
    randomId: () => randomBytes(12).toString('hex'),
    duct: lazyDuct(log),
    onUnused,
  });
  const handler = (admit: (exchange: Exchange) => void) =>
    createPipeHandler({
      pipe,
      health,
      admit,
      frameOf: (bytes) => new Frame(bytes),
      printLog: {text: printText, json: printJson},
      clock,
      log,
    });
  const own = await serveExchanges(
    {kind: 'unix', path: socketPath},
    // Who reaches the socket was admitted by the listener that relays.
    handler(() => {}),
  );
  const open =
    address === null
      ? null
      : await serveExchanges(
          address,
          handler(({head}) => refuseMisdirected(head.fields.get('host') ?? null, allowedHosts)),
        );
  return {
    url: open?.url ?? null,
    async stop({graceMs}) {
      await pipe.stop({graceMs});
      for (const server of [own, open]) server?.close();
    },
  };
}

/** Most containers never see a transfer that is worth one; it is there soon after the first that asks. */
function lazyDuct(log: Log): () => Duct | null {
  let duct: Duct | null = null;
  let isWanted = false;
  return () => {
    if (!isWanted) {
      isWanted = true;
      import('./platform/byte-duct.ts')
        .then(({openDuct}) => {
          duct = openDuct();
        })
        .catch((error: unknown) => log.warn('all bytes of pipes are copied', {error}));
    }
    return duct;
  };
}
