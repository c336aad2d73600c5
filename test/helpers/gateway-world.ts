import {createControllerFront} from '../../api/controller-front.ts';
import {createExchangeRefusal} from '../../api/exchange-refusal.ts';
import {createGateway, type GatewayOptions} from '../../api/gateway.ts';
import {openDuct} from '../../runtime/platform/byte-duct.ts';
import {Frame} from '../../runtime/platform/byte-flow.ts';
import {answerByFetch} from '../../runtime/platform/exchange-fetch.ts';
import {relayExchange, relayWebsocket} from '../../runtime/platform/exchange-relay.ts';
import {serveExchanges} from '../../runtime/platform/http-exchange.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import {createPipeRelay} from '../../runtime/platform/ordered-pumps.ts';
import {asksForWebsocket, type RequestHead} from '../../runtime/platform/request-head.ts';
import type {AppError} from '../../schemas/errors.ts';
import type {Teardown} from './git-world.ts';

const duct = openDuct();

/** A controller's listener with the gateway, and behind it nothing that is not 418; its URL. */
export async function serveGateway(
  t: Teardown,
  {
    refusal = () => null,
    ...options
  }: Pick<GatewayOptions, 'socketOf'> &
    Partial<Pick<GatewayOptions, 'kitHosts' | 'isOwnAuthorization' | 'userOf'>> & {
      refusal?: (head: RequestHead) => AppError | null;
    },
): Promise<string> {
  const refuse = createExchangeRefusal((bytes) => new Frame(bytes));
  const gateway = createGateway({
    kitHosts: {domains: ['localhost', 'hoody.com'], aliases: new Map()},
    isOwnAuthorization: (header) => header === 'Bearer own',
    userOf: (header) => (header === 'Bearer of-ann' ? 'ann' : null),
    ownCookie: 'branchtab_session',
    relay: (relayed) => relayExchange(relayed, () => duct),
    relayPipe: createPipeRelay(() => duct),
    relayWebsocket,
    asksForWebsocket,
    refuse,
    log: silentLog,
    ...options,
  });
  const server = await serveExchanges(
    {kind: 'tcp', host: '127.0.0.1', port: 0},
    createControllerFront({
      refusal,
      gateway,
      app: async () => new Response('no kit', {status: 418}),
      answerByFetch,
      refuse,
      log: silentLog,
    }),
    {isUnpaced: true},
  );
  t.teardown(() => server.close({graceMs: 0}));
  return server.url;
}
