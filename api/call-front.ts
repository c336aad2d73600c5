import type {IncomingMessage, ServerResponse} from 'node:http';
import type {Calls} from '../runtime/exec/calls.ts';
import type {AnswerSink} from '../runtime/exec/invoke.ts';
import type {Log} from '../runtime/platform/log.ts';
import {KIT_HEADER} from '../schemas/control.ts';
import {errorResponse} from './errors.ts';
import {refuseMisdirected} from './host-guard.ts';
import {selectKit} from './kit-selection.ts';

export interface CallFrontOptions {
  readonly calls: Calls;
  /** True on the controller's socket: no Host check, and the kit header is believed. */
  readonly trusted: boolean;
  readonly allowedHosts: readonly string[];
  /** The run of a job whose process holds the other end of the connection. */
  readonly findRun: (peer: {ip: string; port: number}) => string | null;
  readonly log: Log;
}

/**
 * Answers calls of scripts from Node's request to Node's response: by far most requests are calls, and the way
 * over the web's `Request` and `Response` costs more than the call. True where it answers.
 */
export function createCallFront(options: CallFrontOptions) {
  const {calls, trusted, log} = options;
  return (incoming: IncomingMessage, outgoing: ServerResponse): boolean => {
    const target = incoming.url ?? '/';
    // Other forms of the target are told apart by the routes behind us.
    if (!target.startsWith('/')) return false;
    const path = target.split('?', 1)[0] ?? '/';
    const host = incoming.headers.host ?? '';
    const kitHeader = trusted ? headerOf(incoming, KIT_HEADER) : null;
    const selection = selectKit({host, kitHeader, path});
    if (selection.part !== 'exec' || selection.prefixed) return false;
    try {
      if (!trusted) refuseMisdirected(new Headers({host}), options.allowedHosts);
    } catch (error) {
      void sendResponse(outgoing, errorResponse(error, log));
      return true;
    }
    const {remoteAddress: ip = '', remotePort: port = 0} = incoming.socket;
    const request = {
      method: incoming.method ?? 'GET',
      headers: incoming.rawHeaders,
      body: hasBody(incoming) ? incoming : null,
    };
    const findRun = () => options.findRun({ip, port});
    void calls.answer({request, path, target, clientIp: ip, findRun}, sinkOf(outgoing));
    return true;
  };
}

function headerOf({headers}: IncomingMessage, name: string): string | null {
  const value = headers[name];
  return typeof value === 'string' ? value : null;
}

function hasBody({headers}: IncomingMessage): boolean {
  const length = headers['content-length'];
  return headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0');
}

function sinkOf(outgoing: ServerResponse): AnswerSink {
  return {
    head: (status, headers) => void outgoing.writeHead(status, [...headers]),
    write: (chunk) => outgoing.write(chunk),
    end: () => void outgoing.end(),
    destroy: () => void outgoing.destroy(),
    onDrain: (listener) => void outgoing.on('drain', listener),
    onLeave(listener) {
      outgoing.once('close', () => {
        if (!outgoing.writableFinished) listener();
      });
    },
  };
}

async function sendResponse(outgoing: ServerResponse, response: Response): Promise<void> {
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  outgoing.end(await response.text());
}
