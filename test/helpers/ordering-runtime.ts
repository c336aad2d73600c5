import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {ByteSocket} from '../../runtime/platform/byte-socket.ts';
import {type Exchange, serveExchanges} from '../../runtime/platform/http-exchange.ts';
import {pumpsPath, RELAYED_HEADER} from '../../schemas/control.ts';
import {serveGateway} from './gateway-world.ts';
import type {Teardown} from './git-world.ts';
import {gatewayContainer} from './pipe-world.ts';

export interface OrderingRuntime {
  readonly url: string;
  readonly port: number;
  /** Requests that were relayed, by their numbers. */
  readonly relayed: Map<number, Exchange>;
  readonly news: {news: string; from: number; bytes: number}[];
  /** Says it as it is. */
  say(text: string): void;
  order(order: object): void;
  until(wanted: () => boolean): Promise<void>;
  isOpen(): boolean;
  /** Of the relayed requests. */
  last(): Exchange | null;
}

/** A gateway before a runtime that does what a test says, and nothing else. */
export async function startOrderingRuntime(
  t: Teardown,
  {answersPumps = true} = {},
): Promise<OrderingRuntime> {
  const directory = await mkdtemp(join(tmpdir(), 'bt-pumps-'));
  const socketPath = join(directory, 'control.sock');
  const relayed = new Map<number, Exchange>();
  const news: OrderingRuntime['news'] = [];
  let channel: ByteSocket | null = null;
  let last: Exchange | null = null;
  let waiters: (() => void)[] = [];
  const wake = () => {
    for (const waiter of waiters.splice(0)) waiter();
  };
  const server = await serveExchanges(
    {kind: 'unix', path: socketPath},
    {
      refuse(error) {
        throw error;
      },
      handle(exchange) {
        const {target, fields} = exchange.head;
        const end = () => exchange.respond({status: 404, fields: [], lengthBytes: 0}).end();
        if (target === pumpsPath && !answersPumps) end();
        else if (target === pumpsPath) {
          exchange.takeOver((socket) => {
            channel = socket;
            socket.write(
              Buffer.from(
                'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: branchtab-pumps\r\n\r\n',
              ),
            );
            const gone = () => {
              channel = null;
              wake();
            };
            return {
              data(bytes) {
                for (const line of String(Buffer.from(bytes)).trim().split('\n')) news.push(JSON.parse(line));
                wake();
              },
              drained() {},
              ended() {
                socket.close();
                gone();
              },
              closed: gone,
            };
          });
        } else {
          relayed.set(Number(fields.get(RELAYED_HEADER)?.split('.')[1] ?? relayed.size + 1), exchange);
          last = exchange;
          wake();
        }
      },
    },
  );
  const gateway = await serveGateway(t, {socketOf: () => socketPath});
  t.teardown(async () => {
    await server.close({graceMs: 0});
    await rm(directory, {recursive: true, force: true});
  });
  return {
    url: `${gateway}/c/${gatewayContainer}/pipe`,
    port: Number(new URL(gateway).port),
    relayed,
    news,
    say: (text) => void channel?.write(Buffer.from(text)),
    order: (order) => void channel?.write(Buffer.from(`${JSON.stringify(order)}\n`)),
    async until(wanted) {
      while (!wanted()) await new Promise<void>((resolve) => waiters.push(resolve));
      waiters = [];
    },
    isOpen: () => channel !== null,
    last: () => last,
  };
}
