import {createWriteStream} from 'node:fs';
import {open} from 'node:fs/promises';
import {Readable} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import {AppError} from '../../schemas/errors.ts';
import {type ConnectionFlags, connect} from '../connection.ts';
import {type ExitCode, exitCodes} from '../exit-codes.ts';
import {linesOf, requestPipe} from '../pipe-client.ts';
import type {Environment} from '../settings.ts';
import {printable, type Terminal} from '../terminal.ts';

export interface PipeFlags extends ConnectionFlags {
  /** Address of a pipe service. */
  readonly pipeUrl?: string;
  /** Branch whose container's pipe is meant. */
  readonly branch?: string;
  readonly json?: boolean;
  readonly n?: string;
  readonly wait?: string;
  readonly key?: string;
}

export interface PipeSendFlags extends PipeFlags {
  readonly type?: string;
  readonly rate?: string;
  readonly slow?: string;
  readonly idle?: string;
  readonly heartbeat?: string;
  readonly sha256?: boolean;
  readonly receipts?: boolean;
  readonly live?: boolean;
}

export interface PipeReceiveFlags extends PipeFlags {
  readonly output?: string;
  readonly as?: string;
  readonly live?: boolean;
}

/** `branchtab pipe send`: stdin or a file goes out; what the server says goes to stderr, with `--json` as JSON to stdout. */
export async function pipeSend(
  path: string,
  file: string | undefined,
  flags: PipeSendFlags,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const {rate, slow, idle, heartbeat, sha256, receipts, live} = flags;
  const url = await addressOf(path, flags, environment, {
    rate,
    slow,
    idle,
    heartbeat,
    sha256,
    receipts,
    live,
  });
  const body = await whatToSend(file);
  const answer = await requestPipe({
    url,
    method: 'PUT',
    headers: {
      'Content-Type': flags.type ?? 'application/octet-stream',
      'Transfer-Encoding': 'chunked',
      Accept: 'application/x-ndjson',
    },
    body,
  });
  let isComplete = false;
  try {
    for await (const line of linesOf(answer)) {
      const {event, level, message} = JSON.parse(line) as {event: string; level: string; message: string};
      isComplete ||= event === 'complete' || event === 'live_ended';
      if (flags.json) terminal.out(`${line}\n`);
      else terminal.err(`${level === 'error' ? 'error: ' : ''}${printable(message)}\n`);
      // Nothing follows; while we go on sending the server may cut us off before it says so.
      if (level === 'error') return exitCodes.failed;
    }
  } catch (error) {
    throw brokenOff('the server did not say whether all of it arrived', error);
  }
  return isComplete ? exitCodes.ok : exitCodes.failed;
}

