import {createConnection, type Socket} from 'node:net';
import type {PipeServer, Programs} from './servers.ts';

/** Megabytes received a second, all receivers together. */
export async function throughput(
  {load}: Programs,
  {name, port, prefix, host}: PipeServer,
  {n, bytes, framing = 'length'}: {n: number; bytes: number; framing?: 'length' | 'chunked'},
): Promise<number> {
  const text = await runClient(
    [load, String(port), `${prefix}/load`, String(n), String(bytes), framing, host],
    `load on ${name}, n=${n}`,
  );
  return (bytes * n) / 1024 ** 2 / Number(text);
}

/** Milliseconds from sending the last receiver's request to its first byte of the body. */
export async function setUpMs({setup}: Programs, server: PipeServer, rounds: number): Promise<number[]> {
  const text = await runClient([setup, String(server.port), String(rounds)], `set-up on ${server.name}`);
  return text.trim().split('\n').map(Number);
}

/** A sender writes lines of 64 bytes at `perSecond` for `seconds`; milliseconds from writing a line to having it, of all receivers. */
export async function lineLagsMs(
  server: PipeServer,
  {n, perSecond, seconds}: {n: number; perSecond: number; seconds: number},
): Promise<number[]> {
  const lags: number[] = [];
  const total = perSecond * seconds;
  const receivers = await Promise.all(Array.from({length: n}, () => dial(server)));
  const done = receivers.map((socket) => {
    socket.write(head('GET', '/lines', n));
    return readLines(socket, total, (writtenMs) => lags.push(performance.now() - writtenMs));
  });
  const sender = await dial(server);
  sender.resume();
  sender.write(head('PUT', '/lines', n, 'Transfer-Encoding: chunked\r\n'));
  await Bun.sleep(500);
  const startMs = performance.now();
  for (let sent = 0; sent < total; ) {
    const due = Math.min(total, Math.floor(((performance.now() - startMs) / 1000) * perSecond));
    for (; sent < due; sent += 1) {
      const line = `@${performance.now().toFixed(3)}`.padEnd(63, '.');
      sender.write(`40\r\n${line}\n\r\n`);
    }
    await Bun.sleep(1);
  }
  await Promise.all(done);
  sender.destroy();
  for (const receiver of receivers) receiver.destroy();
  return lags;
}

/** Seconds for so many transfers of 1 MB at the same time. */
export async function parallelSeconds(
  {parallel}: Programs,
  server: PipeServer,
  transfers: number,
): Promise<number> {
  const text = await runClient(
    [parallel, String(server.port), String(transfers), String(1024 ** 2)],
    `parallel transfers on ${server.name}`,
  );
  return Number(text);
}

/** What it prints; `what` it did is for the error of one that fails. */
async function runClient(cmd: string[], what: string): Promise<string> {
  const child = Bun.spawn({cmd, stdin: 'ignore', stdout: 'pipe', stderr: 'pipe'});
  const [text, problem] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  if ((await child.exited) !== 0) throw new Error(`${what}: ${problem}`);
  return text;
}

function head(method: string, path: string, n: number, fields = ''): string {
  return `${method} ${path}?n=${n} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${fields}\r\n`;
}

function dial({port}: PipeServer): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({port, host: '127.0.0.1', noDelay: true});
    socket.once('connect', () => resolve(socket));
    socket.once('error', reject);
  });
}

function readLines(socket: Socket, total: number, onLine: (writtenMs: number) => void): Promise<void> {
  let rest = '';
  let lines = 0;
  return new Promise((resolve) => {
    socket.on('data', (chunk) => {
      const text = rest + chunk.toString('latin1');
      let at = 0;
      for (let end = text.indexOf('.\n', at); end !== -1; end = text.indexOf('.\n', at)) {
        onLine(Number.parseFloat(text.slice(text.indexOf('@', at) + 1, end)));
        lines += 1;
        at = end + 2;
      }
      rest = text.slice(at);
      if (lines >= total) resolve();
    });
  });
}
