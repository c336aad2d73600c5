import {once} from 'node:events';
import {mkdtemp, readdir, rm} from 'node:fs/promises';
import {connect, type Socket} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createExchangeRefusal} from '../../api/exchange-refusal.ts';
import {createKitFront} from '../../api/kit-front.ts';
import {type PipeKit, startPipeKit} from '../../runtime/pipe-main.ts';
import {Frame} from '../../runtime/platform/byte-flow.ts';
import {type Clock, systemClock} from '../../runtime/platform/clock.ts';
import {answerByFetch} from '../../runtime/platform/exchange-fetch.ts';
import {type ExchangeHandler, serveExchanges} from '../../runtime/platform/http-exchange.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import {asksForWebsocket} from '../../runtime/platform/request-head.ts';
import {serveGateway} from './gateway-world.ts';
import type {Teardown} from './git-world.ts';

export interface PipeWorld {
  /** The kit's own address, without a slash at its end. */
  readonly direct: string;
  /** Below the address of all kits, with the prefix. */
  readonly common: string;
  /** Behind a controller's gateway, which knows it as that of the container `gatewayContainer`. */
  readonly gateway: string;
  /** Of the listener that a controller speaks with. */
  readonly controlSocket: string;
  /** Names in the directory of its sockets. */
  files(): Promise<string[]>;
  stop(options: {graceMs: number}): Promise<void>;
}

/** The pipe kit on real sockets in this process, on both of its addresses and behind a gateway. */
export async function createPipeWorld(
  t: Teardown,
  {clock = systemClock}: {clock?: Clock} = {},
): Promise<PipeWorld> {
  const directory = await mkdtemp(join(tmpdir(), 'bt-pipe-'));
  const kit = await startPipeKit({
    address: {kind: 'tcp', host: '127.0.0.1', port: 0},
    allowedHosts: [],
    health: async () => ({status: 'ok', started: '', pid: 1, ip: '', fds: 1, built: null, memory: null}),
    onUnused() {},
    clock,
    log: silentLog,
  });
  const server = await serveExchanges({kind: 'tcp', host: '127.0.0.1', port: 0}, pipeFront(kit, false));
  const controlSocket = join(directory, 'control.sock');
  const control = await serveExchanges({kind: 'unix', path: controlSocket}, pipeFront(kit, true));
  const gateway = await serveGateway(t, {
    socketOf: (container) => (container === gatewayContainer ? controlSocket : null),
  });
  t.teardown(async () => {
    await kit.stop({graceMs: 0});
    await server.close({graceMs: 0});
    await control.close({graceMs: 0});
    await rm(directory, {recursive: true, force: true});
  });
  return {
    direct: kit.url ?? '',
    common: `${server.url}/api/v1/pipe`,
    gateway: `${gateway}/c/${gatewayContainer}/pipe`,
    controlSocket,
    files: () => readdir(directory),
    stop: kit.stop,
  };
}

/** The listener of all kits in a runtime that has no other kit than the pipe. */
function pipeFront(kit: PipeKit, trusted: boolean): ExchangeHandler {
  const unused = () => {
    throw new Error('no test of the pipe asks for this');
  };
  return createKitFront({
    exec: {calls: {answer: unused}, websockets: {connect: unused}},
    pipe: kit.handle,
    orderPumps: kit.orderPumps,
    app: {fetch: async () => new Response('no pipe', {status: 404})},
    trusted,
    allowedHosts: [],
    refusal: () => null,
    findRun: () => null,
    asksForWebsocket,
    sinkOf: unused,
    websocketOf: unused,
    refuse: createExchangeRefusal((bytes) => new Frame(bytes)),
    answerByFetch,
    log: silentLog,
  });
}

export const gatewayContainer = '0123456789abcdef01234567';

/** A client on a connection of its own that says exactly what it is told to. */
export class RawClient {
  readonly #socket: Socket;
  readonly #chunks: Buffer[] = [];
  readonly #host: string;
  readonly #prefix: string;
  #waiters: (() => void)[] = [];
  isOver = false;
  receivedBytes = 0;
  /** True where the connection ended with an error instead of an end. */
  wasReset = false;

