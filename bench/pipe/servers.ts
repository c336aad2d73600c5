import {readFileSync, writeFileSync} from 'node:fs';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {BenchOptions} from '../result.ts';

const here = import.meta.dirname;

/** A server that pairs a PUT with GETs of the same path. */
export interface PipeServer {
  readonly name: 'branchtab' | 'gateway' | 'piping-server' | 'relay in C';
  readonly port: number;
  readonly pid: number;
  /** Stands before the paths of pipes. */
  readonly prefix: string;
  /** Host that requests name. */
  readonly host: string;
}

export interface Programs {
  readonly load: string;
  readonly relay: string;
  readonly pairs: string;
  readonly setup: string;
  readonly parallel: string;
}

/** Compiles the clients and the relay; needs a C compiler as `cc`. */
export async function compilePrograms({teardown}: Pick<BenchOptions, 'teardown'>): Promise<Programs> {
  const directory = await mkdtemp(join(tmpdir(), 'bt-bench-pipe-'));
  teardown(() => rm(directory, {recursive: true, force: true}));
  const compile = (name: string) => {
    const program = join(directory, name);
    const {exitCode, stderr} = Bun.spawnSync(['cc', '-O2', '-o', program, join(here, `${name}.c`)]);
    if (exitCode !== 0) throw new Error(`cc ${name}.c: ${stderr.toString()}`);
    return program;
  };
  return {
    load: compile('load'),
    relay: compile('relay'),
    pairs: compile('pairs'),
    setup: compile('setup'),
    parallel: compile('parallel'),
  };
}

/** The runtime: the address of the pipe kit alone, and the one of all kits, which relays. */
export async function startBranchtab({
  teardown,
}: Pick<BenchOptions, 'teardown'>): Promise<{own: PipeServer; relayed: PipeServer}> {
  const directory = await mkdtemp(join(tmpdir(), 'bt-bench-pipe-'));
  teardown(() => rm(directory, {recursive: true, force: true}));
  const child = Bun.spawn({
    cmd: [
      process.execPath,
      join(here, '../../runtime/start.ts'),
      'runtime',
      ...['--data', directory, '--listen', '127.0.0.1:0', '--pipe-listen', '127.0.0.1:0'],
    ],
    env: {PATH: '/usr/bin:/bin'},
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'inherit',
  });
  teardown(() => child.kill('SIGKILL'));
  const [, common, pipe] = await readUntil(
    child.stdout,
    /runtime listens on http:\/\/\S+:(\d+)\npipe service listens on http:\/\/\S+:(\d+)\n/,
  );
  const {pid} = child;
  return {
    own: {name: 'branchtab', port: Number(pipe), pid, prefix: '', host: 'localhost'},
    relayed: {name: 'branchtab', port: Number(common), pid, prefix: '/api/v1/pipe', host: 'localhost'},
  };
}

/** On Node.js, as it is published. */
export async function startPipingServer({teardown}: Pick<BenchOptions, 'teardown'>): Promise<PipeServer> {
  const port = freePort();
  const child = Bun.spawn({
    cmd: [
      'node',
      join(here, '../../node_modules/piping-server/dist/src/index.js'),
      '--http-port',
      String(port),
      '--host',
      '127.0.0.1',
    ],
    // More than ten receivers make Node.js warn of a leak.
    env: {PATH: process.env.PATH ?? '/usr/bin:/bin', NODE_NO_WARNINGS: '1'},
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'inherit',
  });
  teardown(() => child.kill('SIGKILL'));
  for (let tries = 0; tries < 200; tries += 1) {
    const isUp = await fetch(`http://127.0.0.1:${port}/version`).then(
      ({ok}) => ok,
      () => false,
    );
    if (isUp) return {name: 'piping-server', port, pid: child.pid, prefix: '', host: 'localhost'};
    await Bun.sleep(50);
  }
  throw new Error('piping-server did not start');
}

/** A server in C; `stop` ends it. */
export interface Relay extends PipeServer {
  stop(): void;
}

/** Serves transfers of `bytes` to `n` receivers and nothing else. */
export async function startRelay({relay}: Programs, n: number, bytes: number): Promise<Relay> {
  return await startRelayProgram([relay, String(n), String(bytes)]);
}

/** Serves the transfers of `parallel` and nothing else. */
export async function startPairs({pairs}: Programs): Promise<Relay> {
  return await startRelayProgram([pairs]);
}

async function startRelayProgram(cmd: string[]): Promise<Relay> {
  const child = Bun.spawn({cmd, stdin: 'ignore', stdout: 'pipe'});
  const [, port] = await readUntil(child.stdout, /^(\d+)\n/);
  return {
    name: 'relay in C',
    port: Number(port),
    pid: child.pid,
    prefix: '',
    host: 'localhost',
    stop: () => child.kill('SIGKILL'),
  };
}

async function readUntil(stream: ReadableStream<Uint8Array>, wanted: RegExp): Promise<RegExpExecArray> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of stream) {
    text += decoder.decode(chunk, {stream: true});
    const found = wanted.exec(text);
    if (found !== null) return found;
  }
  throw new Error(`a server did not start: ${text}`);
}

function freePort(): number {
  const server = Bun.listen({hostname: '127.0.0.1', port: 0, socket: {data() {}}});
  const {port} = server;
  server.stop(true);
  return port;
}

/** Forgets the peak, so that `peakMegabytes` is that of what follows. */
export function resetPeak({pid}: PipeServer): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
}

/** VmHWM: the largest resident size since the start or the last reset. */
export function peakMegabytes({pid}: PipeServer): number {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

/** How this host sends. With `bbr` the kernel waits by a timer between packets, and servers look alike. */
export function congestionControl(): string {
  return readFileSync('/proc/sys/net/ipv4/tcp_congestion_control', 'utf8').trim();
}

/** Clock ticks a second in `/proc/<pid>/stat`; the same on every Linux that Bun runs on. */
const ticksPerSecond = 100;

/** User and system time so far. */
export function cpuSeconds({pid}: PipeServer): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}