/** Throws CONFIG_INVALID where there is no such file. */
async function whatToSend(file: string | undefined): Promise<Readable> {
  // `process.stdin` on this engine sometimes does not tell its end where it was paused before.
  if (file === undefined || file === '-') return Readable.from(Bun.stdin.stream());
  const handle = await open(file).catch((cause: unknown) => {
    throw new AppError('CONFIG_INVALID', `${file} cannot be read: ${messageOf(cause)}`, {cause});
  });
  if ((await handle.stat()).isDirectory()) {
    await handle.close();
    throw new AppError(
      'CONFIG_INVALID',
      `${file} is a directory. To send one: tar c ${file} | branchtab pipe send ...`,
    );
  }
  return handle.createReadStream();
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** `branchtab pipe receive`: the bytes go to stdout or a file; the exit code tells whether they are all. */
export async function pipeReceive(
  path: string,
  flags: PipeReceiveFlags,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const {as, live} = flags;
  const url = await addressOf(path, flags, environment, {as, live});
  const answer = await requestPipe({url, method: 'GET', headers: {}});
  let bytes = 0;
  answer.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  const output = flags.output === undefined ? process.stdout : createWriteStream(flags.output);
  try {
    await pipeline(answer, output, {end: flags.output !== undefined});
  } catch (error) {
    throw brokenOff('what came is not all of it', error);
  }
  if (!answer.complete) throw brokenOff('what came is not all of it', null);
  if (flags.output !== undefined || terminal.isTty) terminal.err(`${bytes} bytes received.\n`);
  return exitCodes.ok;
}

/** `branchtab pipe progress`: follows a name until its transfer ends, without taking a place. */
export async function pipeProgress(
  path: string,
  flags: PipeFlags,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const url = await addressOf(path, flags, environment, {progress: true});
  const answer = await requestPipe({url, method: 'GET', headers: {Accept: 'text/event-stream'}});
  let event = '';
  for await (const line of linesOf(answer)) {
    if (line.startsWith('event: ')) event = line.slice('event: '.length);
    if (!line.startsWith('data: ')) continue;
    const data = JSON.parse(line.slice('data: '.length)) as ProgressData;
    terminal.out(
      flags.json ? `${JSON.stringify({event, ...data})}\n` : `${printable(progressLine(event, data))}\n`,
    );
    if (event === 'done') return data.state === 'complete' ? exitCodes.ok : exitCodes.failed;
  }
  terminal.err('The transfer has ended before it could be watched.\n');
  return exitCodes.failed;
}

/** `branchtab pipe url`: the address for curl and browsers. */
export async function pipeUrl(
  path: string,
  flags: PipeFlags,
  environment: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  const {href} = await addressOf(path, flags, environment, {});
  terminal.out(flags.json ? `${JSON.stringify({url: href})}\n` : `${href}\n`);
  return exitCodes.ok;
}

interface ProgressData {
  readonly state?: string;
  readonly bytesTransferred?: number;
  readonly totalBytes?: number | null;
  readonly speed?: number;
  readonly activeReceivers?: number;
  readonly totalReceivers?: number;
  readonly duration?: number;
  readonly reason?: string;
  readonly readers?: readonly {readonly name: string | null; readonly blocking: boolean}[];
}

function progressLine(event: string, data: ProgressData): string {
  const {activeReceivers = 0, totalReceivers = 0, bytesTransferred = 0, totalBytes = null} = data;
  const blocking = (data.readers ?? []).filter((reader) => reader.blocking);
  const wait =
    blocking.length === 0 ? '' : `, waiting for ${blocking.map(({name}) => name ?? 'a reader').join(', ')}`;
  if (event === 'state') return `${data.state}: ${activeReceivers} of ${totalReceivers} receiver(s)`;
  if (event === 'done') {
    const end = data.state === 'complete' ? 'complete' : `failed (${data.reason ?? 'unknown'})`;
    return `${end}: ${bytesTransferred} bytes in ${(data.duration ?? 0).toFixed(2)} s`;
  }
  return `${bytesTransferred}${totalBytes === null ? '' : ` of ${totalBytes}`} bytes, ${data.speed ?? 0} B/s, ${activeReceivers} receiver(s)${wait}`;
}

type Parameters = Readonly<Record<string, string | boolean | undefined>>;

/** `--pipe-url` or `HOODY_PIPE_URL`, which need no controller; else the container of `--branch`. */
async function addressOf(
  path: string,
  flags: PipeFlags,
  environment: Environment,
  own: Parameters,
): Promise<URL> {
  const base =
    flags.branch === undefined
      ? (flags.pipeUrl ?? environment.HOODY_PIPE_URL)
      : await ofBranch(flags.branch, flags, environment);
  if (base === undefined || base === '') {
    throw new AppError(
      'CONFIG_INVALID',
      'Which pipe service? Give --branch <name>, --pipe-url <url> or HOODY_PIPE_URL.',
    );
  }
  if (!/^https?:\/\//.test(base) || !URL.canParse(base))
    throw new AppError('CONFIG_INVALID', `${base} is no http address of a pipe service.`);
  const name = path.replace(/^\/+/, '').split('/').map(encodeURIComponent).join('/');
  const url = new URL(`${base.replace(/\/+$/, '')}/${name}`);
  const {n, wait, key} = flags;
  const parameters: Parameters = {n, wait, key, ...own};
  for (const [parameter, value] of Object.entries(parameters)) {
    if (value === undefined || value === false) continue;
    url.searchParams.set(parameter, value === true ? '1' : value);
  }
  return url;
}

async function ofBranch(branch: string, flags: PipeFlags, environment: Environment): Promise<string> {
  const client = await connect(flags, environment);
  const {container} = await client.branch(branch);
  if (container === null) throw new AppError('CONTAINER_NOT_FOUND', `${branch} has no container yet.`);
  return container.urls.pipe;
}

function brokenOff(what: string, cause: unknown): AppError {
  return new AppError('BACKEND_ERROR', `The transfer broke off: ${what}.`, {cause});
}