  private constructor(url: string, isHalfOpen = false) {
    const {hostname, port, host, pathname} = new URL(url);
    this.#host = host;
    this.#prefix = pathname.replace(/\/$/, '');
    this.#socket = connect({host: hostname, port: Number(port), allowHalfOpen: isHalfOpen});
    this.#socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.receivedBytes += chunk.length;
      this.#wake();
    });
    this.#socket.on('error', () => {
      this.wasReset = true;
    });
    this.#socket.on('close', () => {
      this.isOver = true;
      this.#wake();
    });
  }

  /** Sends the head of a request; `path` begins with a slash and is below the kit. */
  static async open(
    url: string,
    method: string,
    path: string,
    {
      headers = {},
      version = '1.1',
      isHalfOpen = false,
    }: {
      headers?: Readonly<Record<string, string>>;
      version?: string;
      /** Goes on sending after the end of the answer. */
      isHalfOpen?: boolean;
    } = {},
  ): Promise<RawClient> {
    const client = new RawClient(url, isHalfOpen);
    await once(client.#socket, 'connect');
    const lines = Object.entries({Host: client.#host, ...headers}).map(
      ([name, value]) => `${name}: ${value}\r\n`,
    );
    client.write(`${method} ${client.#prefix}${path} HTTP/${version}\r\n${lines.join('')}\r\n`);
    return client;
  }

  static async connect(url: string): Promise<RawClient> {
    const client = new RawClient(url);
    await once(client.#socket, 'connect');
    return client;
  }

  write(bytes: string | Uint8Array): boolean {
    return this.#socket.write(bytes);
  }

  /** Resolves when the kernel has taken the bytes: true, or false where the connection broke. */
  writeAll(bytes: Uint8Array): Promise<boolean> {
    return new Promise((resolve) => {
      const onClose = () => resolve(false);
      this.#socket.once('close', onClose);
      this.#socket.write(bytes, (error) => {
        this.#socket.off('close', onClose);
        resolve(error === undefined || error === null);
      });
    });
  }

  writeChunk(text: string): void {
    this.writeChunkBytes(Buffer.from(text));
  }

  writeChunkBytes(bytes: Uint8Array): void {
    this.write(Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]));
  }

  endChunks(): void {
    this.write('0\r\n\r\n');
  }

  /** Stops reading, so that the server has to wait. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  leave(): void {
    this.#socket.destroy();
  }

  /** FIN; reading goes on. */
  finish(): void {
    this.#socket.end();
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  /** Everything so far, as latin1. */
  get text(): string {
    return this.bytes.toString('latin1');
  }

  /** What came after the head, its chunks put together. */
  get body(): string {
    return decodedBody(this.text);
  }

  get status(): number {
    return Number(
      /^HTTP\/1\.[01] (\d{3})/.exec(this.text.replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, ''))?.[1] ?? 0,
    );
  }

  header(name: string): string | null {
    const head = this.text.replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, '').split('\r\n\r\n', 1)[0] ?? '';
    return new RegExp(`^${name}: (.*)$`, 'im').exec(head)?.[1] ?? null;
  }

  /** Resolves as soon as the body has it; rejects where the connection ends without. */
  async until(wanted: string): Promise<void> {
    while (!this.body.includes(wanted) && !this.text.includes(wanted)) {
      if (this.isOver) throw new Error(`ended without ${JSON.stringify(wanted)}: ${this.text}`);
      await this.#news();
    }
  }

  async untilBytes(count: number): Promise<void> {
    while (this.receivedBytes < count) {
      if (this.isOver) throw new Error(`ended after ${this.receivedBytes} bytes`);
      await this.#news();
    }
  }

  /** The end of the answer: of the connection, or on a kept one of the last chunk or the announced length. */
  async untilOver(): Promise<void> {
    while (!this.isOver && !this.isComplete) await this.#news();
  }

  /** The end of the connection; cheap also after a large answer. */
  async untilClosed(): Promise<void> {
    while (!this.isOver) await this.#news();
  }

  /** True where the answer has the end that its framing announces. */
  get isComplete(): boolean {
    const text = this.text.replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, '');
    const end = text.indexOf('\r\n\r\n');
    if (end === -1) return false;
    const length = this.header('content-length');
    if (length !== null) return text.length - end - 4 >= Number(length);
    if (this.header('transfer-encoding') !== null) return /(?:^|\r\n)0\r\n\r\n$/.test(text.slice(end + 4));
    return this.isOver && !this.wasReset;
  }

  #news(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.push(resolve);
    });
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }
}

function decodedBody(text: string): string {
  const final = text.replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, '');
  const end = final.indexOf('\r\n\r\n');
  if (end === -1) return '';
  const sent = final.slice(end + 4);
  if (!/^transfer-encoding: chunked/im.test(final.slice(0, end))) return sent;
  let body = '';
  for (let at = 0; ; ) {
    const lineEnd = sent.indexOf('\r\n', at);
    const size = Number.parseInt(sent.slice(at, lineEnd), 16);
    if (lineEnd === -1 || !(size > 0)) return body;
    body += sent.slice(lineEnd + 2, lineEnd + 2 + size);
    at = lineEnd + 2 + size + 2;
  }
}

/** Asks for the state of a name until it is as wanted. */
export async function untilStatus(
  url: string,
  path: string,
  wanted: (status: {
    state: string;
    activeReceivers: number;
    hasSender: boolean;
    bytesTransferred: number;
  }) => boolean,
): Promise<void> {
  for (;;) {
    const response = await fetch(`${url}${path}?status`);
    const status = (await response.json()) as Parameters<typeof wanted>[0];
    if (wanted(status)) return;
    await Bun.sleep(5);
  }
}
