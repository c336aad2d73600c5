import {randomBytes} from 'node:crypto';
import {refuseMisdirected} from '../api/host-guard.ts';
import {createPipeHandler} from '../api/pipe-handler.ts';
import type {Health} from '../api/runtime-app.ts';
import {openPipe} from './pipe/service.ts';
import {printJson, printText} from './pipe/transfer-log.ts';
import type {Duct} from './platform/byte-duct.ts';
import {Frame} from './platform/byte-flow.ts';
import type {Clock} from './platform/clock.ts';
import {createFarPumps} from './platform/far-pumps.ts';
import {type Exchange, serveExchanges} from './platform/http-exchange.ts';
import type {ListenAddress} from './platform/listen-address.ts';
import type {Log} from './platform/log.ts';

export interface PipeKit {
  /** Of the address of its own; null where it has none. */
  readonly url: string | null;
  /** For a request that came to a listener of all kits; `trusted`: to the controller's. */
  readonly handle: (exchange: Exchange, from: {trusted: boolean}) => void;
  /** For the controller's request for a channel by which its pumps are ordered. */
  readonly orderPumps: (exchange: Exchange) => void;
  /** Ends who waits, lets transfers run for the grace, then ends all. */
  stop(options: {graceMs: number}): Promise<void>;
}

/** The pipe kit for the listeners of all kits, and where `address` is given with one of its own too. */
export async function startPipeKit({
  address,
  allowedHosts,
  health,
  onUnused,
  clock,
  log,
}: {
  address: ListenAddress | null;
  allowedHosts: readonly string[];
  health: () => Promise<Health>;
  /** Called each time that nobody uses a pipe any more. */
  onUnused: () => void;
  clock: Clock;
  log: Log;
}): Promise<PipeKit> {
  const farPumps = createFarPumps();
  const pipe = openPipe({
    clock,
    randomId: () => randomBytes(12).toString('hex'),
    duct: lazyDuct(log),
    farPump: farPumps.pump,
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
  const trusting = handler(() => {});
  const checking = handler(({head}) => refuseMisdirected(head.fields.get('host') ?? null, allowedHosts));
  const server = address === null ? null : await serveExchanges(address, checking, {isUnpaced: true});
  return {
    url: server?.url ?? null,
    handle(exchange, {trusted}) {
      if (trusted) trusting.handle(farPumps.known(exchange));
      else checking.handle(exchange);
    },
    orderPumps: (exchange) => farPumps.open(exchange),
    async stop({graceMs}) {
      await pipe.stop({graceMs});
      farPumps.close();
      await server?.close({graceMs: 0});
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
          duct = openDuct({program: Bun.main});
        })
        .catch((error: unknown) => log.warn('all bytes of pipes are copied', {error}));
    }
    return duct;
  };
}
